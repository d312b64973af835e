// SPDX-License-Identifier: Apache-2.0
//
// User k-nearest neighbours: an item is wanted as much as those who are most like the user wanted
// it.
//
// The trained users' rows are kept, because a neighbour's vote is their history. A user whose
// history has changed, or who is new, is compared with the kept rows when asked for; everyone else
// has had their neighbours found in training.
//
// Place    features/ -> [user_knn] -> models/registry.cc
// Shapes   U users, I items, N interactions, K neighbours; lists [U, K], best first
// Units    ranking: mean of the neighbours' weights, weighted by similarity; rating: stars, clamped
//          to the trained range
// Cost     Train: similarity.h over users. Score, ranking: K rows; with a changed history, and
//          always for ratings, one comparison: the sum of the lengths of the history's columns.
//          Memory 24 N + 8 U K bytes.
// Source   Resnick et al. 1994; Koren 2010, equation 3, by user. Deviations in
//          docs/math/neighbours.md
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakeUserKnnTrainer(const ParameterTexts& parameters,
                                                          Task task);
Result<std::unique_ptr<const InterestModel>> LoadUserKnn(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeUserKnn();

}  // namespace poise
