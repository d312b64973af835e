// SPDX-License-Identifier: Apache-2.0
//
// latent-knn: stars from those of an item's nearest in the factorization's space that the user
// rated, weighted by how near they lie to the user and to each other.
//
// The article's printed form is not normalised, so its sums are no stars; what is served divides by
// the sum of the weights and works on what the baseline leaves. The printed form can be asked for,
// to be measured: docs/math/latent-knn.md gives both, and both errors.
//
// Place    factorization/ (vectors), popularity/ (baseline) -> [latent_knn] -> models/registry.cc
// Shapes   U users, I items, D dimensions, L list; user_factors [U, D], item_factors [I, D],
//          lists [I, L], nearest first
// Units    stars, clamped to the trained range
// Errors   kFailedPrecondition: no ratings
// Cost     Train: the factorization, and I^2 D for the lists. Score: O(L + K D) an item.
//          Fold-in of a changed user: O(n D^2 + D^3). Memory 4 D (U + I) + 8 I L bytes.
// Source   docs/math/latent-knn.md
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakeLatentKnnTrainer(const ParameterTexts& parameters,
                                                            Task task);
Result<std::unique_ptr<const InterestModel>> LoadLatentKnn(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeLatentKnn();

}  // namespace poise
