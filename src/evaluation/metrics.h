// SPDX-License-Identifier: Apache-2.0
//
// Metrics: how far predicted stars are off, and how high what a user wanted next was ranked; each
// with its standard error.
//
// Equal scores are handled as if their order were drawn by lot: every ranking metric is the exact
// expectation over all orders of the tied items, so a model gains nothing by answering with
// constants and a figure does not hang on the order of a file.
//
// Shapes   A user has C candidates (items that may be ranked) of which T are relevant (held out).
// Units    mse, rmse, mae: stars, lower is better; recall, precision, ndcg, hr, mrr: [0, 1], higher
//          is better; coverage: share of the catalog that anybody is shown; novelty: bits; gini: 0
//          all items are shown equally often, 1 one item is all that is shown
// Errors   kInvalidArgument: unknown name (lists the known ones), cut-off not in [1, 10000], or
//          none where one is needed.
// Threads  Pure functions.
// Cost     RankOf... : O(C) a relevant item, or O(C log C) for many.
// Source   NDCG: Jarvelin and Kekalainen 2002, binary gains, ideal cut at min(k, T). Recall@k is
//          hits / T, not / min(k, T). docs/math/evaluation.md
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

enum class MetricKind {
  kMse,
  kRmse,
  kMae,
  kRecall,
  kPrecision,
  kNdcg,
  kHitRate,
  kMrr,
  kCoverage,
  kNovelty,
  kGini,
};

struct Metric {
  MetricKind kind = MetricKind::kMse;
  std::size_t cut_off = 0;  // k; 0: the whole ranking
};

// Reads "ndcg@10".
Result<Metric> ParseMetric(std::string_view text);
std::string MetricName(const Metric& metric);
bool IsRatingMetric(const Metric& metric);
// True for what is measured over all users' lists together: coverage, gini.
bool IsListMetric(const Metric& metric);

struct Estimate {
  double value = 0;
  double standard_error = 0;
};

// The mean of `values` and its standard error. Requires at least one.
Estimate MeanOf(std::span<const double> values);

// mse, rmse or mae of the errors (predicted - true). Requires at least one.
Estimate RatingMetricOf(const Metric& metric, std::span<const double> errors);

// Where a tie group that holds relevant items stands in a user's ranking.
struct TieGroup {
  std::size_t better_count = 0;    // candidates above the group
  std::size_t size = 0;            // candidates in the group
  std::size_t relevant_count = 0;  // of those
};

// The groups that hold relevant items, best first. scores [I], minus infinity: not a candidate;
// `relevant` holds distinct rows of candidates; NaN ranks below everything.
std::vector<TieGroup> RankRelevant(std::span<const float> scores,
                                   std::span<const std::uint32_t> relevant);

// recall, precision, ndcg, hr or mrr of one user's ranking, in expectation over the ties.
double RankingMetricOf(const Metric& metric, std::span<const TieGroup> groups,
                       std::size_t relevant_total);

// How evenly counts are spread: sum_i (2 i - n - 1) c_i / (n sum c), counts ascending.
double Gini(std::vector<std::uint64_t> counts);

}  // namespace poise
