// SPDX-License-Identifier: Apache-2.0
//
// The distributions that policies are made of: even among the best, softmax, and a floor under
// both.
//
// Shapes   arrays [n], n >= 1
// Units    scores: higher is more; probabilities sum to 1 within 1e-5
// Threads  Pure functions.
#pragma once

#include <span>

namespace poise {

// (1 - floor) spread evenly over the entries that equal the maximum, floor over all.
void EvenAmongBest(std::span<const float> scores, float floor, std::span<float> probabilities);

// (1 - floor) exp(score / temperature) / sum + floor / n. The maximum is taken out first, so no
// score overflows. Requires temperature > 0.
void Softmax(std::span<const float> scores, float temperature, float floor,
             std::span<float> probabilities);

// Mean of `values` where `scores` are the `count` highest; of all if there are fewer. Of equal
// scores the earlier counts.
float MeanOfTop(std::span<const float> scores, std::span<const float> values, int count);

float MaxOf(std::span<const float> values);

}  // namespace poise
