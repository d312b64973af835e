// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace poise {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, CountersLoseNothingWhenManyThreadsCount) {
  MetricsRegistry metrics;
  Counter& counter = metrics.GetCounter("poise_things_total", "Things.");
  Histogram& histogram =
      metrics.GetHistogram("poise_wait_seconds", "Waits.", LatencyBoundsSeconds());
  Gauge& gauge = metrics.GetGauge("poise_open", "Open.");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        counter.Increment(2);
        histogram.Observe(0.5);
        gauge.Add(i % 2 == 0 ? 1 : -1);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(counter.Value(), 40'000U);
  EXPECT_EQ(histogram.Read().cumulative.back(), 20'000U);
  EXPECT_EQ(histogram.Read().sum, 10'000.0);
  EXPECT_EQ(gauge.Value(), 0.0);
}

TEST(Metrics, EqualNameAndLabelsAreOneMetric) {
  MetricsRegistry metrics;
  Counter& first = metrics.GetCounter("a_total", "A.", {{"route", "x"}});
  EXPECT_EQ(&first, &metrics.GetCounter("a_total", "A.", {{"route", "x"}}));
  EXPECT_NE(&first, &metrics.GetCounter("a_total", "A.", {{"route", "y"}}));
}

TEST(Metrics, AValueOnABoundCountsAtTheBound) {
  const std::vector<double> bounds = {1, 2};
  Histogram histogram(bounds);
  for (const double value : {0.5, 1.0, 1.5, 2.0, 3.0}) histogram.Observe(value);
  EXPECT_EQ(histogram.Read().cumulative, (std::vector<std::uint64_t>{2, 4, 5}));
  EXPECT_EQ(histogram.Read().sum, 8.0);
}

TEST(Metrics, TextIsPrometheusFormatWithEscapedLabels) {
  MetricsRegistry metrics;
  metrics.GetCounter("b_total", "Bs\nof all.", {{"who", "a\"b\\c\nd"}}).Increment(3);
  metrics.GetGauge("a_open", "Open.").Set(2.5);
  const std::vector<double> bounds = {0.5, 1};
  metrics.GetHistogram("c_seconds", "Cs.", bounds, {{"r", "x"}}).Observe(0.7);
  EXPECT_EQ(metrics.Text(),
            "# HELP a_open Open.\n# TYPE a_open gauge\na_open 2.5\n"
            "# HELP b_total Bs\\nof all.\n# TYPE b_total counter\n"
            "b_total{who=\"a\\\"b\\\\c\\nd\"} 3\n"
            "# HELP c_seconds Cs.\n# TYPE c_seconds histogram\n"
            "c_seconds_bucket{r=\"x\",le=\"0.5\"} 0\n"
            "c_seconds_bucket{r=\"x\",le=\"1\"} 1\n"
            "c_seconds_bucket{r=\"x\",le=\"+Inf\"} 1\n"
            "c_seconds_sum{r=\"x\"} 0.7\nc_seconds_count{r=\"x\"} 1\n");
}

TEST(MetricsDeathTest, ANameOfTwoKindsIsABug) {
  MetricsRegistry metrics;
  metrics.GetCounter("a_total", "A.");
  EXPECT_DEATH(metrics.GetGauge("a_total", "A."), "");
  EXPECT_DEATH(metrics.GetGauge("1a", "A."), "");
}

}  // namespace
}  // namespace poise
