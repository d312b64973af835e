// SPDX-License-Identifier: Apache-2.0
#include "evaluation/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/parameter.h"

namespace poise {
namespace {

enum class CutOff { kNone, kOptional, kNeeded };

struct MetricRow {
  MetricKind kind;
  std::string_view name;
  CutOff cut_off;
};

constexpr std::array<MetricRow, 11> kMetrics = {{
    {MetricKind::kMse, "mse", CutOff::kNone},
    {MetricKind::kRmse, "rmse", CutOff::kNone},
    {MetricKind::kMae, "mae", CutOff::kNone},
    {MetricKind::kRecall, "recall", CutOff::kNeeded},
    {MetricKind::kPrecision, "precision", CutOff::kNeeded},
    {MetricKind::kNdcg, "ndcg", CutOff::kNeeded},
    {MetricKind::kHitRate, "hr", CutOff::kNeeded},
    {MetricKind::kMrr, "mrr", CutOff::kOptional},
    {MetricKind::kCoverage, "coverage", CutOff::kNeeded},
    {MetricKind::kNovelty, "novelty", CutOff::kNeeded},
    {MetricKind::kGini, "gini", CutOff::kNeeded},
}};

constexpr int kMaxCutOff = 10000;
// From here on one sort is cheaper than a pass over the scores for each relevant item.
constexpr std::size_t kManyRelevant = 32;

const MetricRow& RowOf(MetricKind kind) { return kMetrics[static_cast<std::size_t>(kind)]; }

double Discount(std::size_t rank) { return 1 / std::log2(static_cast<double>(rank) + 1); }

// Sum of the discounts of the ranks in (from, to].
double DiscountSum(std::size_t from, std::size_t to) {
  double sum = 0;
  for (std::size_t rank = from + 1; rank <= to; ++rank) sum += Discount(rank);
  return sum;
}

// How many of the group's places lie within the first `cut_off`.
std::size_t PlacesWithin(const TieGroup& group, std::size_t cut_off) {
  return group.better_count >= cut_off ? 0 : std::min(group.size, cut_off - group.better_count);
}

double ExpectedHits(std::span<const TieGroup> groups, std::size_t cut_off) {
  double hits = 0;
  for (const TieGroup& group : groups) {
    hits += static_cast<double>(group.relevant_count) *
            static_cast<double>(PlacesWithin(group, cut_off)) / static_cast<double>(group.size);
  }
  return hits;
}

double ExpectedDcg(std::span<const TieGroup> groups, std::size_t cut_off) {
  double gain = 0;
  for (const TieGroup& group : groups) {
    const std::size_t places = PlacesWithin(group, cut_off);
    gain += static_cast<double>(group.relevant_count) / static_cast<double>(group.size) *
            DiscountSum(group.better_count, group.better_count + places);
  }
  return gain;
}

// Only the best group decides: below it nothing can be first.
template <typename ValueOfRank>
double ExpectedAtFirstHit(const TieGroup& best, std::size_t cut_off, const ValueOfRank& value) {
  double expected = 0;
  double none_yet = 1;  // probability that the places so far held no relevant item
  const std::size_t places = PlacesWithin(best, cut_off);
  const std::size_t irrelevant_count = best.size - best.relevant_count;
  for (std::size_t place = 0; place < places; ++place) {
    const auto left = static_cast<double>(best.size - place);
    const double hit = static_cast<double>(best.relevant_count) / left;
    expected += none_yet * hit * value(best.better_count + place + 1);
    if (place >= irrelevant_count) break;
    none_yet *= static_cast<double>(irrelevant_count - place) / left;
  }
  return expected;
}

}  // namespace

Result<Metric> ParseMetric(std::string_view text) {
  const std::size_t at = text.find('@');
  const std::string_view name = text.substr(0, at);
  for (const MetricRow& row : kMetrics) {
    if (row.name != name) continue;
    Metric metric{row.kind, 0};
    if (at == std::string_view::npos) {
      if (row.cut_off == CutOff::kNeeded) {
        return InvalidArgument(fmt::format("metrics: {} needs a cut-off, e.g. {}@10", name, name));
      }
      return metric;
    }
    if (row.cut_off == CutOff::kNone) {
      return InvalidArgument(fmt::format("metrics: {} has no cut-off", name));
    }
    int cut_off = 0;
    POISE_RETURN_IF_ERROR(
        ParseInto(text.substr(at + 1), fmt::format("metrics: {}@", name), 1, kMaxCutOff, cut_off));
    metric.cut_off = static_cast<std::size_t>(cut_off);
    return metric;
  }
  std::vector<std::string> known;
  for (const MetricRow& row : kMetrics) {
    known.push_back(fmt::format("{}{}", row.name, row.cut_off == CutOff::kNeeded ? "@10" : ""));
  }
  return InvalidArgument(
      fmt::format("metrics: unknown \"{}\"; known: {}", text, fmt::join(known, ", ")));
}

std::string MetricName(const Metric& metric) {
  const std::string_view name = RowOf(metric.kind).name;
  return metric.cut_off == 0 ? std::string(name) : fmt::format("{}@{}", name, metric.cut_off);
}

bool IsRatingMetric(const Metric& metric) { return RowOf(metric.kind).cut_off == CutOff::kNone; }

bool IsListMetric(const Metric& metric) {
  return metric.kind == MetricKind::kCoverage || metric.kind == MetricKind::kGini;
}

Estimate MeanOf(std::span<const double> values) {
  POISE_CHECK(!values.empty());
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1) / count) : 0};
}

