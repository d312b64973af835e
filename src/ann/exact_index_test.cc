// SPDX-License-Identifier: Apache-2.0
#include "ann/exact_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace poise {
namespace {

std::vector<float> RandomVectors(Rng& rng, std::size_t count, std::size_t dim, double skew = 0) {
  std::vector<float> vectors(count * dim);
  for (std::size_t row = 0; row < count; ++row) {
    const double length = std::exp(skew * rng.Normal());
    for (std::size_t d = 0; d < dim; ++d) {
      vectors[row * dim + d] = static_cast<float>(length * rng.Normal());
    }
  }
  return vectors;
}

// The slow obvious twin: every inner product in double, sorted.
std::vector<std::pair<double, std::uint32_t>> BruteForce(std::span<const float> vectors,
                                                         std::size_t dim,
                                                         std::span<const float> query,
                                                         std::span<const std::uint64_t> allowed) {
  std::vector<std::pair<double, std::uint32_t>> all;
  for (std::size_t row = 0; row < vectors.size() / dim; ++row) {
    if (!allowed.empty() &&
        (row / 64 >= allowed.size() || (allowed[row / 64] >> (row % 64) & 1) == 0)) {
      continue;
    }
    double score = 0;
    for (std::size_t d = 0; d < dim; ++d) {
      score += static_cast<double>(vectors[row * dim + d]) * query[d];
    }
    all.emplace_back(score, static_cast<std::uint32_t>(row));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  });
  return all;
}

struct Shape {
  std::size_t rows;
  std::size_t dim;
  std::size_t count;
  double skew;
};

class ExactIndexOracle : public testing::TestWithParam<Shape> {};

