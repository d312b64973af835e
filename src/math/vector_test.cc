// SPDX-License-Identifier: Apache-2.0
#include "math/vector.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/rng.h"

namespace poise {
namespace {

std::vector<float> RandomVector(std::size_t size, Rng& rng) {
  std::vector<float> out(size);
  for (float& value : out) value = static_cast<float>(rng.Normal());
  return out;
}

constexpr std::uint64_t kSeed = 7;

TEST(Vector, EveryLevelAgreesWithSumsInDouble) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (std::size_t size = 0; size < 200; ++size) {
    const std::vector<float> x = RandomVector(size, rng);
    const std::vector<float> y = RandomVector(size, rng);
    double dot = 0;
    double distance = 0;
    double magnitude = 0;
    for (std::size_t i = 0; i < size; ++i) {
      dot += double{x[i]} * y[i];
      magnitude += std::abs(double{x[i]} * y[i]);
      distance += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
    }
    for (const SimdLevel level : SupportedSimdLevels()) {
      SCOPED_TRACE(testing::Message() << SimdLevelName(level) << " size " << size);
      const VectorKernels& kernels = VectorKernelsOf(level);
      EXPECT_NEAR(kernels.dot(x.data(), y.data(), size), dot, 1e-6 * magnitude);
      EXPECT_NEAR(kernels.squared_distance(x.data(), y.data(), size), distance, 1e-6 * distance);
      std::vector<float> sum(y);
      sum.push_back(42);
      kernels.axpy(0.5F, x.data(), sum.data(), size);
      for (std::size_t i = 0; i < size; ++i) EXPECT_NEAR(sum[i], y[i] + 0.5F * x[i], 1e-6);
      EXPECT_EQ(sum.back(), 42) << "wrote past the end";
    }
  }
}

TEST(Vector, DotRowsGivesTheBitsOfDotForEveryRow) {
  Rng rng(kSeed);
  for (const std::size_t dim : {1U, 7U, 16U, 64U, 100U, 129U}) {
    const std::vector<float> rows = RandomVector(33 * dim, rng);
    const std::vector<float> x = RandomVector(dim, rng);
    for (const SimdLevel level : SupportedSimdLevels()) {
      const VectorKernels& kernels = VectorKernelsOf(level);
      std::vector<float> scores(34, -1);
      kernels.dot_rows(rows.data(), x.data(), dim, 33, scores.data());
      for (std::size_t row = 0; row < 33; ++row) {
        EXPECT_EQ(scores[row], kernels.dot(rows.data() + row * dim, x.data(), dim));
      }
      EXPECT_EQ(scores[33], -1);
    }
  }
}

TEST(Vector, ExpIsWithinTwoUnitsInTheLastPlaceAtEveryLevel) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x;
  for (float value = -87.29F; value < 88.71F; value += 0.0137F) x.push_back(value);
  for (const SimdLevel level : SupportedSimdLevels()) {
    SCOPED_TRACE(SimdLevelName(level));
    std::vector<float> out(x.size());
    VectorKernelsOf(level).exp(x.data(), out.data(), x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(double{x[i]});
      const double unit = std::nextafter(static_cast<float>(exact), kInfinity) - exact;
      ASSERT_NEAR(out[i], exact, 2.5 * std::max(unit, 1e-7 * exact)) << x[i];
    }
    const float edges[] = {0, -kInfinity, kInfinity, -100, 100, std::nanf("")};
    float answers[6];
    VectorKernelsOf(level).exp(edges, answers, 6);
    EXPECT_EQ(answers[0], 1);
    EXPECT_EQ(answers[1], 0);
    EXPECT_EQ(answers[2], kInfinity);
    EXPECT_EQ(answers[3], 0);
    EXPECT_EQ(answers[4], kInfinity);
    EXPECT_TRUE(std::isnan(answers[5]));
  }
}

TEST(Vector, CosineOfAZeroVectorIsZeroAndOfItselfIsOne) {
  const std::vector<float> zero(5, 0.0F);
  const std::vector<float> tiny(5, 1e-18F);
  const std::vector<float> x = {1, 2, 3, 4, 5};
  EXPECT_EQ(Cosine(zero, x), 0);
  EXPECT_NEAR(Cosine(x, x), 1, 1e-6);
  EXPECT_NEAR(Cosine(tiny, tiny), 1, 1e-5);
  EXPECT_LE(Cosine(x, x), 1);
}

TEST(Vector, SigmoidAndItsRelativesStayFiniteFarOut) {
  EXPECT_DOUBLE_EQ(Sigmoid(0), 0.5);
  EXPECT_EQ(Sigmoid(-1000), 0);
  EXPECT_EQ(Sigmoid(1000), 1);
  EXPECT_DOUBLE_EQ(LogSigmoid(-1000), -1000);
  EXPECT_NEAR(LogSigmoid(2), std::log(Sigmoid(2)), 1e-12);
  EXPECT_NEAR(Logit(Sigmoid(3)), 3, 1e-12);
  const double far[] = {1000, 1000};
  EXPECT_NEAR(LogSumExp(far), 1000 + std::log(2.0), 1e-9);
  EXPECT_EQ(LogSumExp({}), -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace poise
