// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "evaluation/dataset.h"
#include "evaluation/evaluate.h"
#include "evaluation/ips.h"
#include "evaluation/peak_memory.h"
#include "evaluation/report.h"
#include "evaluation/split.h"

namespace poise {
namespace {

using ::testing::HasSubstr;

Event On(const std::string& user, const std::string& item, std::int64_t time_s,
         EventType type = EventType::kView, double value = 0) {
  Event event;
  event.user.value = user;
  event.item.value = item;
  event.type = type;
  event.value = value;
  event.time = Timestamp::FromSeconds(time_s);
  return event;
}

EvaluationSet SetOf(const std::vector<Event>& events) {
  EvaluationSetBuilder builder;
  for (const Event& event : events) EXPECT_TRUE(builder.Add(event).ok());
  return builder.Build();
}

EvaluationSet RandomSet(std::uint64_t seed, std::size_t count, EventType type) {
  Rng rng(seed);
  EvaluationSetBuilder builder;
  for (std::size_t n = 0; n < count; ++n) {
    EXPECT_TRUE(
        builder
            .Add(On(std::to_string(rng.Below(50)),
                    std::to_string(std::min(rng.Below(30), rng.Below(30))),
                    static_cast<std::int64_t>(n), type, static_cast<double>(1 + rng.Below(5))))
            .ok());
  }
  return builder.Build();
}

// Answers as it is told.
class ToldModel final : public InterestModel {
 public:
  explicit ToldModel(std::vector<std::vector<float>> scores) : scores_(std::move(scores)) {}
  std::string_view Name() const override { return "told"; }
  std::size_t ItemCount() const override { return scores_[0].size(); }
  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    for (std::size_t n = 0; n < items.size(); ++n) {
      scores[n] = scores_[Index(*user.row)][Index(items[n])];
    }
    return Status::Ok();
  }
  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    const auto& row = scores_[Index(*user.row)];
    std::copy(row.begin(), row.end(), scores.begin());
    return Status::Ok();
  }
  Status Save(SnapshotWriter&) const override { return Status::Ok(); }

 private:
  std::vector<std::vector<float>> scores_;
};

TEST(EvaluationSet, NumbersUsersAndItemsInOrderOfAppearanceAndSessionsApart) {
  Event visitor = On("", "b", 3);
  visitor.session = "u1";
  visitor.quantity = 4;
  const EvaluationSet set =
      SetOf({On("u1", "a", 1), On("u2", "b", 2, EventType::kRating, 4.5), visitor});
  ASSERT_EQ(set.rows.size(), 3U);
  EXPECT_EQ(set.user_count, 3U);
  EXPECT_EQ(set.item_count, 2U);
  EXPECT_EQ(Index(set.rows[2].user), 2U) << "a session is not the user of the same name";
  EXPECT_FLOAT_EQ(set.rows[1].interaction.value, 4.5F);
  EXPECT_FLOAT_EQ(set.rows[2].interaction.value, 4);
  EXPECT_EQ(set.rows[1].interaction.time_s, 2U);
}

