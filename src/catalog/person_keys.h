// SPDX-License-Identifier: Apache-2.0
//
// PersonKeys: the pseudonym of every person, and the key that everything personal is sealed under.
//
// A person's key exists in one place only, wrapped, in the table `person_keys`; destroying that row
// makes every sealed byte of the person unreadable wherever copies of it lie. Somebody who comes
// back afterwards gets a new key with a new random generation, so what was sealed before is known
// as forgotten, not mistaken for damage.
//
// Place    crypto/, storage/ -> [here] -> catalog/ (profiles), events/ (events and decisions)
// Errors   kFailedPrecondition: the master key is not the one this data was written with;
//          kResourceExhausted, kUnavailable, kDataLoss from the table.
// Threads  All methods may be called concurrently.
// Cost     Pseudonym: .2 us. A key that is cached: .1 us; otherwise a table read (5 us) and an
//          unwrap. New people: one transaction a call, one sync shared with concurrent calls. 54
//          bytes a key that may be cached.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/master_key.h"
#include "crypto/random.h"
#include "domain/ids.h"

namespace poise {

class Tables;  // storage/table.h

// The numbers stand in files.
enum class PersonKind : std::uint8_t {
  kUser = 0,     // named by the caller's UserId
  kVisitor = 1,  // anonymous, named by a session
};

// A person as the caller names them, with their pseudonym; borrows `id`.
struct PersonRef {
  UserKey key;
  PersonKind kind = PersonKind::kUser;
  std::string_view id;
};

// An unwrapped key, wiped when it goes out of scope.
class PersonKey {
 public:
  PersonKey() = default;
  PersonKey(std::uint32_t generation, std::string_view key);
  ~PersonKey();
  PersonKey(const PersonKey&) = default;
  PersonKey& operator=(const PersonKey&) = default;

  std::uint32_t generation() const { return generation_; }
  std::string_view view() const { return {key_.data(), key_.size()}; }

 private:
  std::uint32_t generation_ = 0;
  std::array<char, kKeyBytes> key_{};
};

struct OriginalId {
  PersonKind kind = PersonKind::kUser;
  std::string id;
};

class PersonKeys {
 public:
  struct Options {
    std::size_t cached_key_count = 262'144;
  };

  // Requires  `tables` has the table kTable, and outlives this.
  static Result<std::unique_ptr<PersonKeys>> Open(Tables& tables, const MasterKey& master,
                                                  Options options);
  static Result<std::unique_ptr<PersonKeys>> Open(Tables& tables, const MasterKey& master);
  ~PersonKeys();
  PersonKeys(const PersonKeys&) = delete;
  PersonKeys& operator=(const PersonKeys&) = delete;

  static constexpr std::string_view kTable = "person_keys";

  UserKey Pseudonym(const UserId& user) const;
  UserKey VisitorPseudonym(std::string_view session) const;
  // The same with the name kept; the result borrows the argument.
  PersonRef User(const UserId& user) const;
  PersonRef Visitor(std::string_view session) const;

  // The keys of these people, in order; people who have none get one, on disk before it returns.
  // Repetitions are welcome.
  Result<std::vector<PersonKey>> Ensure(std::span<const PersonRef> people);
  Result<PersonKey> Ensure(const PersonRef& person);

  // No value: never seen, or forgotten.
  Result<std::optional<PersonKey>> Find(const UserKey& user) const;
  Result<std::optional<OriginalId>> FindOriginalId(const UserKey& user) const;

  // Deletes the key so that nothing on disk or in memory has it any more; true if there was one
  // (with that generation, where one is given).
  Result<bool> Destroy(const UserKey& user, std::optional<std::uint32_t> generation = {});

  // Visits every person in the order of their keys. An error from `visit` ends the walk.
  // Cost  some 2 us a person.
  Status ForEach(const std::function<Status(const UserKey&, const PersonKey&, const OriginalId&)>&
                     visit) const;
  // The same without the names. Cost  some 1.5 us a person.
  Status ForEachKey(const std::function<void(const UserKey&, const PersonKey&)>& visit) const;

  Result<std::uint64_t> Count() const;

 private:
  struct State;
  explicit PersonKeys(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace poise
