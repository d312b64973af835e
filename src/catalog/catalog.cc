// SPDX-License-Identifier: Apache-2.0
#include "catalog/catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/bytes.h"
#include "base/check.h"
#include "base/published.h"
#include "catalog/catalog_view_builder.h"
#include "catalog/claims.h"
#include "catalog/name_store.h"
#include "catalog/person_keys.h"
#include "catalog/record_bytes.h"
#include "crypto/seal.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::size_t kPageRows = 4096;
constexpr std::uint8_t kUserRowVersion = 1;

// Opaque to callers: the last key of the page, in hexadecimal.
std::string EncodeCursor(std::string_view key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * key.size());
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// Where the page after `cursor` starts.
Result<std::string> DecodeCursor(std::string_view cursor) {
  std::string key;
  if (cursor.empty()) return key;
  bool is_good = cursor.size() % 2 == 0 && cursor.size() / 2 < Tables::kMaxKeyBytes;
  for (std::size_t i = 0; is_good && i < cursor.size(); i += 2) {
    const int high = HexValue(cursor[i]);
    const int low = HexValue(cursor[i + 1]);
    is_good = high >= 0 && low >= 0;
    key += static_cast<char>(high * 16 + low);
  }
  if (!is_good) return InvalidArgument("cursor: not one that a listing gave");
  key += '\0';
  return key;
}

std::string ProfileAssociated(const UserKey& user, std::uint32_t generation) {
  std::string text = "profile";
  text += user.view();
  text.append(reinterpret_cast<const char*>(&generation), sizeof generation);
  return text;
}

struct UserTableRow {
  std::uint32_t generation = 0;
  std::string_view sealed;
};

Result<UserTableRow> ParseUserRow(std::string_view bytes) {
  ByteReader in(bytes);
  const auto version = in.Fixed<std::uint8_t>();
  UserTableRow row;
  row.generation = in.Fixed<std::uint32_t>();
  row.sealed = in.rest();
  if (!in.ok()) return DataLoss("users: a row is damaged");
  if (version != kUserRowVersion) {
    return DataLoss(
        fmt::format("users: format version {} is not known to this program", unsigned{version}));
  }
  return row;
}

}  // namespace

std::vector<std::string> CatalogTableNames() {
  return {std::string(Catalog::kItemTable), std::string(Catalog::kUserTable),
          std::string(PersonKeys::kTable)};
}

struct Catalog::State {
  State(Tables& catalog_tables, PersonKeys& person_keys, const Clock& catalog_clock)
      : tables(catalog_tables), keys(person_keys), clock(catalog_clock) {}

  struct ItemChange {
    ItemRow row{};
    bool is_new = false;
    StoredItem stored;
  };
  using ItemChanges = std::map<std::string, ItemChange, std::less<>>;

  Status Load();
  std::optional<ItemRow> AllocateRow();
  void ReturnRows(const ItemChanges& changes);
  // Writes the items, whose ids are claimed, and publishes them.
  Status Commit(const ItemChanges& changes);
  Result<std::optional<UserRecord>> LoadProfile(const UserKey& user, std::string_view bytes) const;

  Tables& tables;
  PersonKeys& keys;
  const Clock& clock;
  std::shared_ptr<NameStore> names = std::make_shared<NameStore>();
  std::shared_ptr<NameStore> categories = std::make_shared<NameStore>();
  Published<CatalogView> view;
  Claims<std::string> claims;

  std::mutex rows_mutex;  // guards the next two
  std::uint32_t next_row = 0;
  std::vector<std::uint32_t> free_rows;  // given out, but never on disk
  std::mutex publish_mutex;
};

Status Catalog::State::Load() {
  CatalogViewBuilder builder(CatalogView(names, categories), categories);
  std::vector<bool> taken;
  std::string start;
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> rows,
                           tables.Scan(kItemTable, start, kPageRows));
    for (const TableRow& row : rows) {
      auto stored = DecodeStoredItem(row.value);
      if (!stored.ok()) {
        return DataLoss(fmt::format("items: \"{}\": {}", row.key, stored.status().message()));
      }
      const std::size_t index = Index(stored->row);
      if (index >= kMaxItemCount) {
        return DataLoss(fmt::format("items: \"{}\" has row {}, beyond the limit", row.key, index));
      }
      if (index >= taken.size()) taken.resize(index + 1);
      if (taken[index]) {
        return DataLoss(fmt::format("items: \"{}\" has row {}, which another has", row.key, index));
      }
      taken[index] = true;
      names->Put(static_cast<std::uint32_t>(index), row.key);
      if (stored->exists) {
        builder.Set(stored->row, stored->record, !stored->is_described);
      } else {
        builder.Erase(stored->row);
      }
    }
    if (rows.size() < kPageRows) break;
    start = rows.back().key + '\0';
  }
  next_row = static_cast<std::uint32_t>(taken.size());
  // A transaction that failed, or a crash, left these unused: no record can name them.
  for (std::uint32_t i = next_row; i-- > 0;) {
    if (!taken[i]) free_rows.push_back(i);
  }
  view.Publish(builder.Build());
  return Status::Ok();
}

