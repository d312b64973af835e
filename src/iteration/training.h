// SPDX-License-Identifier: Apache-2.0
//
// TrainPublication: trains every configured model on one view, and refuses one that cannot serve.
//
// Place    features/ (TrainingView) -> [here] -> PublicationStore
// Errors   kFailedPrecondition: nothing to learn from; kInvalidArgument: an unknown model or
//          parameter; kInternal: a model whose scores are not finite (the gate), naming it.
// Threads  May run beside serving; the pool's threads are its own.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/parameter.h"
#include "base/result.h"
#include "iteration/publication.h"
#include "models/interest_model.h"

namespace poise {

struct ModelSpecification {
  std::string name;
  ParameterTexts parameters;
};

// Ensures  trained_event_counts holds the view's count of each user; version is still 0.
Result<Publication> TrainPublication(std::span<const ModelSpecification> specifications,
                                     const TrainingView& view, const TrainContext& context,
                                     const Clock& clock);

}  // namespace poise
