// SPDX-License-Identifier: Apache-2.0
#include "models/popularity/rating_baseline.h"

#include <cmath>

#include "base/bytes.h"
#include "base/check.h"

namespace poise {
namespace {

constexpr int kRounds = 10;
constexpr std::size_t kRowsPerRange = 256;

// own[row] = damped mean of what the row's ratings are above the mean and the other side's bias.
void FitSide(const SparseMatrix& ratings, double mean, double damping,
             const std::vector<float>& other, std::vector<float>& own, ThreadPool& pool) {
  pool.ParallelFor(ratings.row_count(), kRowsPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                     for (std::size_t row = begin; row < end; ++row) {
                       const auto columns = ratings.ColumnsOf(row);
                       const auto values = ratings.ValuesOf(row);
                       double sum = 0;
                       for (std::size_t n = 0; n < columns.size(); ++n) {
                         sum += values[n] - mean - other[columns[n]];
                       }
                       const double count = damping + static_cast<double>(columns.size());
                       own[row] = count > 0 ? static_cast<float>(sum / count) : 0;
                     }
                   });
}

}  // namespace

RatingBaseline RatingBaseline::Fit(const RatingMatrix& ratings, const BaselineOptions& options,
                                   ThreadPool& pool) {
  const std::vector<float>& stars = ratings.by_user.values;
  POISE_CHECK(!stars.empty());
  RatingBaseline out;
  double sum = 0;
  for (const float value : stars) sum += value;
  out.mean_ = static_cast<float>(sum / static_cast<double>(stars.size()));
  const auto [min, max] = std::minmax_element(stars.begin(), stars.end());
  out.min_ = *min;
  out.max_ = *max;
  out.user_damping_ = static_cast<float>(options.user_damping);
  std::vector<float> items(ratings.by_item.row_count(), 0);
  std::vector<float> users(ratings.by_user.row_count(), 0);
  for (int round = 0; round < kRounds; ++round) {
    FitSide(ratings.by_item, out.mean_, options.item_damping, users, items, pool);
    FitSide(ratings.by_user, out.mean_, options.user_damping, items, users, pool);
  }
  out.item_biases_ = FrozenArray<float>(std::move(items));
  return out;
}

float RatingBaseline::UserBias(std::span<const ItemValue> ratings) const {
  double sum = 0;
  double count = user_damping_;
  for (const ItemValue& rating : ratings) {
    if (rating.item >= item_count()) continue;
    sum += rating.value - mean_ - item_biases_[rating.item];
    count += 1;
  }
  return count > 0 ? static_cast<float>(sum / count) : 0;
}

void RatingBaseline::Save(SnapshotWriter& writer) const {
  ByteWriter head;
  head.Fixed(mean_);
  head.Fixed(min_);
  head.Fixed(max_);
  head.Fixed(user_damping_);
  writer.AddSection("baseline", head.bytes());
  writer.AddArray("item_biases", item_biases_.span());
}

Result<RatingBaseline> RatingBaseline::Load(const std::shared_ptr<const SnapshotReader>& snapshot) {
  POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("baseline"));
  ByteReader head(bytes);
  RatingBaseline out;
  out.mean_ = head.Fixed<float>();
  out.min_ = head.Fixed<float>();
  out.max_ = head.Fixed<float>();
  out.user_damping_ = head.Fixed<float>();
  if (!head.ok() || !head.IsAtEnd() || !std::isfinite(out.mean_) || !(out.min_ <= out.max_) ||
      !(out.user_damping_ >= 0)) {
    return DataLoss("baseline: damaged");
  }
  POISE_ASSIGN_OR_RETURN(out.item_biases_,
                         FrozenArray<float>::FromSnapshot(snapshot, "item_biases"));
  return out;
}

void SubtractBaseline(const RatingBaseline& baseline, RatingMatrix& ratings, ThreadPool& pool) {
  SparseMatrix& by_user = ratings.by_user;
  std::vector<std::vector<ItemValue>> rows(pool.thread_count());
  pool.ParallelFor(by_user.row_count(), kRowsPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     std::vector<ItemValue>& row = rows[worker];
                     for (std::size_t user = begin; user < end; ++user) {
                       row.clear();
                       const std::uint64_t first = by_user.row_begin[user];
                       const std::uint64_t last = by_user.row_begin[user + 1];
                       for (std::uint64_t at = first; at < last; ++at) {
                         row.push_back({by_user.columns[at], by_user.values[at]});
                       }
                       const float bias = baseline.UserBias(row);
                       for (std::uint64_t at = first; at < last; ++at) {
                         by_user.values[at] -= baseline.Predict(bias, by_user.columns[at]);
                       }
                     }
                   });
  ratings.by_item = Transposed(by_user, pool);
}

}  // namespace poise
