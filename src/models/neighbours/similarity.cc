// SPDX-License-Identifier: Apache-2.0
#include "models/neighbours/similarity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/bytes.h"
#include "base/check.h"

namespace poise {
namespace {

constexpr std::array<std::string_view, 4> kSimilarityNames = {"cosine", "conditional", "bm25",
                                                              "pearson"};
constexpr std::size_t kRowsPerRange = 16;
// As Robertson and Zaragoza recommend where nothing is known.
constexpr float kBm25Saturation = 1.2F;
constexpr float kBm25Length = 0.75F;

bool IsNearer(const Neighbour& a, const Neighbour& b) {
  return a.similarity > b.similarity || (a.similarity == b.similarity && a.row < b.row);
}

}  // namespace

std::string_view SimilarityName(Similarity similarity) {
  return kSimilarityNames[static_cast<std::size_t>(similarity)];
}

Result<Similarity> ParseSimilarity(std::string_view name) {
  for (std::size_t n = 0; n < kSimilarityNames.size(); ++n) {
    if (kSimilarityNames[n] == name) return static_cast<Similarity>(n);
  }
  return InvalidArgument(fmt::format("similarity: unknown name \"{}\"; known: {}", name,
                                     fmt::join(kSimilarityNames, ", ")));
}

Result<Similarity> SimilarityForTask(std::string_view name, Task task) {
  if (name == "auto") return task == Task::kRating ? Similarity::kPearson : Similarity::kBm25;
  POISE_ASSIGN_OR_RETURN(const Similarity similarity, ParseSimilarity(name));
  if ((task == Task::kRating) != (similarity == Similarity::kPearson)) {
    return InvalidArgument(fmt::format("similarity: {} is not for {}", name,
                                       task == Task::kRating ? "ratings" : "ranking"));
  }
  return similarity;
}

void KeepNearest(std::size_t k, std::vector<Neighbour>& neighbours) {
  if (neighbours.size() > k) {
    std::nth_element(neighbours.begin(), neighbours.begin() + static_cast<std::ptrdiff_t>(k),
                     neighbours.end(), IsNearer);
    neighbours.resize(k);
  }
  std::sort(neighbours.begin(), neighbours.end(), IsNearer);
}

float SimilarityIndex::Weight(float value, std::size_t row_length, std::uint32_t column) const {
  if (options_.similarity != Similarity::kBm25) return value;
  const float length =
      1 - kBm25Length + kBm25Length * static_cast<float>(row_length) / mean_length_;
  return column_weights_[column] * value * (kBm25Saturation + 1) /
         (value + kBm25Saturation * length);
}

SimilarityIndex SimilarityIndex::Build(const SparseMatrix& rows, const SparseMatrix& columns,
                                       const SimilarityOptions& options, ThreadPool& pool) {
  SimilarityIndex index;
  index.options_ = options;
  const std::size_t row_count = rows.row_count();
  const std::size_t column_count = columns.row_count();
  if (options.similarity == Similarity::kBm25) {
    index.mean_length_ = std::max(1e-6F, static_cast<float>(rows.entry_count()) /
                                             std::max(1.0F, static_cast<float>(row_count)));
    std::vector<float> weights(column_count);
    for (std::size_t column = 0; column < column_count; ++column) {
      const double with = static_cast<double>(columns.ColumnsOf(column).size());
      const double without = static_cast<double>(row_count) - with;
      weights[column] = static_cast<float>(std::log1p((without + 0.5) / (with + 0.5)));
    }
    index.column_weights_ = FrozenArray<float>(std::move(weights));
  }
  std::vector<float> norms(row_count);
  pool.ParallelFor(row_count, kRowsPerRange, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t row = begin; row < end; ++row) {
      const auto values = rows.ValuesOf(row);
      double sum = static_cast<double>(values.size());
      if (options.similarity == Similarity::kCosine) {
        sum = 0;
        for (const float value : values) sum += static_cast<double>(value) * value;
        sum = std::sqrt(sum);
      }
      norms[row] = static_cast<float>(sum);
    }
  });
  index.row_norms_ = FrozenArray<float>(std::move(norms));
  std::vector<float> column_values = columns.values;
  pool.ParallelFor(
      column_count, kRowsPerRange, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t column = begin; column < end; ++column) {
          for (std::uint64_t at = columns.row_begin[column]; at < columns.row_begin[column + 1];
               ++at) {
            const std::size_t length = rows.ColumnsOf(columns.columns[at]).size();
            column_values[at] =
                index.Weight(column_values[at], length, static_cast<std::uint32_t>(column));
          }
        }
      });
  index.column_begin_ = FrozenArray<std::uint64_t>(columns.row_begin);
  index.column_rows_ = FrozenArray<std::uint32_t>(columns.columns);
  index.column_values_ = FrozenArray<float>(std::move(column_values));
  return index;
}

