// SPDX-License-Identifier: Apache-2.0
//
// Optimistic Plackett-Luce: softmax over mean + beta * sd, as warm as the best are uncertain.
//
// What is little known and may be good rises; the temperature follows the posterior's sd, so the
// policy cools by itself as it learns. It matches UCB in reward and, unlike UCB and Thompson
// sampling, has exact propensities in closed form.
//
// Units    score: of reward. temperature = max(tau_min, tau * mean sd of the ten highest scores of
//          what remains)
// Source   docs/math/plackett-luce.md.
#pragma once

#include "policy/policy.h"

namespace poise {

struct OptimisticPlackettLuceOptions {
  double beta = 1;
  double tau = 0.1;
  double tau_min = 1e-4;
  double explore = 1;    // chance of a slot to be drawn; else it is filled with the exploit item
  double floor = 0.001;  // mass spread evenly over all candidates
};

extern const PolicyKind kOptimisticPlackettLuceKind;

}  // namespace poise