TEST_P(ExactIndexOracle, FindsWhatBruteForceFindsAtEveryLevel) {
  const Shape shape = GetParam();
  constexpr std::uint64_t kSeed = 20;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  const std::vector<float> vectors = RandomVectors(rng, shape.rows, shape.dim, shape.skew);
  const auto index = ExactIndex::Build(vectors, shape.dim);
  ASSERT_TRUE(index.ok()) << index.status().message();
  std::vector<std::uint64_t> some((shape.rows + 63) / 64);
  for (std::uint64_t& word : some) word = rng.Next() & rng.Next();

  for (int trial = 0; trial < 6; ++trial) {
    const std::vector<float> query = RandomVectors(rng, 1, shape.dim);
    const std::span<const std::uint64_t> allowed =
        trial % 2 == 0 ? std::span<const std::uint64_t>() : some;
    const auto expected = BruteForce(vectors, shape.dim, query, allowed);
    std::vector<ScoredIndex> first;
    for (const SimdLevel level : SupportedSimdLevels()) {
      std::vector<ScoredIndex> found;
      ASSERT_TRUE(index->SearchAt(level, query, shape.count, found, allowed).ok());
      ASSERT_EQ(found.size(), std::min(shape.count, expected.size()));
      for (std::size_t i = 0; i < found.size(); ++i) {
        // Rows whose scores differ by rounding alone may change places.
        EXPECT_NEAR(found[i].score, expected[i].first, 1e-4 * (1 + std::fabs(expected[i].first)));
        if (i + 1 < expected.size() && i > 0 && expected[i - 1].first - expected[i].first > 1e-3 &&
            expected[i].first - expected[i + 1].first > 1e-3) {
          EXPECT_EQ(found[i].index, expected[i].second);
        }
      }
      if (level == SupportedSimdLevels()[0]) {
        first = found;
      } else {
        EXPECT_EQ(found, first) << SimdLevelName(level);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ExactIndexOracle,
                         testing::Values(Shape{1, 1, 1, 0}, Shape{15, 3, 4, 0},
                                         Shape{16, 4, 100, 0}, Shape{17, 5, 17, 0},
                                         Shape{1000, 64, 20, 0}, Shape{5000, 64, 200, 0},
                                         Shape{3000, 33, 50, 1.5}, Shape{700, 130, 7, 0.5}));

TEST(ExactIndex, BreaksTiesByRow) {
  const std::vector<float> vectors(40 * 4, 0.5F);
  const auto index = ExactIndex::Build(vectors, 4);
  ASSERT_TRUE(index.ok());
  std::vector<ScoredIndex> found;
  ASSERT_TRUE(index->Search(std::vector<float>{1, 1, 1, 1}, 3, found).ok());
  EXPECT_THAT(found, testing::ElementsAre(ScoredIndex{2, 0}, ScoredIndex{2, 1}, ScoredIndex{2, 2}));
}

TEST(ExactIndex, FindsANegativeBestAndZeroVectors) {
  const std::vector<float> vectors = {-1, 0, 0, 0, -0.5F, 0, -2, 0};
  const auto index = ExactIndex::Build(vectors, 2);
  ASSERT_TRUE(index.ok());
  std::vector<ScoredIndex> found;
  ASSERT_TRUE(index->Search(std::vector<float>{1, 0}, 10, found).ok());
  EXPECT_THAT(found, testing::ElementsAre(ScoredIndex{0, 1}, ScoredIndex{-0.5F, 2},
                                          ScoredIndex{-1, 0}, ScoredIndex{-2, 3}));
  ASSERT_TRUE(index->Search(std::vector<float>{0, 0}, 2, found).ok());
  EXPECT_THAT(found, testing::ElementsAre(ScoredIndex{0, 0}, ScoredIndex{0, 1}));
}

TEST(ExactIndex, RowsBeyondTheAllowedWordsAreNotAdmitted) {
  const std::vector<float> vectors(200, 1.0F);
  const auto index = ExactIndex::Build(vectors, 1);
  ASSERT_TRUE(index.ok());
  const std::vector<std::uint64_t> allowed = {std::uint64_t{1} << 63};
  std::vector<ScoredIndex> found;
  ASSERT_TRUE(index->Search(std::vector<float>{1}, 10, found, allowed).ok());
  EXPECT_THAT(found, testing::ElementsAre(ScoredIndex{1, 63}));
}

TEST(ExactIndex, VectorsOfTinyAndHugeLengthKeepTheirOrder) {
  const std::vector<float> vectors = {1e-40F, 1e-20F, 1.0F, 1e14F, -1e14F};
  const auto index = ExactIndex::Build(vectors, 1);
  ASSERT_TRUE(index.ok());
  std::vector<ScoredIndex> found;
  ASSERT_TRUE(index->Search(std::vector<float>{1}, 5, found).ok());
  std::vector<std::uint32_t> rows;
  for (const ScoredIndex& each : found) rows.push_back(each.index);
  EXPECT_THAT(rows, testing::ElementsAre(3, 2, 1, 0, 4));
}

TEST(ExactIndex, RefusesWhatIsNotFiniteAndNamesTheRow) {
  std::vector<float> vectors(12, 1.0F);
  vectors[7] = std::numeric_limits<float>::quiet_NaN();
  const auto index = ExactIndex::Build(vectors, 4);
  ASSERT_FALSE(index.ok());
  EXPECT_EQ(index.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(index.status().message(), testing::HasSubstr("row 1"));
  vectors[7] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(ExactIndex::Build(vectors, 4).ok());
  EXPECT_FALSE(ExactIndex::Build(std::vector<float>(10, 1.0F), 4).ok());
  EXPECT_FALSE(ExactIndex::Build({}, 0).ok());
}

TEST(ExactIndex, RefusesAQueryOfAnotherShapeOrNotFinite) {
  const std::vector<float> vectors(8, 1.0F);
  const auto index = ExactIndex::Build(vectors, 4);
  ASSERT_TRUE(index.ok());
  std::vector<ScoredIndex> found;
  EXPECT_EQ(index->Search(std::vector<float>{1, 2}, 1, found).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(index->Search(std::vector<float>{1, 2, 3, NAN}, 1, found).code(),
            StatusCode::kInvalidArgument);
}

TEST(ExactIndex, AnEmptyIndexAnswersNothing) {
  const auto index = ExactIndex::Build({}, 4);
  ASSERT_TRUE(index.ok());
  std::vector<ScoredIndex> found = {{1, 1}};
  ASSERT_TRUE(index->Search(std::vector<float>(4, 1.0F), 5, found).ok());
  EXPECT_TRUE(found.empty());
}

}  // namespace
}  // namespace poise
