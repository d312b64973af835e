// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/factorization.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "math/matrix.h"
#include "math/vector.h"
#include "models/factorization/variational_factorizer.h"
#include "models/registry.h"
#include "storage/fault_env.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 33;

// Stars from planted vectors of two dimensions, biases and noise; a third of all pairs is rated.
struct Planted {
  static constexpr std::size_t kUsers = 150;
  static constexpr std::size_t kItems = 60;
  std::vector<double> users = std::vector<double>(kUsers * 3);
  std::vector<double> items = std::vector<double>(kItems * 3);

  Planted() {
    Rng rng(kSeed);
    for (double& value : users) value = rng.Normal();
    for (double& value : items) value = rng.Normal();
  }
  double Truth(std::size_t user, std::size_t item) const {
    return 3 + 0.3 * users[user * 3 + 2] + 0.3 * items[item * 3 + 2] +
           0.5 * (users[user * 3] * items[item * 3] + users[user * 3 + 1] * items[item * 3 + 1]);
  }
  TrainingView View() const {
    Rng rng(kSeed + 1);
    TrainingViewBuilder builder;
    for (std::uint32_t user = 0; user < kUsers; ++user) {
      for (std::uint32_t item = 0; item < kItems; ++item) {
        if (!rng.Bernoulli(0.33)) continue;
        const double stars = std::clamp(Truth(user, item) + 0.3 * rng.Normal(), 0.5, 5.5);
        builder.Add(static_cast<UserRow>(user), {static_cast<ItemRow>(item), 100 + item,
                                                 static_cast<float>(stars), EventType::kRating});
      }
    }
    return builder.Build({}, kUsers, kItems);
  }
};

