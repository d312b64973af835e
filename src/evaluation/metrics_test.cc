// SPDX-License-Identifier: Apache-2.0
#include "evaluation/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/rng.h"

namespace poise {
namespace {

constexpr float kOut = -std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double Value(MetricKind kind, std::size_t cut_off, const std::vector<float>& scores,
             const std::vector<std::uint32_t>& relevant) {
  return RankingMetricOf({kind, cut_off}, RankRelevant(scores, relevant), relevant.size());
}

TEST(Metrics, AreReadByNameAndPrintedAsTheyWereRead) {
  for (const char* name : {"mse", "rmse", "mae", "recall@20", "precision@5", "ndcg@10", "hr@10",
                           "mrr", "mrr@10", "coverage@10", "novelty@10", "gini@10"}) {
    const auto metric = ParseMetric(name);
    ASSERT_TRUE(metric.ok()) << metric.status().ToString();
    EXPECT_EQ(MetricName(*metric), name);
  }
}

TEST(Metrics, RefuseWhatTheyDoNotKnowAndSayWhatTheyKnow) {
  for (const char* name : {"", "auc", "ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@x", "ndcg@99999",
                           "mse@5", "NDCG@10"}) {
    const auto metric = ParseMetric(name);
    EXPECT_FALSE(metric.ok()) << name;
    EXPECT_EQ(metric.status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_NE(ParseMetric("auc").status().message().find("ndcg@10"), std::string::npos);
}

TEST(RatingMetrics, FollowTheirDefinitions) {
  // Errors 1, -1, 2: squares 1, 1, 4, mean 2, variance ((1)^2 + (1)^2 + (2)^2) / 2 = 3, so the
  // standard error of mse is sqrt(3 / 3) = 1. Absolute 1, 1, 2: mean 4/3, variance 1/3, standard
  // error 1/3. rmse is sqrt(2), its standard error 1 / (2 sqrt(2)).
  const std::vector<double> errors = {1, -1, 2};
  const Estimate mse = RatingMetricOf({MetricKind::kMse, 0}, errors);
  EXPECT_DOUBLE_EQ(mse.value, 2);
  EXPECT_DOUBLE_EQ(mse.standard_error, 1);
  const Estimate mae = RatingMetricOf({MetricKind::kMae, 0}, errors);
  EXPECT_DOUBLE_EQ(mae.value, 4.0 / 3);
  EXPECT_NEAR(mae.standard_error, 1.0 / 3, 1e-12);
  const Estimate rmse = RatingMetricOf({MetricKind::kRmse, 0}, errors);
  EXPECT_DOUBLE_EQ(rmse.value, std::sqrt(2.0));
  EXPECT_NEAR(rmse.standard_error, 1 / (2 * std::sqrt(2.0)), 1e-12);
}

TEST(RatingMetrics, OfOneRatingHaveNoStandardError) {
  const std::vector<double> errors = {0.5};
  EXPECT_DOUBLE_EQ(RatingMetricOf({MetricKind::kMse, 0}, errors).value, 0.25);
  EXPECT_EQ(RatingMetricOf({MetricKind::kMse, 0}, errors).standard_error, 0);
  const std::vector<double> exact = {0, 0};
  EXPECT_EQ(RatingMetricOf({MetricKind::kRmse, 0}, exact).standard_error, 0);
}

TEST(RankingMetrics, FollowTheirDefinitionsWithoutTies) {
  // Ranking: 2, 0, 4, 1, 3. Relevant: 0 (rank 2), 3 (rank 5).
  const std::vector<float> scores = {0.8F, 0.3F, 0.9F, 0.1F, 0.5F};
  const std::vector<std::uint32_t> relevant = {0, 3};
  EXPECT_DOUBLE_EQ(Value(MetricKind::kRecall, 1, scores, relevant), 0);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kRecall, 2, scores, relevant), 0.5);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kRecall, 5, scores, relevant), 1);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kPrecision, 4, scores, relevant), 0.25);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kHitRate, 1, scores, relevant), 0);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kHitRate, 2, scores, relevant), 1);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kMrr, 0, scores, relevant), 0.5);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kMrr, 1, scores, relevant), 0);
  // DCG@5 = 1/log2(3) + 1/log2(6); the ideal has ranks 1 and 2: 1 + 1/log2(3).
  const double ideal = 1 + 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kNdcg, 5, scores, relevant),
                   (1 / std::log2(3.0) + 1 / std::log2(6.0)) / ideal);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kNdcg, 3, scores, relevant), 1 / std::log2(3.0) / ideal);
  // Cut at 1 the ideal has one item.
  EXPECT_DOUBLE_EQ(Value(MetricKind::kNdcg, 1, {0.1F, 0.9F}, {0, 1}), 1);
}

