// SPDX-License-Identifier: Apache-2.0
//
// What models/interest_model.h promises, held against every model of the registry and every task
// that it can do. A new model joins by its row in the registry.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "features/training_view.h"
#include "models/registry.h"
#include "storage/fault_env.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 20;
constexpr std::size_t kUsers = 60;
constexpr std::size_t kItems = 40;
constexpr std::uint32_t kStart = 1'700'000'000;

struct Case {
  const ModelKind* kind;
  Task task;
};

std::vector<Case> EveryCase() {
  std::vector<Case> cases;
  for (const ModelKind& kind : ModelKinds()) {
    if (kind.can_rank) cases.push_back({&kind, Task::kRanking});
    if (kind.can_rate) cases.push_back({&kind, Task::kRating});
  }
  return cases;
}

std::string CaseName(const testing::TestParamInfo<Case>& each) {
  std::string name(each.param.kind->name);
  std::replace(name.begin(), name.end(), '-', '_');
  return name + (each.param.task == Task::kRating ? "_rating" : "_ranking");
}

// Two tastes: users like items of their own parity.
TrainingView SmallWorld(std::uint64_t seed) {
  Rng rng(seed);
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    for (int n = 0; n < 12; ++n) {
      const auto item = static_cast<std::uint32_t>(rng.Below(kItems));
      const bool is_liked = item % 2 == user % 2;
      if (!is_liked && rng.Bernoulli(0.6)) continue;
      const double stars = (is_liked ? 4.2 : 2.0) + 0.8 * rng.Normal();
      builder.Add(UserRow{user}, {ItemRow{item}, kStart + static_cast<std::uint32_t>(n) * 3600,
                                  static_cast<float>(std::clamp(std::round(stars), 1.0, 5.0)),
                                  EventType::kRating});
    }
  }
  return builder.Build(Timestamp::FromSeconds(kStart + 86400), kUsers, kItems);
}

class ModelContract : public testing::TestWithParam<Case> {
 protected:
  using Model = std::unique_ptr<const InterestModel>;

  Result<Model> Train(const TrainingView& view, std::uint64_t seed = kSeed) {
    auto trainer = MakeTrainer(GetParam().kind->name, {}, GetParam().task);
    if (!trainer.ok()) return trainer.status();
    return (*trainer)->Train(view, {.pool = pool_, .seed = seed});
  }
  Model Trained() {
    Result<Model> model = Train(view_);
    EXPECT_TRUE(model.ok()) << model.status().ToString();
    return model.ok() ? *std::move(model) : nullptr;
  }
  UserView User(std::uint32_t row) const {
    return {.row = UserRow{row}, .history = view_.OfUser(UserRow{row}), .now = view_.as_of};
  }
  static std::vector<float> AllScores(const InterestModel& model, const UserView& user) {
    std::vector<float> scores(model.ItemCount(), NAN);
    const Status status = model.ScoreAll(user, scores);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return scores;
  }
  static void ExpectFinite(const std::vector<float>& scores) {
    for (const float score : scores) ASSERT_TRUE(std::isfinite(score));
  }
  std::string SavedBytes(const InterestModel& model, const std::string& path) {
    const Status status = SaveModel(model, env_, path);
    EXPECT_TRUE(status.ok()) << status.ToString();
    auto mapped = env_.Map(path);
    EXPECT_TRUE(mapped.ok());
    return mapped.ok() ? std::string((*mapped)->bytes()) : "";
  }

  // A file also has a salt of its own, so two files are compared by what is in them.
  std::map<std::string, std::string> Sections(const InterestModel& model, const std::string& path) {
    std::map<std::string, std::string> sections;
    if (SavedBytes(model, path).empty()) return sections;
    const auto reader =
        SnapshotReader::Open(env_, path, "model:" + std::string(GetParam().kind->name));
    EXPECT_TRUE(reader.ok()) << reader.status().ToString();
    if (!reader.ok()) return sections;
    for (const std::string& name : (*reader)->SectionNames()) {
      const auto bytes = (*reader)->Section(name);
      EXPECT_TRUE(bytes.ok()) << name;
      if (bytes.ok()) sections[name] = *bytes;
    }
    return sections;
  }

