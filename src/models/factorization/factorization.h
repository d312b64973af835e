// SPDX-License-Identifier: Apache-2.0
//
// Factorization: how many stars a user would give, from vectors and biases of users and items.
//
//   r = mean + deviation (b_u + c_i + p_u.q_i), within the stars that were given
//
// The vectors are posterior means of a Bayesian factorization (variational_factorizer.h), whose
// noise and priors are learned, so that one setting serves 100 thousand ratings and 100 million.
// A new or changed user is folded in by the same update that training ends with.
//
// Place    features/preferences.h -> [factorization] -> models/registry.cc, models/neighbours/
// Shapes   U users, I items, D dimensions
// Units    Task::kRating: stars; Task::kRanking: the same without bounds, so that ties stay rare
// Errors   kFailedPrecondition: no ratings
// Cost     Train: 20 sweeps, .3 s each for a million ratings at D = 32 on two cores. Score: O(D) an
//          item. Fold-in: O(n D^2 + D^3), 30 us at n = 50. Memory (U + 4 D I) D bytes, about.
// Source   docs/math/factorization.md
#pragma once

#include <vector>

#include "base/parameter.h"
#include "features/preferences.h"
#include "models/interest_model.h"

namespace poise {

struct FactorizationOptions {
  int dim = 32;
  int sweeps = 20;
  double feature_regularization = 3;
};

// The vectors alone, for models that measure distances between them.
struct RatingFactors {
  std::size_t dim = 0;
  std::vector<float> users;  // [U, D], without biases
  std::vector<float> items;  // [I, D]
};

// Errors  kFailedPrecondition: no ratings.
Result<RatingFactors> LearnRatingFactors(const RatingMatrix& ratings,
                                         const FactorizationOptions& options,
                                         const TrainContext& context);

Result<std::unique_ptr<const Trainer>> MakeFactorizationTrainer(const ParameterTexts& parameters,
                                                                Task task);
Result<std::unique_ptr<const InterestModel>> LoadFactorization(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeFactorization();

}  // namespace poise
