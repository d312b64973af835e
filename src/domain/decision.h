// SPDX-License-Identifier: Apache-2.0
//
// Decision: slate, propensities, policy version and request; the unit that is logged.
// LoggedChoice: one slot of a decision, joined with what came of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "domain/candidate.h"
#include "domain/ids.h"

namespace poise {

struct Choice {
  ItemRow item{};
  float score = 0;       // the policy's score, higher is more wanted
  float propensity = 0;  // given the slots before, among what was eligible; in (0, 1]
  Belief belief;
  float relevance = 0;  // as in Candidate
  SourceMask sources = 0;
  std::uint16_t anchor = 0;  // as in Candidate
  ItemRow exploit_item{};    // what pure exploitation would have put here, given the slots before
  bool explored = false;     // pure exploitation could not have put the item here
};

// Stages that were cut short, and why: the truth about a degraded answer.
struct Degradation {
  std::string stage;
  std::string reason;
};

struct Decision {
  DecisionId id;
  UserKey user;
  std::string placement;
  Timestamp time;
  std::string policy;               // name
  std::string policy_parameters;    // "beta=1 tau=0.1", as it decided
  std::uint64_t model_version = 0;  // 0: no model yet
  std::uint64_t seed = 0;           // what Decide() drew with
  std::uint32_t eligible_count = 0;
  std::uint64_t eligible_hash = 0;  // of the eligible rows in order
  std::string filters;              // the hard filters that applied, "available,unseen"
  std::vector<Choice> slate;
  std::vector<Degradation> degraded;
};

// Requires  propensity in (0, 1].
struct LoggedChoice {
  DecisionId decision;
  UserKey user;
  ItemRow item{};
  std::uint16_t slot = 0;
  float propensity = 0;
  Belief belief;             // when it was decided
  float relevance = 0;       // of the candidate, when it was decided
  float reward = 0;          // all that came of it so far, higher is better
  float earlier_reward = 0;  // what the row before this one of the same choice said, 0 at first
  // The first time the join speaks of this choice it counts as a trial; a late outcome that
  // corrects an earlier "nothing came of it" does not.
  bool is_correction = false;
  Timestamp decided;
};

}  // namespace poise
