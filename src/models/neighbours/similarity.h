// SPDX-License-Identifier: Apache-2.0
//
// SimilarityIndex: how alike are the rows of a sparse matrix: the nearest rows of each, and of a
// row that was not there when it was built.
//
// A row is compared through its columns' lists, so only rows that share something are ever touched.
// The same path serves training and folding in: what a changed user gets is what training would
// have given them.
//
// Place    features/preferences.h -> [similarity] -> item_knn (rows are items), user_knn (users)
// Shapes   R rows, C columns, N entries, K neighbours; NeighbourLists [R, K], best first
// Units    similarity > 0, higher is nearer; at most 1 but for bm25, which has no scale
// Threads  Immutable once built. Equal for every number of threads.
// Cost     All neighbours: sum over columns of (entries)^2. One row: sum of its columns' lengths.
//          Memory 8 bytes an entry; scratch 16 bytes a row for each thread.
// Source   cosine; conditional probability after Deshpande and Karypis 2004, equation 5; BM25 after
//          Robertson and Zaragoza 2009, equation 3.15; shrunk Pearson correlation after Koren,
//          "Factor in the Neighbors", 2010, section 2.2, on baseline residuals.
//          docs/math/neighbours.md
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "features/preferences.h"
#include "models/frozen_array.h"
#include "models/interest_model.h"

namespace poise {

// The numbers stand in files: append only.
enum class Similarity : std::uint8_t { kCosine = 0, kConditional = 1, kBm25 = 2, kPearson = 3 };

std::string_view SimilarityName(Similarity similarity);
// Errors  kInvalidArgument, listing the known names.
Result<Similarity> ParseSimilarity(std::string_view name);

// The similarity that a parameter names for `task`; "auto" is bm25 to rank, pearson for ratings.
//
// Errors  kInvalidArgument: unknown, or of the other task.
Result<Similarity> SimilarityForTask(std::string_view name, Task task);

struct SimilarityOptions {
  Similarity similarity = Similarity::kCosine;
  double shrinkage = 0;           // pulls similarities that rest on little towards 0
  double popularity_damping = 0;  // conditional: the power of the other row's count to divide by
};

struct NeighbourLists {
  std::size_t neighbour_count = 0;  // K
  std::vector<std::uint32_t> rows;  // [R, K]; where the similarity is 0, the list has ended
  std::vector<float> similarities;  // [R, K]
};

// A row and how near it is.
struct Neighbour {
  std::uint32_t row = 0;
  float similarity = 0;
};

// Memory of one thread for comparing rows. All zero between uses.
class SimilarityScratch {
 private:
  friend class SimilarityIndex;
  struct Cell {
    float products = 0;
    float own_squares = 0;
    float other_squares = 0;
    std::uint32_t count = 0;
  };
  std::vector<Cell> cells_;
  std::vector<std::uint32_t> touched_;
  std::vector<ItemValue> row_;
};

class SimilarityIndex {
 public:
  // `columns` is the transpose of `rows`.
  static SimilarityIndex Build(const SparseMatrix& rows, const SparseMatrix& columns,
                               const SimilarityOptions& options, ThreadPool& pool);

  std::size_t row_count() const { return row_norms_.size(); }
  std::size_t column_count() const { return column_begin_.size() - 1; }

  // Every row that is like `row`, unordered, but for `excluded`. Columns that the index does not
  // know are passed over.
  void Compare(std::span<const ItemValue> row, std::optional<std::uint32_t> excluded,
               SimilarityScratch& scratch, std::vector<Neighbour>& out) const;

  // The best k of the same, best first, ties to the smaller row.
  void Nearest(std::span<const ItemValue> row, std::optional<std::uint32_t> excluded, std::size_t k,
               SimilarityScratch& scratch, std::vector<Neighbour>& out) const;

  // The nearest k rows of each of `rows`, which this was built from.
  NeighbourLists AllNearest(const SparseMatrix& rows, std::size_t k, ThreadPool& pool) const;

  void Save(SnapshotWriter& writer) const;
  // Errors  kInvalidArgument, kDataLoss.
  static Result<SimilarityIndex> Load(const std::shared_ptr<const SnapshotReader>& snapshot);

 private:
  float Weight(float value, std::size_t row_length, std::uint32_t column) const;
  float SimilarityOf(const SimilarityScratch::Cell& cell, float own_norm,
                     std::uint32_t other) const;

  SimilarityOptions options_;
  float mean_length_ = 0;                    // bm25
  FrozenArray<std::uint64_t> column_begin_;  // [C + 1]
  FrozenArray<std::uint32_t> column_rows_;   // [N]
  FrozenArray<float> column_values_;         // [N], weighted
  FrozenArray<float> row_norms_;             // [R], cosine: length; otherwise: number of entries
  FrozenArray<float> column_weights_;        // [C], bm25: how telling a column is
};

// The best first `k` of `neighbours`, ties to the smaller row; cuts the rest off.
void KeepNearest(std::size_t k, std::vector<Neighbour>& neighbours);

}  // namespace poise