TEST(Split, IsReadByNameAndRefusesTheRest) {
  for (const char* name : {"random:0.2", "leave-last-out", "time:0.25", "files"}) {
    const auto spec = ParseSplit(name);
    ASSERT_TRUE(spec.ok()) << spec.status().ToString();
    EXPECT_EQ(SplitName(*spec), name);
  }
  for (const char* name : {"", "k-fold", "random:0", "random:1", "random:x", "time:-0.5",
                           "leave-last-out:2", "random:nan"}) {
    const auto spec = ParseSplit(name);
    EXPECT_FALSE(spec.ok()) << name;
    EXPECT_EQ(spec.status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(ParseSplit("k-fold").status().message(), HasSubstr("leave-last-out"));
}

TEST(Split, HoldsOutARandomShareOnceAndEquallyForEqualSeeds) {
  const EvaluationSet set = RandomSet(1, 1003, EventType::kView);
  const SplitSpec spec{SplitKind::kRandom, 0.2};
  const auto split = Cut(set, spec, 42);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->test.interactions.size(), 200U);
  EXPECT_EQ(split->train.interactions.size(), 803U);
  std::multiset<std::uint32_t> times;  // each row has a time of its own
  for (const TrainingView* side : {&split->train, &split->test}) {
    EXPECT_EQ(side->user_count(), set.user_count);
    EXPECT_EQ(side->item_count, set.item_count);
    for (const Interaction& event : side->interactions) times.insert(event.time_s);
  }
  EXPECT_EQ(times.size(), 1003U);
  EXPECT_EQ(std::set<std::uint32_t>(times.begin(), times.end()).size(), 1003U);
  const auto again = Cut(set, spec, 42);
  const auto other = Cut(set, spec, 43);
  const auto times_of = [](const TrainingView& view) {
    std::vector<std::uint32_t> out;
    for (const Interaction& event : view.interactions) out.push_back(event.time_s);
    return out;
  };
  EXPECT_EQ(times_of(again->test), times_of(split->test));
  EXPECT_NE(times_of(other->test), times_of(split->test));
}

// Kept for ever: published figures name the split by its seed.
TEST(Split, OfSeed42HoldsOutTheRowsThatItAlwaysHeldOut) {
  std::vector<Event> events;
  for (int n = 0; n < 10; ++n) events.push_back(On("u", "i", n));
  const auto split = Cut(SetOf(events), {SplitKind::kRandom, 0.3}, 42);
  ASSERT_TRUE(split.ok());
  std::vector<std::uint32_t> held_out;
  for (const Interaction& event : split->test.interactions) held_out.push_back(event.time_s);
  EXPECT_EQ(held_out, (std::vector<std::uint32_t>{3, 4, 8}));
}

TEST(Split, LeavesOutTheLastOfEachUserWhoHasTwo) {
  // u1: a at 1, c at 5, b at 3; u2 has a single one; u3's two are at one time: the later row.
  const EvaluationSet set = SetOf({On("u1", "a", 1), On("u1", "c", 5), On("u1", "b", 3),
                                   On("u2", "a", 9), On("u3", "a", 2), On("u3", "b", 2)});
  const auto split = Cut(set, {SplitKind::kLeaveLastOut, 0}, 0);
  ASSERT_TRUE(split.ok());
  ASSERT_EQ(split->test.interactions.size(), 2U);
  EXPECT_EQ(Index(split->test.OfUser(UserRow{0})[0].item), 1U);  // c
  EXPECT_TRUE(split->test.OfUser(UserRow{1}).empty());
  EXPECT_EQ(Index(split->test.OfUser(UserRow{2})[0].item), 2U);  // b
  EXPECT_EQ(split->train.OfUser(UserRow{0}).size(), 2U);
  EXPECT_EQ(split->train.as_of, Timestamp::FromSeconds(9));
}

TEST(Split, HoldsOutTheLatestShare) {
  const EvaluationSet set = SetOf({On("u1", "a", 50), On("u2", "b", 10), On("u1", "c", 40),
                                   On("u2", "d", 20), On("u3", "e", 30)});
  const auto split = Cut(set, {SplitKind::kTime, 0.4}, 0);
  ASSERT_TRUE(split.ok());
  ASSERT_EQ(split->test.interactions.size(), 2U);
  EXPECT_EQ(split->test.OfUser(UserRow{0}).size(), 2U);
  EXPECT_EQ(split->train.as_of, Timestamp::FromSeconds(30));
}

TEST(Split, FollowsTheGivenFiles) {
  EvaluationSetBuilder builder;
  ASSERT_TRUE(builder.Add(On("u", "a", 1), FilePart::kTrain).ok());
  ASSERT_TRUE(builder.Add(On("u", "b", 1), FilePart::kTest).ok());
  const auto split = Cut(builder.Build(), {SplitKind::kFiles, 0}, 0);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(Index(split->test.interactions[0].item), 1U);
  EXPECT_EQ(split->train.interactions.size(), 1U);
}

TEST(Split, RefusesASideWithoutInteractions) {
  EXPECT_EQ(Cut(EvaluationSet{}, {SplitKind::kRandom, 0.2}, 1).status().code(),
            StatusCode::kFailedPrecondition);
  const EvaluationSet one = SetOf({On("u", "a", 1)});
  for (const SplitKind kind :
       {SplitKind::kRandom, SplitKind::kLeaveLastOut, SplitKind::kTime, SplitKind::kFiles}) {
    EXPECT_EQ(Cut(one, {kind, 0.2}, 1).status().code(), StatusCode::kFailedPrecondition);
  }
}

TEST(Split, OfTheTrainingSideNeverSeesTheTestSide) {
  const EvaluationSet set = RandomSet(2, 500, EventType::kView);
  const SplitSpec spec{SplitKind::kRandom, 0.2};
  const auto split = Cut(set, spec, 42);
  const auto side = TrainingSide(set, spec, 42);
  ASSERT_TRUE(side.ok());
  ASSERT_EQ(side->rows.size(), 400U);
  std::set<std::uint32_t> test_times;
  for (const Interaction& event : split->test.interactions) test_times.insert(event.time_s);
  for (const EvaluationSet::Row& row : side->rows) {
    EXPECT_EQ(test_times.count(row.interaction.time_s), 0U);
  }
}

TEST(Measure, WorksOutRatingsByHand) {
  // Held out: u1 on b: 4 stars, u2 on a: 2 stars, then 3 (the last counts). Told: 3.5 and 5.
  // Errors -0.5 and 2: mse (0.25 + 4) / 2, mae 1.25.
  EvaluationSetBuilder builder;
  ASSERT_TRUE(builder.Add(On("u1", "a", 1, EventType::kRating, 5)).ok());
  ASSERT_TRUE(builder.Add(On("u1", "b", 2, EventType::kRating, 4), FilePart::kTest).ok());
  ASSERT_TRUE(builder.Add(On("u2", "a", 3, EventType::kRating, 2), FilePart::kTest).ok());
  ASSERT_TRUE(builder.Add(On("u2", "a", 4, EventType::kRating, 3), FilePart::kTest).ok());
  const auto split = Cut(builder.Build(), {SplitKind::kFiles, 0}, 0);
  ASSERT_TRUE(split.ok());
  ThreadPool pool(2);
  ManualClock clock;
  const ToldModel model({{1, 3.5F}, {5, 1}});
  const auto row = Measure(model, *split, {.task = Task::kRating}, pool, clock);
  ASSERT_TRUE(row.ok()) << row.status().ToString();
  EXPECT_EQ(row->model, "told");
  EXPECT_EQ(row->held_out_count, 2U);
  EXPECT_EQ(row->user_count, 2U);
  ASSERT_EQ(row->metrics.size(), 3U);
  EXPECT_DOUBLE_EQ(row->metrics[0].estimate.value, 4.25 / 2);
  EXPECT_DOUBLE_EQ(row->metrics[1].estimate.value, std::sqrt(4.25 / 2));
  EXPECT_DOUBLE_EQ(row->metrics[2].estimate.value, 1.25);
}

class HandWorkedRanking : public testing::Test {
 protected:
  void SetUp() override {
    // Items a b c d e are rows 0 to 4. u1 had a, then wants c and d; u2 had b, then wants a and,
    // again, b; u3 has nothing held out.
    EvaluationSetBuilder builder;
    for (const char* item : {"a", "b", "c", "d", "e"}) {
      ASSERT_TRUE(builder.Add(On("u3", item, 1)).ok());
    }
    ASSERT_TRUE(builder.Add(On("u1", "a", 1)).ok());
    ASSERT_TRUE(builder.Add(On("u2", "b", 1)).ok());
    ASSERT_TRUE(builder.Add(On("u1", "c", 2), FilePart::kTest).ok());
    ASSERT_TRUE(builder.Add(On("u1", "d", 2), FilePart::kTest).ok());
    ASSERT_TRUE(builder.Add(On("u1", "c", 3), FilePart::kTest).ok());
    ASSERT_TRUE(builder.Add(On("u2", "a", 2), FilePart::kTest).ok());
    ASSERT_TRUE(builder.Add(On("u2", "b", 2), FilePart::kTest).ok());
    auto split = Cut(builder.Build(), {SplitKind::kFiles, 0}, 0);
    ASSERT_TRUE(split.ok());
    split_ = *std::move(split);
  }
  // u3 is row 0, u1 row 1, u2 row 2. u1's ranking is (a) c b d e, u2's (b) e d a c.
  const ToldModel model_{{{0, 0, 0, 0, 0}, {9, 3, 4, 2, 1}, {2, 9, 1, 3, 4}}};
  Split split_;
  ThreadPool pool_{2};
  ManualClock clock_;

  std::vector<double> Values(const std::vector<Metric>& metrics, SeenItems seen) {
    const auto row = Measure(model_, split_, {.metrics = metrics, .seen = seen}, pool_, clock_);
    EXPECT_TRUE(row.ok()) << row.status().ToString();
    std::vector<double> values;
    if (row.ok()) {
      for (const MetricResult& result : row->metrics) values.push_back(result.estimate.value);
    }
    return values;
  }
};

TEST_F(HandWorkedRanking, LeavesOutWhatAUserHad) {
  // u1 without a: c 1st, b, d 3rd; relevant c, d. u2 without b: e, d, a 3rd; relevant a (b was
  // had). recall@1: 1/2 and 0. hr@1: 1 and 0. mrr: 1 and 1/3.
  // ndcg@3: u1 (1 + 1/log2(4)) / (1 + 1/log2(3)), u2 1/log2(4) = 1/2.
  const std::vector<double> values = Values({{MetricKind::kRecall, 1},
                                             {MetricKind::kHitRate, 1},
                                             {MetricKind::kMrr, 0},
                                             {MetricKind::kNdcg, 3}},
                                            SeenItems::kLeaveOut);
  EXPECT_DOUBLE_EQ(values[0], 0.25);
  EXPECT_DOUBLE_EQ(values[1], 0.5);
  EXPECT_DOUBLE_EQ(values[2], (1 + 1.0 / 3) / 2);
  EXPECT_DOUBLE_EQ(values[3], (1.5 / (1 + 1 / std::log2(3.0)) + 0.5) / 2);
}

TEST_F(HandWorkedRanking, RanksWhatAUserHadWhenTold) {
  // u1: a, c, b, d, e: c 2nd. u2: b 1st.
  const std::vector<double> values =
      Values({{MetricKind::kHitRate, 1}, {MetricKind::kMrr, 0}}, SeenItems::kRank);
  EXPECT_DOUBLE_EQ(values[0], 0.5);
  EXPECT_DOUBLE_EQ(values[1], (0.5 + 1) / 2);
}

TEST_F(HandWorkedRanking, LooksAtTheListsTogether) {
  // Lists of two: u1 c b, u2 e d. Four of five items are shown, one each: ascending counts
  // 0 1 1 1 1, gini (-4*0 - 2 + 0 + 2 + 4) / (5 * 4) = 0.2.
  // In training 3 users: a had by u3, u1: 2; b 2; c, d, e 1. Novelty: u1 -(log2(2/4) +
  // log2(3/4))/2, u2 1; -log2(2/4) = 1.
  const std::vector<double> values =
      Values({{MetricKind::kCoverage, 2}, {MetricKind::kGini, 2}, {MetricKind::kNovelty, 2}},
             SeenItems::kLeaveOut);
  EXPECT_DOUBLE_EQ(values[0], 0.8);
  EXPECT_DOUBLE_EQ(values[1], 0.2);
  EXPECT_DOUBLE_EQ(values[2], ((1 - std::log2(0.75)) / 2 + 1) / 2);
}

TEST_F(HandWorkedRanking, CountsUsersAndItemsToBeFound) {
  const auto row = Measure(model_, split_, {}, pool_, clock_);
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->user_count, 2U);
  EXPECT_EQ(row->held_out_count, 3U);
  // mrr of the two users: 1 and 1/3; standard error |1 - 1/3| / 2.
  EXPECT_NEAR(row->metrics[3].estimate.standard_error, 1.0 / 3, 1e-12);
}