std::unique_ptr<const InterestModel> Trained(const TrainingView& view, std::size_t thread_count,
                                             ParameterTexts parameters = {},
                                             Task task = Task::kRating,
                                             std::uint64_t seed = kSeed) {
  ThreadPool pool(thread_count);
  parameters.insert(parameters.begin(), {"dim", "6"});
  auto trainer = MakeFactorizationTrainer(parameters, task);
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

TEST(RowPosterior, EqualsTheDenseBayesianRegressionInDouble) {
  constexpr std::size_t kExtended = 5;
  constexpr std::size_t kBias = kExtended - 1;
  constexpr std::size_t kColumns = 7;
  constexpr float kNoise = 1.7F;
  Rng rng(kSeed);
  // Items with means and covariances; their records are made by the code under test from a
  // posterior without ratings, whose mean and covariance are the prior's.
  std::vector<float> moments(kColumns * MomentCount(kExtended));
  std::vector<std::vector<double>> means;
  std::vector<std::vector<double>> covariances;
  for (std::size_t column = 0; column < kColumns; ++column) {
    std::vector<double> root(20 * kExtended);
    for (double& value : root) value = rng.Normal();
    std::vector<double> precision(kExtended * kExtended);
    Gram(1.0, MatrixSpan<const double>(root, 20, kExtended), 0.0,
         MatrixSpan<double>(precision, kExtended, kExtended));
    std::vector<double> covariance(kExtended * kExtended, 0.0);
    std::vector<double> lower = precision;
    ASSERT_TRUE(Cholesky(MatrixSpan<double>(lower, kExtended, kExtended)).ok());
    for (std::size_t k = 0; k < kExtended; ++k) {
      covariance[k * kExtended + k] = 1;
      CholeskySolve(MatrixSpan<const double>(lower, kExtended, kExtended),
                    std::span(covariance).subspan(k * kExtended, kExtended));
    }
    std::vector<double> mean(kExtended);
    for (double& value : mean) value = rng.Normal();
    const std::vector<float> precision_float(precision.begin(), precision.end());
    const std::vector<float> mean_float(mean.begin(), mean.end());
    RowPosterior item(kExtended);
    ASSERT_TRUE(item.Solve({precision_float, mean_float, {}}, kNoise, {}, {}, {}).ok());
    item.Covariance();
    item.WriteMoments(
        std::span(moments).subspan(column * MomentCount(kExtended), MomentCount(kExtended)));
    means.push_back(mean);
    covariances.push_back(covariance);
  }
  const std::vector<std::uint32_t> columns = {0, 2, 3, 6};
  const std::vector<float> ratings = {0.5F, -1, 2, 0.1F};
  std::vector<float> features(kColumns * kExtended);
  for (float& value : features) value = static_cast<float>(rng.Normal());
  std::vector<float> precision(kExtended * kExtended, 0.0F);
  std::vector<float> prior_mean(kExtended);
  for (std::size_t k = 0; k < kExtended; ++k) {
    precision[k * kExtended + k] = 2.0F + static_cast<float>(k);
    prior_mean[k] = static_cast<float>(rng.Normal());
  }

  // E over the items' posteriors of every term, written out.
  std::vector<double> a(precision.begin(), precision.end());
  std::vector<double> x(kExtended, 0.0);
  const auto moment = [&](std::size_t column, std::size_t k, std::size_t l) {
    return means[column][k] * means[column][l] + covariances[column][k * kExtended + l];
  };
  for (std::size_t k = 0; k < kExtended; ++k) {
    double own = prior_mean[k];
    for (const std::uint32_t column : columns) own += 0.5 * features[column * kExtended + k];
    x[k] = precision[k * kExtended + k] * own;
  }
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const std::size_t column = columns[j];
    for (std::size_t k = 0; k < kBias; ++k) {
      for (std::size_t l = 0; l < kBias; ++l) a[k * kExtended + l] += kNoise * moment(column, k, l);
      a[k * kExtended + kBias] += kNoise * means[column][k];
      a[kBias * kExtended + k] += kNoise * means[column][k];
      x[k] += kNoise * (ratings[j] * means[column][k] - moment(column, kBias, k));
    }
    a[kBias * kExtended + kBias] += kNoise;
    x[kBias] += kNoise * (ratings[j] - means[column][kBias]);
  }
  ASSERT_TRUE(Cholesky(MatrixSpan<double>(a, kExtended, kExtended)).ok());
  CholeskySolve(MatrixSpan<const double>(a, kExtended, kExtended), x);

  RowPosterior posterior(kExtended);
  ASSERT_TRUE(
      posterior.Solve({precision, prior_mean, features}, kNoise, moments, columns, ratings).ok());
  for (std::size_t k = 0; k < kExtended; ++k) EXPECT_NEAR(posterior.mean()[k], x[k], 1e-4);

  // E[(r - b - c - p.q)^2] by its definition: users and items are independent.
  const std::span<const float> own = posterior.Covariance();
  double expected = 0;
  for (std::size_t j = 0; j < columns.size(); ++j) {
    const std::size_t column = columns[j];
    std::vector<double> design(means[column].begin(), means[column].end());
    design[kBias] = 1;
    double linear = means[column][kBias];
    double square = moment(column, kBias, kBias);
    for (std::size_t k = 0; k < kExtended; ++k) {
      linear += x[k] * design[k];
      square += 2 * x[k] * (k == kBias ? means[column][kBias] : moment(column, kBias, k));
      for (std::size_t l = 0; l < kExtended; ++l) {
        double both = design[k] * design[l];
        if (k != kBias && l != kBias) both += covariances[column][k * kExtended + l];
        square += (x[k] * x[l] + own[k * kExtended + l]) * both;
      }
    }
    expected += ratings[j] * ratings[j] - 2 * ratings[j] * linear + square;
  }
  EXPECT_NEAR(posterior.ExpectedError(), expected, 1e-3 * expected);
}

