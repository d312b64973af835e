// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/rng.h"
#include "features/preferences.h"
#include "features/training_view.h"

namespace poise {
namespace {

using ::testing::ElementsAre;

Interaction On(std::uint32_t item, std::uint32_t time_s, EventType type = EventType::kView,
               float value = 1) {
  return {static_cast<ItemRow>(item), time_s, value, type};
}

TrainingView RandomView(std::uint64_t seed, std::size_t users, std::size_t items,
                        std::size_t count) {
  Rng rng(seed);
  TrainingViewBuilder builder;
  for (std::size_t n = 0; n < count; ++n) {
    const auto user = static_cast<UserRow>(rng.Below(users));
    const auto item = static_cast<std::uint32_t>(rng.Below(items));
    const auto type = static_cast<EventType>(rng.Below(kEventTypeCount));
    builder.Add(user, On(item, static_cast<std::uint32_t>(rng.Below(100)), type,
                         static_cast<float>(1 + rng.Below(5))));
  }
  return builder.Build(Timestamp::FromSeconds(100), users, items);
}

TEST(TrainingView, KeepsEachUsersInteractionsOldestFirstAndTiesInTheOrderOfAdding) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{1}, On(7, 20));
  builder.Add(UserRow{0}, On(1, 50));
  builder.Add(UserRow{1}, On(8, 10));
  builder.Add(UserRow{1}, On(9, 20));
  const TrainingView view = builder.Build(Timestamp::FromSeconds(60), 0, 0);
  ASSERT_EQ(view.user_count(), 2U);
  EXPECT_EQ(view.item_count, 10U);
  EXPECT_EQ(view.as_of, Timestamp::FromSeconds(60));
  const auto history = view.OfUser(UserRow{1});
  ASSERT_EQ(history.size(), 3U);
  EXPECT_EQ(Index(history[0].item), 8U);
  EXPECT_EQ(Index(history[1].item), 7U);
  EXPECT_EQ(Index(history[2].item), 9U);
}

TEST(TrainingView, HasAtLeastTheCountsThatWereAskedFor) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{2}, On(3, 1));
  const TrainingView view = builder.Build(Timestamp{}, 5, 9);
  EXPECT_EQ(view.user_count(), 5U);
  EXPECT_EQ(view.item_count, 9U);
  EXPECT_TRUE(view.OfUser(UserRow{4}).empty());
}

TEST(TrainingView, OfNothingIsEmptyAndTheBuilderStartsAnew) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, On(0, 1));
  EXPECT_EQ(builder.Build(Timestamp{}, 0, 0).interactions.size(), 1U);
  const TrainingView view = builder.Build(Timestamp{}, 0, 0);
  EXPECT_EQ(view.user_count(), 0U);
  EXPECT_EQ(view.interactions.size(), 0U);
}

TEST(Saturation, GrowsByOneForEachDoublingAndIgnoresNonsense) {
  EXPECT_FLOAT_EQ(Saturation(1), 1);
  EXPECT_FLOAT_EQ(Saturation(2), 2);
  EXPECT_FLOAT_EQ(Saturation(8), 4);
  EXPECT_FLOAT_EQ(Saturation(0.5F), 0.5F);
  EXPECT_FLOAT_EQ(Saturation(0), 0);
  EXPECT_FLOAT_EQ(Saturation(-3), 0);
  EXPECT_FLOAT_EQ(Saturation(std::numeric_limits<float>::quiet_NaN()), 0);
}

TEST(AggregateHistory, AddsUpTheEventsOfAnItemAndTakesReturnsBack) {
  const EventWeights weights;
  const std::vector<Interaction> history = {
      On(5, 1, EventType::kView),        On(2, 2, EventType::kPurchase, 4),
      On(5, 3, EventType::kCart),        On(2, 4, EventType::kReturn, 2),
      On(9, 5, EventType::kPurchase, 2), On(9, 6, EventType::kReturn, 2)};
  std::vector<ItemValue> out = {{1, 1}};
  AggregateHistory(history, weights, out);
  ASSERT_EQ(out.size(), 2U) << "item 9 was returned whole";
  EXPECT_EQ(out[0].item, 2U);
  EXPECT_FLOAT_EQ(out[0].value, 3 * 3 - 3 * 2);  // 1 + log2(4) bought, 1 + log2(2) returned
  EXPECT_EQ(out[1].item, 5U);
  EXPECT_FLOAT_EQ(out[1].value, 0.3F + 2);
}

TEST(AggregateHistory, CountsARatingOnceWhateverItsStars) {
  const std::vector<Interaction> history = {On(1, 1, EventType::kRating, 5),
                                            On(2, 1, EventType::kRating, 0)};
  std::vector<ItemValue> out;
  AggregateHistory(history, EventWeights{}, out);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].value, out[1].value);
}

