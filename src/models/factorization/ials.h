// SPDX-License-Identifier: Apache-2.0
//
// iALS: implicit alternating least squares; vectors of users and items whose inner product says how
// much a user who took some items may want the others.
//
// What a user did not touch counts too, a little: that is what makes it rank well, and what the
// Gram matrix makes affordable. A user who is new, or whose history has changed, is folded in: one
// small least-squares problem against the items as trained gives the vector that training would
// have given.
//
// Place    features/preferences.h -> [ials] -> models/registry.cc, candidates/
// Shapes   U users, I items, D dimensions; users [U, D], items [I, D], gram [D, D] of the items
// Units    weight: a user's weight of an item over the mean weight of all, so that the parameters
//          mean the same whatever the event weights are; score: near 0 (not wanted) to near 1
// Errors   kFailedPrecondition: no user with a positive weight on an item; vectors that overflow
// Cost     Train: see ials_solver.h. Score: O(D) an item. Fold-in: O(n D^2 + D^3) for n items, 30
// us
//          at n = 50, D = 64.
// Source   Rendle et al., arXiv:2110.14037 and arXiv:2110.14044; docs/math/ials.md
#pragma once

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

Result<std::unique_ptr<const Trainer>> MakeIalsTrainer(const ParameterTexts& parameters, Task task);
Result<std::unique_ptr<const InterestModel>> LoadIals(
    std::shared_ptr<const SnapshotReader> snapshot);
std::vector<ParameterDescription> DescribeIals();

}  // namespace poise