TEST(Factorization, FindsPlantedStarsOnPairsItNeverSaw) {
  const Planted planted;
  const TrainingView view = planted.View();
  const auto model = Trained(view, 2);
  double squares = 0;
  double spread = 0;
  std::size_t count = 0;
  for (std::uint32_t user = 0; user < Planted::kUsers; ++user) {
    const std::vector<float> scores = AllScores(*model, {.row = static_cast<UserRow>(user)});
    std::vector<bool> is_seen(Planted::kItems);
    for (const Interaction& seen : view.OfUser(static_cast<UserRow>(user))) {
      is_seen[Index(seen.item)] = true;
    }
    for (std::size_t item = 0; item < Planted::kItems; ++item) {
      if (is_seen[item]) continue;
      const double truth = std::clamp(planted.Truth(user, item), 0.5, 5.5);
      squares += (scores[item] - truth) * (scores[item] - truth);
      spread += (truth - 3) * (truth - 3);
      ++count;
    }
  }
  EXPECT_LT(squares, 0.12 * spread)
      << "mean squared error " << squares / static_cast<double>(count);
}

TEST(Factorization, OneThreadAndTwoGiveTheSameBytesAndAnotherSeedDoesNot) {
  const TrainingView view = Planted().View();
  const auto one = Trained(view, 1);
  const auto two = Trained(view, 2);
  const auto other = Trained(view, 1, {}, Task::kRating, kSeed + 1);
  const std::span<const float> a = one->ItemVectors()->values;
  const std::span<const float> b = two->ItemVectors()->values;
  const std::span<const float> c = other->ItemVectors()->values;
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end()));
  EXPECT_FALSE(std::equal(a.begin(), a.end(), c.begin(), c.end()));
  for (std::uint32_t user = 0; user < Planted::kUsers; ++user) {
    const UserView who{.row = static_cast<UserRow>(user)};
    EXPECT_EQ(AllScores(*one, who), AllScores(*two, who));
  }
}

TEST(Factorization, AUserFoldedInIsTheUserThatTrainingMade) {
  const TrainingView view = Planted().View();
  for (const char* features : {"0", "3"}) {
    const auto model = Trained(view, 1, {{"feature-regularization", features}});
    for (std::uint32_t user = 0; user < Planted::kUsers; ++user) {
      const auto row = static_cast<UserRow>(user);
      const std::vector<float> stored = AllScores(*model, {.row = row});
      const std::vector<float> folded =
          AllScores(*model, {.row = row, .history = view.OfUser(row), .has_changed = true});
      EXPECT_EQ(folded, AllScores(*model, {.history = view.OfUser(row)}));
      for (std::size_t item = 0; item < stored.size(); ++item) {
        ASSERT_NEAR(stored[item], folded[item], 1e-3);
      }
    }
  }
}

TEST(Factorization, PredictionsStayWithinTheStarsThatWereGivenAndRankingDoesNotTieThere) {
  const TrainingView view = Planted().View();
  const auto rating = Trained(view, 1);
  const auto ranking = Trained(view, 1, {}, Task::kRanking);
  std::size_t bound_count = 0;
  for (std::uint32_t user = 0; user < Planted::kUsers; ++user) {
    const UserView who{.row = static_cast<UserRow>(user)};
    const std::vector<float> stars = AllScores(*rating, who);
    const std::vector<float> free = AllScores(*ranking, who);
    for (std::size_t item = 0; item < stars.size(); ++item) {
      EXPECT_GE(stars[item], 0.5F);
      EXPECT_LE(stars[item], 5.5F);
      EXPECT_EQ(stars[item], std::clamp(free[item], 0.5F, 5.5F));
      bound_count += stars[item] != free[item] ? 1 : 0;
    }
  }
  EXPECT_GT(bound_count, 0U);
}

TEST(Factorization, VectorsRankAsScoresDo) {
  const auto model = Trained(Planted().View(), 1, {}, Task::kRanking);
  const UserView user{.row = static_cast<UserRow>(5)};
  const std::vector<float> scores = AllScores(*model, user);
  const std::optional<EmbeddingView> vectors = model->ItemVectors();
  ASSERT_TRUE(vectors.has_value());
  std::vector<float> x(vectors->dim);
  ASSERT_TRUE(model->UserVector(user, x).ok());
  for (std::size_t a = 0; a < scores.size(); ++a) {
    for (std::size_t b = 0; b < scores.size(); ++b) {
      if (scores[a] > scores[b] + 1e-4F) {
        EXPECT_GT(Dot(x, vectors->Row(a)), Dot(x, vectors->Row(b)));
      }
    }
  }
  const ItemRow items[] = {static_cast<ItemRow>(59), static_cast<ItemRow>(1)};
  float some[2];
  ASSERT_TRUE(model->Score(user, items, some).ok());
  EXPECT_EQ(some[0], scores[59]);
  EXPECT_EQ(some[1], scores[1]);
  const ItemRow outside[] = {static_cast<ItemRow>(60)};
  EXPECT_EQ(model->Score(user, outside, {some, 1}).code(), StatusCode::kInvalidArgument);
}

