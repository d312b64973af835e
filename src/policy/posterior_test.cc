// SPDX-License-Identifier: Apache-2.0
#include "policy/posterior.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>
#include <thread>

#include "base/rng.h"
#include "storage/fault_env.h"
#include "storage/snapshot.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 71;

Candidate At(std::uint32_t row, float relevance = 0.5F) {
  return {.item = ItemRow{row}, .relevance = relevance};
}

Belief BeliefOf(const RewardPosterior& posterior, std::uint32_t row, float relevance = 0.5F) {
  const Candidate candidate = At(row, relevance);
  Belief belief;
  posterior.Believe({&candidate, 1}, {&belief, 1});
  return belief;
}

LoggedChoice Shown(std::uint32_t row, float reward, std::uint16_t slot = 0,
                   float relevance = 0.5F) {
  LoggedChoice choice;
  choice.item = ItemRow{row};
  choice.slot = slot;
  choice.propensity = 0.5F;
  choice.relevance = relevance;
  choice.reward = reward;
  return choice;
}

// What the header says, without any of its tricks: double, one item at a time, libm.
struct SlowPosterior {
  struct ItemState {
    double mean = 0;
    double variance;
  };
  PosteriorOptions options;
  double w[2];
  double s[2][2] = {{0, 0}, {0, 0}};
  std::vector<ItemState> items;

  explicit SlowPosterior(std::size_t item_count) {
    const double v = std::pow(options.base_sd, 2) + std::pow(options.item_sd, 2);
    w[0] = std::log(options.base_rate / (1 - options.base_rate)) *
           std::sqrt(1 + std::numbers::pi / 8 * v);
    w[1] = options.relevance_weight;
    s[0][0] = std::pow(options.base_sd, 2);
    s[1][1] = std::pow(options.relevance_sd, 2);
    items.assign(item_count, {0, std::pow(options.item_sd, 2)});
  }

  void Learn(std::size_t row, double x, double rho, double y) {
    ItemState& item = items[row];
    const double phi[2] = {1, x - 0.5};
    double s_phi[2];
    for (int i = 0; i < 2; ++i) s_phi[i] = s[i][0] * phi[0] + s[i][1] * phi[1];
    const double v = phi[0] * s_phi[0] + phi[1] * s_phi[1] + item.variance;
    const double m = w[0] * phi[0] + w[1] * phi[1] + item.mean;
    const double p = rho / (1 + std::exp(-m / std::sqrt(1 + std::numbers::pi / 8 * v)));
    const double g = p * (1 - p / rho);
    const double r = p * (1 - p) / (g * g);
    for (int i = 0; i < 2; ++i) w[i] += s_phi[i] / (v + r) * (y - p) / g;
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 2; ++j) s[i][j] -= s_phi[i] * s_phi[j] / (v + r);
    }
    item.mean += item.variance * (y - p) / g / (v + r);
    item.variance -= item.variance * item.variance / (v + r);
  }

  double Rate(std::size_t row, double x) const {
    const double v =
        s[0][0] + 2 * (x - 0.5) * s[0][1] + (x - 0.5) * (x - 0.5) * s[1][1] + items[row].variance;
    const double m = w[0] + w[1] * (x - 0.5) + items[row].mean;
    return 1 / (1 + std::exp(-m / std::sqrt(1 + std::numbers::pi / 8 * v)));
  }
};

TEST(RewardPosterior, LearnsWhatTheEquationsSay) {
  RewardPosterior posterior;
  SlowPosterior slow(30);
  Rng rng(kSeed);
  for (int step = 0; step < 2000; ++step) {
    const auto row = static_cast<std::uint32_t>(rng.Below(30));
    const auto x = static_cast<float>(rng.Uniform());
    const auto slot = static_cast<std::uint16_t>(rng.Below(10));
    const float y = rng.Bernoulli(0.1) ? 1.0F : 0.0F;
    ASSERT_TRUE(posterior.Learn(Shown(row, y, slot, x)).ok());
    slow.Learn(row, x, posterior.Examination(slot), y);
  }
  for (std::uint32_t row = 0; row < 30; ++row) {
    for (const float x : {0.0F, 0.3F, 1.0F}) {
      const double rate = slow.Rate(row, x);
      EXPECT_NEAR(BeliefOf(posterior, row, x).mean, rate, 1e-3 * rate);
    }
  }
}

