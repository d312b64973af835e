// SPDX-License-Identifier: Apache-2.0
//
// Popularity: what most people like, the same for everybody; the row every other model is held
// against, and the prior of a visitor of whom nothing is known.
//
// For ranking an item scores the number of users who like it (or their weights, by parameter); for
// ratings a user and an item have a bias each (rating_baseline.h).
//
// Place    features/preferences.h -> [popularity] -> models/registry.cc
// Units    ranking: users, or weight; rating: stars
// Cost     Train O(N). Score O(1) an item.
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakePopularityTrainer(const ParameterTexts& parameters,
                                                             Task task);
Result<std::unique_ptr<const InterestModel>> LoadPopularity(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribePopularity();

}  // namespace poise