TEST(RankingMetrics, TakeTheExpectationOverTies) {
  // Item 0 is best; 1, 2, 3 are tied on ranks 2 to 4; 1 is relevant.
  const std::vector<float> scores = {0.9F, 0.5F, 0.5F, 0.5F, 0.1F};
  const std::vector<std::uint32_t> relevant = {1};
  EXPECT_NEAR(Value(MetricKind::kRecall, 2, scores, relevant), 1.0 / 3, 1e-12);
  EXPECT_NEAR(Value(MetricKind::kHitRate, 3, scores, relevant), 2.0 / 3, 1e-12);
  EXPECT_NEAR(Value(MetricKind::kMrr, 0, scores, relevant), (1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 3,
              1e-12);
  EXPECT_NEAR(Value(MetricKind::kNdcg, 3, scores, relevant),
              (1 / std::log2(3.0) + 1 / std::log2(4.0)) / 3, 1e-12);
  // Two of three tied are relevant: the first is among ranks 2 and 3 with chances 2/3 and 1/3.
  EXPECT_NEAR(Value(MetricKind::kMrr, 0, scores, {1, 2}), 2.0 / 3 / 2 + 1.0 / 3 / 3, 1e-12);
  EXPECT_NEAR(Value(MetricKind::kHitRate, 2, scores, {1, 2}), 2.0 / 3, 1e-12);
}

TEST(RankingMetrics, GiveAConstantModelNoMoreThanChance) {
  const std::vector<float> scores(100, 1.0F);
  EXPECT_NEAR(Value(MetricKind::kRecall, 10, scores, {3}), 0.1, 1e-12);
  EXPECT_NEAR(Value(MetricKind::kHitRate, 10, scores, {3}), 0.1, 1e-12);
}

TEST(RankingMetrics, LeaveOutWhatIsNoCandidateAndPutNanLast) {
  EXPECT_DOUBLE_EQ(Value(MetricKind::kMrr, 0, {kOut, kOut, 0.1F}, {2}), 1);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kMrr, 0, {kNan, 0.2F, 0.1F}, {0}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(Value(MetricKind::kMrr, 0, {kNan, 0.2F, 0.1F}, {1}), 1);
}

// All orders of the tied items, one by one.
double ByEnumeration(const Metric& metric, const std::vector<float>& scores,
                     const std::vector<std::uint32_t>& relevant) {
  std::vector<std::uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0U);
  double sum = 0;
  double count = 0;
  do {
    if (!std::is_sorted(order.begin(), order.end(),
                        [&](std::uint32_t a, std::uint32_t b) { return scores[a] > scores[b]; })) {
      continue;
    }
    count += 1;
    const std::size_t cut_off = metric.cut_off == 0 ? order.size() : metric.cut_off;
    double hits = 0, gain = 0, ideal = 0, first = 0;
    for (std::size_t place = 0; place < std::min(cut_off, order.size()); ++place) {
      const double discount = 1 / std::log2(static_cast<double>(place) + 2);
      if (place < relevant.size()) ideal += discount;
      if (std::find(relevant.begin(), relevant.end(), order[place]) == relevant.end()) continue;
      if (hits == 0) first = 1 / static_cast<double>(place + 1);
      hits += 1;
      gain += discount;
    }
    switch (metric.kind) {
      case MetricKind::kRecall:
        sum += hits / static_cast<double>(relevant.size());
        break;
      case MetricKind::kPrecision:
        sum += hits / static_cast<double>(cut_off);
        break;
      case MetricKind::kNdcg:
        sum += gain / ideal;
        break;
      case MetricKind::kHitRate:
        sum += hits > 0 ? 1 : 0;
        break;
      default:
        sum += first;
        break;
    }
  } while (std::next_permutation(order.begin(), order.end()));
  return sum / count;
}

TEST(RankingMetrics, EqualTheMeanOverEveryOrderOfTheTied) {
  constexpr std::uint64_t kSeed = 77;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (int round = 0; round < 60; ++round) {
    std::vector<float> scores(6);
    for (float& score : scores) score = static_cast<float>(rng.Below(3));
    std::vector<std::uint32_t> relevant;
    for (std::uint32_t item = 0; item < scores.size(); ++item) {
      if (rng.Bernoulli(0.4)) relevant.push_back(item);
    }
    if (relevant.empty()) continue;
    for (const MetricKind kind : {MetricKind::kRecall, MetricKind::kPrecision, MetricKind::kNdcg,
                                  MetricKind::kHitRate, MetricKind::kMrr}) {
      for (std::size_t cut_off = 1; cut_off <= 6; ++cut_off) {
        EXPECT_NEAR(Value(kind, cut_off, scores, relevant),
                    ByEnumeration({kind, cut_off}, scores, relevant), 1e-9)
            << MetricName({kind, cut_off}) << " in round " << round;
      }
    }
  }
}

TEST(RankRelevant, CountsTheSameForFewAndForManyRelevantItems) {
  constexpr std::uint64_t kSeed = 78;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::vector<float> scores(500);
  for (float& score : scores) score = static_cast<float>(rng.Below(40));
  scores[3] = kNan;
  scores[4] = kOut;
  std::vector<std::uint32_t> many;
  for (std::uint32_t item = 5; item < 200; ++item) many.push_back(item);
  many.push_back(3);
  for (const TieGroup& group : RankRelevant(scores, many)) {
    // One of the group alone takes the other path; it must stand in the same place.
    const auto member = std::find_if(many.begin(), many.end(), [&](std::uint32_t item) {
      const float score = scores[item];
      std::size_t better = 0;
      for (const float other : scores) {
        if (other == kOut || std::isnan(other)) continue;
        if (std::isnan(score) || other > score) ++better;
      }
      return better == group.better_count;
    });
    ASSERT_NE(member, many.end());
    const std::vector<TieGroup> alone = RankRelevant(scores, std::vector<std::uint32_t>{*member});
    ASSERT_EQ(alone.size(), 1U);
    EXPECT_EQ(alone[0].better_count, group.better_count);
    EXPECT_EQ(alone[0].size, group.size);
    EXPECT_EQ(alone[0].relevant_count, 1U);
  }
}

TEST(Gini, IsZeroForEvenCountsAndNearOneForASingleItem) {
  EXPECT_DOUBLE_EQ(Gini({3, 3, 3}), 0);
  EXPECT_DOUBLE_EQ(Gini({0, 0, 0, 8}), 0.75);  // (n - 1) / n
  // Counts 1, 3: (2 - 3) * 1 + (4 - 3) * 3 = 2, over 2 * 4.
  EXPECT_DOUBLE_EQ(Gini({3, 1}), 0.25);
  EXPECT_DOUBLE_EQ(Gini({0, 0}), 0);
}

}  // namespace
}  // namespace poise
