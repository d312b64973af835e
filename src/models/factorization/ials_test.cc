// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/ials.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/rng.h"
#include "math/matrix.h"
#include "math/vector.h"
#include "models/factorization/ials_solver.h"
#include "models/registry.h"
#include "storage/fault_env.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 20;

// Two tastes: users of a kind take items of a kind, and some at random.
TrainingView TwoTastes(std::size_t user_count, std::size_t item_count, std::size_t per_user) {
  Rng rng(kSeed);
  TrainingViewBuilder builder;
  for (std::size_t user = 0; user < user_count; ++user) {
    std::set<std::uint64_t> taken;
    while (taken.size() < per_user) {
      const std::uint64_t half = rng.Bernoulli(0.9) ? user % 2 : 1 - user % 2;
      taken.insert(half * (item_count / 2) + rng.Below(item_count / 2));
    }
    for (const std::uint64_t item : taken) {
      builder.Add(static_cast<UserRow>(user),
                  {static_cast<ItemRow>(item), static_cast<std::uint32_t>(1000 + rng.Below(50)),
                   1.0F + static_cast<float>(rng.Below(3)),
                   rng.Bernoulli(0.5) ? EventType::kPurchase : EventType::kView});
    }
  }
  return builder.Build({}, user_count, item_count);
}

PreferenceMatrix SmallPreferences(ThreadPool& pool) {
  return AggregatePreferences(TwoTastes(40, 30, 6), EventWeights{}, pool);
}

constexpr IalsObjective kObjective{
    .unobserved_weight = 0.2, .regularization = 0.05, .frequency_exponent = 0.7};

// The objective by its definition: every pair of user and item.
double NaiveObjective(const PreferenceMatrix& preferences, const IalsSolver& solver) {
  const SparseMatrix& rows = preferences.by_user;
  double total = 0;
  std::vector<double> item_weights(rows.column_count, 0.0);
  for (std::size_t user = 0; user < rows.row_count(); ++user) {
    double weight_sum = 0;
    std::vector<double> weights(rows.column_count, 0.0);
    for (std::size_t j = 0; j < rows.ColumnsOf(user).size(); ++j) {
      const double weight = rows.ValuesOf(user)[j];
      weights[rows.ColumnsOf(user)[j]] = weight;
      item_weights[rows.ColumnsOf(user)[j]] += weight;
      weight_sum += weight;
    }
    for (std::size_t item = 0; item < rows.column_count; ++item) {
      double score = 0;
      for (std::size_t k = 0; k < solver.users().dim(); ++k) {
        score += double{solver.users().Row(user)[k]} * solver.items().Row(item)[k];
      }
      total += weights[item] * (1 - score) * (1 - score) + 0.2 * score * score;
    }
    total += 0.05 * std::pow(weight_sum + 0.2 * 30, 0.7) * SquaredNorm(solver.users().Row(user));
  }
  for (std::size_t item = 0; item < rows.column_count; ++item) {
    total +=
        0.05 * std::pow(item_weights[item] + 0.2 * 40, 0.7) * SquaredNorm(solver.items().Row(item));
  }
  return total;
}

// The dense normal equations of one row, solved in double.
std::vector<double> NaiveRow(const SparseMatrix& rows, std::size_t row, const FactorMatrix& fixed) {
  const std::size_t dim = fixed.dim();
  std::vector<double> a(dim * dim, 0.0);
  std::vector<double> x(dim, 0.0);
  double weight_sum = 0;
  const auto add = [&](std::size_t column, double weight) {
    for (std::size_t k = 0; k < dim; ++k) {
      for (std::size_t l = 0; l < dim; ++l) {
        a[k * dim + l] += weight * fixed.Row(column)[k] * fixed.Row(column)[l];
      }
    }
  };
  for (std::size_t column = 0; column < fixed.row_count(); ++column) add(column, 0.2);
  for (std::size_t j = 0; j < rows.ColumnsOf(row).size(); ++j) {
    const double weight = rows.ValuesOf(row)[j];
    add(rows.ColumnsOf(row)[j], weight);
    weight_sum += weight;
    for (std::size_t k = 0; k < dim; ++k) x[k] += weight * fixed.Row(rows.ColumnsOf(row)[j])[k];
  }
  const double ridge =
      0.05 * std::pow(weight_sum + 0.2 * static_cast<double>(fixed.row_count()), 0.7);
  for (std::size_t k = 0; k < dim; ++k) a[k * dim + k] += ridge;
  EXPECT_TRUE(Cholesky(MatrixSpan<double>(a, dim, dim)).ok());
  CholeskySolve(MatrixSpan<const double>(a, dim, dim), x);
  return x;
}

