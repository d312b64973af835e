// SPDX-License-Identifier: Apache-2.0
#include "crypto/seal.h"

#include <openssl/evp.h>

#include <array>
#include <limits>
#include <memory>

#include "base/check.h"

namespace poise {

namespace {

constexpr char kSealVersion = 1;

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* Bytes(char* text) { return reinterpret_cast<unsigned char*>(text); }

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

// Fetching takes microseconds, so it is done once; a context is kept for each thread and direction,
// because switching a context between them costs more than setting a key.
const EVP_CIPHER* Aes256Gcm() {
  static const std::unique_ptr<EVP_CIPHER, FreeCipher> cipher(
      EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  POISE_CHECK(cipher != nullptr);
  return cipher.get();
}

struct Contexts {
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> seal{EVP_CIPHER_CTX_new()};
  std::unique_ptr<EVP_CIPHER_CTX, FreeCipher> open{EVP_CIPHER_CTX_new()};

  Contexts() {
    POISE_CHECK(seal != nullptr && open != nullptr);
    POISE_CHECK(EVP_EncryptInit_ex2(seal.get(), Aes256Gcm(), nullptr, nullptr, nullptr) == 1);
    POISE_CHECK(EVP_DecryptInit_ex2(open.get(), Aes256Gcm(), nullptr, nullptr, nullptr) == 1);
  }
};

Contexts& ThreadContexts() {
  thread_local Contexts contexts;
  return contexts;
}

Status CheckSizes(std::string_view key, std::string_view value, std::string_view associated) {
  if (key.size() != kKeyBytes) {
    return InvalidArgument("key: must be " + std::to_string(kKeyBytes) + " bytes, is " +
                           std::to_string(key.size()));
  }
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<int>::max());
  if (value.size() > kMost - kSealOverheadBytes || associated.size() > kMost) {
    return InvalidArgument("value: too long to seal at once");
  }
  return Status::Ok();
}

Status DoesNotOpen() {
  return DataLoss("sealed value: does not open: another key, another place, or changed bytes");
}

}  // namespace

Status SealTo(std::string& out, std::string_view key, std::string_view plain,
              std::string_view associated) {
  POISE_RETURN_IF_ERROR(CheckSizes(key, plain, associated));
  const std::size_t start = out.size();
  out.resize(start + kSealOverheadBytes + plain.size());
  char* version = out.data() + start;
  char* nonce = version + 1;
  char* sealed = nonce + kNonceBytes;
  char* tag = sealed + plain.size();
  *version = kSealVersion;
  RandomNonceBytes({reinterpret_cast<std::uint8_t*>(nonce), kNonceBytes});

  EVP_CIPHER_CTX* context = ThreadContexts().seal.get();
  int size = 0;
  const bool is_sealed =
      EVP_EncryptInit_ex2(context, nullptr, Bytes(key), Bytes(nonce), nullptr) == 1 &&
      EVP_EncryptUpdate(context, nullptr, &size, Bytes(std::string_view(version, 1)), 1) == 1 &&
      (associated.empty() || EVP_EncryptUpdate(context, nullptr, &size, Bytes(associated),
                                               static_cast<int>(associated.size())) == 1) &&
      (plain.empty() || EVP_EncryptUpdate(context, Bytes(sealed), &size, Bytes(plain),
                                          static_cast<int>(plain.size())) == 1) &&
      EVP_EncryptFinal_ex(context, Bytes(tag), &size) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1;
  if (!is_sealed) {
    out.resize(start);
    return Internal("seal: the cryptographic library failed");
  }
  return Status::Ok();
}

Status OpenTo(std::string& out, std::string_view key, std::string_view sealed,
              std::string_view associated) {
  POISE_RETURN_IF_ERROR(CheckSizes(key, {}, associated));
  if (sealed.size() < kSealOverheadBytes ||
      sealed.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return DataLoss("sealed value: " + std::to_string(sealed.size()) + " bytes are too " +
                    (sealed.size() < kSealOverheadBytes ? "few" : "many"));
  }
  if (sealed[0] != kSealVersion) {
    return DataLoss("sealed value: unknown version " +
                    std::to_string(static_cast<unsigned char>(sealed[0])));
  }
  const std::string_view version = sealed.substr(0, 1);
  const std::string_view nonce = sealed.substr(1, kNonceBytes);
  const std::string_view secret =
      sealed.substr(1 + kNonceBytes, sealed.size() - kSealOverheadBytes);
  std::array<char, kTagBytes> tag;
  sealed.substr(sealed.size() - kTagBytes).copy(tag.data(), kTagBytes);

  const std::size_t start = out.size();
  out.resize(start + secret.size());
  EVP_CIPHER_CTX* context = ThreadContexts().open.get();
  int size = 0;
  unsigned char unused[16];
  const bool is_open =
      EVP_DecryptInit_ex2(context, nullptr, Bytes(key), Bytes(nonce), nullptr) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &size, Bytes(version), 1) == 1 &&
      (associated.empty() || EVP_DecryptUpdate(context, nullptr, &size, Bytes(associated),
                                               static_cast<int>(associated.size())) == 1) &&
      (secret.empty() || EVP_DecryptUpdate(context, Bytes(out.data() + start), &size, Bytes(secret),
                                           static_cast<int>(secret.size())) == 1) &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context, unused, &size) == 1;
  if (!is_open) {
    // What was decrypted without being authenticated is not shown to anybody.
    if (!secret.empty()) WipeMemory(out.data() + start, secret.size());
    out.resize(start);
    return DoesNotOpen();
  }
  return Status::Ok();
}

Result<std::string> WrapKey(std::string_view wrapping_key, std::string_view key,
                            std::string_view associated) {
  if (key.size() != kKeyBytes) {
    return InvalidArgument("key to wrap: must be " + std::to_string(kKeyBytes) + " bytes, is " +
                           std::to_string(key.size()));
  }
  std::string wrapped;
  POISE_RETURN_IF_ERROR(SealTo(wrapped, wrapping_key, key, associated));
  return wrapped;
}

Result<SecretBytes> UnwrapKey(std::string_view wrapping_key, std::string_view wrapped,
                              std::string_view associated) {
  if (wrapped.size() != kKeyBytes + kSealOverheadBytes) {
    return DataLoss("wrapped key: " + std::to_string(wrapped.size()) + " bytes instead of " +
                    std::to_string(kKeyBytes + kSealOverheadBytes));
  }
  std::string key;
  POISE_RETURN_IF_ERROR(OpenTo(key, wrapping_key, wrapped, associated));
  SecretBytes secret(key);
  WipeMemory(key.data(), key.size());
  return secret;
}

Result<Sealer> Sealer::Create(std::string_view key) {
  POISE_RETURN_IF_ERROR(CheckSizes(key, {}, {}));
  return Sealer(SecretBytes(key));
}

Sealer::Sealer(const SecretBytes& key) : key_(key) { POISE_CHECK(key_.size() == kKeyBytes); }

std::string Sealer::Seal(std::string_view plain, std::string_view associated) const {
  std::string sealed;
  const Status status = SealTo(sealed, key_.view(), plain, associated);
  POISE_CHECK(status.ok());
  return sealed;
}

Result<std::string> Sealer::Open(std::string_view sealed, std::string_view associated) const {
  std::string plain;
  POISE_RETURN_IF_ERROR(OpenTo(plain, key_.view(), sealed, associated));
  return plain;
}

}  // namespace poise
