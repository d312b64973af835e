// SPDX-License-Identifier: Apache-2.0
#include "policy/optimistic_plackett_luce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace poise {
namespace {

struct Answer {
  std::vector<float> scores;
  std::vector<float> probabilities;
};

Answer Ask(const Policy& policy, const std::vector<float>& means, const std::vector<float>& sds) {
  const std::vector<Candidate> candidates(means.size());
  Answer answer{std::vector<float>(means.size()), std::vector<float>(means.size())};
  policy.Distribution({candidates, means, sds, 0}, answer.scores, answer.probabilities);
  return answer;
}

TEST(OptimisticPlackettLuce, ScoreIsMeanPlusBetaSdAndTemperatureFollowsTheSds) {
  const auto policy =
      kOptimisticPlackettLuceKind.make({{"beta", "2"}, {"tau", "0.5"}, {"floor", "0"}});
  ASSERT_TRUE(policy.ok());
  const std::vector<float> means = {0.10F, 0.20F, 0.15F};
  const std::vector<float> sds = {0.10F, 0.02F, 0.06F};
  const Answer answer = Ask(**policy, means, sds);
  const double temperature = 0.5 * (0.10 + 0.02 + 0.06) / 3;
  double sum = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_FLOAT_EQ(answer.scores[i], means[i] + 2 * sds[i]);
    sum += std::exp(answer.scores[i] / temperature);
  }
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(answer.probabilities[i], std::exp(answer.scores[i] / temperature) / sum, 1e-5);
  }
}

TEST(OptimisticPlackettLuce, CoolsAsItLearns) {
  const auto policy = kOptimisticPlackettLuceKind.make({});
  ASSERT_TRUE(policy.ok());
  const std::vector<float> means = {0.10F, 0.11F, 0.09F};
  const auto best = [&](float sd) {
    return Ask(**policy, means, std::vector<float>(3, sd)).probabilities[1];
  };
  EXPECT_LT(best(1.0F), 0.4F);
  EXPECT_GT(best(0.1F), best(1.0F));
  EXPECT_GT(best(0.01F), 0.99F);
}

TEST(OptimisticPlackettLuce, PrefersTheLessKnownOfEqualMeans) {
  const auto policy = kOptimisticPlackettLuceKind.make({});
  ASSERT_TRUE(policy.ok());
  const Answer answer = Ask(**policy, {0.1F, 0.1F}, {0.01F, 0.05F});
  EXPECT_GT(answer.probabilities[1], answer.probabilities[0]);
}

TEST(OptimisticPlackettLuce, WithExploreBelowOneTheRestGoesToTheExploitItem) {
  const auto full = kOptimisticPlackettLuceKind.make({{"floor", "0"}});
  const auto half = kOptimisticPlackettLuceKind.make({{"floor", "0.1"}, {"explore", "0.5"}});
  ASSERT_TRUE(full.ok());
  ASSERT_TRUE(half.ok());
  const std::vector<float> means = {0.10F, 0.11F, 0.09F, 0.11F};
  const std::vector<float> sds = {0.05F, 0.01F, 0.02F, 0.03F};
  const Answer a = Ask(**full, means, sds);
  const Answer b = Ask(**half, means, sds);
  for (std::size_t i = 0; i < 4; ++i) {
    const double exploit = i == 1 || i == 3 ? 0.5 : 0;
    EXPECT_NEAR(b.probabilities[i], 0.9 * (0.5 * a.probabilities[i] + 0.5 * exploit) + 0.1 / 4,
                1e-6);
  }
}

}  // namespace
}  // namespace poise
