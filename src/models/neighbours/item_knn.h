// SPDX-License-Identifier: Apache-2.0
//
// Item k-nearest neighbours: an item is wanted as much as it is like what the user did.
//
// Nothing of a user is stored: a score is made from the history that comes with the request, so a
// click counts from the next request on, and a forgotten person leaves nothing behind but their
// share in the sums. Ranking adds up, over the history, the history's weights times similarity; the
// ratings form corrects the baseline by the mean residual over those of an item's nearest that the
// user rated.
//
// Place    features/ -> [item_knn] -> models/registry.cc; Neighbours() -> candidates/
// Shapes   I items, K neighbours; lists [I, K], best first
// Units    ranking: weight times similarity; rating: stars, clamped to the trained range
// Cost     Train: similarity.h over items. Score: history x K (ranking), items x list (rating).
//          Memory 8 I K bytes, plus one scratch row of I for each thread that scores.
// Source   Sarwar et al. 2001; Deshpande and Karypis 2004; Koren 2010, equation 3. Deviations in
//          docs/math/neighbours.md
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakeItemKnnTrainer(const ParameterTexts& parameters,
                                                          Task task);
Result<std::unique_ptr<const InterestModel>> LoadItemKnn(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeItemKnn();

}  // namespace poise