TEST(RewardPosterior, AnUnseenItemIsWorthTheBaseRate) {
  const RewardPosterior posterior;
  const Belief belief = BeliefOf(posterior, 5);
  EXPECT_NEAR(belief.mean, 0.05, 1e-4);
  EXPECT_GT(belief.sd, 0.02);
  EXPECT_GT(BeliefOf(posterior, 5, 1.0F).mean, belief.mean);
  EXPECT_LT(BeliefOf(posterior, 5, 0.0F).mean, belief.mean);
  EXPECT_EQ(posterior.TrialCount(ItemRow{5}), 0U);
}

TEST(RewardPosterior, FindsThePlantedRatesAndIsAsSureAsItShouldBe) {
  RewardPosterior posterior;
  Rng rng(kSeed);
  std::vector<double> truth(200);
  for (double& rate : truth) rate = 1 / (1 + std::exp(-(-3 + 0.7 * rng.Normal())));
  for (int round = 0; round < 400; ++round) {
    for (std::uint32_t row = 0; row < truth.size(); ++row) {
      ASSERT_TRUE(posterior.Learn(Shown(row, rng.Bernoulli(truth[row]) ? 1.0F : 0.0F)).ok());
    }
  }
  double squared = 0;
  double correlation = 0;
  for (std::uint32_t row = 0; row < truth.size(); ++row) {
    const Belief belief = BeliefOf(posterior, row);
    squared += std::pow((belief.mean - truth[row]) / belief.sd, 2);
    correlation += std::fabs(belief.mean - truth[row]);
  }
  // Standardised errors have mean square 1; 200 of them have an sd of .1 about it.
  EXPECT_NEAR(squared / 200, 1, 0.5);
  EXPECT_LT(correlation / 200, 0.012);
}

TEST(RewardPosterior, LearnsWhatRelevanceIsWorthForItemsItNeverSaw) {
  RewardPosterior posterior;
  Rng rng(kSeed);
  for (std::uint32_t step = 0; step < 20'000; ++step) {
    const auto x = static_cast<float>(rng.Uniform());
    const double rate = 1 / (1 + std::exp(-(-4 + 3 * x)));
    ASSERT_TRUE(posterior.Learn(Shown(step % 4000, rng.Bernoulli(rate) ? 1.0F : 0.0F, 0, x)).ok());
  }
  for (const float x : {0.1F, 0.5F, 0.9F}) {
    const double rate = 1 / (1 + std::exp(-(-4 + 3 * x)));
    EXPECT_NEAR(BeliefOf(posterior, 9999, x).mean / rate, 1, 0.35);
  }
}

// Position bias credited to items: the same item deep in the slate is clicked less, and must not
// be believed worse for it.
TEST(RewardPosterior, AnItemIsNotBlamedForItsPosition) {
  RewardPosterior posterior;
  Rng rng(kSeed);
  for (int step = 0; step < 6000; ++step) {
    const double rate = 0.2;
    ASSERT_TRUE(posterior.Learn(Shown(0, rng.Bernoulli(rate) ? 1.0F : 0.0F, 0)).ok());
    const bool is_seen_and_liked = rng.Bernoulli(rate * posterior.Examination(8));
    ASSERT_TRUE(posterior.Learn(Shown(1, is_seen_and_liked ? 1.0F : 0.0F, 8)).ok());
  }
  EXPECT_NEAR(BeliefOf(posterior, 0).mean, 0.2, 0.02);
  EXPECT_NEAR(BeliefOf(posterior, 1).mean, 0.2, 0.03);
}

TEST(RewardPosterior, AMissDeepInTheSlateSaysLessThanOneOnTop) {
  RewardPosterior top;
  RewardPosterior deep;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(top.Learn(Shown(3, 0, 0)).ok());
    ASSERT_TRUE(deep.Learn(Shown(3, 0, 50)).ok());
  }
  EXPECT_LT(BeliefOf(top, 3).mean, BeliefOf(deep, 3).mean);
  EXPECT_LT(top.Examination(50), 0.2F);
  EXPECT_EQ(top.Examination(0), 1);
  EXPECT_EQ(top.Examination(1'000'000), top.Examination(255));
}

