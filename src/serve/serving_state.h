// SPDX-License-Identifier: Apache-2.0
//
// ServingState: everything a request is answered from, published as one.
//
// A request takes it once at its start and is answered, logged and replayable against exactly that,
// whatever is published meanwhile.
//
// Place    engine/ publishes it -> [here] -> Recommender
// Threads  Immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "candidates/retriever.h"
#include "models/interest_model.h"
#include "policy/policy.h"

namespace poise {

struct ScoredRow {
  ItemRow item{};
  float score = 0;
};

inline constexpr std::uint64_t kEpochTurn = 16;

struct ServingState {
  std::uint64_t model_version = 0;  // 0: nothing trained yet
  // Grows when the models change: no candidate set made before is right.
  std::uint64_t models_epoch = 0;
  // Grows with the shared lists. A person's candidates are made anew once in kEpochTurn steps, each
  // person's at another step: all at once would be a burst of retrievals every minute.
  std::uint64_t lists_epoch = 0;
  std::shared_ptr<const Retriever> retriever;  // never null
  // Answers from the shared lists alone, when there is no time for more. Never null.
  std::shared_ptr<const Retriever> fallback;
  std::shared_ptr<const SharedLists> lists;               // never null
  std::shared_ptr<const std::vector<ScoredRow>> popular;  // best first; never null
  std::shared_ptr<const std::vector<ScoredRow>> trending;
  std::shared_ptr<const InterestModel> neighbours;  // null if no model knows similar items
  std::shared_ptr<const Policy> policy;             // never null
  // How many events of each UserRow the models have seen. Null: the models know none of our rows.
  std::shared_ptr<const std::vector<std::uint32_t>> trained_event_counts;
};

}  // namespace poise