TEST_F(HandWorkedRanking, TakesAModelsNonsenseAsTheWorstScore) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const ToldModel model({{0, 0, 0, 0, 0}, {9, 3, nan, -infinity, 1}, {2, 9, 1, 3, 4}});
  const auto row = Measure(model, split_, {.metrics = {{MetricKind::kMrr, 0}}}, pool_, clock_);
  ASSERT_TRUE(row.ok());
  // u1: b, e, then c and d tied, both relevant: 1/3.
  EXPECT_DOUBLE_EQ(row->metrics[0].estimate.value, (1.0 / 3 + 1.0 / 3) / 2);
}

TEST(Measure, RefusesAMetricOfTheOtherTask) {
  const auto split = Cut(RandomSet(3, 300, EventType::kRating), {SplitKind::kRandom, 0.2}, 1);
  ThreadPool pool(1);
  ManualClock clock;
  EvaluationOptions options{.task = Task::kRating, .metrics = {{MetricKind::kNdcg, 10}}};
  EXPECT_THAT(Evaluate(*split, options, pool, clock).status().message(), HasSubstr("ndcg@10"));
  options = {.task = Task::kRanking, .metrics = {{MetricKind::kMse, 0}}};
  EXPECT_EQ(Evaluate(*split, options, pool, clock).status().code(), StatusCode::kInvalidArgument);
}

