// SPDX-License-Identifier: Apache-2.0
#include "policy/greedy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poise {
namespace {

std::vector<float> Ask(const Policy& policy, const std::vector<float>& means) {
  const std::vector<Candidate> candidates(means.size());
  const std::vector<float> sds(means.size(), 1.0F);
  std::vector<float> scores(means.size());
  std::vector<float> probabilities(means.size());
  policy.Distribution({candidates, means, sds, 0}, scores, probabilities);
  return probabilities;
}

TEST(Greedy, TakesTheHighestMeanAndSharesTies) {
  const auto policy = kGreedyKind.make({});
  ASSERT_TRUE(policy.ok());
  EXPECT_THAT(Ask(**policy, {0.1F, 0.3F, 0.2F}), testing::ElementsAre(0, 1, 0));
  EXPECT_THAT(Ask(**policy, {0.3F, 0.3F, 0.2F}), testing::ElementsAre(0.5F, 0.5F, 0));
}

TEST(Greedy, SaysThatItsLogCannotValueOthersUnlessItHasAFloor) {
  EXPECT_FALSE(kGreedyKind.is_evaluable);
  EXPECT_EQ((*kGreedyKind.make({}))->ExplorationMass(), 0);
  const auto floored = kGreedyKind.make({{"floor", "0.3"}});
  ASSERT_TRUE(floored.ok());
  EXPECT_FLOAT_EQ((*floored)->ExplorationMass(), 0.3F);
  EXPECT_THAT(Ask(**floored, {1, 0, 0}),
              testing::Pointwise(testing::FloatEq(), std::vector<float>{0.8F, 0.1F, 0.1F}));
}

}  // namespace
}  // namespace poise
