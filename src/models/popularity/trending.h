// SPDX-License-Identifier: Apache-2.0
//
// Trending: what people like lately: every event loses half of its weight each half-life.
//
// The order does not age: all items lose at the same rate, so a model that is a day old differs
// from a new one only by the day's events.
//
// Place    features/training_view.h -> [trending] -> models/registry.cc
// Units    sum over users of Saturation(decayed weight); the half-life in days
// Cost     Train O(N), 8 bytes an item for each of 8 blocks. Score O(1) an item.
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakeTrendingTrainer(const ParameterTexts& parameters,
                                                           Task task);
Result<std::unique_ptr<const InterestModel>> LoadTrending(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeTrending();

}  // namespace poise
