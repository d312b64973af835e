// SPDX-License-Identifier: Apache-2.0
//
// ItemRecord and UserRecord: what exists, as the caller describes it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "domain/ids.h"

namespace poise {

// An attribute: a word, several words, or a number.
using AttributeValue = std::variant<std::string, std::vector<std::string>, double, bool>;
using Attributes = std::map<std::string, AttributeValue>;

inline constexpr std::size_t kMaxTitleBytes = 1024;
inline constexpr std::size_t kMaxDescriptionBytes = 64 * 1024;
inline constexpr std::size_t kMaxCategories = 64;
inline constexpr std::size_t kMaxAttributes = 256;

struct ItemRecord {
  ItemId id;
  std::string title;
  std::string description;
  std::vector<std::string> categories;
  double price = 0;  // in the shop's own currency, 0: not known
  Attributes attributes;
  bool is_available = true;
  Timestamp created;  // when it came into the catalog; the time of the first upsert if not given
};

// Everything here is personal and sealed at rest.
struct UserRecord {
  UserId id;
  Attributes attributes;
  Timestamp created;
};

// Errors  kInvalidArgument naming the field.
Status ValidateItem(const ItemRecord& item);
Status ValidateUser(const UserRecord& user);

}  // namespace poise
