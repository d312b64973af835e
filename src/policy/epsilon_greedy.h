// SPDX-License-Identifier: Apache-2.0
//
// Epsilon-greedy: the highest expected reward, but with probability epsilon any candidate.
//
// The plainest way to explore, and a costly one: what it tries is as often hopeless as promising.
// Here to be measured against.
#pragma once

#include "policy/policy.h"

namespace poise {

struct EpsilonGreedyOptions {
  double epsilon = 0.05;  // is the exploration mass
};

extern const PolicyKind kEpsilonGreedyKind;

}  // namespace poise
