// SPDX-License-Identifier: Apache-2.0
//
// Policies: from what remains eligible to the chance of each candidate for the next slot.
//
// A policy only states a distribution; it never draws. Decide() is the one place that draws, and it
// records the probability it drew with, so a logged propensity is exact by construction.
//
// Place    candidates/ -> [policy] -> decide.h -> serve/
// Shapes   n candidates remain; every array of a question and of an answer is [n]
// Units    mean, sd, score: units of reward, higher is better; probability in [0, 1]
// Threads  A policy is immutable: everything here may run concurrently.
// Source   Agarwal et al. 2016, "Making Contextual Decisions with Low Technical Debt",
//          arXiv:1606.03966 (explore, log, learn, deploy). What is learned lives in posterior.h.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parameter.h"
#include "base/result.h"
#include "domain/candidate.h"

namespace poise {

// What a policy is asked for one slot. Means and sds are finite, sds not negative: Decide() refuses
// anything else before it asks.
struct SlotQuestion {
  std::span<const Candidate> candidates;  // what remains; their order means nothing
  std::span<const float> means;
  std::span<const float> sds;
  int slot = 0;
};

class Policy {
 public:
  virtual ~Policy() = default;

  // Writes the probability of choosing each candidate for the next slot, and the score behind it.
  //
  // Requires  at least one candidate, all sizes equal.
  // Ensures   every probability >= ExplorationMass() / n; they sum to 1 within 1e-5; equal inputs
  //           give equal entries, whatever the item.
  // Cost      O(n), no allocation.
  virtual void Distribution(const SlotQuestion& question, std::span<float> scores,
                            std::span<float> probabilities) const = 0;

  // Probability mass that Distribution() always spreads evenly over all candidates, in [0, 1].
  // At 0 some choices can never be valued off-policy.
  virtual float ExplorationMass() const = 0;

  virtual std::string_view Name() const = 0;

  // "beta=1 tau=0.1 floor=0.001": what it decides with, for the log.
  virtual std::string_view Parameters() const = 0;
};

// A row of the registry.
struct PolicyKind {
  std::string_view name;
  std::string_view sentence;
  // True if at its default parameters every choice has a chance, so that its log can value others.
  bool is_evaluable = true;
  // Errors  kInvalidArgument: unknown parameter (lists the known ones), out of range.
  Result<std::unique_ptr<const Policy>> (*make)(const ParameterTexts& parameters) = nullptr;
  std::vector<ParameterDescription> (*describe)() = nullptr;
};

// "beta=1 tau=0.1" of a table's options, in the table's order.
template <typename Options>
std::string ParametersText(std::span<const Parameter<Options>> table, const Options& options) {
  std::string text;
  for (const Parameter<Options>& row : table) {
    if (!text.empty()) text += ' ';
    text += row.name;
    text += '=';
    std::visit([&](auto member) { text += ParameterText(options.*member); }, row.member);
  }
  return text;
}

}  // namespace poise
