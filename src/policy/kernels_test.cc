// SPDX-License-Identifier: Apache-2.0
#include "policy/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "base/rng.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 31;

std::vector<float> Uniforms(Rng& rng, std::size_t count, double low, double high) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(low + (high - low) * rng.Uniform());
  return values;
}

std::vector<std::uint32_t> Bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

TEST(Kernels, ExponentialIsTheMathematicalOneWithin3e7) {
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 7U, 8U, 9U, 500U}) {
    const std::vector<float> values = Uniforms(rng, count, -80, 0);
    std::vector<float> out(count);
    const float sum = BestKernels().scaled_exp(values.data(), 0, 1, count, out.data());
    double expected_sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double expected = std::exp(static_cast<double>(values[i]));
      EXPECT_NEAR(out[i] / expected, 1, 3e-7) << values[i];
      expected_sum += expected;
    }
    EXPECT_NEAR(sum / expected_sum, 1, 1e-6);
  }
}

TEST(Kernels, ExponentialOfTheMaximumIsOneAndOfFarBelowIsZero) {
  const std::vector<float> values = {5, 5 - 86.9F, 5 - 87.1F, -1e30F, 5};
  std::vector<float> out(5);
  EXPECT_FLOAT_EQ(BestKernels().scaled_exp(values.data(), 5, 1, 5, out.data()), 2);
  EXPECT_EQ(out[0], 1);
  EXPECT_GT(out[1], 0);
  EXPECT_EQ(out[2], 0);
  EXPECT_EQ(out[3], 0);
  EXPECT_EQ(out[4], 1);
}

TEST(Kernels, BeliefIsTheProbitApproximationOfALogisticReward) {
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 8U, 13U, 500U}) {
    const std::vector<float> logits = Uniforms(rng, count, -30, 30);
    const std::vector<float> variances = Uniforms(rng, count, 1e-6, 9);
    const std::vector<float> values = Uniforms(rng, count, -3, 5);
    std::vector<float> out(2 * count);
    BestKernels().believe(logits.data(), variances.data(), values.data(), count, out.data());
    for (std::size_t i = 0; i < count; ++i) {
      const double k = 1 / std::sqrt(1 + std::numbers::pi / 8 * variances[i]);
      const double p = 1 / (1 + std::exp(-k * logits[i]));
      const double q = 1 / (1 + std::exp(k * logits[i]));
      EXPECT_NEAR(out[2 * i], values[i] * p, 1e-5 * std::fabs(values[i] * p) + 1e-30);
      const double sd = std::fabs(values[i]) * k * p * q * std::sqrt(variances[i]);
      EXPECT_NEAR(out[2 * i + 1], sd, 1e-5 * sd + 1e-30);
    }
  }
}

TEST(Kernels, EveryLevelGivesTheSameBits) {
  const Kernels* fast = Avx2Kernels();
  if (fast == nullptr) GTEST_SKIP() << "this processor has one level only";
  const Kernels& slow = BaselineKernels();
  Rng rng(kSeed);
  for (std::size_t count = 1; count <= 131; ++count) {
    const std::vector<float> a = Uniforms(rng, count, -90, 0);
    const std::vector<float> b = Uniforms(rng, count, 1e-4, 4);
    const std::vector<float> c = Uniforms(rng, count, -2, 2);
    std::vector<float> x(2 * count);
    std::vector<float> y(2 * count);
    const auto expect_equal = [&](const char* what) { EXPECT_EQ(Bits(x), Bits(y)) << what; };

    slow.add_scaled(a.data(), b.data(), 1.7F, count, x.data());
    fast->add_scaled(a.data(), b.data(), 1.7F, count, y.data());
    expect_equal("add_scaled");
    EXPECT_EQ(
        std::bit_cast<std::uint32_t>(slow.scaled_exp(a.data(), 0.1F, 0.9F, count, x.data())),
        std::bit_cast<std::uint32_t>(fast->scaled_exp(a.data(), 0.1F, 0.9F, count, y.data())));
    expect_equal("scaled_exp");
    slow.scale_add(x.data(), 0.3F, 1e-3F, count);
    fast->scale_add(y.data(), 0.3F, 1e-3F, count);
    expect_equal("scale_add");
    slow.block_sums(c.data(), count, x.data());
    fast->block_sums(c.data(), count, y.data());
    expect_equal("block_sums");
    EXPECT_EQ(slow.max_of(c.data(), count), fast->max_of(c.data(), count));
    x.assign(2 * count + 24, 0);
    y.assign(2 * count + 24, 0);
    slow.group_maxima(c.data(), count, x.data());
    fast->group_maxima(c.data(), count, y.data());
    expect_equal("group_maxima");
    slow.believe(a.data(), b.data(), c.data(), count, x.data());
    fast->believe(a.data(), b.data(), c.data(), count, y.data());
    expect_equal("believe");
    EXPECT_EQ(slow.count_equal(c.data(), c[count / 2], count),
              fast->count_equal(c.data(), c[count / 2], count));
  }
}

TEST(Kernels, BlocksAreSummedAndGroupsHaveTheirMaxima) {
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 31U, 32U, 33U, 63U, 64U, 65U, 100U, 500U}) {
    const std::vector<float> values = Uniforms(rng, count, -5, -1);
    std::vector<double> expected_sums((count + Kernels::kBlock - 1) / Kernels::kBlock);
    std::vector<float> sums(expected_sums.size());
    std::vector<float> expected_maxima(
        (count + Kernels::kGroupSpan - 1) / Kernels::kGroupSpan * Kernels::kLaneCount,
        -std::numeric_limits<float>::infinity());
    std::vector<float> maxima(expected_maxima.size());
    for (std::size_t i = 0; i < count; ++i) {
      expected_sums[i / Kernels::kBlock] += values[i];
      float& max =
          expected_maxima[i / Kernels::kGroupSpan * Kernels::kLaneCount + i % Kernels::kLaneCount];
      max = std::max(max, values[i]);
    }
    BestKernels().block_sums(values.data(), count, sums.data());
    BestKernels().group_maxima(values.data(), count, maxima.data());
    for (std::size_t b = 0; b < sums.size(); ++b) EXPECT_NEAR(sums[b], expected_sums[b], 1e-4);
    EXPECT_EQ(maxima, expected_maxima);
    EXPECT_EQ(BestKernels().max_of(values.data(), count),
              *std::max_element(values.begin(), values.end()));
  }
}

}  // namespace
}  // namespace poise
