// SPDX-License-Identifier: Apache-2.0
#include "policy/epsilon_greedy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poise {
namespace {

TEST(EpsilonGreedy, GivesEpsilonToAllEvenlyAndTheRestToTheBest) {
  const auto policy = kEpsilonGreedyKind.make({{"epsilon", "0.2"}});
  ASSERT_TRUE(policy.ok());
  const std::vector<Candidate> candidates(4);
  const std::vector<float> means = {0.1F, 0.2F, 0.7F, 0.3F};
  const std::vector<float> sds(4, 0.5F);
  std::vector<float> scores(4);
  std::vector<float> probabilities(4);
  (*policy)->Distribution({candidates, means, sds, 0}, scores, probabilities);
  EXPECT_THAT(probabilities, testing::Pointwise(testing::FloatEq(),
                                                std::vector<float>{0.05F, 0.05F, 0.85F, 0.05F}));
  EXPECT_EQ(scores, means);
  EXPECT_FLOAT_EQ((*policy)->ExplorationMass(), 0.2F);
  EXPECT_EQ((*policy)->Parameters(), "epsilon=0.2");
}

TEST(EpsilonGreedy, RefusesAnEpsilonThatIsNoProbability) {
  for (const char* text : {"1.1", "-0.1", "nan", "much"}) {
    const auto policy = kEpsilonGreedyKind.make({{"epsilon", text}});
    ASSERT_FALSE(policy.ok()) << text;
    EXPECT_EQ(policy.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(policy.status().message(), testing::HasSubstr("epsilon"));
  }
}

}  // namespace
}  // namespace poise
