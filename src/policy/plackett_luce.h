// SPDX-License-Identifier: Apache-2.0
//
// Plackett-Luce: softmax over expected rewards, slot by slot without replacement.
//
// It explores what is nearly as good as the best, and does not ask how well that is known; the
// temperature is fixed.
//
// Units    temperature: of reward, as means are
// Source   docs/math/plackett-luce.md with beta = 0.
#pragma once

#include "policy/policy.h"

namespace poise {

struct PlackettLuceOptions {
  double temperature = 0.01;
  double floor = 0.001;  // mass spread evenly over all candidates
};

extern const PolicyKind kPlackettLuceKind;

}  // namespace poise
