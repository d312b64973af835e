// SPDX-License-Identifier: Apache-2.0
//
// Seal and Open: authenticated encryption of a value under a 32-byte key (AES-256-GCM).
//
// What a value is (whose, which field, which record) goes into `associated`: it is authenticated
// but not stored, so a sealed value that is moved elsewhere does not open.
//
// Place    events/, catalog/, storage/ -> [here] -> bytes at rest
// Units    A sealed value is kSealOverheadBytes longer than the plain one (docs/formats/sealed.md).
// Errors   kDataLoss: another key, another `associated`, or changed bytes (they are
//          indistinguishable); kInvalidArgument: a key that is not kKeyBytes long.
// Threads  All functions and const methods may be called concurrently.
// Cost     About .45 us for 256 bytes, key schedule included; no allocation but the result's.
// Source   NIST SP 800-38D. Nonces are random (8.2.2): at most 2^32 values may be sealed under one
//          key, which a key per person, or per file, never reaches.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/random.h"
#include "crypto/secret.h"

namespace poise {

inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSealOverheadBytes = 1 + kNonceBytes + kTagBytes;

// Appends the sealed value to `out`.
Status SealTo(std::string& out, std::string_view key, std::string_view plain,
              std::string_view associated);

// Appends the plain value to `out`; on an error `out` is as it was.
Status OpenTo(std::string& out, std::string_view key, std::string_view sealed,
              std::string_view associated);

// Seals a key under another key, e.g. a person's under the master key.
Result<std::string> WrapKey(std::string_view wrapping_key, std::string_view key,
                            std::string_view associated);
Result<SecretBytes> UnwrapKey(std::string_view wrapping_key, std::string_view wrapped,
                              std::string_view associated);

// SealTo and OpenTo with a key that is kept.
class Sealer {
 public:
  // Errors  kInvalidArgument: `key` is not kKeyBytes long.
  static Result<Sealer> Create(std::string_view key);
  // Requires  kKeyBytes bytes.
  explicit Sealer(const SecretBytes& key);

  std::string Seal(std::string_view plain, std::string_view associated) const;
  Result<std::string> Open(std::string_view sealed, std::string_view associated) const;

 private:
  SecretBytes key_;
};

}  // namespace poise
