// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "features/preferences.h"
#include "models/popularity/popularity.h"
#include "models/popularity/rating_baseline.h"
#include "models/popularity/trending.h"
#include "storage/fault_env.h"

namespace poise {
namespace {

constexpr std::uint32_t kNow = 1'700'000'000;
constexpr std::uint32_t kDay = 86400;

Interaction On(std::uint32_t item, EventType type, float value = 1, std::uint32_t time_s = kNow) {
  return {ItemRow{item}, time_s, value, type};
}

std::vector<float> ScoresOf(const Result<std::unique_ptr<const Trainer>>& trainer,
                            const TrainingView& view, const UserView& user = {}) {
  EXPECT_TRUE(trainer.ok()) << trainer.status().ToString();
  if (!trainer.ok()) return {};
  ThreadPool pool(2);
  const auto model = (*trainer)->Train(view, {.pool = pool});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  if (!model.ok()) return {};
  std::vector<float> scores((*model)->ItemCount());
  EXPECT_TRUE((*model)->ScoreAll(user, scores).ok());
  return scores;
}

TEST(Popularity, CountsUsersNotEventsAndForgetsWhatWasReturned) {
  TrainingViewBuilder builder;
  for (int n = 0; n < 50; ++n) builder.Add(UserRow{0}, On(0, EventType::kView));
  builder.Add(UserRow{1}, On(1, EventType::kView));
  builder.Add(UserRow{2}, On(1, EventType::kPurchase));
  builder.Add(UserRow{3}, On(2, EventType::kPurchase));
  builder.Add(UserRow{3}, On(2, EventType::kReturn));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 4);
  EXPECT_EQ(ScoresOf(MakePopularityTrainer({}, Task::kRanking), view),
            (std::vector<float>{1, 2, 0, 0}));
}

TEST(Popularity, CanRankByWeightInstead) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, On(0, EventType::kPurchase));
  builder.Add(UserRow{1}, On(1, EventType::kView));
  builder.Add(UserRow{2}, On(1, EventType::kView));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 0);
  const std::vector<float> scores =
      ScoresOf(MakePopularityTrainer({{"weighted", "true"}}, Task::kRanking), view);
  EXPECT_FLOAT_EQ(scores[0], 3);
  EXPECT_FLOAT_EQ(scores[1], 0.6F);
}

TEST(Popularity, PredictsTheMeanOfAnItemForAStranger) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, On(0, EventType::kRating, 5));
  builder.Add(UserRow{1}, On(0, EventType::kRating, 4));
  builder.Add(UserRow{2}, On(1, EventType::kRating, 2));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 0);
  // A million ratings of damping leave the users no bias: an item has its plain mean.
  const std::vector<float> scores = ScoresOf(
      MakePopularityTrainer({{"item-damping", "0"}, {"user-damping", "1e6"}}, Task::kRating), view);
  EXPECT_NEAR(scores[0], 4.5, 1e-4);
  EXPECT_NEAR(scores[1], 2, 1e-4);
}

// The baseline minimises squares: at its optimum no bias can be moved to make them fewer.
TEST(RatingBaseline, IsAtTheOptimumOfItsDampedSquares) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  TrainingViewBuilder builder;
  for (int n = 0; n < 3000; ++n) {
    const auto user = static_cast<std::uint32_t>(rng.Below(80));
    const auto item = static_cast<std::uint32_t>(rng.Below(50));
    builder.Add(UserRow{user}, On(item, EventType::kRating,
                                  static_cast<float>(1 + (user + item + rng.Below(3)) % 5)));
  }
  ThreadPool pool(2);
  const RatingMatrix ratings = LastRatings(builder.Build(Timestamp::FromSeconds(kNow), 0, 0), pool);
  const BaselineOptions options;
  const RatingBaseline baseline = RatingBaseline::Fit(ratings, options, pool);
  for (std::size_t item = 0; item < ratings.by_item.row_count(); ++item) {
    double gradient = -options.item_damping * baseline.ItemBias(item);
    const auto users = ratings.by_item.ColumnsOf(item);
    for (std::size_t n = 0; n < users.size(); ++n) {
      std::vector<ItemValue> row;
      for (std::size_t m = 0; m < ratings.by_user.ColumnsOf(users[n]).size(); ++m) {
        row.push_back(
            {ratings.by_user.ColumnsOf(users[n])[m], ratings.by_user.ValuesOf(users[n])[m]});
      }
      gradient +=
          ratings.by_item.ValuesOf(item)[n] - baseline.Predict(baseline.UserBias(row), item);
    }
    EXPECT_NEAR(gradient, 0, 1e-2) << item;
  }
}

