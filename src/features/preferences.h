// SPDX-License-Identifier: Apache-2.0
//
// Preferences and ratings: a TrainingView as sparse matrices, by user and by item.
//
// A preference is everything a user did on an item, as one non-negative weight; a rating is the
// last number of stars they gave it. Models learn from these and fold changed users in through the
// very same functions, so a user weighs the same in training and in serving.
//
// Place    features/training_view.h -> [here] -> models/
// Shapes   U users, I items, N entries; by_user [U, I], by_item [I, U], both compressed by row with
//          ascending columns
// Units    weight: sum over the events of EventWeights times Saturation(quantity), > 0; stars as
//          they were given
// Threads  The result depends neither on the number of threads nor on timing.
// Cost     O(N log n) for n interactions of a user, split over the pool; 24 bytes an entry.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "domain/event.h"
#include "features/training_view.h"

namespace poise {

// A matrix borrowed from a SparseMatrix, or from the file that a model is mapped from.
struct SparseView {
  std::span<const std::uint64_t> row_begin;  // [rows + 1]
  std::span<const std::uint32_t> columns;    // [N], ascending within a row
  std::span<const float> values;             // [N]
  std::size_t column_count = 0;

  std::size_t row_count() const { return row_begin.size() - 1; }
  std::size_t entry_count() const { return columns.size(); }
  std::span<const std::uint32_t> ColumnsOf(std::size_t row) const {
    return columns.subspan(row_begin[row], row_begin[row + 1] - row_begin[row]);
  }
  std::span<const float> ValuesOf(std::size_t row) const {
    return values.subspan(row_begin[row], row_begin[row + 1] - row_begin[row]);
  }
};

struct SparseMatrix {
  std::vector<std::uint64_t> row_begin{0};  // [rows + 1]
  std::vector<std::uint32_t> columns;       // [N], ascending within a row
  std::vector<float> values;                // [N]
  std::size_t column_count = 0;

  std::size_t row_count() const { return row_begin.size() - 1; }
  std::size_t entry_count() const { return columns.size(); }
  std::span<const std::uint32_t> ColumnsOf(std::size_t row) const {
    return {columns.data() + row_begin[row], row_begin[row + 1] - row_begin[row]};
  }
  std::span<const float> ValuesOf(std::size_t row) const {
    return {values.data() + row_begin[row], row_begin[row + 1] - row_begin[row]};
  }
  SparseView View() const { return {row_begin, columns, values, column_count}; }
};

struct PreferenceMatrix {
  SparseMatrix by_user;
  SparseMatrix by_item;
};

struct RatingMatrix {
  SparseMatrix by_user;
  SparseMatrix by_item;
};

// One entry of a row.
struct ItemValue {
  std::uint32_t item = 0;
  float value = 0;
};

// What `quantity` pieces say compared with one: 1 + log2(quantity), and in proportion below one, so
// that a wholesale order does not drown everybody else's.
float Saturation(float quantity);

// A user's history as weights: by item, ascending, without items whose returns took back all.
// Clears `out` first.
void AggregateHistory(std::span<const Interaction> history, const EventWeights& weights,
                      std::vector<ItemValue>& out);

// A user's last rating of each item, ascending by item. Other events are passed over. Clears `out`
// first. Requires `history` oldest first.
void LastRatingsOf(std::span<const Interaction> history, std::vector<ItemValue>& out);

PreferenceMatrix AggregatePreferences(const TrainingView& view, const EventWeights& weights,
                                      ThreadPool& pool);
RatingMatrix LastRatings(const TrainingView& view, ThreadPool& pool);

SparseMatrix Transposed(const SparseMatrix& matrix, ThreadPool& pool);

}  // namespace poise