TEST(Measure, SaysWhenNothingIsLeftToBeFound) {
  // The only thing held out was had before.
  EvaluationSetBuilder builder;
  ASSERT_TRUE(builder.Add(On("u", "a", 1)).ok());
  ASSERT_TRUE(builder.Add(On("u", "a", 2), FilePart::kTest).ok());
  const auto split = Cut(builder.Build(), {SplitKind::kFiles, 0}, 0);
  ThreadPool pool(1);
  ManualClock clock;
  EXPECT_EQ(Measure(ToldModel(std::vector<std::vector<float>>{{1.0F}}), *split, {}, pool, clock)
                .status()
                .code(),
            StatusCode::kFailedPrecondition);
  // And views are no ratings.
  EXPECT_EQ(Measure(ToldModel(std::vector<std::vector<float>>{{1.0F}}), *split,
                    {.task = Task::kRating}, pool, clock)
                .status()
                .code(),
            StatusCode::kFailedPrecondition);
}

TEST(Evaluate, PutsPopularityFirstAndTellsOfEachRow) {
  const auto split = Cut(RandomSet(4, 800, EventType::kView), {SplitKind::kRandom, 0.2}, 42);
  ASSERT_TRUE(split.ok());
  ThreadPool pool(2);
  SystemClock clock;
  std::vector<std::string> told;
  const auto rows =
      Evaluate(*split, {.models = {{"item-knn", {{"neighbours", "5"}}}, {"popularity", {}}}}, pool,
               clock, [&](const EvaluationRow& row) { told.push_back(row.model); });
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_EQ(told, (std::vector<std::string>{"popularity", "item-knn"}));
  for (const EvaluationRow& row : *rows) {
    EXPECT_EQ(row.metrics.size(), DefaultMetrics(Task::kRanking).size());
    EXPECT_GT(row.peak_memory_bytes, 1'000'000U);
    EXPECT_GE(row.train_seconds, 0);
  }
  const auto alone = Evaluate(*split, {.models = {{"user-knn", {}}}}, pool, clock);
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ((*alone)[0].model, "popularity");
  EXPECT_EQ((*alone)[1].model, "user-knn");
}