float SimilarityIndex::SimilarityOf(const SimilarityScratch::Cell& cell, float own_norm,
                                    std::uint32_t other) const {
  const auto shrinkage = static_cast<float>(options_.shrinkage);
  const auto count = static_cast<float>(cell.count);
  switch (options_.similarity) {
    case Similarity::kCosine: {
      const float length = own_norm * row_norms_[other];
      return length > 0 ? cell.products / length * count / (count + shrinkage) : 0;
    }
    case Similarity::kConditional: {
      const float damping =
          std::pow(row_norms_[other], static_cast<float>(options_.popularity_damping));
      return count / ((own_norm + shrinkage) * damping);
    }
    case Similarity::kBm25:
      return cell.products * count / (count + shrinkage);
    case Similarity::kPearson: {
      const float length = std::sqrt(cell.own_squares * cell.other_squares);
      // One common column says nothing of a correlation.
      if (cell.count < 2 || !(length > 0)) return 0;
      return std::min(1.0F, cell.products / length) * count / (count + shrinkage);
    }
  }
  return 0;
}

void SimilarityIndex::Compare(std::span<const ItemValue> row, std::optional<std::uint32_t> excluded,
                              SimilarityScratch& scratch, std::vector<Neighbour>& out) const {
  out.clear();
  scratch.cells_.resize(row_count());
  double own_norm = 0;
  std::size_t known_count = 0;
  for (const ItemValue& entry : row) {
    if (entry.item >= column_count()) continue;
    ++known_count;
    own_norm += static_cast<double>(entry.value) * entry.value;
  }
  own_norm = options_.similarity == Similarity::kCosine ? std::sqrt(own_norm)
                                                        : static_cast<double>(known_count);
  for (const ItemValue& entry : row) {
    if (entry.item >= column_count()) continue;
    const float value = Weight(entry.value, known_count, entry.item);
    const std::uint64_t end = column_begin_[entry.item + 1];
    for (std::uint64_t at = column_begin_[entry.item]; at < end; ++at) {
      const std::uint32_t other = column_rows_[at];
      const float other_value = column_values_[at];
      SimilarityScratch::Cell& cell = scratch.cells_[other];
      if (cell.count++ == 0) scratch.touched_.push_back(other);
      cell.products += value * other_value;
      cell.own_squares += value * value;
      cell.other_squares += other_value * other_value;
    }
  }
  for (const std::uint32_t other : scratch.touched_) {
    SimilarityScratch::Cell& cell = scratch.cells_[other];
    const float similarity = SimilarityOf(cell, static_cast<float>(own_norm), other);
    cell = {};
    if (similarity > 0 && other != excluded) out.push_back({other, similarity});
  }
  scratch.touched_.clear();
}

void SimilarityIndex::Nearest(std::span<const ItemValue> row, std::optional<std::uint32_t> excluded,
                              std::size_t k, SimilarityScratch& scratch,
                              std::vector<Neighbour>& out) const {
  Compare(row, excluded, scratch, out);
  KeepNearest(k, out);
}