Estimate RatingMetricOf(const Metric& metric, std::span<const double> errors) {
  std::vector<double> losses(errors.begin(), errors.end());
  for (double& loss : losses) {
    loss = metric.kind == MetricKind::kMae ? std::abs(loss) : loss * loss;
  }
  Estimate estimate = MeanOf(losses);
  if (metric.kind == MetricKind::kRmse) {
    estimate.value = std::sqrt(estimate.value);
    // The delta method: d sqrt(x) = dx / (2 sqrt(x)).
    estimate.standard_error =
        estimate.value > 0 ? estimate.standard_error / (2 * estimate.value) : 0;
  }
  return estimate;
}

std::vector<TieGroup> RankRelevant(std::span<const float> scores,
                                   std::span<const std::uint32_t> relevant) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  std::vector<float> wanted;
  for (const std::uint32_t item : relevant) {
    POISE_CHECK(scores[item] != -std::numeric_limits<float>::infinity());
    wanted.push_back(std::isnan(scores[item]) ? kLowest : scores[item]);
  }
  std::sort(wanted.begin(), wanted.end(), std::greater<>());

  std::vector<float> sorted;
  if (wanted.size() > kManyRelevant) {
    for (const float score : scores) {
      if (score == -std::numeric_limits<float>::infinity()) continue;
      sorted.push_back(std::isnan(score) ? kLowest : score);
    }
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
  }
  std::vector<TieGroup> groups;
  for (std::size_t n = 0; n < wanted.size();) {
    const float score = wanted[n];
    TieGroup group;
    for (; n < wanted.size() && wanted[n] == score; ++n) ++group.relevant_count;
    if (!sorted.empty()) {
      const auto [first, last] =
          std::equal_range(sorted.begin(), sorted.end(), score, std::greater<>());
      group.better_count = static_cast<std::size_t>(first - sorted.begin());
      group.size = static_cast<std::size_t>(last - first);
    } else if (score == kLowest) {
      for (const float other : scores) {
        group.better_count += other > kLowest ? 1 : 0;
        group.size += std::isnan(other) || other == kLowest ? 1 : 0;
      }
    } else {
      for (const float other : scores) {
        group.better_count += other > score ? 1 : 0;
        group.size += other == score ? 1 : 0;
      }
    }
    groups.push_back(group);
  }
  return groups;
}

double RankingMetricOf(const Metric& metric, std::span<const TieGroup> groups,
                       std::size_t relevant_total) {
  POISE_CHECK(relevant_total > 0);
  if (groups.empty()) return 0;
  const std::size_t cut_off =
      metric.cut_off == 0 ? std::numeric_limits<std::size_t>::max() : metric.cut_off;
  switch (metric.kind) {
    case MetricKind::kRecall:
      return ExpectedHits(groups, cut_off) / static_cast<double>(relevant_total);
    case MetricKind::kPrecision:
      return ExpectedHits(groups, cut_off) / static_cast<double>(cut_off);
    case MetricKind::kNdcg:
      return ExpectedDcg(groups, cut_off) / DiscountSum(0, std::min(cut_off, relevant_total));
    case MetricKind::kHitRate:
      return ExpectedAtFirstHit(groups.front(), cut_off, [](std::size_t) { return 1.0; });
    case MetricKind::kMrr:
      return ExpectedAtFirstHit(groups.front(), cut_off,
                                [](std::size_t rank) { return 1.0 / static_cast<double>(rank); });
    default:
      break;
  }
  POISE_CHECK(false);
}

double Gini(std::vector<std::uint64_t> counts) {
  std::sort(counts.begin(), counts.end());
  const auto size = static_cast<double>(counts.size());
  double weighted = 0;
  double total = 0;
  for (std::size_t n = 0; n < counts.size(); ++n) {
    weighted += (2 * static_cast<double>(n + 1) - size - 1) * static_cast<double>(counts[n]);
    total += static_cast<double>(counts[n]);
  }
  return total > 0 ? weighted / (size * total) : 0;
}

}  // namespace poise