// The baseline tests the evaluator: its figure is worked out here without it.
TEST(Evaluate, GivesPopularityTheRecallOfAnObviousCount) {
  const EvaluationSet set = RandomSet(5, 700, EventType::kView);
  const auto split = Cut(set, {SplitKind::kRandom, 0.25}, 42);
  ASSERT_TRUE(split.ok());
  std::vector<std::set<std::uint32_t>> had(set.user_count);
  std::vector<std::set<std::uint32_t>> wanted(set.user_count);
  std::vector<double> users_of(set.item_count, 0);
  for (std::uint32_t user = 0; user < set.user_count; ++user) {
    for (const Interaction& event : split->train.OfUser(UserRow{user})) {
      if (had[user].insert(Index(event.item)).second) users_of[Index(event.item)] += 1;
    }
    for (const Interaction& event : split->test.OfUser(UserRow{user})) {
      if (had[user].count(Index(event.item)) == 0) wanted[user].insert(Index(event.item));
    }
  }
  double sum = 0;
  double count = 0;
  for (std::size_t user = 0; user < set.user_count; ++user) {
    if (wanted[user].empty()) continue;
    count += 1;
    double hits = 0;
    for (const std::uint32_t item : wanted[user]) {
      double better = 0, equal = 0;
      for (std::uint32_t other = 0; other < set.item_count; ++other) {
        if (had[user].count(other) != 0) continue;
        better += users_of[other] > users_of[item] ? 1 : 0;
        equal += users_of[other] == users_of[item] ? 1 : 0;
      }
      hits += std::clamp(5 - better, 0.0, equal) / equal;
    }
    sum += hits / static_cast<double>(wanted[user].size());
  }
  ThreadPool pool(2);
  SystemClock clock;
  const auto rows = Evaluate(*split, {.metrics = {{MetricKind::kRecall, 5}}}, pool, clock);
  ASSERT_TRUE(rows.ok()) << rows.status().ToString();
  EXPECT_NEAR((*rows)[0].metrics[0].estimate.value, sum / count, 1e-12);
}

