// SPDX-License-Identifier: Apache-2.0
#include "models/neighbours/latent_knn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/rng.h"
#include "features/preferences.h"
#include "models/factorization/factorization.h"
#include "models/popularity/rating_baseline.h"

namespace poise {
namespace {

constexpr std::uint32_t kNow = 1'700'000'000;
constexpr std::uint64_t kSeed = 52;
constexpr std::size_t kUsers = 60;
constexpr std::size_t kItems = 30;

TrainingView RandomRatings() {
  Rng rng(kSeed);
  TrainingViewBuilder builder;
  for (std::size_t n = 0; n < 900; ++n) {
    const auto user = static_cast<std::uint32_t>(rng.Below(kUsers));
    const auto item = static_cast<std::uint32_t>(rng.Below(kItems));
    const float stars = user % 2 == item % 2 ? 4.0F : 2.0F;
    builder.Add(UserRow{user}, {ItemRow{item}, kNow + static_cast<std::uint32_t>(n),
                                stars + static_cast<float>(rng.Below(3)) - 1, EventType::kRating});
  }
  return builder.Build(Timestamp::FromSeconds(kNow), kUsers, kItems);
}

double SquaredDistance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) {
    sum += (static_cast<double>(a[d]) - b[d]) * (static_cast<double>(a[d]) - b[d]);
  }
  return sum;
}

double Cosine(std::span<const float> a, std::span<const float> b) {
  double product = 0, aa = 0, bb = 0;
  for (std::size_t d = 0; d < a.size(); ++d) {
    product += static_cast<double>(a[d]) * b[d];
    aa += static_cast<double>(a[d]) * a[d];
    bb += static_cast<double>(b[d]) * b[d];
  }
  return product / std::sqrt(aa * bb);
}

struct Trained {
  std::unique_ptr<const InterestModel> model;
  RatingFactors factors;
  RatingBaseline baseline;
};

Trained Train(const TrainingView& view, const ParameterTexts& parameters) {
  ThreadPool pool(2);
  Trained out;
  const RatingMatrix ratings = LastRatings(view, pool);
  FactorizationOptions options;
  options.dim = 4;
  options.sweeps = 5;
  auto factors = LearnRatingFactors(ratings, options, {.pool = pool});
  const auto trainer = MakeLatentKnnTrainer(parameters, Task::kRating);
  EXPECT_TRUE(factors.ok() && trainer.ok());
  auto model = (*trainer)->Train(view, {.pool = pool});
  EXPECT_TRUE(model.ok()) << model.status().ToString();
  out.factors = *std::move(factors);
  out.baseline = RatingBaseline::Fit(ratings, {}, pool);
  out.model = *std::move(model);
  return out;
}

class BothForms : public testing::TestWithParam<bool> {};

