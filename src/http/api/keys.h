// SPDX-License-Identifier: Apache-2.0
//
// KeyStore: who may call, and for what: API keys, kept as hashes, and their scopes.
//
// A key is 256 random bits, so a plain hash keeps it safe at rest: there is nothing to guess. All
// keys are in memory, so that a request costs no read.
//
// Place    Tables ("api_keys", docs/formats/api_keys.md) -> [KeyStore] -> http/api, apps/
// Errors   kInvalidArgument: name, scopes; kNotFound: no such key; kDataLoss: a row that cannot be
//          read; those of Tables.
// Threads  Everything may be called concurrently.
// Cost     Authenticate: one SHA-256 of 49 bytes and a look-up, well below 1 us.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/published.h"
#include "base/result.h"
#include "http/api/rate_limit.h"

namespace poise {

class Tables;

// What a route asks of a key. The numbers are bits in files: append only.
enum class Scope : std::uint8_t {
  kIngest = 0,     // write items, users and events
  kRecommend = 1,  // ask for recommendations, similar and popular items
  kRead = 2,       // read what is stored: items, users, decisions, models, metrics
  kAdmin = 3,      // everything, also forget, train, roll back and keys
};
inline constexpr std::size_t kScopeCount = 4;
std::string_view ScopeName(Scope scope);

using ScopeMask = std::uint8_t;
constexpr ScopeMask Bit(Scope scope) {
  return static_cast<ScopeMask>(1U << static_cast<unsigned>(scope));
}
constexpr bool Allows(ScopeMask mask, Scope scope) {
  return ((mask | (mask & Bit(Scope::kAdmin) ? 0xff : 0)) & Bit(scope)) != 0;
}
// Errors  kInvalidArgument, listing the known ones; an empty list.
Result<ScopeMask> ParseScopes(const std::vector<std::string>& names);
std::vector<std::string> ScopeNames(ScopeMask mask);

struct ApiKey {
  std::string id;  // names the key where the key itself must not stand
  std::string name;
  ScopeMask scopes = 0;
  Timestamp created;
};

struct NewApiKey {
  ApiKey key;
  std::string secret;  // "poise_...": shown once, not kept
};

struct KeyLimits {
  double requests_per_second = 10'000;
  double burst = 20'000;
};

class KeyStore {
 public:
  static constexpr std::string_view kTable = "api_keys";

  // `tables` must have kTable, and outlive the store.
  static Result<std::unique_ptr<KeyStore>> Open(Tables& tables, const Clock& clock,
                                                KeyLimits limits = {});

  Result<NewApiKey> Create(std::string_view name, ScopeMask scopes);
  Status Revoke(std::string_view id);
  std::vector<ApiKey> List() const;
  bool empty() const;

  struct Grant {
    ScopeMask scopes = 0;
    std::shared_ptr<RateBucket> bucket;
  };
  // None: no such key.
  std::optional<Grant> Authenticate(std::string_view secret) const;

 private:
  using Hash = std::array<std::uint8_t, 32>;
  struct Row {
    ApiKey key;
    Hash hash{};
    std::shared_ptr<RateBucket> bucket;
  };
  using Rows = std::vector<Row>;  // in order of hash

  KeyStore(Tables& tables, const Clock& clock, KeyLimits limits)
      : tables_(tables), clock_(clock), limits_(limits) {}
  static std::string Encode(const Row& row);
  static Status Decode(std::string_view id, std::string_view text, Row& out);
  void PublishSorted(Rows rows);

  Tables& tables_;
  const Clock& clock_;
  const KeyLimits limits_;
  std::mutex writing_;
  Published<Rows> rows_;
};

}  // namespace poise