TEST(Evaluate, GivesTheSameFiguresForEveryNumberOfThreads) {
  const auto split = Cut(RandomSet(6, 900, EventType::kView), {SplitKind::kTime, 0.2}, 42);
  SystemClock clock;
  ThreadPool one(1);
  ThreadPool three(3);
  const EvaluationOptions options{.models = {{"item-knn", {}}}};
  const auto a = Evaluate(*split, options, one, clock);
  const auto b = Evaluate(*split, options, three, clock);
  ASSERT_TRUE(a.ok() && b.ok());
  for (std::size_t row = 0; row < a->size(); ++row) {
    for (std::size_t n = 0; n < (*a)[row].metrics.size(); ++n) {
      EXPECT_EQ((*a)[row].metrics[n].estimate.value, (*b)[row].metrics[n].estimate.value);
      EXPECT_EQ((*a)[row].metrics[n].estimate.standard_error,
                (*b)[row].metrics[n].estimate.standard_error);
    }
  }
}

TEST(Evaluate, RefusesAnUnknownModelBeforeItTrainsAny) {
  const auto split = Cut(RandomSet(7, 300, EventType::kView), {SplitKind::kRandom, 0.2}, 1);
  ThreadPool pool(1);
  ManualClock clock;
  bool was_told = false;
  const auto rows = Evaluate(*split, {.models = {{"item-knn", {}}, {"no-such-model", {}}}}, pool,
                             clock, [&](const EvaluationRow&) { was_told = true; });
  EXPECT_THAT(rows.status().message(), HasSubstr("no-such-model"));
  EXPECT_FALSE(was_told);
  EXPECT_THAT(Evaluate(*split, {.models = {{"item-knn", {{"neighbours", "-4"}}}}}, pool, clock)
                  .status()
                  .message(),
              HasSubstr("item-knn.neighbours"));
  EXPECT_THAT(Evaluate(*split, {.task = Task::kRating}, pool, clock).status().message(),
              HasSubstr("popularity"));
}

TEST(Report, WritesEachMetricByItsNameWithItsStandardError) {
  EvaluationRow row;
  row.model = "popularity";
  row.metrics = {{{MetricKind::kNdcg, 10}, {0.25, 0.125}}, {{MetricKind::kMrr, 0}, {0.5, 0.0625}}};
  row.train_seconds = 1.5;
  row.score_seconds = 0.5;
  row.peak_memory_bytes = 1'000'000;
  const std::string json = EvaluationJson({&row, 1});
  EXPECT_THAT(json, HasSubstr("\"model\": \"popularity\""));
  EXPECT_THAT(json, HasSubstr("\"ndcg@10\": 0.25"));
  EXPECT_THAT(json, HasSubstr("\"ndcg@10\": 0.125"));
  EXPECT_THAT(json, HasSubstr("\"mrr\": 0.5"));
  EXPECT_THAT(json, HasSubstr("\"trainSeconds\": 1.5"));
  EXPECT_THAT(json, HasSubstr("\"peakMemoryBytes\": 1000000"));
  EXPECT_EQ(json.front(), '[');
  const std::vector<Metric> metrics = {{MetricKind::kNdcg, 10}, {MetricKind::kMrr, 0}};
  EXPECT_EQ(TableHeading(metrics).size(), TableLine(row).size());
  EXPECT_THAT(TableLine(row), HasSubstr("0.2500 +-0.1250"));
}