std::optional<ItemRow> Catalog::State::AllocateRow() {
  const std::lock_guard lock(rows_mutex);
  if (!free_rows.empty()) {
    const std::uint32_t row = free_rows.back();
    free_rows.pop_back();
    return static_cast<ItemRow>(row);
  }
  if (next_row >= kMaxItemCount) return std::nullopt;
  return static_cast<ItemRow>(next_row++);
}

void Catalog::State::ReturnRows(const ItemChanges& changes) {
  const std::lock_guard lock(rows_mutex);
  for (const auto& [id, change] : changes) {
    if (change.is_new) free_rows.push_back(Index(change.row));
  }
}

Status Catalog::State::Commit(const ItemChanges& changes) {
  std::vector<TableChange> table_changes;
  table_changes.reserve(changes.size());
  for (const auto& [id, change] : changes) {
    table_changes.push_back({std::string(kItemTable), id, EncodeStoredItem(change.stored)});
  }
  if (Status written = tables.Apply(table_changes); !written.ok()) {
    ReturnRows(changes);
    return written;
  }
  const std::lock_guard lock(publish_mutex);
  const std::shared_ptr<const CatalogView> base = view.Load();
  CatalogViewBuilder builder(*base, categories);
  for (const auto& [id, change] : changes) {
    if (change.is_new) names->Put(Index(change.row), id);
    if (change.stored.exists) {
      builder.Set(change.row, change.stored.record, !change.stored.is_described);
    } else {
      builder.Erase(change.row);
    }
  }
  view.Publish(builder.Build());
  return Status::Ok();
}

Result<std::unique_ptr<Catalog>> Catalog::Open(Tables& tables, PersonKeys& keys,
                                               const Clock& clock) {
  auto state = std::make_unique<State>(tables, keys, clock);
  POISE_RETURN_IF_ERROR(state->Load());
  return std::unique_ptr<Catalog>(new Catalog(std::move(state)));
}

Catalog::Catalog(std::unique_ptr<State> state) : state_(std::move(state)) {}
Catalog::~Catalog() = default;

std::shared_ptr<const CatalogView> Catalog::view() const { return state_->view.Load(); }

std::vector<Status> Catalog::UpsertItems(std::span<const ItemRecord> items) {
  std::vector<Status> statuses(items.size());
  std::map<std::string, std::size_t> last;  // of each id, the place of the one that stays
  for (std::size_t i = 0; i < items.size(); ++i) {
    statuses[i] = ValidateItem(items[i]);
    if (statuses[i].ok()) last[items[i].id.value] = i;
  }
  if (last.empty()) return statuses;
  std::vector<std::string> ids;
  ids.reserve(last.size());
  for (const auto& [id, i] : last) ids.push_back(id);
  const Claims<std::string>::Hold hold(state_->claims, std::move(ids));

  const auto fail = [&](const std::string& id, const Status& status) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (items[i].id.value == id && statuses[i].ok()) statuses[i] = status;
    }
  };
  const Timestamp now = state_->clock.Now();
  State::ItemChanges changes;
  for (const auto& [id, i] : last) {
    State::ItemChange change;
    Timestamp created = items[i].created;
    if (const auto row = state_->names->Find(id)) {
      change.row = static_cast<ItemRow>(*row);
      if (created.micros == 0) {
        auto before = state_->tables.Get(kItemTable, id);
        if (!before.ok()) {
          fail(id, before.status());
          continue;
        }
        auto stored = *before ? DecodeStoredItem(**before) : Result<StoredItem>(StoredItem{});
        if (!stored.ok()) {
          fail(id, stored.status());
          continue;
        }
        created = stored->record.created;
      }
    } else if (const auto allocated = state_->AllocateRow()) {
      change.row = *allocated;
      change.is_new = true;
    } else {
      fail(id, ResourceExhausted(fmt::format("itemId: the catalog holds {} items, the most it can",
                                             kMaxItemCount)));
      continue;
    }
    change.stored.row = change.row;
    change.stored.record = items[i];
    change.stored.record.created = created.micros == 0 ? now : created;
    changes.emplace(id, std::move(change));
  }
  if (changes.empty()) return statuses;
  if (const Status written = state_->Commit(changes); !written.ok()) {
    for (Status& status : statuses) {
      if (status.ok()) status = written;
    }
  }
  return statuses;
}