// The formulas of docs/math/latent-knn.md, summed as they are written.
TEST_P(BothForms, EqualTheirFormula) {
  SCOPED_TRACE(kSeed);
  const bool is_printed = GetParam();
  const TrainingView view = RandomRatings();
  const Trained trained = Train(view, {{"dim", "4"},
                                       {"sweeps", "5"},
                                       {"neighbours", "6"},
                                       {"power", "2"},
                                       {"damping", "0.1"},
                                       {"form", is_printed ? "printed" : "normalised"}});
  const std::size_t dim = trained.factors.dim;
  const auto vector_of = [&](const std::vector<float>& factors, std::size_t row) {
    return std::span<const float>(factors).subspan(row * dim, dim);
  };
  std::size_t differing = 0;
  for (std::uint32_t user = 0; user < 12; ++user) {
    std::vector<ItemValue> rated;
    LastRatingsOf(view.OfUser(UserRow{user}), rated);
    const float bias = trained.baseline.UserBias(rated);
    const auto own = vector_of(trained.factors.users, user);
    std::vector<float> scores(kItems);
    const UserView as_trained{.row = UserRow{user}, .history = view.OfUser(UserRow{user})};
    ASSERT_TRUE(trained.model->ScoreAll(as_trained, scores).ok());
    for (std::uint32_t item = 0; item < kItems; ++item) {
      const auto target = vector_of(trained.factors.items, item);
      std::vector<std::pair<double, ItemValue>> near;
      for (const ItemValue& rating : rated) {
        const double cosine = Cosine(target, vector_of(trained.factors.items, rating.item));
        if (rating.item != item && cosine > 0) near.emplace_back(cosine, rating);
      }
      std::sort(near.begin(), near.end(), [](const auto& a, const auto& b) {
        return a.first > b.first || (a.first == b.first && a.second.item < b.second.item);
      });
      if (near.size() > 6) near.resize(6);
      double user_squares = 0, all_squares = 0;
      for (const auto& [cosine, rating] : near) {
        const auto factor = vector_of(trained.factors.items, rating.item);
        user_squares += SquaredDistance(own, factor);
        for (const float value : factor) all_squares += static_cast<double>(value) * value;
      }
      double printed = 0, weighted = 0, total = 0;
      for (const auto& [cosine, rating] : near) {
        const auto factor = vector_of(trained.factors.items, rating.item);
        double spread = 0;
        for (const auto& [other_cosine, other] : near) {
          spread += SquaredDistance(factor, vector_of(trained.factors.items, other.item));
        }
        const double sigma = 1 / (1 + std::exp(std::sqrt(SquaredDistance(own, factor))));
        const double lengths = std::sqrt(user_squares) * std::sqrt(spread);
        const double weight = spread > 1e-12 ? sigma / lengths : sigma;
        printed += rating.value * weight;
        const double shape =
            (spread > 1e-12 ? sigma * std::sqrt(all_squares / spread) : sigma) * cosine * cosine;
        weighted += shape * (rating.value - trained.baseline.Predict(bias, rating.item));
        total += shape;
      }
      const double base = trained.baseline.Predict(bias, item);
      double expected = near.empty() ? base
                        : is_printed ? printed
                                     : base + weighted / (total + 0.1);
      expected = trained.baseline.Clamp(static_cast<float>(expected));
      EXPECT_NEAR(scores[item], expected, 2e-3) << user << " " << item;
      differing += std::abs(expected - base) > 0.05 ? 1 : 0;
    }
  }
  EXPECT_GT(differing, 50U) << "the neighbours must have said something";
}

INSTANTIATE_TEST_SUITE_P(Forms, BothForms, testing::Bool(), [](const auto& each) {
  return std::string(each.param ? "printed" : "normalised");
});

TEST(LatentKnn, FoldsAChangedUserInNearToWhereTrainingPutThem) {
  const TrainingView view = RandomRatings();
  const Trained trained = Train(view, {{"dim", "4"}, {"sweeps", "20"}});
  double difference = 0, spread = 0;
  for (std::uint32_t user = 0; user < kUsers; ++user) {
    UserView as_trained{.row = UserRow{user}, .history = view.OfUser(UserRow{user})};
    UserView as_changed = as_trained;
    as_changed.has_changed = true;
    std::vector<float> a(kItems), b(kItems);
    ASSERT_TRUE(trained.model->ScoreAll(as_trained, a).ok());
    ASSERT_TRUE(trained.model->ScoreAll(as_changed, b).ok());
    for (std::size_t item = 0; item < kItems; ++item) {
      difference += std::abs(a[item] - b[item]);
      spread += std::abs(a[item] - trained.baseline.mean());
    }
  }
  EXPECT_LT(difference, 0.1 * spread);
}

TEST(LatentKnn, RefusesAFormItDoesNotKnow) {
  const auto trainer = MakeLatentKnnTrainer({{"form", "other"}}, Task::kRating);
  ASSERT_FALSE(trainer.ok());
  EXPECT_EQ(trainer.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(trainer.status().message().find("printed"), std::string::npos);
}

}  // namespace
}  // namespace poise