TEST(IalsSolver, ARowSolvedToTheEndEqualsItsDenseNormalEquationsAtEverySimdLevel) {
  ThreadPool pool(1);
  const PreferenceMatrix preferences = SmallPreferences(pool);
  for (const std::size_t dim : {1U, 5U, 16U, 20U}) {
    for (const SimdLevel level : SupportedSimdLevels()) {
      SCOPED_TRACE(testing::Message() << "dim " << dim << ' ' << SimdLevelName(level));
      IalsSolver solver(preferences, dim, kObjective, {.level = level}, pool);
      solver.Initialize(0.5, kSeed);
      ASSERT_TRUE(solver.RunEpoch().ok());
      ASSERT_TRUE(solver.SolveUsers(60, RowReads::kFloat).ok());
      for (std::size_t user = 0; user < 40; ++user) {
        const std::vector<double> exact = NaiveRow(preferences.by_user, user, solver.items());
        for (std::size_t k = 0; k < dim; ++k) {
          ASSERT_NEAR(solver.users().Row(user)[k], exact[k], 1e-4) << user;
        }
      }
    }
  }
}

TEST(IalsSolver, RowsBeyondThePanelAreSolvedAsWell) {
  ThreadPool pool(1);
  // 5,000 users on 4 items: an item's row is longer than any panel of this dimension.
  TrainingViewBuilder builder;
  Rng rng(kSeed);
  for (std::uint32_t user = 0; user < 5000; ++user) {
    for (std::uint32_t item = 0; item < 4; ++item) {
      if (rng.Bernoulli(0.6)) {
        builder.Add(static_cast<UserRow>(user),
                    {static_cast<ItemRow>(item), 1, 1, EventType::kPurchase});
      }
    }
  }
  const PreferenceMatrix preferences =
      AggregatePreferences(builder.Build({}, 5000, 4), EventWeights{}, pool);
  IalsSolver solver(preferences, 64, kObjective, {}, pool);
  ASSERT_GT(preferences.by_item.ColumnsOf(0).size(), RowScratch(64).PanelRows());
  solver.Initialize(0.5, kSeed);
  ASSERT_TRUE(solver.SolveItems(60, RowReads::kFloat).ok());
  for (std::size_t item = 0; item < 4; ++item) {
    const std::vector<double> exact = NaiveRow(preferences.by_item, item, solver.users());
    for (std::size_t k = 0; k < 64; ++k) {
      ASSERT_NEAR(solver.items().Row(item)[k], exact[k], 2e-3) << item;
    }
  }
}

TEST(IalsSolver, ObjectiveEqualsItsDefinitionAndNeverRises) {
  ThreadPool pool(2);
  const PreferenceMatrix preferences = SmallPreferences(pool);
  for (const IalsSteps& steps : {IalsSteps{}, IalsSteps{.user_step_count = 3, .item_step_count = 3},
                                 IalsSteps{.reads = RowReads::kHalf},
                                 IalsSteps{.method = RowMethod::kSubspace, .subspace_dim = 3},
                                 IalsSteps{.method = RowMethod::kSubspace, .subspace_dim = 64}}) {
    IalsSolver solver(preferences, 8, kObjective, steps, pool);
    solver.Initialize(0.3, kSeed);
    double before = solver.Objective();
    for (int epoch = 0; epoch < 10; ++epoch) {
      ASSERT_TRUE(solver.SolveUsers(steps.user_step_count, steps.reads).ok());
      const double between = solver.Objective();
      EXPECT_LE(between, before * (1 + 1e-5));
      ASSERT_TRUE(solver.SolveItems(steps.item_step_count, steps.reads).ok());
      const double after = solver.Objective();
      EXPECT_LE(after, between * (1 + 1e-5));
      before = after;
    }
    EXPECT_NEAR(before, NaiveObjective(preferences, solver), 1e-4 * before);
  }
}