Status Catalog::UpsertItem(const ItemRecord& item) {
  return UpsertItems(std::span<const ItemRecord>(&item, 1))[0];
}

Result<ItemRecord> Catalog::GetItem(const ItemId& id) const {
  POISE_RETURN_IF_ERROR(ValidateId(id.value, "itemId"));
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                         state_->tables.Get(kItemTable, id.value));
  if (bytes) {
    POISE_ASSIGN_OR_RETURN(StoredItem stored, DecodeStoredItem(*bytes));
    if (stored.exists) {
      stored.record.id = id;
      return std::move(stored.record);
    }
  }
  return NotFound(fmt::format("itemId: no item \"{}\"", id.value));
}

Status Catalog::DeleteItem(const ItemId& id) {
  POISE_RETURN_IF_ERROR(ValidateId(id.value, "itemId"));
  const Claims<std::string>::Hold hold(state_->claims, {id.value});
  const auto row = state_->names->Find(id.value);
  if (!row || !view()->Exists(static_cast<ItemRow>(*row))) {
    return NotFound(fmt::format("itemId: no item \"{}\"", id.value));
  }
  State::ItemChange change;
  change.row = static_cast<ItemRow>(*row);
  change.stored.row = change.row;
  change.stored.exists = false;
  State::ItemChanges changes;
  changes.emplace(id.value, std::move(change));
  return state_->Commit(changes);
}

Result<ItemPage> Catalog::ListItems(std::string_view cursor, std::size_t limit) const {
  if (limit == 0) return InvalidArgument("limit: must be at least 1");
  POISE_ASSIGN_OR_RETURN(std::string start, DecodeCursor(cursor));
  ItemPage page;
  while (true) {
    const std::size_t wanted = std::min(limit - page.items.size() + 1, kPageRows);
    POISE_ASSIGN_OR_RETURN(std::vector<TableRow> rows,
                           state_->tables.Scan(kItemTable, start, wanted));
    for (TableRow& row : rows) {
      POISE_ASSIGN_OR_RETURN(StoredItem stored, DecodeStoredItem(row.value));
      if (!stored.exists) continue;
      if (page.items.size() == limit) {
        page.next_cursor = EncodeCursor(page.items.back().id.value);
        return page;
      }
      stored.record.id.value = row.key;
      page.items.push_back(std::move(stored.record));
    }
    if (rows.size() < wanted) return page;
    start = rows.back().key + '\0';
  }
}

Result<std::vector<ItemRow>> Catalog::EnsureRows(std::span<const ItemId> items) {
  std::vector<const ItemId*> pointers;
  pointers.reserve(items.size());
  for (const ItemId& item : items) pointers.push_back(&item);
  return EnsureRows(std::span<const ItemId* const>(pointers));
}

Result<std::vector<ItemRow>> Catalog::EnsureRows(std::span<const ItemId* const> items) {
  std::vector<ItemRow> rows(items.size());
  std::map<std::string, std::vector<std::size_t>> missing;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (const auto row = state_->names->Find(items[i]->value)) {
      rows[i] = static_cast<ItemRow>(*row);
    } else {
      missing[items[i]->value].push_back(i);
    }
  }
  if (missing.empty()) return rows;

  std::vector<std::string> ids;
  ids.reserve(missing.size());
  for (const auto& [id, places] : missing) ids.push_back(id);
  const Claims<std::string>::Hold hold(state_->claims, std::move(ids));

  const Timestamp now = state_->clock.Now();
  State::ItemChanges changes;
  for (const auto& [id, places] : missing) {
    ItemRow row{};
    // Somebody else may have made it while this call waited for the claim.
    if (const auto found = state_->names->Find(id)) {
      row = static_cast<ItemRow>(*found);
    } else if (const auto allocated = state_->AllocateRow()) {
      State::ItemChange change;
      change.row = row = *allocated;
      change.is_new = true;
      change.stored.row = row;
      change.stored.is_described = false;
      change.stored.record.created = now;
      changes.emplace(id, std::move(change));
    } else {
      state_->ReturnRows(changes);
      return ResourceExhausted(
          fmt::format("itemId: the catalog holds {} items, the most it can", kMaxItemCount));
    }
    for (const std::size_t i : places) rows[i] = row;
  }
  if (!changes.empty()) POISE_RETURN_IF_ERROR(state_->Commit(changes));
  return rows;
}

Result<std::optional<UserRecord>> Catalog::State::LoadProfile(const UserKey& user,
                                                              std::string_view bytes) const {
  POISE_ASSIGN_OR_RETURN(const UserTableRow row, ParseUserRow(bytes));
  POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, keys.Find(user));
  // Sealed under a key that was destroyed: as if it were not there.
  if (!key || key->generation() != row.generation) return std::optional<UserRecord>();
  std::string plain;
  POISE_RETURN_IF_ERROR(
      OpenTo(plain, key->view(), row.sealed, ProfileAssociated(user, row.generation)));
  POISE_ASSIGN_OR_RETURN(UserRecord record, DecodeProfile(plain));
  return std::optional<UserRecord>(std::move(record));
}