  ThreadPool pool_{2};
  FaultEnv env_{kSeed};
  const TrainingView view_ = SmallWorld(kSeed);
};

TEST_P(ModelContract, BearsTheNameThatItIsRegisteredUnder) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->Name(), GetParam().kind->name);
  EXPECT_EQ(model->ItemCount(), kItems);
}

TEST_P(ModelContract, ScoresASubsetAsItScoresAll) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::vector<ItemRow> items = {ItemRow{7}, ItemRow{0}, ItemRow{39}, ItemRow{7}};
  for (const std::uint32_t user : {0U, 1U, 59U}) {
    const std::vector<float> all = AllScores(*model, User(user));
    ExpectFinite(all);
    std::vector<float> some(items.size());
    ASSERT_TRUE(model->Score(User(user), items, some).ok());
    for (std::size_t n = 0; n < items.size(); ++n) {
      EXPECT_NEAR(some[n], all[Index(items[n])], 1e-5F * (1 + std::abs(some[n])));
    }
  }
}

TEST_P(ModelContract, RefusesAnItemOutsideTheTrainedCatalogAndNamesIt) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::vector<ItemRow> items = {ItemRow{1}, ItemRow{kItems}};
  std::vector<float> scores(2);
  const Status status = model->Score(User(0), items, scores);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("40"), std::string::npos) << status.message();
}

TEST_P(ModelContract, ScoresNoItemsOfNobody) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  EXPECT_TRUE(model->Score(UserView{}, {}, {}).ok());
}

TEST_P(ModelContract, AnswersAStrangerWithItsPrior) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::vector<float> nobody = AllScores(*model, UserView{.now = view_.as_of});
  ExpectFinite(nobody);
  // A row from after the training is a stranger too.
  const UserView newcomer{.row = UserRow{kUsers + 5}, .now = view_.as_of, .has_changed = true};
  EXPECT_EQ(AllScores(*model, newcomer), nobody);
}

TEST_P(ModelContract, TakesAHistoryWithItemsFromAfterTheTraining) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::vector<Interaction> history = {
      {ItemRow{3}, kStart, 5, EventType::kRating},
      {ItemRow{kItems + 100}, kStart + 1, 4, EventType::kRating},
      {ItemRow{4}, kStart + 2, 2, EventType::kPurchase}};
  const UserView changed{
      .row = UserRow{2}, .history = history, .now = view_.as_of, .has_changed = true};
  ExpectFinite(AllScores(*model, changed));
  const UserView visitor{.history = history, .now = view_.as_of};
  ExpectFinite(AllScores(*model, visitor));
}

TEST_P(ModelContract, KeepsRatingsWithinTheTrainedScale) {
  if (GetParam().task != Task::kRating) GTEST_SKIP() << "ranking scores have no scale";
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    for (const float stars : AllScores(*model, User(user))) {
      ASSERT_GE(stars, 1);
      ASSERT_LE(stars, 5);
    }
  }
}

TEST_P(ModelContract, IsByteIdenticalForEqualSeedAndThreads) {
  const Model first = Trained();
  const Model second = Trained();
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  const auto bytes = Sections(*first, "first");
  EXPECT_FALSE(bytes.empty());
  EXPECT_EQ(bytes, Sections(*second, "second"));
}

TEST_P(ModelContract, ScoresTheSameAfterSavingAndLoading) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  ASSERT_FALSE(SavedBytes(*model, "model").empty());
  const Result<Model> loaded = LoadModel(GetParam().kind->name, env_, "model");
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((*loaded)->ItemCount(), model->ItemCount());
  std::vector<Interaction> history(view_.OfUser(UserRow{9}).begin(),
                                   view_.OfUser(UserRow{9}).end());
  history.push_back({ItemRow{5}, kStart + 90000, 5, EventType::kRating});
  for (const UserView& user :
       {User(0), User(17), UserView{},
        UserView{.row = UserRow{9}, .history = history, .has_changed = true}}) {
    EXPECT_EQ(AllScores(**loaded, user), AllScores(*model, user));
  }
}

