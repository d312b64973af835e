// SPDX-License-Identifier: Apache-2.0
//
// Hashes that are not secrets: for tables in memory and for stable choices by name.
// For anything an adversary may choose, or that must not be linked back, use crypto/keyed_hash.h.
#pragma once

#include <cstdint>
#include <string_view>

namespace poise {

// FNV-1a, 64 bits, finished by a mix so that the low bits are good; the same on every machine.
constexpr std::uint64_t StableHash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93;
  return hash ^ (hash >> 32);
}

}  // namespace poise
