// SPDX-License-Identifier: Apache-2.0
#include "catalog/person_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <mutex>

#include "base/bytes.h"
#include "base/check.h"
#include "catalog/claims.h"
#include "crypto/keyed_hash.h"
#include "crypto/seal.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::uint8_t kRowVersion = 1;
constexpr std::size_t kPageRows = 4096;

// What a sealed field is and whose, so that it opens nowhere else.
std::string Associated(std::string_view field, const UserKey& user, std::uint32_t generation) {
  std::string text(field);
  text += user.view();
  text.append(reinterpret_cast<const char*>(&generation), sizeof generation);
  return text;
}

// Keys in memory: sets of eight places, chosen by the pseudonym, which is a uniform hash already. A
// look-up reads the set's pseudonyms, two lines of cache, and one key.
class KeyCache {
 public:
  explicit KeyCache(std::size_t capacity)
      : set_count_(std::bit_ceil(std::max<std::size_t>(1, capacity / kWays))),
        sets_(std::make_unique<Set[]>(set_count_)) {}

  std::optional<PersonKey> Find(const UserKey& user) {
    const std::lock_guard lock(StripeOf(user).mutex);
    const Set& set = SetOf(user);
    const std::size_t way = WayOf(set, user);
    if (way == kWays) return std::nullopt;
    return set.keys[way];
  }

  // Taken before the table is read and given to Insert(): a key that was destroyed in between is
  // not put back.
  std::uint64_t Epoch(const UserKey& user) {
    Stripe& stripe = StripeOf(user);
    const std::lock_guard lock(stripe.mutex);
    return stripe.epoch;
  }

  void Insert(const UserKey& user, const PersonKey& key, std::uint64_t epoch) {
    Stripe& stripe = StripeOf(user);
    const std::lock_guard lock(stripe.mutex);
    if (stripe.epoch != epoch) return;
    Set& set = SetOf(user);
    std::size_t way = WayOf(set, user);
    if (way == kWays) way = set.next++ % kWays;
    set.users[way] = user;
    set.keys[way] = key;
  }

  void Purge(const UserKey& user) {
    Stripe& stripe = StripeOf(user);
    const std::lock_guard lock(stripe.mutex);
    ++stripe.epoch;
    Set& set = SetOf(user);
    const std::size_t way = WayOf(set, user);
    if (way == kWays) return;
    set.users[way] = UserKey{};
    set.keys[way] = PersonKey{};
  }

 private:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kStripeCount = 64;

  struct Set {
    std::array<UserKey, kWays> users{};
    std::array<PersonKey, kWays> keys{};  // generation 0: the place is empty
    std::uint8_t next = 0;
  };
  struct Stripe {
    std::mutex mutex;
    std::uint64_t epoch = 0;
  };

  // One set belongs to one stripe: both go by the same bits.
  std::size_t IndexOf(const UserKey& user) const { return UserKeyHash{}(user) & (set_count_ - 1); }
  Set& SetOf(const UserKey& user) { return sets_[IndexOf(user)]; }
  Stripe& StripeOf(const UserKey& user) { return stripes_[IndexOf(user) % kStripeCount]; }

  static std::size_t WayOf(const Set& set, const UserKey& user) {
    std::size_t way = 0;
    // Of a fixed size, so compared in two words.
    while (way < kWays &&
           (std::memcmp(set.users[way].bytes.data(), user.bytes.data(), sizeof user.bytes) != 0 ||
            set.keys[way].generation() == 0)) {
      ++way;
    }
    return way;
  }

  std::size_t set_count_;
  std::unique_ptr<Set[]> sets_;
  std::array<Stripe, kStripeCount> stripes_;
};

}  // namespace

PersonKey::PersonKey(std::uint32_t generation, std::string_view key) : generation_(generation) {
  POISE_CHECK(key.size() == key_.size());
  std::memcpy(key_.data(), key.data(), key_.size());
}

PersonKey::~PersonKey() { WipeMemory(key_.data(), key_.size()); }

