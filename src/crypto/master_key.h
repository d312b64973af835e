// SPDX-License-Identifier: Apache-2.0
//
// MasterKey: the one secret of an installation; every other key is derived from it or wrapped by
// it.
//
// One file to keep and to back up apart from the data: without it the sealed fields cannot be read,
// and with it alone neither.
//
// Place    apps/ -> [here] -> keys for events/ ("person-keys", "pseudonym") and storage/
// ("snapshot") Units    The file holds 64 hexadecimal digits and a newline. Errors
// kFailedPrecondition: the file can be read by group or others, or is not a plain file;
//          kDataLoss: it does not hold a key; kInvalidArgument: not 64 hexadecimal digits.
// Threads  Immutable after construction.
// Source   HKDF-SHA-256, RFC 5869, with the purpose as info.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "crypto/secret.h"

namespace poise {

class MasterKey {
 public:
  // Reads the key at `path`, or makes it (mode 0600, random, on disk before this returns) where
  // there is none yet.
  static Result<MasterKey> LoadOrCreate(const std::string& path);
  // Reads the key at `path`. Errors  kNotFound as well.
  static Result<MasterKey> Load(const std::string& path);
  // From 64 hexadecimal digits, as an environment variable gives them. The text is not echoed.
  static Result<MasterKey> FromHex(std::string_view hex);

  // A 32-byte key for one purpose; equal purposes give equal keys.
  SecretBytes Derive(std::string_view purpose) const;

 private:
  explicit MasterKey(SecretBytes key) : key_(std::move(key)) {}

  SecretBytes key_;
};

}  // namespace poise
