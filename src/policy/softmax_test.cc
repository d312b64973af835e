// SPDX-License-Identifier: Apache-2.0
#include "policy/softmax.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/rng.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 41;

TEST(Softmax, IsTheDefinitionInDouble) {
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 2U, 17U, 500U, 3000U}) {
    std::vector<float> scores(count);
    for (float& score : scores) score = static_cast<float>(rng.Normal());
    std::vector<float> probabilities(count);
    Softmax(scores, 0.3F, 0.01F, probabilities);
    double sum = 0;
    for (const float score : scores) sum += std::exp(score / 0.3);
    for (std::size_t i = 0; i < count; ++i) {
      const double expected =
          0.99 * std::exp(scores[i] / 0.3) / sum + 0.01 / static_cast<double>(count);
      EXPECT_NEAR(probabilities[i] / expected, 1, 1e-4);
    }
  }
}

// Subtracting what was drawn from the normaliser cancels when one entry is nearly all of it; a
// fresh maximum for what remains does not.
TEST(Softmax, AtATinyTemperatureTheRestOfAPeakStillSumsToOne) {
  std::vector<float> scores(500, 0.0F);
  scores[0] = 1000;
  std::vector<float> probabilities(500);
  Softmax(scores, 1e-4F, 0, probabilities);
  EXPECT_EQ(probabilities[0], 1);
  scores.erase(scores.begin());
  probabilities.resize(499);
  Softmax(scores, 1e-4F, 0, probabilities);
  EXPECT_NEAR(std::accumulate(probabilities.begin(), probabilities.end(), 0.0), 1, 1e-5);
  EXPECT_NEAR(probabilities[7], 1.0 / 499, 1e-8);
}

TEST(EvenAmongBest, SharesTheMassAmongTies) {
  std::vector<float> probabilities(4);
  EvenAmongBest(std::vector<float>{1, 3, 3, 2}, 0, probabilities);
  EXPECT_THAT(probabilities, testing::ElementsAre(0, 0.5F, 0.5F, 0));
  EvenAmongBest(std::vector<float>{1, 3, 3, 2}, 0.4F, probabilities);
  EXPECT_THAT(probabilities,
              testing::Pointwise(testing::FloatEq(), std::vector<float>{0.1F, 0.4F, 0.4F, 0.1F}));
}

TEST(MeanOfTop, IsWhatSortingFinds) {
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 5U, 10U, 11U, 32U, 500U, 5000U}) {
    std::vector<float> scores(count);
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      // Few distinct scores make ties.
      scores[i] = static_cast<float>(rng.Below(count < 100 ? 3 : 1000));
      values[i] = static_cast<float>(rng.Uniform());
    }
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    const std::size_t top = std::min<std::size_t>(10, count);
    double sum = 0;
    for (std::size_t i = 0; i < top; ++i) sum += values[order[i]];
    EXPECT_NEAR(MeanOfTop(scores, values, 10), sum / static_cast<double>(top), 1e-6) << count;
  }
}

TEST(MaxOf, FindsTheMaximumWhereverItStands) {
  for (std::size_t place = 0; place < 5000; place += 37) {
    std::vector<float> values(5000, -2.0F);
    values[place] = -1;
    EXPECT_EQ(MaxOf(values), -1);
  }
}

}  // namespace
}  // namespace poise