struct PersonKeys::State {
  State(Tables& person_tables, const MasterKey& master, const Options& options)
      : tables(person_tables),
        wrapping_key(master.Derive("person-keys")),
        user_hasher(master.Derive("pseudonym").view(), "user"),
        visitor_hasher(master.Derive("pseudonym").view(), "session"),
        cache(options.cached_key_count) {}

  Result<PersonKey> DecodeKey(const UserKey& user, std::string_view row) const;
  Result<OriginalId> DecodeId(const UserKey& user, const PersonKey& key,
                              std::string_view row) const;
  Result<std::string> MakeRow(const PersonRef& person, PersonKey& key) const;
  Result<std::optional<PersonKey>> Load(const UserKey& user);
  Result<std::optional<PersonKey>> Find(const UserKey& user) {
    if (auto cached = cache.Find(user)) return cached;
    return Load(user);
  }
  Status EnsureMissing(std::span<const PersonRef> people, std::vector<std::size_t> missing,
                       std::vector<PersonKey>& keys);

  Tables& tables;
  SecretBytes wrapping_key;
  KeyedHasher user_hasher;
  KeyedHasher visitor_hasher;
  KeyCache cache;
  Claims<UserKey, UserKeyHash> claims;
  // Rows deleted, and how many of them are known to be gone from the table's file as well: what a
  // failed erasure owes, the next Destroy() pays.
  std::atomic<std::uint64_t> deleted_count{0};
  std::atomic<std::uint64_t> erased_count{0};
};

namespace {

Result<UserKey> ReadUserKey(std::string_view bytes) {
  if (bytes.size() != UserKey{}.bytes.size()) {
    return DataLoss("person_keys: a key of the table is damaged");
  }
  return UserKey::FromBytes(bytes);
}

struct KeyRow {
  std::uint32_t generation = 0;
  std::string_view wrapped_key;
  std::string_view sealed_id;
};

Result<KeyRow> ParseRow(std::string_view bytes) {
  ByteReader in(bytes);
  const auto version = in.Fixed<std::uint8_t>();
  if (in.ok() && version != kRowVersion) {
    return DataLoss(fmt::format("person_keys: format version {} is not known to this program",
                                unsigned{version}));
  }
  KeyRow row;
  row.generation = in.Fixed<std::uint32_t>();
  row.wrapped_key = in.Text();
  row.sealed_id = in.Text();
  if (!in.ok() || !in.IsAtEnd()) return DataLoss("person_keys: a row is damaged");
  return row;
}

}  // namespace

Result<PersonKey> PersonKeys::State::DecodeKey(const UserKey& user, std::string_view row) const {
  POISE_ASSIGN_OR_RETURN(const KeyRow parsed, ParseRow(row));
  auto key = UnwrapKey(wrapping_key.view(), parsed.wrapped_key,
                       Associated("person-key", user, parsed.generation));
  if (!key.ok()) return DataLoss("person_keys: a key does not open: " + key.status().message());
  if (key->size() != kKeyBytes) return DataLoss("person_keys: a key has the wrong length");
  return PersonKey(parsed.generation, key->view());
}

Result<OriginalId> PersonKeys::State::DecodeId(const UserKey& user, const PersonKey& key,
                                               std::string_view row) const {
  POISE_ASSIGN_OR_RETURN(const KeyRow parsed, ParseRow(row));
  std::string plain;
  POISE_RETURN_IF_ERROR(OpenTo(plain, key.view(), parsed.sealed_id,
                               Associated("person-id", user, parsed.generation)));
  if (plain.empty() || static_cast<std::uint8_t>(plain[0]) > 1) {
    return DataLoss("person_keys: an id is damaged");
  }
  return OriginalId{static_cast<PersonKind>(plain[0]), plain.substr(1)};
}

Result<std::string> PersonKeys::State::MakeRow(const PersonRef& person, PersonKey& key) const {
  std::array<std::uint8_t, sizeof(std::uint32_t)> chance{};
  RandomBytes(chance);
  std::uint32_t generation;
  std::memcpy(&generation, chance.data(), sizeof generation);
  // Zero stands for nobody.
  generation = std::max<std::uint32_t>(generation, 1);
  std::string raw = RandomKey();
  key = PersonKey(generation, raw);
  auto wrapped =
      WrapKey(wrapping_key.view(), raw, Associated("person-key", person.key, generation));
  WipeMemory(raw.data(), raw.size());
  if (!wrapped.ok()) return wrapped.status();

  std::string plain(1, static_cast<char>(person.kind));
  plain += person.id;
  std::string sealed_id;
  POISE_RETURN_IF_ERROR(
      SealTo(sealed_id, key.view(), plain, Associated("person-id", person.key, generation)));
  ByteWriter row;
  row.Fixed(kRowVersion);
  row.Fixed(generation);
  row.Text(*wrapped);
  row.Text(sealed_id);
  return row.Take();
}