TEST(IalsSolver, HalfPrecisionReadsMoveTheSolutionLittleWhateverTheSizeOfTheVectors) {
  ThreadPool pool(1);
  // Few items, many users: items' rows are read from the matrix, users' from the panel.
  TrainingViewBuilder builder;
  Rng rng(kSeed);
  for (std::uint32_t user = 0; user < 5000; ++user) {
    for (std::uint32_t item = 0; item < 6; ++item) {
      if (rng.Bernoulli(0.4)) {
        builder.Add(static_cast<UserRow>(user),
                    {static_cast<ItemRow>(item), 1, 1, EventType::kPurchase});
      }
    }
  }
  const PreferenceMatrix preferences =
      AggregatePreferences(builder.Build({}, 5000, 6), EventWeights{}, pool);
  for (const SimdLevel level : SupportedSimdLevels()) {
    for (const double scale : {1e-4, 0.1, 3.0}) {
      SCOPED_TRACE(testing::Message() << SimdLevelName(level) << " scale " << scale);
      double objectives[2];
      for (const RowReads reads : {RowReads::kFloat, RowReads::kHalf}) {
        IalsSolver solver(preferences, 64, kObjective, {.reads = reads, .level = level}, pool);
        solver.Initialize(scale, kSeed);
        for (int epoch = 0; epoch < 12; ++epoch) ASSERT_TRUE(solver.RunEpoch().ok());
        objectives[reads == RowReads::kHalf ? 1 : 0] = solver.Objective();
      }
      EXPECT_NEAR(objectives[1], objectives[0], 1e-3 * objectives[0]);
    }
  }
}

TEST(IalsSolver, ConjugateGradientsAndSubspacesReachTheSameObjective) {
  ThreadPool pool(1);
  const PreferenceMatrix preferences = SmallPreferences(pool);
  std::vector<double> objectives;
  for (const IalsSteps& steps :
       {IalsSteps{}, IalsSteps{.method = RowMethod::kSubspace, .subspace_dim = 4}}) {
    IalsSolver solver(preferences, 8, kObjective, steps, pool);
    solver.Initialize(0.3, kSeed);
    for (int epoch = 0; epoch < 60; ++epoch) ASSERT_TRUE(solver.RunEpoch().ok());
    objectives.push_back(solver.Objective());
  }
  EXPECT_NEAR(objectives[0], objectives[1], 2e-3 * objectives[0]);
}

std::unique_ptr<const InterestModel> Trained(const TrainingView& view, std::size_t thread_count,
                                             ParameterTexts parameters = {},
                                             std::uint64_t seed = kSeed) {
  ThreadPool pool(thread_count);
  parameters.insert(parameters.begin(), {{"dim", "8"}, {"epochs", "8"}});
  auto trainer = MakeIalsTrainer(parameters, Task::kRanking);
  EXPECT_TRUE(trainer.ok()) << trainer.status().ToString();
  auto model = (*trainer)->Train(view, {.pool = pool, .seed = seed});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  return *std::move(model);
}

std::vector<float> AllScores(const InterestModel& model, const UserView& user) {
  std::vector<float> scores(model.ItemCount());
  EXPECT_TRUE(model.ScoreAll(user, scores).ok());
  return scores;
}

TEST(Ials, OneThreadAndTwoGiveTheSameBytesAndAnotherSeedDoesNot) {
  const TrainingView view = TwoTastes(300, 60, 8);
  for (const char* solver : {"cg", "subspace"}) {
    const auto one = Trained(view, 1, {{"solver", solver}});
    const auto two = Trained(view, 2, {{"solver", solver}});
    const auto other = Trained(view, 2, {{"solver", solver}}, kSeed + 1);
    const std::span<const float> a = one->ItemVectors()->values;
    const std::span<const float> b = two->ItemVectors()->values;
    const std::span<const float> c = other->ItemVectors()->values;
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
    EXPECT_FALSE(std::equal(a.begin(), a.end(), c.begin(), c.end()));
    for (std::uint32_t user = 0; user < 300; ++user) {
      const UserView who{.row = static_cast<UserRow>(user)};
      EXPECT_EQ(AllScores(*one, who), AllScores(*two, who));
    }
  }
}

TEST(Ials, AUserFoldedInIsTheUserThatTrainingMade) {
  const TrainingView view = TwoTastes(300, 60, 8);
  const auto model = Trained(view, 2);
  for (std::uint32_t user = 0; user < 300; ++user) {
    const auto row = static_cast<UserRow>(user);
    const std::vector<float> stored = AllScores(*model, {.row = row});
    const std::vector<float> folded =
        AllScores(*model, {.row = row, .history = view.OfUser(row), .has_changed = true});
    const std::vector<float> stranger = AllScores(*model, {.history = view.OfUser(row)});
    EXPECT_EQ(folded, stranger);
    for (std::size_t item = 0; item < stored.size(); ++item) {
      ASSERT_NEAR(stored[item], folded[item], 1e-3);
    }
  }
}

