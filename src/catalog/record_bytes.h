// SPDX-License-Identifier: Apache-2.0
//
// Items and profiles as bytes in their tables (docs/formats/catalog.md).
//
// Errors   kDataLoss: not such bytes, or newer than this program.
// Threads  All functions may be called concurrently.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "domain/item.h"

namespace poise {

// An item as it is kept: its id is the table's key.
struct StoredItem {
  ItemRow row{};
  bool exists = true;        // false: deleted, the row stays reserved
  bool is_described = true;  // false: known from events only
  ItemRecord record;         // without the id
};

std::string EncodeStoredItem(const StoredItem& item);
Result<StoredItem> DecodeStoredItem(std::string_view bytes);

// A profile without its id.
std::string EncodeProfile(const UserRecord& user);
Result<UserRecord> DecodeProfile(std::string_view bytes);

}  // namespace poise
