// SPDX-License-Identifier: Apache-2.0
//
// Catalog: what exists: items and users, on disk and, for items, as a view in memory.
//
// An item gets its ItemRow once, the first time it is described or an event names it, and the row
// is on disk before anybody can use it; rows are dense and never given to another item. Profiles of
// users are sealed under the person's key (docs/formats/catalog.md).
//
// Place    http/, importers/ -> [Upsert] -> tables `items`, `users`, CatalogView -> candidates/
// Units    An ItemRow is below kMaxItemCount (24 bits in live state).
// Errors   kInvalidArgument naming the field as it stands in JSON; kNotFound;
//          kResourceExhausted: disk full, or kMaxItemCount items; kDataLoss, kUnavailable from the
//          tables. A batch answers element by element: the bad ones do not stop the good ones.
// Threads  All methods may be called concurrently.
// Cost     A write is one transaction, its sync shared with concurrent writes, and copies some
//          20 kB of view for each chunk of 256 items that it touches. Open reads all items.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/catalog_view.h"
#include "domain/item.h"

namespace poise {

class PersonKeys;  // catalog/person_keys.h
class Tables;      // storage/table.h

inline constexpr std::size_t kMaxItemCount = std::size_t{1} << 24;

// The tables that the catalog and the keys need, for Tables::Open().
std::vector<std::string> CatalogTableNames();

struct ItemPage {
  std::vector<ItemRecord> items;
  std::string next_cursor;  // empty: no more
};

struct UserPage {
  std::vector<UserRecord> users;
  std::string next_cursor;  // empty: no more
};

class Catalog {
 public:
  static constexpr std::string_view kItemTable = "items";
  static constexpr std::string_view kUserTable = "users";

  // Requires  `tables` has the tables CatalogTableNames(); the references outlive this.
  static Result<std::unique_ptr<Catalog>> Open(Tables& tables, PersonKeys& keys,
                                               const Clock& clock);
  ~Catalog();
  Catalog(const Catalog&) = delete;
  Catalog& operator=(const Catalog&) = delete;

  // Items. An upsert replaces the whole record, except that a `created` of zero keeps the one that
  // is there. In a batch with an id twice the later one stays.
  std::vector<Status> UpsertItems(std::span<const ItemRecord> items);
  Status UpsertItem(const ItemRecord& item);
  Result<ItemRecord> GetItem(const ItemId& id) const;
  // The row stays reserved: should the item come back, it has it again.
  Status DeleteItem(const ItemId& id);
  // At most `limit` items after `cursor` (empty: from the start), by id.
  Result<ItemPage> ListItems(std::string_view cursor, std::size_t limit) const;

  // The rows of these items, in order; unknown ones are created, available and undescribed, in one
  // transaction that is on disk when this returns. Deleted items keep their rows and stay deleted.
  // Requires  valid ids.
  Result<std::vector<ItemRow>> EnsureRows(std::span<const ItemId* const> items);
  Result<std::vector<ItemRow>> EnsureRows(std::span<const ItemId> items);

  // Never null. Take one a request and keep to it.
  std::shared_ptr<const CatalogView> view() const;

  // Users' profiles. `created` as for items.
  std::vector<Status> UpsertUsers(std::span<const UserRecord> users);
  Result<UserRecord> GetUser(const UserId& id) const;
  // Deletes the profile; the person's events stay.
  Status DeleteUser(const UserId& id);
  // At most `limit` profiles after `cursor` (empty: from the start), in the order of pseudonyms:
  // stable, and telling nothing of the ids.
  Result<UserPage> ListUsers(std::string_view cursor, std::size_t limit) const;
  Result<std::uint64_t> UserCount() const;
  // Deletes the profile of a pseudonym, if there is one.
  Status EraseUser(const UserKey& user);

 private:
  struct State;
  explicit Catalog(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace poise