TEST(Factorization, AStrangerGetsThePriorAndAnUnratedItemGetsItsOwn) {
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < 40; ++user) {
    builder.Add(static_cast<UserRow>(user), {static_cast<ItemRow>(0), 1, 5, EventType::kRating});
    builder.Add(static_cast<UserRow>(user), {static_cast<ItemRow>(1), 1, 1, EventType::kRating});
    builder.Add(static_cast<UserRow>(user), {static_cast<ItemRow>(2), 1, 9, EventType::kPurchase});
  }
  const auto model = Trained(builder.Build({}, 41, 3), 1);
  const std::vector<float> stranger = AllScores(*model, {});
  EXPECT_GT(stranger[0], 4);
  EXPECT_LT(stranger[1], 2);
  EXPECT_GT(stranger[2], 1.5);
  EXPECT_LT(stranger[2], 4.5);
  EXPECT_EQ(AllScores(*model, {.row = static_cast<UserRow>(40)}), stranger);
  const Interaction unrated[] = {{static_cast<ItemRow>(0), 1, 1, EventType::kView},
                                 {static_cast<ItemRow>(700), 1, 3, EventType::kRating}};
  EXPECT_EQ(AllScores(*model, {.history = unrated}), stranger);
}

TEST(Factorization, RatingsThatAreAllEqualArePredicted) {
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < 10; ++user) {
    for (std::uint32_t item = 0; item < 5; ++item) {
      builder.Add(static_cast<UserRow>(user),
                  {static_cast<ItemRow>(item), 1, 4, EventType::kRating});
    }
  }
  const auto model = Trained(builder.Build({}, 10, 5), 1);
  for (const float score : AllScores(*model, {.row = static_cast<UserRow>(2)})) {
    EXPECT_EQ(score, 4);
  }
}

TEST(Factorization, OneUserAndOneItemAreEnough) {
  TrainingViewBuilder builder;
  builder.Add(static_cast<UserRow>(0), {static_cast<ItemRow>(0), 1, 2.5F, EventType::kRating});
  const auto model = Trained(builder.Build({}, 1, 1), 2);
  EXPECT_EQ(AllScores(*model, {.row = static_cast<UserRow>(0)})[0], 2.5F);
}

