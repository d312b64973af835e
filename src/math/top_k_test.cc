// SPDX-License-Identifier: Apache-2.0
#include "math/top_k.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace poise {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<ScoredIndex> BySorting(std::span<const float> scores, std::size_t k) {
  std::vector<ScoredIndex> all;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i]) || scores[i] == -kInfinity) continue;
    all.push_back({scores[i], static_cast<std::uint32_t>(i)});
  }
  std::sort(all.begin(), all.end(), IsBetter);
  all.resize(std::min(k, all.size()));
  return all;
}

TEST(TopK, EqualsSortingForEverySizeKAndLevelWithTiesAndGaps) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (const std::size_t size : {0U, 1U, 3U, 64U, 500U, 513U, 5000U}) {
    for (const std::uint64_t distinct : {3U, 50U, 1000000U}) {
      std::vector<float> scores(size);
      for (float& score : scores) {
        score = static_cast<float>(rng.Below(distinct)) - 1.5F;
        if (rng.Bernoulli(0.05)) score = -kInfinity;
        if (rng.Bernoulli(0.05)) score = std::nanf("");
        if (rng.Bernoulli(0.01)) score = kInfinity;
      }
      for (const std::size_t k : {0U, 1U, 10U, 500U, 6000U}) {
        const std::vector<ScoredIndex> expected = BySorting(scores, k);
        for (const SimdLevel level : SupportedSimdLevels()) {
          SCOPED_TRACE(testing::Message() << size << ' ' << distinct << ' ' << k);
          TopKSelector selector(k, level);
          selector.Add(scores, 0);
          const std::span<const ScoredIndex> best = selector.Finish();
          ASSERT_TRUE(std::equal(best.begin(), best.end(), expected.begin(), expected.end()));
        }
        std::vector<ScoredIndex> best;
        TopK(scores, k, best);
        EXPECT_EQ(best, expected);
      }
    }
  }
}

TEST(TopK, PiecesInAnyOrderGiveTheSameAnswer) {
  Rng rng(3);
  std::vector<float> scores(4000);
  for (float& score : scores) score = static_cast<float>(rng.Below(40));
  TopKSelector selector;
  selector.Reset(25);
  for (const std::uint32_t begin : {3000U, 1000U, 0U, 2000U}) {
    selector.Add(std::span<const float>(scores).subspan(begin, 1000), begin);
  }
  const std::span<const ScoredIndex> best = selector.Finish();
  EXPECT_EQ(std::vector<ScoredIndex>(best.begin(), best.end()), BySorting(scores, 25));
  EXPECT_EQ(selector.Threshold(), 39);
}

TEST(TopK, ASelectorThatIsResetForgetsWhatItSaw) {
  TopKSelector selector(2);
  const float high[] = {9, 8, 7};
  selector.Add(high, 0);
  selector.Reset(1);
  const float low[] = {1};
  selector.Add(low, 5);
  ASSERT_EQ(selector.Finish().size(), 1U);
  EXPECT_EQ(selector.Finish()[0], (ScoredIndex{1, 5}));
}

}  // namespace
}  // namespace poise
