// SPDX-License-Identifier: Apache-2.0
//
// From the configuration's plain words to the options of each room.
//
// Errors   kInvalidArgument naming the configuration's key.
#pragma once

#include <vector>

#include "base/result.h"
#include "candidates/retriever.h"
#include "config/configuration.h"
#include "events/event_store.h"
#include "feedback/joiner.h"
#include "iteration/training.h"
#include "serve/recommender.h"
#include "storage/segment_log.h"

namespace poise {

EventWeights EventWeightsOf(const EventsSection& section);
JoinerOptions JoinerOptionsOf(const FeedbackSection& section);
RetrieverOptions RetrieverOptionsOf(const CandidatesSection& section, const EventWeights& weights);
RecommenderOptions RecommenderOptionsOf(const Configuration& configuration);
SegmentLog::Options LogOptionsOf(const StorageSection& section);
EventStore::Options StoreOptionsOf(const Configuration& configuration);

// "training.parameters" holds "model.parameter" names; each goes to its model.
// Errors  a model that is not trained, an unknown model or parameter.
Result<std::vector<ModelSpecification>> ModelSpecificationsOf(const TrainingSection& section);

}  // namespace poise