TEST(Factorization, AViewWithoutRatingsIsRefused) {
  ThreadPool pool(1);
  auto trainer = MakeFactorizationTrainer({}, Task::kRating);
  ASSERT_TRUE(trainer.ok());
  TrainingViewBuilder builder;
  builder.Add(static_cast<UserRow>(0), {static_cast<ItemRow>(0), 1, 1, EventType::kPurchase});
  for (const TrainingView& view : {TrainingView{}, builder.Build({}, 1, 1)}) {
    EXPECT_EQ((*trainer)->Train(view, {.pool = pool}).status().code(),
              StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(LearnRatingFactors({}, {}, {.pool = pool}).status().code(),
            StatusCode::kFailedPrecondition);
}

TEST(Factorization, TheFactorsAloneAreTheModelsWithoutBiases) {
  const TrainingView view = Planted().View();
  const auto model = Trained(view, 1);
  ThreadPool pool(1);
  const auto factors =
      LearnRatingFactors(LastRatings(view, pool), {.dim = 6}, {.pool = pool, .seed = kSeed});
  ASSERT_TRUE(factors.ok());
  ASSERT_EQ(factors->dim, 6U);
  ASSERT_EQ(factors->users.size(), Planted::kUsers * 6);
  for (std::size_t item = 0; item < Planted::kItems; ++item) {
    for (std::size_t k = 0; k < 6; ++k) {
      EXPECT_EQ(factors->items[item * 6 + k], model->ItemVectors()->Row(item)[k]);
    }
  }
}

TEST(Factorization, ASavedModelAnswersTheSameWhenLoaded) {
  const TrainingView view = Planted().View();
  for (const char* features : {"0", "3"}) {
    const auto model = Trained(view, 1, {{"feature-regularization", features}});
    FaultEnv env(kSeed);
    ASSERT_TRUE(SaveModel(*model, env, "model").ok());
    const auto loaded = LoadModel("factorization", env, "model");
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    const UserView stored{.row = static_cast<UserRow>(7)};
    const UserView folded{.history = view.OfUser(static_cast<UserRow>(8))};
    for (const UserView& user : {stored, folded, UserView{}}) {
      EXPECT_EQ(AllScores(**loaded, user), AllScores(*model, user));
    }
  }
}

TEST(Factorization, ADamagedHeadOrAMissingOrShortSectionIsRefused) {
  const auto model = Trained(Planted().View(), 1);
  FaultEnv env(kSeed);
  ASSERT_TRUE(SaveModel(*model, env, "model").ok());
  auto reader = SnapshotReader::Open(env, "model", "model:factorization");
  ASSERT_TRUE(reader.ok());
  const auto load = [&](std::string_view changed, std::optional<std::string> bytes) {
    SnapshotWriter writer;
    for (const std::string& name : (*reader)->SectionNames()) {
      if (name != changed) writer.AddSection(name, *(*reader)->Section(name));
    }
    if (bytes) writer.AddSection(changed, *bytes);
    EXPECT_TRUE(writer.WriteTo(env, "changed", "model:factorization", 1).ok());
    return LoadModel("factorization", env, "changed").status();
  };
  const std::string head(*(*reader)->Section("head"));
  EXPECT_TRUE(load("head", head).ok());
  EXPECT_FALSE(load("head", std::nullopt).ok());
  EXPECT_FALSE(load("head", head.substr(1)).ok());
  EXPECT_FALSE(load("head", head + "x").ok());
  EXPECT_FALSE(load("head", std::string(head.size(), '\xff')).ok());
  EXPECT_FALSE(load("head", std::string(head.size(), '\0')).ok());
  for (const char* section : {"users", "items", "item_moments", "precision", "prior", "features"}) {
    const std::string values(*(*reader)->Section(section));
    EXPECT_TRUE(load(section, values).ok());
    EXPECT_FALSE(load(section, values.substr(4)).ok()) << section;
    EXPECT_FALSE(load(section, std::nullopt).ok()) << section;
  }
  // Moments that are no distribution's are found out when a user is folded in, and say so.
  const std::string moments(*(*reader)->Section("item_moments"));
  ASSERT_TRUE(load("item_moments", std::string(moments.size(), '\xff')).ok());
  const auto damaged = LoadModel("factorization", env, "changed");
  ASSERT_TRUE(damaged.ok());
  const Interaction rated[] = {{static_cast<ItemRow>(0), 1, 3, EventType::kRating}};
  std::vector<float> scores(Planted::kItems);
  EXPECT_EQ((*damaged)->ScoreAll({.history = rated}, scores).code(),
            StatusCode::kFailedPrecondition);
}

TEST(Factorization, BadParametersAreNamed) {
  const auto message = [](const ParameterTexts& parameters) {
    const auto trainer = MakeFactorizationTrainer(parameters, Task::kRating);
    return trainer.ok() ? std::string() : trainer.status().message();
  };
  EXPECT_NE(message({{"dim", "0"}}).find("dim"), std::string::npos);
  EXPECT_NE(message({{"sweeps", "x"}}).find("sweeps"), std::string::npos);
  EXPECT_NE(message({{"feature-regularization", "-1"}}).find("feature-regularization"),
            std::string::npos);
}

}  // namespace
}  // namespace poise
