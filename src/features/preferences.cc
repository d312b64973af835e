// SPDX-License-Identifier: Apache-2.0
#include "features/preferences.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace poise {
namespace {

constexpr std::size_t kUsersPerRange = 512;
// Fixed, so that the order of the work is the same for every number of threads.
constexpr std::size_t kTransposeBlocks = 8;

// Rows are made in place of their interactions, which are never fewer, and then moved together.
template <typename MakeRow>
SparseMatrix RowsOfUsers(const TrainingView& view, ThreadPool& pool, const MakeRow& make_row) {
  const std::size_t user_count = view.user_count();
  std::vector<ItemValue> made(view.interactions.size());
  SparseMatrix matrix;
  matrix.column_count = view.item_count;
  matrix.row_begin.assign(user_count + 1, 0);
  std::vector<std::vector<ItemValue>> rows(pool.thread_count());
  pool.ParallelFor(user_count, kUsersPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     std::vector<ItemValue>& row = rows[worker];
                     for (std::size_t user = begin; user < end; ++user) {
                       make_row(view.OfUser(static_cast<UserRow>(user)), row);
                       std::copy(row.begin(), row.end(),
                                 made.begin() + static_cast<std::ptrdiff_t>(view.user_begin[user]));
                       matrix.row_begin[user + 1] = row.size();
                     }
                   });
  for (std::size_t user = 0; user < user_count; ++user) {
    matrix.row_begin[user + 1] += matrix.row_begin[user];
  }
  matrix.columns.resize(matrix.row_begin.back());
  matrix.values.resize(matrix.row_begin.back());
  pool.ParallelFor(user_count, kUsersPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                     for (std::size_t user = begin; user < end; ++user) {
                       const ItemValue* from = made.data() + view.user_begin[user];
                       for (std::uint64_t to = matrix.row_begin[user];
                            to < matrix.row_begin[user + 1]; ++to, ++from) {
                         matrix.columns[to] = from->item;
                         matrix.values[to] = from->value;
                       }
                     }
                   });
  return matrix;
}

}  // namespace

float Saturation(float quantity) {
  if (!(quantity > 0)) return 0;
  return quantity <= 1 ? quantity : 1 + std::log2(quantity);
}

void AggregateHistory(std::span<const Interaction> history, const EventWeights& weights,
                      std::vector<ItemValue>& out) {
  out.clear();
  for (const Interaction& event : history) {
    const float quantity = event.type == EventType::kRating ? 1.0F : Saturation(event.value);
    out.push_back({Index(event.item), weights[event.type] * quantity});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const ItemValue& a, const ItemValue& b) { return a.item < b.item; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < out.size();) {
    ItemValue sum{out[i].item, 0};
    double weight = 0;
    for (; i < out.size() && out[i].item == sum.item; ++i) weight += out[i].value;
    sum.value = static_cast<float>(weight);
    if (sum.value > 0) out[kept++] = sum;
  }
  out.resize(kept);
}

void LastRatingsOf(std::span<const Interaction> history, std::vector<ItemValue>& out) {
  out.clear();
  for (const Interaction& event : history) {
    if (event.type == EventType::kRating) out.push_back({Index(event.item), event.value});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const ItemValue& a, const ItemValue& b) { return a.item < b.item; });
  std::size_t kept = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i + 1 == out.size() || out[i + 1].item != out[i].item) out[kept++] = out[i];
  }
  out.resize(kept);
}

PreferenceMatrix AggregatePreferences(const TrainingView& view, const EventWeights& weights,
                                      ThreadPool& pool) {
  PreferenceMatrix matrix;
  matrix.by_user = RowsOfUsers(
      view, pool, [&](std::span<const Interaction> history, std::vector<ItemValue>& row) {
        AggregateHistory(history, weights, row);
      });
  matrix.by_item = Transposed(matrix.by_user, pool);
  return matrix;
}

RatingMatrix LastRatings(const TrainingView& view, ThreadPool& pool) {
  RatingMatrix matrix;
  matrix.by_user = RowsOfUsers(view, pool, LastRatingsOf);
  matrix.by_item = Transposed(matrix.by_user, pool);
  return matrix;
}

SparseMatrix Transposed(const SparseMatrix& matrix, ThreadPool& pool) {
  const std::size_t row_count = matrix.row_count();
  const std::size_t column_count = matrix.column_count;
  SparseMatrix out;
  out.column_count = row_count;
  out.row_begin.assign(column_count + 1, 0);
  out.columns.resize(matrix.entry_count());
  out.values.resize(matrix.entry_count());

  // Each block of rows counts its columns; their running sums tell each where to write.
  const std::size_t rows_per_block =
      std::max<std::size_t>(1, (row_count + kTransposeBlocks - 1) / kTransposeBlocks);
  const std::size_t block_count = (row_count + rows_per_block - 1) / rows_per_block;
  std::array<std::vector<std::uint64_t>, kTransposeBlocks> next;
  const auto for_each_block = [&](const auto& body) {
    pool.ParallelFor(block_count, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t block = begin; block < end; ++block) {
        body(block, block * rows_per_block, std::min((block + 1) * rows_per_block, row_count));
      }
    });
  };
  for_each_block([&](std::size_t block, std::size_t first, std::size_t last) {
    next[block].assign(column_count, 0);
    for (std::uint64_t at = matrix.row_begin[first]; at < matrix.row_begin[last]; ++at) {
      ++next[block][matrix.columns[at]];
    }
  });
  std::uint64_t total = 0;
  for (std::size_t column = 0; column < column_count; ++column) {
    out.row_begin[column] = total;
    for (std::size_t block = 0; block < block_count; ++block) {
      const std::uint64_t count = next[block][column];
      next[block][column] = total;
      total += count;
    }
  }
  out.row_begin[column_count] = total;
  for_each_block([&](std::size_t block, std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      for (std::uint64_t at = matrix.row_begin[row]; at < matrix.row_begin[row + 1]; ++at) {
        const std::uint64_t to = next[block][matrix.columns[at]]++;
        out.columns[to] = static_cast<std::uint32_t>(row);
        out.values[to] = matrix.values[at];
      }
    }
  });
  return out;
}

}  // namespace poise