TEST(Ials, WhatAUserDidLastWeighsMoreUnlessItAllHappenedAtOnce) {
  const TrainingView view = TwoTastes(300, 60, 8);
  const auto model = Trained(view, 1, {{"recency-half-life", "2"}});
  const auto timeless = Trained(view, 1, {{"recency-half-life", "0"}});
  // Eight items of one taste, then four of the other.
  std::vector<Interaction> history;
  for (std::uint32_t n = 0; n < 12; ++n) {
    history.push_back({static_cast<ItemRow>(n < 8 ? n : 30 + n), n, 1, EventType::kPurchase});
  }
  const auto lead_of_the_later_taste = [&](const InterestModel& asked) {
    const std::vector<float> scores = AllScores(asked, {.history = history});
    float lead = 0;
    for (std::size_t item = 0; item < 60; ++item) lead += item < 30 ? -scores[item] : scores[item];
    return lead;
  };
  EXPECT_GT(lead_of_the_later_taste(*model), 0);
  EXPECT_LT(lead_of_the_later_taste(*timeless), 0);
  for (Interaction& event : history) event.time_s = 5;
  EXPECT_LT(lead_of_the_later_taste(*model), 0);
}

TEST(Ials, RanksItemsOfAUsersTasteFirst) {
  const TrainingView view = TwoTastes(300, 60, 8);
  const auto model = Trained(view, 1, {{"unobserved-weight", "0.3"}});
  for (std::uint32_t user = 0; user < 20; ++user) {
    const std::vector<float> scores = AllScores(*model, {.row = static_cast<UserRow>(user)});
    float own = 0;
    float other = 0;
    for (std::size_t item = 0; item < 60; ++item) {
      (item / 30 == user % 2 ? own : other) += scores[item];
    }
    EXPECT_GT(own, 1.5F * other);
  }
}

TEST(Ials, ScoreScoreAllAndTheVectorsAgree) {
  const TrainingView view = TwoTastes(50, 20, 5);
  const auto model = Trained(view, 1);
  const UserView user{.row = static_cast<UserRow>(3)};
  const std::vector<float> all = AllScores(*model, user);
  const ItemRow items[] = {static_cast<ItemRow>(19), static_cast<ItemRow>(0)};
  float some[2];
  ASSERT_TRUE(model->Score(user, items, some).ok());
  EXPECT_EQ(some[0], all[19]);
  EXPECT_EQ(some[1], all[0]);
  const std::optional<EmbeddingView> vectors = model->ItemVectors();
  ASSERT_TRUE(vectors.has_value());
  std::vector<float> x(vectors->dim);
  ASSERT_TRUE(model->UserVector(user, x).ok());
  for (std::size_t item = 0; item < 20; ++item) {
    EXPECT_FLOAT_EQ(Dot(x, vectors->Row(item)), all[item]);
  }
  const ItemRow outside[] = {static_cast<ItemRow>(20)};
  EXPECT_EQ(model->Score(user, outside, {some, 1}).code(), StatusCode::kInvalidArgument);
}

TEST(Ials, AUserOfWhomNothingIsKnownGetsThePrior) {
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < 30; ++user) {
    for (std::uint32_t item = 0; item <= user % 5; ++item) {
      builder.Add(static_cast<UserRow>(user),
                  {static_cast<ItemRow>(item), 1, 1, EventType::kPurchase});
    }
  }
  // User 30 exists without a history, item 5 without a user.
  const auto model = Trained(builder.Build({}, 31, 6), 1);
  const std::vector<float> stranger = AllScores(*model, {});
  EXPECT_GT(stranger[0], stranger[4]) << "the prior ranks by popularity";
  EXPECT_EQ(stranger[5], 0);
  EXPECT_EQ(AllScores(*model, {.row = static_cast<UserRow>(30)}), stranger);
  EXPECT_EQ(AllScores(*model, {.row = static_cast<UserRow>(4000)}), stranger);
  // A history of items that came after training, or that was all given back, says nothing.
  const Interaction later[] = {{static_cast<ItemRow>(77), 1, 1, EventType::kPurchase}};
  EXPECT_EQ(AllScores(*model, {.history = later}), stranger);
  const Interaction returned[] = {{static_cast<ItemRow>(0), 1, 1, EventType::kPurchase},
                                  {static_cast<ItemRow>(0), 2, 1, EventType::kReturn}};
  EXPECT_EQ(AllScores(*model, {.history = returned}), stranger);
}

