// SPDX-License-Identifier: Apache-2.0
#include "engine/trends.h"

#include <gtest/gtest.h>

#include <cmath>

namespace poise {
namespace {

constexpr double kHalfLife = 100;

TEST(Trends, AnEventHalfALifeOldCountsHalf) {
  EventWeights weights;
  weights.by_type.fill(1);
  Trends trends(weights, kHalfLife);
  trends.Add(ItemRow{0}, EventType::kClick, 1000);
  trends.Add(ItemRow{2}, EventType::kClick, 1100);
  const auto top = trends.Top(10, 1100);
  ASSERT_EQ(top.size(), 2U);
  EXPECT_EQ(top[0].item, ItemRow{2});
  EXPECT_FLOAT_EQ(top[0].score, 1.0F);
  EXPECT_FLOAT_EQ(top[1].score, 0.5F);
}

// The slow obvious twin: sum every event's decayed weight.
TEST(Trends, OrderOfArrivalDoesNotMatter) {
  EventWeights weights;
  const std::uint32_t times[] = {500, 100, 900, 900, 300};
  Trends trends(weights, kHalfLife);
  double expected = 0;
  for (const std::uint32_t time : times) {
    trends.Add(ItemRow{1}, EventType::kPurchase, time);
    expected += weights[EventType::kPurchase] * std::exp2(-(900.0 - time) / kHalfLife);
  }
  EXPECT_NEAR(trends.Top(1, 900)[0].score, expected, 1e-4);
}

TEST(Trends, WhatHardlyMovesBesideTheNewestIsLeftOut) {
  Trends trends(EventWeights{}, kHalfLife);
  trends.Add(ItemRow{0}, EventType::kClick, 1000);
  trends.Add(ItemRow{1}, EventType::kClick, 1000 + 50 * static_cast<std::uint32_t>(kHalfLife));
  const auto top = trends.Top(10, 1'000'000);
  ASSERT_EQ(top.size(), 1U);
  EXPECT_EQ(top[0].item, ItemRow{1});
}

TEST(Trends, AShopThatRestsKeepsItsTrends) {
  Trends trends(EventWeights{}, kHalfLife);
  trends.Add(ItemRow{0}, EventType::kClick, 1000);
  EXPECT_EQ(trends.Top(10, 4'000'000'000).size(), 1U);
}

}  // namespace
}  // namespace poise
