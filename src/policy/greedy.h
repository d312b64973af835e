// SPDX-License-Identifier: Apache-2.0
//
// Greedy: the highest expected reward, always.
//
// Where several are equally high it chooses among them evenly, so its propensities are exact. What
// it never shows it never learns about, and its log cannot value a policy that would show it.
#pragma once

#include "policy/policy.h"

namespace poise {

struct GreedyOptions {
  double floor = 0;  // mass spread evenly over all candidates
};

extern const PolicyKind kGreedyKind;

}  // namespace poise
