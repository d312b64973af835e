// SPDX-License-Identifier: Apache-2.0
//
// Ids: who and what, once as the caller names them and once as Poise works with them.
//
// A UserId never reaches a file in the clear: crypto/ turns it into a UserKey, a keyed-hash
// pseudonym, at the door, and everything behind the door knows only that. Rows are dense, are never
// reused, and never leave the process.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poise {

// The caller's stable key: 1 to kMaxIdBytes bytes of UTF-8 without control characters.
inline constexpr std::size_t kMaxIdBytes = 4096;

struct UserId {
  std::string value;
  auto operator<=>(const UserId&) const = default;
};

struct ItemId {
  std::string value;
  auto operator<=>(const ItemId&) const = default;
};

// Errors  kInvalidArgument naming `field`: empty, too long, not UTF-8, control characters.
Status ValidateId(std::string_view id, std::string_view field);

// Pseudonym of a person: a keyed hash of their UserId (or of an anonymous visitor's session).
struct UserKey {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const UserKey&) const = default;
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static UserKey FromBytes(std::string_view raw) {  // Requires raw.size() == 16.
    UserKey key;
    std::memcpy(key.bytes.data(), raw.data(), key.bytes.size());
    return key;
  }
};

struct UserKeyHash {
  // The bytes are already a uniform hash.
  std::size_t operator()(const UserKey& key) const {
    std::uint64_t word;
    std::memcpy(&word, key.bytes.data(), sizeof word);
    return word;
  }
};

enum class UserRow : std::uint32_t {};
enum class ItemRow : std::uint32_t {};

constexpr std::uint32_t Index(UserRow row) { return static_cast<std::uint32_t>(row); }
constexpr std::uint32_t Index(ItemRow row) { return static_cast<std::uint32_t>(row); }

// Names one decision, unguessable, ordered by time: 48 bits of milliseconds since 1970, 80 of
// chance. As text: 32 lower-case hexadecimal digits.
struct DecisionId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const DecisionId&) const = default;
  std::int64_t millis() const { return static_cast<std::int64_t>(high >> 16); }
};

struct DecisionIdHash {
  std::size_t operator()(const DecisionId& id) const {
    return id.high * 0x9e3779b97f4a7c15 ^ id.low;
  }
};

std::string FormatDecisionId(const DecisionId& id);
// Errors  kInvalidArgument.
Result<DecisionId> ParseDecisionId(std::string_view text);

}  // namespace poise
