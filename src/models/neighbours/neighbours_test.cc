// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "features/preferences.h"
#include "models/neighbours/dense_row.h"
#include "models/neighbours/item_knn.h"
#include "models/neighbours/similarity.h"
#include "models/neighbours/user_knn.h"
#include "models/popularity/rating_baseline.h"

namespace poise {
namespace {

constexpr std::uint32_t kNow = 1'700'000'000;
constexpr std::uint64_t kSeed = 31;
constexpr std::size_t kUsers = 90;
constexpr std::size_t kItems = 35;

using Dense = std::vector<std::vector<double>>;
using Model = std::unique_ptr<const InterestModel>;

TrainingView RandomRatings(std::uint64_t seed, std::size_t count) {
  Rng rng(seed);
  TrainingViewBuilder builder;
  for (std::size_t n = 0; n < count; ++n) {
    const auto user = static_cast<std::uint32_t>(rng.Below(kUsers));
    const auto item = static_cast<std::uint32_t>(rng.Below(kItems));
    builder.Add(UserRow{user},
                {ItemRow{item}, kNow + static_cast<std::uint32_t>(n),
                 static_cast<float>(1 + (user * item + rng.Below(3)) % 5), EventType::kRating});
  }
  return builder.Build(Timestamp::FromSeconds(kNow), kUsers, kItems);
}

TrainingView RandomClicks(std::uint64_t seed, std::size_t count) {
  Rng rng(seed);
  TrainingViewBuilder builder;
  for (std::size_t n = 0; n < count; ++n) {
    builder.Add(static_cast<UserRow>(rng.Below(kUsers)),
                {static_cast<ItemRow>(std::min(rng.Below(kItems), rng.Below(kItems))),
                 kNow + static_cast<std::uint32_t>(n), static_cast<float>(1 + rng.Below(4)),
                 rng.Bernoulli(0.5) ? EventType::kView : EventType::kPurchase});
  }
  return builder.Build(Timestamp::FromSeconds(kNow), kUsers, kItems);
}

// 0 stands for "nothing": true of preferences, and of residuals never exactly hit.
Dense ToDense(const SparseMatrix& matrix) {
  Dense out(matrix.row_count(), std::vector<double>(matrix.column_count, 0));
  for (std::size_t row = 0; row < matrix.row_count(); ++row) {
    for (std::size_t n = 0; n < matrix.ColumnsOf(row).size(); ++n) {
      out[row][matrix.ColumnsOf(row)[n]] = matrix.ValuesOf(row)[n];
    }
  }
  return out;
}

std::vector<ItemValue> RowOf(const SparseMatrix& matrix, std::size_t row) {
  std::vector<ItemValue> out;
  for (std::size_t n = 0; n < matrix.ColumnsOf(row).size(); ++n) {
    out.push_back({matrix.ColumnsOf(row)[n], matrix.ValuesOf(row)[n]});
  }
  return out;
}

// The definitions of docs/math/neighbours.md, over whole dense rows.
double SlowSimilarity(const Dense& rows, std::size_t a, std::size_t b,
                      const SimilarityOptions& options) {
  const std::size_t columns = rows[a].size();
  double count = 0, products = 0, a_squares = 0, b_squares = 0;
  double a_all = 0, b_all = 0, a_count = 0, b_count = 0, bm25 = 0;
  double entries = 0;
  for (const auto& row : rows) {
    for (const double value : row) entries += value != 0 ? 1 : 0;
  }
  const double mean_length = entries / static_cast<double>(rows.size());
  for (std::size_t column = 0; column < columns; ++column) {
    a_count += rows[a][column] != 0 ? 1 : 0;
    b_count += rows[b][column] != 0 ? 1 : 0;
  }
  for (std::size_t column = 0; column < columns; ++column) {
    const double x = rows[a][column];
    const double y = rows[b][column];
    a_all += x * x;
    b_all += y * y;
    if (x == 0 || y == 0) continue;
    count += 1;
    products += x * y;
    a_squares += x * x;
    b_squares += y * y;
    double with = 0;
    for (const auto& row : rows) with += row[column] != 0 ? 1 : 0;
    const double idf = std::log(1 + (static_cast<double>(rows.size()) - with + 0.5) / (with + 0.5));
    const auto term = [&](double value, double length) {
      return idf * value * 2.2 / (value + 1.2 * (0.25 + 0.75 * length / mean_length));
    };
    bm25 += term(x, a_count) * term(y, b_count);
  }
  if (count == 0) return 0;
  const double trust = count / (count + options.shrinkage);
  switch (options.similarity) {
    case Similarity::kCosine:
      return products / std::sqrt(a_all * b_all) * trust;
    case Similarity::kConditional:
      return count /
             ((a_count + options.shrinkage) * std::pow(b_count, options.popularity_damping));
    case Similarity::kBm25:
      return bm25 * trust;
    case Similarity::kPearson:
      return count < 2 ? 0 : products / std::sqrt(a_squares * b_squares) * trust;
  }
  return 0;
}

class EverySimilarity : public testing::TestWithParam<Similarity> {
 protected:
  void SetUp() override {
    if (GetParam() == Similarity::kPearson) {
      RatingMatrix ratings = LastRatings(RandomRatings(kSeed, 1200), pool_);
      SubtractBaseline(RatingBaseline::Fit(ratings, {}, pool_), ratings, pool_);
      rows_ = ratings.by_item;
      columns_ = ratings.by_user;
    } else {
      const PreferenceMatrix preferences =
          AggregatePreferences(RandomClicks(kSeed, 900), {}, pool_);
      rows_ = preferences.by_item;
      columns_ = preferences.by_user;
    }
    options_ = {GetParam(), 5, 0.5};
  }
  ThreadPool pool_{2};
  SparseMatrix rows_;
  SparseMatrix columns_;
  SimilarityOptions options_;
};

TEST_P(EverySimilarity, EqualsItsDefinitionAndListsTheBestFirst) {
  SCOPED_TRACE(kSeed);
  const Dense dense = ToDense(rows_);
  const SimilarityIndex index = SimilarityIndex::Build(rows_, columns_, options_, pool_);
  constexpr std::size_t kNeighbours = 7;
  const NeighbourLists lists = index.AllNearest(rows_, kNeighbours, pool_);
  ASSERT_EQ(lists.neighbour_count, kNeighbours);
  for (std::size_t row = 0; row < dense.size(); ++row) {
    std::vector<double> expected;
    for (std::size_t other = 0; other < dense.size(); ++other) {
      if (other != row) {
        expected.push_back(std::max(0.0, SlowSimilarity(dense, row, other, options_)));
      }
    }
    std::sort(expected.begin(), expected.end(), std::greater<>());
    for (std::size_t n = 0; n < kNeighbours; ++n) {
      const float similarity = lists.similarities[row * kNeighbours + n];
      ASSERT_NEAR(similarity, expected[n], 1e-4 * (1 + expected[n])) << row << " place " << n;
      if (similarity == 0) continue;
      const std::uint32_t other = lists.rows[row * kNeighbours + n];
      ASSERT_NE(other, row);
      ASSERT_NEAR(similarity, SlowSimilarity(dense, row, other, options_), 1e-4 * (1 + similarity));
    }
  }
}

TEST_P(EverySimilarity, IsTheSameForEveryNumberOfThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  const NeighbourLists a =
      SimilarityIndex::Build(rows_, columns_, options_, one).AllNearest(rows_, 9, one);
  const NeighbourLists b =
      SimilarityIndex::Build(rows_, columns_, options_, three).AllNearest(rows_, 9, three);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.similarities, b.similarities);
}

TEST_P(EverySimilarity, ComparesARowFromOutsideAsItsOwn) {
  const SimilarityIndex index = SimilarityIndex::Build(rows_, columns_, options_, pool_);
  const NeighbourLists lists = index.AllNearest(rows_, 6, pool_);
  SimilarityScratch scratch;
  std::vector<Neighbour> found;
  for (std::uint32_t row = 0; row < rows_.row_count(); ++row) {
    std::vector<ItemValue> outside = RowOf(rows_, row);
    outside.push_back({static_cast<std::uint32_t>(columns_.row_count()) + 3, 1});  // unknown column
    index.Nearest(outside, row, 6, scratch, found);
    for (std::size_t n = 0; n < found.size(); ++n) {
      EXPECT_EQ(found[n].row, lists.rows[row * 6 + n]);
      EXPECT_EQ(found[n].similarity, lists.similarities[row * 6 + n]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, EverySimilarity,
                         testing::Values(Similarity::kCosine, Similarity::kConditional,
                                         Similarity::kBm25, Similarity::kPearson),
                         [](const auto& each) { return std::string(SimilarityName(each.param)); });

TEST(Similarity, BreaksTiesByTheSmallerRow) {
  std::vector<Neighbour> neighbours = {{5, 1}, {3, 1}, {9, 2}, {1, 1}};
  KeepNearest(3, neighbours);
  ASSERT_EQ(neighbours.size(), 3U);
  EXPECT_EQ(neighbours[0].row, 9U);
  EXPECT_EQ(neighbours[1].row, 1U);
  EXPECT_EQ(neighbours[2].row, 3U);
}

TEST(Similarity, NamesTheKnownOnesWhenOneIsUnknownAndKeepsTasksApart) {
  const auto unknown = ParseSimilarity("jaccard");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("conditional"), std::string::npos);
  EXPECT_FALSE(SimilarityForTask("pearson", Task::kRanking).ok());
  EXPECT_FALSE(SimilarityForTask("bm25", Task::kRating).ok());
  EXPECT_FALSE(MakeItemKnnTrainer({{"similarity", "pearson"}}, Task::kRanking).ok());
  EXPECT_FALSE(MakeUserKnnTrainer({{"similarity", "cosine"}}, Task::kRating).ok());
}

TEST(DenseRow, IsAllZeroAgainWhenItEnds) {
  {
    DenseRow<float> row(10);
    row.Add(3, 1.5F);
    row.Add(3, 1);
    row.Set(9, 4);
    EXPECT_FLOAT_EQ(row[3], 2.5F);
    EXPECT_EQ(row.touched().size(), 2U);
  }
  DenseRow<float> next(20);
  for (std::size_t n = 0; n < 20; ++n) EXPECT_EQ(next[n], 0);
  EXPECT_TRUE(next.touched().empty());
}

Model Train(const Result<std::unique_ptr<const Trainer>>& trainer, const TrainingView& view) {
  EXPECT_TRUE(trainer.ok()) << trainer.status().ToString();
  if (!trainer.ok()) return nullptr;
  ThreadPool pool(2);
  auto model = (*trainer)->Train(view, {.pool = pool});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return model.ok() ? *std::move(model) : nullptr;
}

std::vector<float> AllScores(const InterestModel& model, const UserView& user) {
  std::vector<float> scores(model.ItemCount());
  EXPECT_TRUE(model.ScoreAll(user, scores).ok());
  return scores;
}

TEST(ItemKnn, ScoresByTheSumOfSimilaritiesToTheHistory) {
  SCOPED_TRACE(kSeed);
  const TrainingView view = RandomClicks(kSeed, 900);
  const Model model = Train(MakeItemKnnTrainer({{"similarity", "cosine"},
                                                {"neighbours", "1000"},
                                                {"shrinkage", "3"},
                                                {"recency", "0"},
                                                {"normalised", "false"}},
                                               Task::kRanking),
                            view);
  ASSERT_NE(model, nullptr);
  ThreadPool pool(1);
  const PreferenceMatrix preferences = AggregatePreferences(view, {}, pool);
  const Dense items = ToDense(preferences.by_item);
  for (std::uint32_t user = 0; user < 10; ++user) {
    const std::vector<float> scores =
        AllScores(*model, {.row = UserRow{user}, .history = view.OfUser(UserRow{user})});
    for (std::size_t item = 0; item < kItems; ++item) {
      double expected = 0;
      for (const ItemValue& own : RowOf(preferences.by_user, user)) {
        if (own.item == item) continue;
        expected += own.value * SlowSimilarity(items, own.item, item, {Similarity::kCosine, 3, 0});
      }
      EXPECT_NEAR(scores[item], expected, 1e-4) << user << " " << item;
    }
  }
}

TEST(ItemKnn, FollowsTheLatestItemsMoreThanTheOldOnes) {
  // Items 0 and 1 go together, and so do 2 and 3.
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < 40; ++user) {
    for (const std::uint32_t item : {0U, 1U}) {
      builder.Add(UserRow{user}, {ItemRow{item + 2 * (user % 2)}, kNow, 1, EventType::kView});
    }
  }
  const Model model = Train(MakeItemKnnTrainer({{"recency", "1"}}, Task::kRanking),
                            builder.Build(Timestamp::FromSeconds(kNow), 0, 0));
  ASSERT_NE(model, nullptr);
  const std::vector<Interaction> history = {{ItemRow{0}, kNow, 1, EventType::kView},
                                            {ItemRow{2}, kNow + 1, 1, EventType::kView}};
  const std::vector<float> scores = AllScores(*model, {.history = history});
  EXPECT_NEAR(scores[3], 2 * scores[1], 1e-3 * scores[3]);
  // Of one second: equally old.
  std::vector<Interaction> at_once = history;
  at_once[1].time_s = kNow;
  const std::vector<float> even = AllScores(*model, {.history = at_once});
  EXPECT_NEAR(even[3], even[1], 1e-3 * even[3]);
}

TEST(ItemKnn, RanksByPopularityForAStranger) {
  const TrainingView view = RandomClicks(kSeed, 900);
  const Model model = Train(MakeItemKnnTrainer({}, Task::kRanking), view);
  ASSERT_NE(model, nullptr);
  ThreadPool pool(1);
  const PreferenceMatrix preferences = AggregatePreferences(view, {}, pool);
  const std::vector<float> scores = AllScores(*model, {});
  for (std::size_t a = 0; a < kItems; ++a) {
    for (std::size_t b = 0; b < kItems; ++b) {
      if (preferences.by_item.ColumnsOf(a).size() > preferences.by_item.ColumnsOf(b).size()) {
        EXPECT_GT(scores[a], scores[b]);
      }
    }
  }
}

TEST(ItemKnn, PredictsTheWeightedMeanOfTheResidualsOfRatedNeighbours) {
  SCOPED_TRACE(kSeed);
  const TrainingView view = RandomRatings(kSeed, 1200);
  const Model model = Train(MakeItemKnnTrainer({{"neighbours", "4"},
                                                {"shrinkage", "7"},
                                                {"list", "20"},
                                                {"power", "2"},
                                                {"damping", "0.1"}},
                                               Task::kRating),
                            view);
  ASSERT_NE(model, nullptr);
  ThreadPool pool(1);
  RatingMatrix ratings = LastRatings(view, pool);
  const RatingMatrix stars = ratings;
  const RatingBaseline baseline = RatingBaseline::Fit(ratings, {}, pool);
  SubtractBaseline(baseline, ratings, pool);
  const Dense items = ToDense(ratings.by_item);
  for (std::uint32_t user = 0; user < 12; ++user) {
    const float bias = baseline.UserBias(RowOf(stars.by_user, user));
    const std::vector<float> scores =
        AllScores(*model, {.row = UserRow{user}, .history = view.OfUser(UserRow{user})});
    for (std::uint32_t item = 0; item < kItems; ++item) {
      std::vector<std::pair<double, std::size_t>> nearest;
      for (std::size_t other = 0; other < kItems; ++other) {
        const double s =
            other == item ? 0 : SlowSimilarity(items, item, other, {Similarity::kPearson, 7, 0});
        if (s > 0) nearest.emplace_back(-s, other);
      }
      std::sort(nearest.begin(), nearest.end());
      if (nearest.size() > 20) nearest.resize(20);
      double weighted = 0, weight = 0.1;
      int used = 0;
      for (const auto& [negative, other] : nearest) {
        if (items[other][user] == 0 || used == 4) continue;
        ++used;
        weighted += negative * negative * items[other][user];
        weight += negative * negative;
      }
      const double expected = baseline.Predict(bias, item) + weighted / weight;
      EXPECT_NEAR(scores[item], std::clamp(expected, 1.0, 5.0), 1e-3) << user << " " << item;
    }
  }
}

TEST(UserKnn, AveragesWhatTheNearestUsersWanted) {
  SCOPED_TRACE(kSeed);
  const TrainingView view = RandomClicks(kSeed, 900);
  const Model model =
      Train(MakeUserKnnTrainer({{"similarity", "cosine"}, {"neighbours", "5"}, {"shrinkage", "2"}},
                               Task::kRanking),
            view);
  ASSERT_NE(model, nullptr);
  ThreadPool pool(1);
  const PreferenceMatrix preferences = AggregatePreferences(view, {}, pool);
  const Dense users = ToDense(preferences.by_user);
  for (std::uint32_t user = 0; user < 10; ++user) {
    std::vector<std::pair<double, std::size_t>> nearest;
    for (std::size_t other = 0; other < kUsers; ++other) {
      if (other == user) continue;
      nearest.emplace_back(-SlowSimilarity(users, user, other, {Similarity::kCosine, 2, 0}), other);
    }
    std::sort(nearest.begin(), nearest.end());
    nearest.resize(5);
    const std::vector<float> scores =
        AllScores(*model, {.row = UserRow{user}, .history = view.OfUser(UserRow{user})});
    for (std::size_t item = 0; item < kItems; ++item) {
      double votes = 0, total = 0;
      for (const auto& [negative, other] : nearest) {
        votes -= negative * users[other][item];
        total -= negative;
      }
      EXPECT_NEAR(scores[item], votes / total, 1e-3);
    }
  }
}

TEST(UserKnn, FoldsAHistoryInAsTrainingWouldHaveTakenIt) {
  const TrainingView view = RandomClicks(kSeed, 900);
  const Model model = Train(MakeUserKnnTrainer({{"neighbours", "8"}}, Task::kRanking), view);
  ASSERT_NE(model, nullptr);
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    UserView as_trained{.row = UserRow{user}, .history = view.OfUser(UserRow{user})};
    UserView as_changed = as_trained;
    as_changed.has_changed = true;
    EXPECT_EQ(AllScores(*model, as_trained), AllScores(*model, as_changed));
  }
}

TEST(UserKnn, FollowsAChangedHistory) {
  const TrainingView view = RandomClicks(kSeed, 900);
  const Model model = Train(MakeUserKnnTrainer({{"neighbours", "8"}}, Task::kRanking), view);
  ASSERT_NE(model, nullptr);
  const UserView changed{
      .row = UserRow{1}, .history = view.OfUser(UserRow{2}), .has_changed = true};
  EXPECT_NE(AllScores(*model, changed),
            AllScores(*model, {.row = UserRow{1}, .history = view.OfUser(UserRow{1})}));
}

TEST(UserKnn, PredictsTheWeightedMeanOfTheNearestRatersResiduals) {
  SCOPED_TRACE(kSeed);
  const TrainingView view = RandomRatings(kSeed, 1200);
  const Model model =
      Train(MakeUserKnnTrainer(
                {{"neighbours", "6"}, {"shrinkage", "4"}, {"power", "1"}, {"damping", "0.2"}},
                Task::kRating),
            view);
  ASSERT_NE(model, nullptr);
  ThreadPool pool(1);
  RatingMatrix ratings = LastRatings(view, pool);
  const RatingMatrix stars = ratings;
  const RatingBaseline baseline = RatingBaseline::Fit(ratings, {}, pool);
  SubtractBaseline(baseline, ratings, pool);
  const Dense users = ToDense(ratings.by_user);
  for (std::uint32_t user = 0; user < 10; ++user) {
    const float bias = baseline.UserBias(RowOf(stars.by_user, user));
    const std::vector<float> scores =
        AllScores(*model, {.row = UserRow{user}, .history = view.OfUser(UserRow{user})});
    for (std::uint32_t item = 0; item < kItems; ++item) {
      std::vector<std::pair<double, std::size_t>> raters;
      for (std::size_t other = 0; other < kUsers; ++other) {
        if (other == user || users[other][item] == 0) continue;
        const double s = SlowSimilarity(users, user, other, {Similarity::kPearson, 4, 0});
        if (s > 0) raters.emplace_back(-s, other);
      }
      std::sort(raters.begin(), raters.end());
      if (raters.size() > 6) raters.resize(6);
      double weighted = 0, weight = 0.2;
      for (const auto& [negative, other] : raters) {
        weighted -= negative * users[other][item];
        weight -= negative;
      }
      const double expected = baseline.Predict(bias, item) + weighted / weight;
      EXPECT_NEAR(scores[item], std::clamp(expected, 1.0, 5.0), 1e-3) << user << " " << item;
    }
  }
}

}  // namespace
}  // namespace poise