TEST_P(ModelContract, IsNotLoadedAsAnotherKind) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  ASSERT_FALSE(SavedBytes(*model, "model").empty());
  const std::string_view other = GetParam().kind->name == "popularity" ? "trending" : "popularity";
  EXPECT_FALSE(LoadModel(other, env_, "model").ok());
}

// Either the damage is refused, or it lies in numbers that are only ever added up.
TEST_P(ModelContract, SurvivesDamagedFiles) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::string bytes = SavedBytes(*model, "model");
  ASSERT_FALSE(bytes.empty());
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (int n = 0; n < 300; ++n) {
    const std::uint64_t offset = rng.Below(bytes.size());
    const int bit = static_cast<int>(rng.Below(8));
    ASSERT_TRUE(env_.FlipBit("model", offset, bit).ok());
    const Result<Model> loaded = LoadModel(GetParam().kind->name, env_, "model");
    if (loaded.ok()) {
      std::vector<float> scores((*loaded)->ItemCount());
      EXPECT_TRUE((*loaded)->ScoreAll(User(3), scores).ok());
    }
    ASSERT_TRUE(env_.FlipBit("model", offset, bit).ok());
  }
}

TEST_P(ModelContract, HasNothingToLearnFromAnEmptyView) {
  TrainingViewBuilder builder;
  EXPECT_EQ(Train(builder.Build(Timestamp{}, 0, 0)).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(Train(builder.Build(Timestamp{}, 3, 5)).status().code(),
            StatusCode::kFailedPrecondition);
}

TEST_P(ModelContract, LearnsFromOneUserAndOneItem) {
  TrainingViewBuilder builder;
  builder.Add(UserRow{0}, {ItemRow{0}, kStart, 4, EventType::kRating});
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kStart), 0, 0);
  const Result<Model> model = Train(view);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  ASSERT_EQ((*model)->ItemCount(), 1U);
  ExpectFinite(AllScores(**model, {.row = UserRow{0}, .history = view.OfUser(UserRow{0})}));
  ExpectFinite(AllScores(**model, {}));
}

TEST_P(ModelContract, LearnsWhereAllRatingsAreEqual) {
  TrainingViewBuilder builder;
  for (std::uint32_t n = 0; n < 30; ++n) {
    builder.Add(UserRow{n % 6}, {ItemRow{n % 5}, kStart + n, 3, EventType::kRating});
  }
  const TrainingView view = builder.Build(Timestamp::FromSeconds(kStart), 0, 0);
  const Result<Model> model = Train(view);
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  const std::vector<float> scores =
      AllScores(**model, {.row = UserRow{0}, .history = view.OfUser(UserRow{0})});
  ExpectFinite(scores);
  if (GetParam().task != Task::kRating) return;
  for (const float stars : scores) EXPECT_FLOAT_EQ(stars, 3);
}

