// SPDX-License-Identifier: Apache-2.0
//
// Decide: fills a slate, slot by slot; the only place of the product that draws.
//
// It is the last stage: nobody reorders, filters or cuts off after it. What it is given is what is
// eligible, so the propensities it logs are those of the eligible set.
//
// Place    candidates/ (filtered), policy/posterior.h -> [Decide] -> serve/, decision_codec.h
// Shapes   n eligible candidates; beliefs[n] answers candidates[n]
// Units    propensity of slot k: conditional on slots 0..k-1, in (0, 1]; their product is the
//          slate's
// Errors   kInvalidArgument naming the entry: a belief or relevance that is not finite, a negative
//          sd, an item that appears twice, sizes that disagree, a negative number of slots. Fewer
//          candidates than slots is no error: the slate is shorter.
// Threads  May run concurrently: the Rng is its own, seeded by `seed`.
// Cost     Some 15 us for 500 candidates and 10 slots; allocates only what the decision holds.
// Source   Plackett-Luce without replacement, docs/math/plackett-luce.md.
#pragma once

#include <cstdint>
#include <span>

#include "domain/decision.h"
#include "policy/policy.h"

namespace poise {

// The seed of a decision: a decision is replayed from its id.
std::uint64_t DecisionSeed(const DecisionId& id);

struct DecideInput {
  std::span<const Candidate> candidates;  // all that is eligible, each item once
  std::span<const Belief> beliefs;
  int slot_count = 10;
  std::uint64_t seed = 0;  // DecisionSeed(id)
};

// Sets slate, policy, policy_parameters, seed, eligible_count and eligible_hash of `decision`; the
// rest is the caller's. On an error `decision` has an empty slate.
//
// Ensures  No item twice. Equal inputs and seeds give equal bits on every processor. Ties, also of
//          the exploit item, are broken by the seed, never by place or id; the exploit item is
//          drawn among ties independently of the slot's own draw, as valuing the exploit slate
//          by importance weights needs. `explored` is true where pure exploitation could not have
//          made the choice. Scores, beliefs and relevances are rounded by RoundForLog().
Status Decide(const Policy& policy, const DecideInput& input, Decision& decision);

// Decides again with the logged seed and compares with what was logged.
//
// Errors  kDataLoss saying what differs; those of Decide().
Status VerifyReplay(const Policy& policy, const DecideInput& input, const Decision& logged);

// The eligible rows, in order.
std::uint64_t EligibleHash(std::span<const Candidate> candidates);

// To the nearest number of 8 significant bits (the upper half of a float): what the log holds,
// what a choice is given from the start, so that learning live and from the log are the same.
float RoundForLog(float value);

}  // namespace poise