std::vector<Status> Catalog::UpsertUsers(std::span<const UserRecord> users) {
  std::vector<Status> statuses(users.size());
  std::unordered_map<std::string_view, std::size_t> last;
  for (std::size_t i = 0; i < users.size(); ++i) {
    statuses[i] = ValidateUser(users[i]);
    if (statuses[i].ok()) last[users[i].id.value] = i;
  }
  const auto fail_all = [&](const Status& status) {
    for (Status& one : statuses) {
      if (one.ok()) one = status;
    }
  };
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < users.size(); ++i) {
    if (statuses[i].ok() && last[users[i].id.value] == i) places.push_back(i);
  }
  if (places.empty()) return statuses;

  std::vector<PersonRef> people;
  people.reserve(places.size());
  for (const std::size_t i : places) people.push_back(state_->keys.User(users[i].id));
  const auto keys = state_->keys.Ensure(people);
  if (!keys.ok()) {
    fail_all(keys.status());
    return statuses;
  }
  const Timestamp now = state_->clock.Now();
  std::vector<TableChange> changes;
  for (std::size_t k = 0; k < places.size(); ++k) {
    UserRecord record = users[places[k]];
    const UserKey& user = people[k].key;
    if (record.created.micros == 0) {
      record.created = now;
      const auto before = state_->tables.Get(kUserTable, user.view());
      if (before.ok() && *before) {
        const auto profile = state_->LoadProfile(user, **before);
        if (profile.ok() && *profile) record.created = (*profile)->created;
      }
    }
    const PersonKey& key = (*keys)[k];
    ByteWriter row;
    row.Fixed(kUserRowVersion);
    row.Fixed(key.generation());
    const Status sealed = SealTo(row.bytes(), key.view(), EncodeProfile(record),
                                 ProfileAssociated(user, key.generation()));
    if (!sealed.ok()) {
      fail_all(sealed);
      return statuses;
    }
    changes.push_back({std::string(kUserTable), std::string(user.view()), row.Take()});
  }
  if (const Status written = state_->tables.Apply(changes); !written.ok()) fail_all(written);
  return statuses;
}

Result<UserRecord> Catalog::GetUser(const UserId& id) const {
  POISE_RETURN_IF_ERROR(ValidateId(id.value, "userId"));
  const UserKey user = state_->keys.Pseudonym(id);
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                         state_->tables.Get(kUserTable, user.view()));
  if (bytes) {
    POISE_ASSIGN_OR_RETURN(std::optional<UserRecord> record, state_->LoadProfile(user, *bytes));
    if (record) {
      record->id = id;
      return std::move(*record);
    }
  }
  return NotFound("userId: no such user");
}

Status Catalog::DeleteUser(const UserId& id) {
  POISE_RETURN_IF_ERROR(GetUser(id).status());
  return EraseUser(state_->keys.Pseudonym(id));
}

Status Catalog::EraseUser(const UserKey& user) {
  return state_->tables.Delete(kUserTable, user.view());
}

Result<UserPage> Catalog::ListUsers(std::string_view cursor, std::size_t limit) const {
  if (limit == 0) return InvalidArgument("limit: must be at least 1");
  POISE_ASSIGN_OR_RETURN(std::string start, DecodeCursor(cursor));
  UserPage page;
  std::string last_key;
  while (true) {
    const std::size_t wanted = std::min(limit - page.users.size() + 1, kPageRows);
    POISE_ASSIGN_OR_RETURN(std::vector<TableRow> rows,
                           state_->tables.Scan(kUserTable, start, wanted));
    for (const TableRow& row : rows) {
      if (row.key.size() != UserKey{}.bytes.size()) return DataLoss("users: a key is damaged");
      const UserKey user = UserKey::FromBytes(row.key);
      POISE_ASSIGN_OR_RETURN(std::optional<UserRecord> record,
                             state_->LoadProfile(user, row.value));
      if (!record) continue;
      POISE_ASSIGN_OR_RETURN(std::optional<OriginalId> id, state_->keys.FindOriginalId(user));
      if (!id) continue;
      if (page.users.size() == limit) {
        page.next_cursor = EncodeCursor(last_key);
        return page;
      }
      record->id.value = std::move(id->id);
      page.users.push_back(std::move(*record));
      last_key = row.key;
    }
    if (rows.size() < wanted) return page;
    start = rows.back().key + '\0';
  }
}

Result<std::uint64_t> Catalog::UserCount() const { return state_->tables.Count(kUserTable); }

}  // namespace poise
