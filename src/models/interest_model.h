// SPDX-License-Identifier: Apache-2.0
//
// Interest models: how much does this user want these items, now?
//
// A model is trained once, published, and never changes again. Training and serving are therefore
// two types: a Trainer makes an InterestModel, and an InterestModel can only be read. Filtering,
// merging and exploring are not here: a model states interest, candidates/ and policy/ act on it.
//
// Place    features/ -> [models] -> candidates/
// Shapes   U users and I items as trained, D dimensions, K neighbours; scores[n] answers items[n]
// Units    score: for Task::kRanking unitless, higher is more wanted, comparable only within one
//          call; for Task::kRating stars, on the scale that was trained on
// Threads  const methods may run concurrently without synchronization
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "domain/event.h"
#include "features/training_view.h"
#include "features/user_view.h"
#include "storage/snapshot.h"

namespace poise {

// What a model is asked for: the order of items, or the stars a user would give.
enum class Task { kRanking, kRating };

// Row-major matrix borrowed from a model. Valid as long as the model lives.
struct EmbeddingView {
  std::span<const float> values;  // [row_count, dim]
  std::size_t row_count = 0;
  std::size_t dim = 0;

  std::span<const float> Row(std::size_t row) const { return values.subspan(row * dim, dim); }
};

// Every item's nearest items, best first. Rows shorter than K end in similarity 0.
struct NeighbourView {
  std::span<const ItemRow> items;       // [I, K]
  std::span<const float> similarities;  // [I, K]
  std::size_t neighbour_count = 0;      // K
};

class InterestModel {
 public:
  virtual ~InterestModel() = default;

  // Stable name used in configurations, logs and explanations, e.g. "ials".
  virtual std::string_view Name() const = 0;

  // I: the rows below it can be scored.
  virtual std::size_t ItemCount() const = 0;

  // Writes one score per item into `scores`.
  //
  // Requires  scores.size() == items.size().
  // Errors    kInvalidArgument if an item is outside the trained catalog. A user without history is
  //           not an error: models answer with their prior.
  virtual Status Score(const UserView& user, std::span<const ItemRow> items,
                       std::span<float> scores) const = 0;

  // The same for every item. Requires scores.size() == ItemCount().
  virtual Status ScoreAll(const UserView& user, std::span<float> scores) const = 0;

  // Saves everything that the loader of the same name needs. The kind is "model:" + Name().
  virtual Status Save(SnapshotWriter& writer) const = 0;

  // Item vectors whose inner product with UserVector() ranks as Score() does, or nullopt if this
  // model has no such form. Present: candidates/ retrieves with it.
  virtual std::optional<EmbeddingView> ItemVectors() const { return std::nullopt; }

  // Requires  ItemVectors(), out.size() == its dim. A user the model knows nothing of gets its
  // prior.
  virtual Status UserVector(const UserView& user, std::span<float> out) const;

  // Similar items, or nullopt if this model does not know them by list.
  virtual std::optional<NeighbourView> Neighbours() const { return std::nullopt; }
};

// What every Score() asks first.
//
// Errors  kInvalidArgument naming the first item that is not below `item_count`; a span of scores
//         that does not fit is a bug and is checked.
Status CheckItems(std::span<const ItemRow> items, std::span<float> scores, std::size_t item_count);

// Says what Trainer::Train() answers when `view` holds nothing that `name` can learn from.
Status NothingToLearn(std::string_view name, std::string_view needed);

struct TrainContext {
  ThreadPool& pool;
  std::uint64_t seed = 42;
  EventWeights weights = {};
  Progress* progress = nullptr;  // told of each epoch, with the objective
};

class Trainer {
 public:
  virtual ~Trainer() = default;

  // Learns from `view` alone: equal view, options, seed and thread count give a byte-identical
  // model.
  //
  // Errors    kFailedPrecondition if the view holds nothing to learn from. No partial model is ever
  //           returned.
  virtual Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                             const TrainContext& context) const = 0;
};

}  // namespace poise
