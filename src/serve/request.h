// SPDX-License-Identifier: Apache-2.0
//
// What a caller asks for, and what it gets: the words of the door, without a wire format.
//
// Units    score: the policy's, higher is more wanted; propensity: in (0, 1].
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "domain/decision.h"
#include "domain/event.h"
#include "domain/ids.h"

namespace poise {

inline constexpr int kMaxSlots = 200;

struct RecommendRequest {
  UserId user;  // empty for an anonymous visitor
  std::string
      session;  // names an anonymous visitor across requests; may be empty if history is given
  std::vector<ItemId>
      history;  // what the visitor did in this session, oldest first, if not sent as events
  std::string placement = "home";
  int slots = 10;
  std::vector<std::string> categories;  // any of these; empty: all
  std::vector<ItemId> exclude;
  std::optional<bool> exclude_seen;    // unset: as configured
  std::optional<bool> exclude_bought;  // unset: as configured
  std::optional<std::chrono::milliseconds> deadline;
};

struct RerankRequest {
  UserId user;
  std::string session;
  std::vector<ItemId> items;  // the caller's own list, 1 to kMaxRerankItems
  std::string placement = "rerank";
  int slots = 10;
};
inline constexpr std::size_t kMaxRerankItems = 1000;

struct RecommendedItem {
  ItemId item;
  std::string title;
  int slot = 0;
  float score = 0;
  float propensity = 0;
  bool explored = false;
  std::vector<std::string> sources;
  std::string reason_code;
  std::string reason;
};

struct RecommendResponse {
  DecisionId decision;
  std::string placement;
  std::string policy;          // "optimistic-pl"
  std::string policy_version;  // name, parameters and model: equal versions decide alike
  std::uint64_t model_version = 0;
  std::uint32_t eligible_count = 0;
  std::vector<RecommendedItem> items;  // fewer than asked for when fewer are eligible
  std::vector<Degradation> degraded;
};

// An item of a list that nobody decided about: similar, popular, trending.
struct ScoredItem {
  ItemId item;
  std::string title;
  float score = 0;
};

}  // namespace poise