TEST(RatingBaseline, LeavesResidualsThatAddUpWithItAgain) {
  TrainingViewBuilder builder;
  for (std::uint32_t n = 0; n < 40; ++n) {
    builder.Add(UserRow{n % 7}, On(n % 9, EventType::kRating, static_cast<float>(1 + n % 5)));
  }
  ThreadPool pool(2);
  const RatingMatrix ratings = LastRatings(builder.Build(Timestamp::FromSeconds(kNow), 0, 0), pool);
  const RatingBaseline baseline = RatingBaseline::Fit(ratings, {}, pool);
  RatingMatrix residuals = ratings;
  SubtractBaseline(baseline, residuals, pool);
  for (std::size_t user = 0; user < ratings.by_user.row_count(); ++user) {
    std::vector<ItemValue> row;
    const auto items = ratings.by_user.ColumnsOf(user);
    for (std::size_t n = 0; n < items.size(); ++n) {
      row.push_back({items[n], ratings.by_user.ValuesOf(user)[n]});
    }
    const float bias = baseline.UserBias(row);
    for (std::size_t n = 0; n < items.size(); ++n) {
      EXPECT_NEAR(residuals.by_user.ValuesOf(user)[n] + baseline.Predict(bias, items[n]),
                  row[n].value, 1e-5);
    }
  }
  EXPECT_EQ(residuals.by_item.columns, ratings.by_item.columns);
}

TEST(Trending, HalvesAnEventEachHalfLife) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, On(0, EventType::kFavourite, 1, kNow - 14 * kDay));
  builder.Add(UserRow{1}, On(1, EventType::kClick, 1, kNow - 7 * kDay));
  builder.Add(UserRow{2}, On(2, EventType::kClick, 1, kNow));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 4);
  const std::vector<float> scores =
      ScoresOf(MakeTrendingTrainer({{"half-life", "7"}}, Task::kRanking), view);
  EXPECT_FLOAT_EQ(scores[0], 1.5F / 4);
  EXPECT_FLOAT_EQ(scores[1], 0.5F / 2);
  EXPECT_FLOAT_EQ(scores[2], 0.5F);
  EXPECT_FLOAT_EQ(scores[3], 0);
}

TEST(Trending, IsNotMadeByOneBusyUser) {
  TrainingViewBuilder builder;
  for (int n = 0; n < 1000; ++n) builder.Add(UserRow{0}, On(0, EventType::kView));
  for (std::uint32_t user = 1; user <= 40; ++user) {
    builder.Add(UserRow{user}, On(1, EventType::kView));
  }
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 0);
  const std::vector<float> scores = ScoresOf(MakeTrendingTrainer({}, Task::kRanking), view);
  EXPECT_LT(scores[0], scores[1]);  // 1 + log2(300) against 40 x 0.3
}

TEST(Trending, TakesEventsFromAfterItsTimeAsNew) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, On(0, EventType::kClick, 1, kNow + 30 * kDay));
  builder.Add(UserRow{0}, On(1, EventType::kClick, 1, kNow));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kNow), 0, 0);
  const std::vector<float> scores = ScoresOf(MakeTrendingTrainer({}, Task::kRanking), view);
  EXPECT_FLOAT_EQ(scores[0], scores[1]);
}

TEST(Trending, RefusesAHalfLifeOfNothing) {
  const auto trainer = MakeTrendingTrainer({{"half-life", "0"}}, Task::kRanking);
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(trainer.status().message().find("half-life"), std::string::npos);
}

}  // namespace
}  // namespace poise