TEST(RewardPosterior, MoreRewardIsBetterNeverWorse) {
  RewardPosterior liked;
  RewardPosterior ignored;
  const float before = BeliefOf(liked, 1).mean;
  ASSERT_TRUE(liked.Learn(Shown(1, 1)).ok());
  ASSERT_TRUE(ignored.Learn(Shown(1, 0)).ok());
  EXPECT_GT(BeliefOf(liked, 1).mean, before);
  EXPECT_LT(BeliefOf(ignored, 1).mean, before);
}

TEST(RewardPosterior, AnOutcomeOfHigherValueIsWorthMore) {
  RewardPosterior posterior;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(posterior.Learn(Shown(1, i % 5 == 0 ? 1.0F : 0.0F)).ok());
    ASSERT_TRUE(posterior.Learn(Shown(2, i % 5 == 0 ? 6.0F : 0.0F)).ok());
  }
  EXPECT_GT(BeliefOf(posterior, 2).mean, 2.0F * BeliefOf(posterior, 1).mean);
}

// A delayed purchase counted as 0: the correction takes the zero back without a second trial.
TEST(RewardPosterior, ALateOutcomeCorrectsAndIsNoNewTrial) {
  RewardPosterior corrected;
  RewardPosterior at_once;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(at_once.Learn(Shown(1, i % 10 == 0 ? 1.0F : 0.0F)).ok());
    ASSERT_TRUE(corrected.Learn(Shown(1, 0)).ok());
    if (i % 10 != 0) continue;
    LoggedChoice late = Shown(1, 1);
    late.is_correction = true;
    ASSERT_TRUE(corrected.Learn(late).ok());
  }
  EXPECT_EQ(corrected.TrialCount(ItemRow{1}), 100U);
  EXPECT_EQ(corrected.trial_count(), 100U);
  EXPECT_NEAR(BeliefOf(corrected, 1).mean, BeliefOf(at_once, 1).mean,
              0.15 * BeliefOf(at_once, 1).mean);
  RewardPosterior never;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(never.Learn(Shown(1, 0)).ok());
  EXPECT_LT(BeliefOf(never, 1).mean, 0.5F * BeliefOf(corrected, 1).mean);
}

TEST(RewardPosterior, ARaisedRewardMovesTheValueAndNotTheRate) {
  RewardPosterior posterior;
  ASSERT_TRUE(posterior.Learn(Shown(1, 1)).ok());
  const Belief clicked = BeliefOf(posterior, 1);
  LoggedChoice bought = Shown(1, 6);
  bought.earlier_reward = 1;
  bought.is_correction = true;
  ASSERT_TRUE(posterior.Learn(bought).ok());
  EXPECT_GT(BeliefOf(posterior, 1).mean, clicked.mean);
  EXPECT_EQ(posterior.trial_count(), 1U);

  LoggedChoice returned = Shown(1, 0);
  returned.earlier_reward = 6;
  returned.is_correction = true;
  ASSERT_TRUE(posterior.Learn(returned).ok());
  EXPECT_LT(BeliefOf(posterior, 1).mean, clicked.mean);
}

TEST(RewardPosterior, TheSdOfAnItemNeverFallsBelowItsFloor) {
  PosteriorOptions options;
  options.item_sd_floor = 0.3;
  RewardPosterior posterior(options);
  RewardPosterior frozen;
  for (int i = 0; i < 30'000; ++i) {
    const float reward = i % 10 == 0 ? 1.0F : 0.0F;
    ASSERT_TRUE(posterior.Learn(Shown(1, reward)).ok());
    ASSERT_TRUE(frozen.Learn(Shown(1, reward)).ok());
  }
  const Belief belief = BeliefOf(posterior, 1);
  // On the logit scale sd / (p (1 - p)) is the posterior's own.
  EXPECT_GE(belief.sd / (belief.mean * (1 - belief.mean)), 0.28F);
  EXPECT_GT(belief.sd, BeliefOf(frozen, 1).sd);
}