TEST(Ials, OneUserAndOneItemAreEnough) {
  TrainingViewBuilder builder;
  builder.Add(static_cast<UserRow>(0), {static_cast<ItemRow>(0), 1, 1, EventType::kView});
  const auto model = Trained(builder.Build({}, 1, 1), 1, {{"dim", "64"}});
  const float score = AllScores(*model, {.row = static_cast<UserRow>(0)})[0];
  EXPECT_GT(score, 0);
  EXPECT_LT(score, 1);
}

TEST(Ials, AViewWithoutPreferencesIsRefused) {
  ThreadPool pool(1);
  auto trainer = MakeIalsTrainer({}, Task::kRanking);
  ASSERT_TRUE(trainer.ok());
  EXPECT_EQ((*trainer)->Train(TrainingView{}, {.pool = pool}).status().code(),
            StatusCode::kFailedPrecondition);
  TrainingViewBuilder builder;
  builder.Add(static_cast<UserRow>(0), {static_cast<ItemRow>(0), 1, 1, EventType::kReturn});
  EXPECT_EQ((*trainer)->Train(builder.Build({}, 1, 1), {.pool = pool}).status().code(),
            StatusCode::kFailedPrecondition);
}

TEST(Ials, ASavedModelAnswersTheSameWhenLoaded) {
  const TrainingView view = TwoTastes(60, 20, 5);
  const auto model = Trained(view, 1);
  FaultEnv env(kSeed);
  ASSERT_TRUE(SaveModel(*model, env, "model").ok());
  const auto loaded = LoadModel("ials", env, "model");
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  ASSERT_EQ((*loaded)->ItemCount(), 20U);
  const UserView stored{.row = static_cast<UserRow>(7)};
  const UserView folded{.history = view.OfUser(static_cast<UserRow>(8))};
  for (const UserView& user : {stored, folded, UserView{}}) {
    EXPECT_EQ(AllScores(**loaded, user), AllScores(*model, user));
  }
}

TEST(Ials, ADamagedHeadOrAMissingOrShortSectionIsRefused) {
  const auto model = Trained(TwoTastes(60, 20, 5), 1);
  FaultEnv env(kSeed);
  ASSERT_TRUE(SaveModel(*model, env, "model").ok());
  auto reader = SnapshotReader::Open(env, "model", "model:ials");
  ASSERT_TRUE(reader.ok());
  // Writes the model again with one section replaced, or left out.
  const auto load = [&](std::string_view changed, std::optional<std::string> bytes) {
    SnapshotWriter writer;
    for (const std::string& name : (*reader)->SectionNames()) {
      if (name != changed) writer.AddSection(name, *(*reader)->Section(name));
    }
    if (bytes) writer.AddSection(changed, *bytes);
    EXPECT_TRUE(writer.WriteTo(env, "changed", "model:ials", 1).ok());
    return LoadModel("ials", env, "changed").status();
  };
  const std::string head(*(*reader)->Section("head"));
  EXPECT_TRUE(load("head", head).ok());
  EXPECT_FALSE(load("head", std::nullopt).ok());
  EXPECT_FALSE(load("head", head.substr(1)).ok());
  EXPECT_FALSE(load("head", head + "x").ok());
  EXPECT_FALSE(load("head", std::string(head.size(), '\xff')).ok());
  EXPECT_FALSE(load("head", std::string(head.size(), '\0')).ok());
  for (const char* section : {"users", "items", "gram", "prior"}) {
    const std::string values(*(*reader)->Section(section));
    EXPECT_TRUE(load(section, values).ok());
    EXPECT_FALSE(load(section, values.substr(4)).ok()) << section;
    EXPECT_FALSE(load(section, std::nullopt).ok()) << section;
  }
}

TEST(Ials, BadParametersAreNamed) {
  const auto message = [](const ParameterTexts& parameters) {
    const auto trainer = MakeIalsTrainer(parameters, Task::kRanking);
    return trainer.ok() ? std::string() : trainer.status().message();
  };
  EXPECT_NE(message({{"dim", "0"}}).find("dim"), std::string::npos);
  EXPECT_NE(message({{"regularization", "nan"}}).find("regularization"), std::string::npos);
  EXPECT_NE(message({{"solver", "magic"}}).find("cg, subspace"), std::string::npos);
  EXPECT_NE(message({{"depth", "3"}}).find("depth"), std::string::npos);
  EXPECT_FALSE(MakeIalsTrainer({}, Task::kRating).ok());
}

}  // namespace
}  // namespace poise