TEST_P(ModelContract, ScoresTheSameFromManyThreadsAtOnce) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  std::vector<std::vector<float>> expected(kUsers);
  for (std::uint32_t user = 0; user < kUsers; ++user)
    expected[user] = AllScores(*model, User(user));
  std::vector<int> wrong(4, 0);
  {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < wrong.size(); ++thread) {
      threads.emplace_back([&, thread] {
        std::vector<float> scores(kItems);
        for (std::uint32_t n = 0; n < kUsers; ++n) {
          const auto user = static_cast<std::uint32_t>((n * (thread + 1)) % kUsers);
          if (!model->ScoreAll(User(user), scores).ok() || scores != expected[user]) {
            ++wrong[thread];
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_P(ModelContract, RanksByItsVectorsAsByItsScores) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::optional<EmbeddingView> vectors = model->ItemVectors();
  if (!vectors) {
    EXPECT_FALSE(model->UserVector(User(0), {}).ok());
    return;
  }
  ASSERT_EQ(vectors->row_count, kItems);
  std::vector<float> own(vectors->dim);
  for (const std::uint32_t user : {0U, 1U, 30U}) {
    ASSERT_TRUE(model->UserVector(User(user), own).ok());
    const std::vector<float> scores = AllScores(*model, User(user));
    std::vector<double> products(kItems, 0);
    for (std::size_t item = 0; item < kItems; ++item) {
      for (std::size_t d = 0; d < vectors->dim; ++d) {
        products[item] += static_cast<double>(own[d]) * vectors->Row(item)[d];
      }
    }
    for (std::size_t a = 0; a < kItems; ++a) {
      for (std::size_t b = 0; b < kItems; ++b) {
        if (scores[a] > scores[b] + 1e-3F) {
          ASSERT_GT(products[a], products[b]) << a << " and " << b;
        }
      }
    }
  }
}

TEST_P(ModelContract, ListsNeighboursBestFirstAndNeverAnItemItself) {
  const Model model = Trained();
  ASSERT_NE(model, nullptr);
  const std::optional<NeighbourView> lists = model->Neighbours();
  if (!lists) GTEST_SKIP() << "no lists";
  ASSERT_EQ(lists->items.size(), kItems * lists->neighbour_count);
  ASSERT_EQ(lists->similarities.size(), lists->items.size());
  std::size_t neighbour_total = 0;
  for (std::size_t item = 0; item < kItems; ++item) {
    const std::size_t begin = item * lists->neighbour_count;
    for (std::size_t n = 0; n < lists->neighbour_count; ++n) {
      const float similarity = lists->similarities[begin + n];
      ASSERT_GE(similarity, 0);
      if (n > 0) {
        ASSERT_LE(similarity, lists->similarities[begin + n - 1]);
      }
      if (similarity == 0) continue;
      ++neighbour_total;
      ASSERT_LT(Index(lists->items[begin + n]), kItems);
      ASSERT_NE(Index(lists->items[begin + n]), item);
    }
  }
  EXPECT_GT(neighbour_total, kItems);
}

TEST_P(ModelContract, RefusesAnUnknownParameterAndListsTheKnownOnes) {
  const auto trainer =
      MakeTrainer(GetParam().kind->name, {{"no-such-parameter", "1"}}, GetParam().task);
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(trainer.status().message().find("no-such-parameter"), std::string::npos);
  for (const ParameterDescription& parameter : GetParam().kind->describe()) {
    EXPECT_NE(trainer.status().message().find(parameter.name), std::string::npos);
    EXPECT_FALSE(parameter.sentence.empty()) << parameter.name;
    // What is described is what is taken.
    EXPECT_TRUE(MakeTrainer(GetParam().kind->name, {{parameter.name, parameter.default_value}},
                            GetParam().task)
                    .ok())
        << parameter.name;
  }
}

void PrintTo(const Case& each, std::ostream* out) {
  *out << each.kind->name << (each.task == Task::kRating ? ", rating" : ", ranking");
}

INSTANTIATE_TEST_SUITE_P(Every, ModelContract, testing::ValuesIn(EveryCase()), CaseName);

TEST(ModelRegistry, ListsTheKnownNamesWhenOneIsUnknown) {
  const auto kind = FindModelKind("no-such-model");
  ASSERT_FALSE(kind.ok());
  EXPECT_EQ(kind.status().code(), StatusCode::kInvalidArgument);
  for (const ModelKind& known : ModelKinds()) {
    EXPECT_NE(kind.status().message().find(known.name), std::string::npos);
  }
}

TEST(ModelRegistry, RefusesATaskThatAModelCannotDo) {
  for (const ModelKind& kind : ModelKinds()) {
    EXPECT_EQ(MakeTrainer(kind.name, {}, Task::kRanking).ok(), kind.can_rank) << kind.name;
    EXPECT_EQ(MakeTrainer(kind.name, {}, Task::kRating).ok(), kind.can_rate) << kind.name;
  }
}

}  // namespace
}  // namespace poise
