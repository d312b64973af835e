// SPDX-License-Identifier: Apache-2.0
//
// The low-level SHA256_CTX is plain memory that copies like a struct, which is what makes a
// prepared HMAC cheap: copying an EVP_MD_CTX allocates and takes longer than the hashing.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/keyed_hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <cstring>

#include "base/check.h"
#include "crypto/secret.h"

namespace poise {

namespace {

void Start(SHA256_CTX& context, const std::array<unsigned char, SHA256_CBLOCK>& key, char pad) {
  std::array<unsigned char, SHA256_CBLOCK> block = key;
  for (unsigned char& byte : block) byte ^= static_cast<unsigned char>(pad);
  SHA256_Init(&context);
  SHA256_Update(&context, block.data(), block.size());
  WipeMemory(block.data(), block.size());
}

}  // namespace

KeyedHasher::KeyedHasher(std::string_view key, std::string_view domain) {
  static_assert(sizeof(SHA256_CTX) == kStateBytes);
  POISE_CHECK(domain.size() <= 255);
  std::array<unsigned char, SHA256_CBLOCK> block{};
  if (key.size() > block.size()) {
    SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), block.data());
  } else {
    std::memcpy(block.data(), key.data(), key.size());
  }
  SHA256_CTX inner;
  SHA256_CTX outer;
  Start(inner, block, 0x36);
  Start(outer, block, 0x5c);
  const auto domain_size = static_cast<unsigned char>(domain.size());
  SHA256_Update(&inner, &domain_size, 1);
  SHA256_Update(&inner, domain.data(), domain.size());
  std::memcpy(inner_.data(), &inner, sizeof inner);
  std::memcpy(outer_.data(), &outer, sizeof outer);
  WipeMemory(block.data(), block.size());
  WipeMemory(&inner, sizeof inner);
  WipeMemory(&outer, sizeof outer);
}

KeyedHasher::~KeyedHasher() {
  WipeMemory(inner_.data(), inner_.size());
  WipeMemory(outer_.data(), outer_.size());
}

std::array<std::uint8_t, 16> KeyedHasher::Hash(std::string_view bytes) const {
  SHA256_CTX context;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  std::memcpy(&context, inner_.data(), sizeof context);
  SHA256_Update(&context, bytes.data(), bytes.size());
  SHA256_Final(digest.data(), &context);
  std::memcpy(&context, outer_.data(), sizeof context);
  SHA256_Update(&context, digest.data(), digest.size());
  SHA256_Final(digest.data(), &context);
  std::array<std::uint8_t, 16> hash;
  std::memcpy(hash.data(), digest.data(), hash.size());
  return hash;
}

std::array<std::uint8_t, 16> KeyedHash(std::string_view key, std::string_view domain,
                                       std::string_view bytes) {
  return KeyedHasher(key, domain).Hash(bytes);
}

std::array<std::uint8_t, 32> HashSecret(std::string_view secret) {
  std::array<std::uint8_t, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  return digest;
}

bool ConstantTimeEqual(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace poise
