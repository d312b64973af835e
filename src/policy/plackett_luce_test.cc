// SPDX-License-Identifier: Apache-2.0
#include "policy/plackett_luce.h"

#include <gtest/gtest.h>

#include <cmath>

namespace poise {
namespace {

TEST(PlackettLuce, ADifferenceOfOneTemperatureIsAFactorOfE) {
  const auto policy = kPlackettLuceKind.make({{"temperature", "0.02"}, {"floor", "0"}});
  ASSERT_TRUE(policy.ok());
  const std::vector<Candidate> candidates(3);
  const std::vector<float> means = {0.10F, 0.12F, 0.08F};
  const std::vector<float> sds = {0, 5, 1};
  std::vector<float> scores(3);
  std::vector<float> probabilities(3);
  (*policy)->Distribution({candidates, means, sds, 0}, scores, probabilities);
  EXPECT_NEAR(probabilities[1] / probabilities[0], std::exp(1.0), 1e-4);
  EXPECT_NEAR(probabilities[0] / probabilities[2], std::exp(1.0), 1e-4);
}

TEST(PlackettLuce, DoesNotAskHowWellAnythingIsKnown) {
  const auto policy = kPlackettLuceKind.make({});
  ASSERT_TRUE(policy.ok());
  const std::vector<Candidate> candidates(2);
  const std::vector<float> means = {0.05F, 0.05F};
  const std::vector<float> sds = {0, 9};
  std::vector<float> scores(2);
  std::vector<float> probabilities(2);
  (*policy)->Distribution({candidates, means, sds, 0}, scores, probabilities);
  EXPECT_EQ(probabilities[0], probabilities[1]);
}

}  // namespace
}  // namespace poise