Result<std::optional<PersonKey>> PersonKeys::State::Load(const UserKey& user) {
  const std::uint64_t epoch = cache.Epoch(user);
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> row, tables.Get(kTable, user.view()));
  if (!row) return std::optional<PersonKey>();
  POISE_ASSIGN_OR_RETURN(PersonKey key, DecodeKey(user, *row));
  cache.Insert(user, key, epoch);
  return std::optional<PersonKey>(key);
}

Result<std::unique_ptr<PersonKeys>> PersonKeys::Open(Tables& tables, const MasterKey& master,
                                                     Options options) {
  auto state = std::make_unique<State>(tables, master, options);
  // The first person tells whether this is the key that the others are wrapped under.
  POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> first, tables.Scan(kTable, {}, 1));
  if (!first.empty()) {
    POISE_ASSIGN_OR_RETURN(const UserKey user, ReadUserKey(first[0].key));
    POISE_RETURN_IF_ERROR(ParseRow(first[0].value).status());
    if (!state->DecodeKey(user, first[0].value).ok()) {
      return FailedPrecondition(
          "master key: it is not the one that this data was written with (or the table person_keys "
          "is damaged); start with the key that belongs to the data");
    }
  }
  return std::unique_ptr<PersonKeys>(new PersonKeys(std::move(state)));
}

Result<std::unique_ptr<PersonKeys>> PersonKeys::Open(Tables& tables, const MasterKey& master) {
  return Open(tables, master, Options{});
}

PersonKeys::PersonKeys(std::unique_ptr<State> state) : state_(std::move(state)) {}
PersonKeys::~PersonKeys() = default;

UserKey PersonKeys::Pseudonym(const UserId& user) const {
  return {state_->user_hasher.Hash(user.value)};
}

UserKey PersonKeys::VisitorPseudonym(std::string_view session) const {
  return {state_->visitor_hasher.Hash(session)};
}

PersonRef PersonKeys::User(const UserId& user) const {
  return {Pseudonym(user), PersonKind::kUser, user.value};
}

PersonRef PersonKeys::Visitor(std::string_view session) const {
  return {VisitorPseudonym(session), PersonKind::kVisitor, session};
}

Status PersonKeys::State::EnsureMissing(std::span<const PersonRef> people,
                                        std::vector<std::size_t> missing,
                                        std::vector<PersonKey>& keys) {
  std::sort(missing.begin(), missing.end(),
            [&](std::size_t a, std::size_t b) { return people[a].key < people[b].key; });
  std::vector<UserKey> distinct;
  for (const std::size_t i : missing) {
    if (distinct.empty() || distinct.back() != people[i].key) distinct.push_back(people[i].key);
  }
  const Claims<UserKey, UserKeyHash>::Hold hold(claims, std::move(distinct));

  std::vector<TableChange> changes;
  std::vector<std::pair<UserKey, PersonKey>> made;
  for (std::size_t begin = 0; begin < missing.size();) {
    const PersonRef& person = people[missing[begin]];
    POISE_ASSIGN_OR_RETURN(std::optional<PersonKey> key, Find(person.key));
    if (!key) {
      key.emplace();
      POISE_ASSIGN_OR_RETURN(std::string row, MakeRow(person, *key));
      changes.push_back({std::string(kTable), std::string(person.key.view()), std::move(row)});
      made.emplace_back(person.key, *key);
    }
    for (; begin < missing.size() && people[missing[begin]].key == person.key; ++begin) {
      keys[missing[begin]] = *key;
    }
  }
  if (changes.empty()) return Status::Ok();
  POISE_RETURN_IF_ERROR(tables.Apply(changes));
  // Claimed: nobody destroys them meanwhile.
  for (const auto& [user, key] : made) cache.Insert(user, key, cache.Epoch(user));
  return Status::Ok();
}