TEST(LastRatingsOf, KeepsTheLastStarsOfEachItem) {
  const std::vector<Interaction> history = {
      On(4, 1, EventType::kRating, 2), On(1, 2, EventType::kRating, 3), On(4, 3, EventType::kView),
      On(4, 4, EventType::kRating, 5), On(0, 5, EventType::kPurchase)};
  std::vector<ItemValue> out;
  LastRatingsOf(history, out);
  ASSERT_EQ(out.size(), 2U);
  EXPECT_EQ(out[0].item, 1U);
  EXPECT_FLOAT_EQ(out[0].value, 3);
  EXPECT_EQ(out[1].item, 4U);
  EXPECT_FLOAT_EQ(out[1].value, 5);
}

TEST(AggregatePreferences, EqualsAnObviousSumForAnyNumberOfThreads) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  const TrainingView view = RandomView(kSeed, 1500, 40, 30000);
  const EventWeights weights;
  std::vector<std::map<std::uint32_t, double>> twin(view.user_count());
  for (std::uint32_t user = 0; user < view.user_count(); ++user) {
    for (const Interaction& event : view.OfUser(UserRow{user})) {
      const double quantity =
          event.type == EventType::kRating ? 1 : 1 + std::log2(static_cast<double>(event.value));
      twin[user][Index(event.item)] += weights[event.type] * quantity;
    }
    std::erase_if(twin[user], [](const auto& entry) { return entry.second <= 1e-6; });
  }
  ThreadPool one(1);
  ThreadPool three(3);
  const PreferenceMatrix matrix = AggregatePreferences(view, weights, three);
  ASSERT_EQ(matrix.by_user.row_count(), view.user_count());
  for (std::uint32_t user = 0; user < view.user_count(); ++user) {
    const auto columns = matrix.by_user.ColumnsOf(user);
    const auto values = matrix.by_user.ValuesOf(user);
    std::map<std::uint32_t, double> row;
    for (std::size_t n = 0; n < columns.size(); ++n) {
      EXPECT_GT(values[n], 0);
      if (values[n] > 1e-6) row[columns[n]] = values[n];
    }
    ASSERT_EQ(row.size(), twin[user].size()) << user;
    for (const auto& [item, weight] : twin[user]) EXPECT_NEAR(row[item], weight, 1e-4);
  }
  const PreferenceMatrix again = AggregatePreferences(view, weights, one);
  EXPECT_EQ(matrix.by_user.columns, again.by_user.columns);
  EXPECT_EQ(matrix.by_user.values, again.by_user.values);
  EXPECT_EQ(matrix.by_item.columns, again.by_item.columns);
  EXPECT_EQ(matrix.by_item.values, again.by_item.values);
}

TEST(Transposed, TurnsEveryEntryAndTwiceGivesTheMatrixBack) {
  constexpr std::uint64_t kSeed = 12;
  SCOPED_TRACE(kSeed);
  ThreadPool pool(2);
  const SparseMatrix matrix = LastRatings(RandomView(kSeed, 700, 90, 9000), pool).by_user;
  ASSERT_GT(matrix.entry_count(), 500U);
  const SparseMatrix turned = Transposed(matrix, pool);
  ASSERT_EQ(turned.row_count(), 90U);
  ASSERT_EQ(turned.column_count, 700U);
  std::map<std::pair<std::uint32_t, std::uint32_t>, float> entries;
  for (std::uint32_t row = 0; row < matrix.row_count(); ++row) {
    for (std::size_t n = 0; n < matrix.ColumnsOf(row).size(); ++n) {
      entries[{matrix.ColumnsOf(row)[n], row}] = matrix.ValuesOf(row)[n];
    }
  }
  std::size_t seen = 0;
  for (std::uint32_t row = 0; row < turned.row_count(); ++row) {
    const auto columns = turned.ColumnsOf(row);
    EXPECT_TRUE(std::is_sorted(columns.begin(), columns.end()));
    for (std::size_t n = 0; n < columns.size(); ++n, ++seen) {
      EXPECT_EQ((entries[{row, columns[n]}]), turned.ValuesOf(row)[n]);
    }
  }
  EXPECT_EQ(seen, entries.size());
  const SparseMatrix back = Transposed(turned, pool);
  EXPECT_EQ(back.row_begin, matrix.row_begin);
  EXPECT_EQ(back.columns, matrix.columns);
  EXPECT_EQ(back.values, matrix.values);
}

TEST(Transposed, OfNothingHasARowForEachColumn) {
  ThreadPool pool(2);
  SparseMatrix matrix;
  matrix.column_count = 3;
  const SparseMatrix turned = Transposed(matrix, pool);
  EXPECT_EQ(turned.row_count(), 3U);
  EXPECT_THAT(turned.row_begin, ElementsAre(0, 0, 0, 0));
  EXPECT_EQ(turned.column_count, 0U);
}

}  // namespace
}  // namespace poise