NeighbourLists SimilarityIndex::AllNearest(const SparseMatrix& rows, std::size_t k,
                                           ThreadPool& pool) const {
  POISE_CHECK(rows.row_count() == row_count());
  NeighbourLists lists;
  lists.neighbour_count = std::min(k, row_count() > 1 ? row_count() - 1 : 1);
  lists.rows.assign(row_count() * lists.neighbour_count, 0);
  lists.similarities.assign(row_count() * lists.neighbour_count, 0);
  std::vector<SimilarityScratch> scratches(pool.thread_count());
  std::vector<std::vector<Neighbour>> found(pool.thread_count());
  pool.ParallelFor(
      row_count(), kRowsPerRange, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        SimilarityScratch& scratch = scratches[worker];
        for (std::size_t row = begin; row < end; ++row) {
          const auto columns = rows.ColumnsOf(row);
          const auto values = rows.ValuesOf(row);
          scratch.row_.clear();
          for (std::size_t n = 0; n < columns.size(); ++n) {
            scratch.row_.push_back({columns[n], values[n]});
          }
          Nearest(scratch.row_, static_cast<std::uint32_t>(row), lists.neighbour_count, scratch,
                  found[worker]);
          for (std::size_t n = 0; n < found[worker].size(); ++n) {
            lists.rows[row * lists.neighbour_count + n] = found[worker][n].row;
            lists.similarities[row * lists.neighbour_count + n] = found[worker][n].similarity;
          }
        }
      });
  return lists;
}

void SimilarityIndex::Save(SnapshotWriter& writer) const {
  ByteWriter head;
  head.Fixed(static_cast<std::uint8_t>(options_.similarity));
  head.Fixed(options_.shrinkage);
  head.Fixed(options_.popularity_damping);
  head.Fixed(mean_length_);
  writer.AddSection("similarity", head.bytes());
  writer.AddArray("column_begin", column_begin_.span());
  writer.AddArray("column_rows", column_rows_.span());
  writer.AddArray("column_values", column_values_.span());
  writer.AddArray("row_norms", row_norms_.span());
  writer.AddArray("column_weights", column_weights_.span());
}

Result<SimilarityIndex> SimilarityIndex::Load(
    const std::shared_ptr<const SnapshotReader>& snapshot) {
  POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("similarity"));
  ByteReader head(bytes);
  SimilarityIndex index;
  const auto kind = head.Fixed<std::uint8_t>();
  index.options_.similarity = static_cast<Similarity>(kind);
  index.options_.shrinkage = head.Fixed<double>();
  index.options_.popularity_damping = head.Fixed<double>();
  index.mean_length_ = head.Fixed<float>();
  if (!head.ok() || !head.IsAtEnd() || kind >= kSimilarityNames.size()) {
    return DataLoss("similarity: damaged");
  }
  POISE_ASSIGN_OR_RETURN(index.column_begin_,
                         FrozenArray<std::uint64_t>::FromSnapshot(snapshot, "column_begin"));
  POISE_ASSIGN_OR_RETURN(index.column_rows_,
                         FrozenArray<std::uint32_t>::FromSnapshot(snapshot, "column_rows"));
  POISE_ASSIGN_OR_RETURN(
      index.column_values_,
      FrozenArray<float>::FromSnapshot(snapshot, "column_values", index.column_rows_.size()));
  POISE_ASSIGN_OR_RETURN(index.row_norms_, FrozenArray<float>::FromSnapshot(snapshot, "row_norms"));
  if (!IsRowIndex(index.column_begin_.span(), index.column_rows_.size()) ||
      !AreBelow(index.column_rows_.span(), index.row_count())) {
    return DataLoss("column_begin, column_rows: damaged");
  }
  const std::size_t weight_count =
      index.options_.similarity == Similarity::kBm25 ? index.column_count() : 0;
  POISE_ASSIGN_OR_RETURN(index.column_weights_, FrozenArray<float>::FromSnapshot(
                                                    snapshot, "column_weights", weight_count));
  return index;
}

}  // namespace poise