TEST(RewardPosterior, RefusesAPropensityOutsideZeroToOneAndNumbersThatAreNone) {
  RewardPosterior posterior;
  const Belief before = BeliefOf(posterior, 1);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float propensity : {0.0F, -1.0F, 1.01F, nan}) {
    LoggedChoice choice = Shown(1, 1);
    choice.propensity = propensity;
    const Status status = posterior.Learn(choice);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), testing::HasSubstr("propensity"));
  }
  EXPECT_EQ(posterior.Learn(Shown(1, nan)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(posterior.Learn(Shown(1, 1, 0, nan)).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(posterior.Learn(Shown(RewardPosterior::kMaxItems, 1)).code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(BeliefOf(posterior, 1).mean, before.mean);
  EXPECT_EQ(posterior.trial_count(), 0U);
  EXPECT_EQ(BeliefOf(posterior, 0xffffffff).mean, before.mean);
}

TEST(RewardPosterior, StaysFiniteUnderExtremeOutcomes) {
  PosteriorOptions options;
  options.base_rate = 1e-6;
  options.item_sd = 10;
  RewardPosterior posterior(options);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(posterior.Learn(Shown(1, 1e6F, 255, 1)).ok());
    ASSERT_TRUE(posterior.Learn(Shown(2, -1e6F, 0, 0)).ok());
    ASSERT_TRUE(posterior.Learn(Shown(3, 1, 0, -1e3F)).ok());
  }
  for (std::uint32_t row = 0; row < 5; ++row) {
    for (const float x : {0.0F, 1.0F}) {
      const Belief belief = BeliefOf(posterior, row, x);
      EXPECT_TRUE(std::isfinite(belief.mean));
      EXPECT_TRUE(std::isfinite(belief.sd));
      EXPECT_GE(belief.sd, 0);
    }
  }
}

TEST(RewardPosterior, ABatchIsBelievedLikeEachCandidateAlone) {
  RewardPosterior posterior;
  Rng rng(kSeed);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_TRUE(posterior
                    .Learn(Shown(static_cast<std::uint32_t>(rng.Below(20'000)),
                                 static_cast<float>(rng.Below(3))))
                    .ok());
  }
  std::vector<Candidate> candidates;
  for (int i = 0; i < 501; ++i) {
    candidates.push_back(
        At(static_cast<std::uint32_t>(rng.Below(30'000)), static_cast<float>(rng.Uniform())));
  }
  std::vector<Belief> beliefs(candidates.size());
  posterior.Believe(candidates, beliefs);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    Belief alone;
    posterior.Believe({&candidates[i], 1}, {&alone, 1});
    EXPECT_EQ(beliefs[i].mean, alone.mean);
    EXPECT_EQ(beliefs[i].sd, alone.sd);
  }
}

TEST(RewardPosterior, TheWidestAreThoseShownLeast) {
  RewardPosterior posterior;
  for (std::uint32_t row = 0; row < 20; ++row) {
    for (std::uint32_t i = 0; i <= row * 20; ++i) ASSERT_TRUE(posterior.Learn(Shown(row, 0)).ok());
  }
  EXPECT_THAT(posterior.Widest(20, 3), testing::ElementsAre(ItemRow{0}, ItemRow{1}, ItemRow{2}));
  EXPECT_EQ(posterior.Widest(5, 100).size(), 5U);
  EXPECT_TRUE(posterior.Widest(0, 3).empty());
}

void LearnMuch(RewardPosterior& posterior) {
  Rng rng(kSeed);
  for (int i = 0; i < 5000; ++i) {
    LoggedChoice choice =
        Shown(static_cast<std::uint32_t>(rng.Below(9000)), rng.Bernoulli(0.1) ? 2.0F : 0.0F,
              static_cast<std::uint16_t>(rng.Below(12)), static_cast<float>(rng.Uniform()));
    choice.is_correction = rng.Bernoulli(0.05);
    POISE_CHECK(posterior.Learn(choice).ok());
  }
}

void ExpectSame(const RewardPosterior& a, const RewardPosterior& b) {
  for (std::uint32_t row = 0; row < 9100; ++row) {
    const Belief x = BeliefOf(a, row, 0.3F);
    const Belief y = BeliefOf(b, row, 0.3F);
    ASSERT_EQ(x.mean, y.mean);
    ASSERT_EQ(x.sd, y.sd);
    ASSERT_EQ(a.TrialCount(ItemRow{row}), b.TrialCount(ItemRow{row}));
  }
  EXPECT_EQ(a.trial_count(), b.trial_count());
}

TEST(RewardPosterior, TheSameChoicesGiveTheSameBits) {
  RewardPosterior a;
  RewardPosterior b;
  LearnMuch(a);
  LearnMuch(b);
  ExpectSame(a, b);
}

TEST(RewardPosterior, ComesBackFromASnapshotBitForBitAndReplacesWhatWasThere) {
  FaultEnv env(kSeed);
  RewardPosterior saved;
  LearnMuch(saved);
  SnapshotWriter writer;
  saved.Save(writer);
  ASSERT_TRUE(env.MakeDirectories("/s").ok());
  ASSERT_TRUE(writer.WriteTo(env, "/s/a", "test", 1).ok());
  const auto reader = SnapshotReader::Open(env, "/s/a", "test");
  ASSERT_TRUE(reader.ok()) << reader.status().message();
  RewardPosterior loaded;
  ASSERT_TRUE(loaded.Learn(Shown(9050, 1)).ok());
  ASSERT_TRUE(loaded.Load(**reader).ok());
  ExpectSame(loaded, saved);
  LearnMuch(loaded);
  LearnMuch(saved);
  ExpectSame(loaded, saved);
}

TEST(RewardPosterior, RefusesADamagedSnapshotAndKeepsWhatItKnew) {
  FaultEnv env(kSeed);
  ASSERT_TRUE(env.MakeDirectories("/s").ok());
  RewardPosterior posterior;
  LearnMuch(posterior);
  const Belief before = BeliefOf(posterior, 7);
  const std::vector<double> not_numbers(10, std::numeric_limits<double>::quiet_NaN());
  const std::vector<std::uint32_t> row(5, 0xffffffff);
  for (const bool is_line_bad : {true, false}) {
    SnapshotWriter writer;
    if (is_line_bad) {
      writer.AddArray("posterior", not_numbers);
    } else {
      RewardPosterior other;
      SnapshotWriter good;
      other.Save(good);
      ASSERT_TRUE(good.WriteTo(env, "/s/good", "test", 1).ok());
      const auto reader = SnapshotReader::Open(env, "/s/good", "test");
      ASSERT_TRUE(reader.ok());
      writer.AddSection("posterior", *(*reader)->Section("posterior"));
    }
    writer.AddArray("posterior.items", row);
    ASSERT_TRUE(writer.WriteTo(env, "/s/bad", "test", 1).ok());
    const auto reader = SnapshotReader::Open(env, "/s/bad", "test");
    ASSERT_TRUE(reader.ok());
    EXPECT_FALSE(posterior.Load(**reader).ok());
    EXPECT_EQ(BeliefOf(posterior, 7).mean, before.mean);
  }
  SnapshotWriter empty;
  ASSERT_TRUE(empty.WriteTo(env, "/s/empty", "test", 1).ok());
  const auto reader = SnapshotReader::Open(env, "/s/empty", "test");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(posterior.Load(**reader).code(), StatusCode::kInvalidArgument);
}

// Meant for the thread sanitizer as well: a torn pair would be a mean of one Learn() with the
// variance of another, and gives beliefs that no state ever had.
TEST(RewardPosterior, ReadersBesideTheWriterSeeWholeNumbers) {
  RewardPosterior posterior;
  std::atomic<bool> is_done{false};
  std::atomic<int> bad{0};
  std::thread reader([&] {
    while (!is_done.load()) {
      for (std::uint32_t row = 0; row < 50; ++row) {
        const Belief belief = BeliefOf(posterior, row);
        if (!(belief.mean > 0 && belief.mean < 2 && belief.sd > 0 && belief.sd < 2)) ++bad;
      }
    }
  });
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    ASSERT_TRUE(posterior.Learn(Shown(i % 50, i % 9 == 0 ? 1.0F : 0.0F)).ok());
  }
  is_done = true;
  reader.join();
  EXPECT_EQ(bad.load(), 0);
}

TEST(PosteriorParameters, EachHasItsDefaultInsideItsRange) {
  for (const ParameterDescription& row :
       DescribeParameters<PosteriorOptions>(PosteriorParameters())) {
    PosteriorOptions options;
    EXPECT_TRUE(
        SetParameter<PosteriorOptions>(PosteriorParameters(), row.name, row.default_value, options)
            .ok())
        << row.name;
  }
}

}  // namespace
}  // namespace poise