TEST(PeakMemory, GrowsByWhatWasTouchedAndStartsAnew) {
  constexpr std::size_t kBytes = 64 << 20;
  const PeakMemory before;
  const std::uint64_t at_start = before.Bytes();
  {
    std::vector<char> block(kBytes, 1);
    EXPECT_EQ(block[kBytes / 2], 1);
  }
  EXPECT_GE(before.Bytes(), at_start + kBytes / 2);
}

LoggedChoice Logged(float propensity, float reward) {
  LoggedChoice choice;
  choice.propensity = propensity;
  choice.reward = reward;
  return choice;
}

TEST(Ips, WorksOutByHand) {
  // Weights .5/.25 = 2 and .1/.5 = .2; terms 2 and 0 (reward 0); mean 1, variance 2, standard error
  // sqrt(2 / 2) = 1.
  const std::vector<LoggedChoice> choices = {Logged(0.25F, 1), Logged(0.5F, 0)};
  const std::vector<float> target = {0.5F, 0.1F};
  const auto estimate = EstimateIps(choices, target);
  ASSERT_TRUE(estimate.ok());
  EXPECT_NEAR(estimate->mean, 1, 1e-7);
  EXPECT_NEAR(estimate->standard_error, 1, 1e-7);
  EXPECT_NEAR(estimate->mean_importance_weight, 1.1, 1e-7);
  EXPECT_EQ(estimate->count, 2U);
  EXPECT_NEAR(*MeanImportanceWeight(choices, target), 1.1, 1e-7);
}

TEST(Ips, IsUnbiasedOverEveryActionOfTheLoggingPolicy) {
  const std::vector<float> logging = {0.7F, 0.2F, 0.1F};
  const std::vector<float> target = {0.1F, 0.3F, 0.6F};
  const std::vector<float> reward = {0, 1, 0.5F};
  double expected = 0, value = 0, weight = 0;
  for (std::size_t action = 0; action < 3; ++action) {
    const LoggedChoice choice = Logged(logging[action], reward[action]);
    const auto estimate = EstimateIps({&choice, 1}, {&target[action], 1});
    ASSERT_TRUE(estimate.ok());
    expected += logging[action] * estimate->mean;
    weight += logging[action] * estimate->mean_importance_weight;
    value += target[action] * reward[action];
  }
  EXPECT_NEAR(expected, value, 1e-6);
  EXPECT_NEAR(weight, 1, 1e-6);
}

// False alarms: 4 standard errors, 1 in 15,000.
TEST(Ips, CoversTheTrueValueByItsStandardError) {
  constexpr std::uint64_t kSeed = 9;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::vector<LoggedChoice> choices;
  std::vector<float> target;
  for (int n = 0; n < 20000; ++n) {
    const bool is_first = rng.Bernoulli(0.8);
    choices.push_back(
        Logged(is_first ? 0.8F : 0.2F, rng.Bernoulli(is_first ? 0.1 : 0.3) ? 1.0F : 0.0F));
    target.push_back(is_first ? 0.3F : 0.7F);
  }
  const auto estimate = EstimateIps(choices, target);
  ASSERT_TRUE(estimate.ok());
  EXPECT_NEAR(estimate->mean, 0.3 * 0.1 + 0.7 * 0.3, 4 * estimate->standard_error);
  EXPECT_LT(estimate->standard_error, 0.02);
}

TEST(Ips, RefusesWhatCannotBeAPropensityAndNamesTheChoice) {
  const std::vector<float> target = {0.5F, 0.5F};
  for (const float wrong : {0.0F, -0.1F, 1.1F, std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<LoggedChoice> choices = {Logged(0.5F, 1), Logged(wrong, 1)};
    const auto estimate = EstimateIps(choices, target);
    EXPECT_EQ(estimate.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(estimate.status().message(), HasSubstr("choices[1].propensity"));
  }
  const LoggedChoice fine = Logged(0.5F, 1);
  const float too_much = 1.5F;
  EXPECT_FALSE(EstimateIps({&fine, 1}, {&too_much, 1}).ok());
  const LoggedChoice endless = Logged(0.5F, std::numeric_limits<float>::infinity());
  EXPECT_FALSE(EstimateIps({&endless, 1}, {target.data(), 1}).ok());
  EXPECT_EQ(EstimateIps({}, {}).status().code(), StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace poise