Result<std::vector<PersonKey>> PersonKeys::Ensure(std::span<const PersonRef> people) {
  std::vector<PersonKey> keys(people.size());
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < people.size(); ++i) {
    POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, state_->Find(people[i].key));
    if (key) {
      keys[i] = *key;
    } else {
      missing.push_back(i);
    }
  }
  if (!missing.empty()) {
    POISE_RETURN_IF_ERROR(state_->EnsureMissing(people, std::move(missing), keys));
  }
  return keys;
}

Result<PersonKey> PersonKeys::Ensure(const PersonRef& person) {
  POISE_ASSIGN_OR_RETURN(const std::vector<PersonKey> keys,
                         Ensure(std::span<const PersonRef>(&person, 1)));
  return keys[0];
}

Result<std::optional<PersonKey>> PersonKeys::Find(const UserKey& user) const {
  return state_->Find(user);
}

Result<std::optional<OriginalId>> PersonKeys::FindOriginalId(const UserKey& user) const {
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> row,
                         state_->tables.Get(kTable, user.view()));
  if (!row) return std::optional<OriginalId>();
  POISE_ASSIGN_OR_RETURN(const PersonKey key, state_->DecodeKey(user, *row));
  POISE_ASSIGN_OR_RETURN(OriginalId id, state_->DecodeId(user, key, *row));
  return std::optional<OriginalId>(std::move(id));
}

Result<bool> PersonKeys::Destroy(const UserKey& user, std::optional<std::uint32_t> generation) {
  const Claims<UserKey, UserKeyHash>::Hold hold(state_->claims, {user});
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> row,
                         state_->tables.Get(kTable, user.view()));
  bool is_there = row.has_value();
  if (is_there && generation) {
    POISE_ASSIGN_OR_RETURN(const KeyRow parsed, ParseRow(*row));
    is_there = parsed.generation == *generation;
  }
  if (is_there) {
    POISE_RETURN_IF_ERROR(state_->tables.Delete(kTable, user.view()));
    state_->cache.Purge(user);
    ++state_->deleted_count;
  }
  if (const std::uint64_t deleted = state_->deleted_count; deleted > state_->erased_count) {
    POISE_RETURN_IF_ERROR(state_->tables.ErasePhysically());
    std::uint64_t erased = state_->erased_count;
    while (erased < deleted && !state_->erased_count.compare_exchange_weak(erased, deleted)) {
    }
  }
  return is_there;
}

Status PersonKeys::ForEachKey(
    const std::function<void(const UserKey&, const PersonKey&)>& visit) const {
  std::string start;
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> rows,
                           state_->tables.Scan(kTable, start, kPageRows));
    for (const TableRow& row : rows) {
      POISE_ASSIGN_OR_RETURN(const UserKey user, ReadUserKey(row.key));
      POISE_ASSIGN_OR_RETURN(const PersonKey key, state_->DecodeKey(user, row.value));
      visit(user, key);
    }
    if (rows.size() < kPageRows) return Status::Ok();
    start = rows.back().key + '\0';
  }
}

Status PersonKeys::ForEach(
    const std::function<Status(const UserKey&, const PersonKey&, const OriginalId&)>& visit) const {
  std::string start;
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> rows,
                           state_->tables.Scan(kTable, start, kPageRows));
    for (const TableRow& row : rows) {
      POISE_ASSIGN_OR_RETURN(const UserKey user, ReadUserKey(row.key));
      POISE_ASSIGN_OR_RETURN(const PersonKey key, state_->DecodeKey(user, row.value));
      POISE_ASSIGN_OR_RETURN(const OriginalId id, state_->DecodeId(user, key, row.value));
      POISE_RETURN_IF_ERROR(visit(user, key, id));
    }
    if (rows.size() < kPageRows) return Status::Ok();
    start = rows.back().key + '\0';
  }
}

Result<std::uint64_t> PersonKeys::Count() const { return state_->tables.Count(kTable); }

}  // namespace poise
