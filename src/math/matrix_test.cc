// SPDX-License-Identifier: Apache-2.0
#include "math/matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"

namespace poise {
namespace {

template <typename T>
std::vector<T> RandomValues(std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> out(size);
  for (T& value : out) value = static_cast<T>(rng.Normal());
  return out;
}

template <typename T>
class MatrixOf : public testing::Test {};
using Scalars = testing::Types<float, double>;
TYPED_TEST_SUITE(MatrixOf, Scalars);

TYPED_TEST(MatrixOf, MultiplyEqualsThreeLoopsForEveryTransposition) {
  using T = TypeParam;
  constexpr std::size_t kM = 5;
  constexpr std::size_t kN = 7;
  constexpr std::size_t kK = 9;
  const std::vector<T> a = RandomValues<T>(kM * kK, 1);
  const std::vector<T> b = RandomValues<T>(kK * kN, 2);
  for (const Transpose turn_a : {Transpose::kNo, Transpose::kYes}) {
    for (const Transpose turn_b : {Transpose::kNo, Transpose::kYes}) {
      const bool is_a = turn_a == Transpose::kYes;
      const bool is_b = turn_b == Transpose::kYes;
      std::vector<T> c(kM * kN, T{1});
      Multiply(T{2}, MatrixSpan<const T>(a, is_a ? kK : kM, is_a ? kM : kK), turn_a,
               MatrixSpan<const T>(b, is_b ? kN : kK, is_b ? kK : kN), turn_b, T{3},
               MatrixSpan<T>(c, kM, kN));
      for (std::size_t i = 0; i < kM; ++i) {
        for (std::size_t j = 0; j < kN; ++j) {
          double sum = 0;
          for (std::size_t k = 0; k < kK; ++k) {
            sum += double{is_a ? a[k * kM + i] : a[i * kK + k]} *
                   double{is_b ? b[j * kK + k] : b[k * kN + j]};
          }
          EXPECT_NEAR(c[i * kN + j], 2 * sum + 3, 1e-4);
        }
      }
    }
  }
}

TYPED_TEST(MatrixOf, CholeskySolvesWhatGramMade) {
  using T = TypeParam;
  constexpr std::size_t kDim = 33;
  const std::vector<T> x = RandomValues<T>(100 * kDim, 3);
  std::vector<T> gram(kDim * kDim, std::nan(""));
  const MatrixSpan<T> a(gram, kDim, kDim);
  Gram(T{1}, MatrixSpan<const T>(x, 100, kDim), T{0}, a);
  for (std::size_t i = 0; i < kDim; ++i) {
    for (std::size_t j = 0; j < kDim; ++j) EXPECT_EQ(gram[i * kDim + j], gram[j * kDim + i]);
  }
  const std::vector<T> truth = RandomValues<T>(kDim, 4);
  std::vector<T> right(kDim, T{0});
  for (std::size_t i = 0; i < kDim; ++i) {
    for (std::size_t j = 0; j < kDim; ++j) right[i] += gram[i * kDim + j] * truth[j];
  }
  ASSERT_TRUE(Cholesky(a).ok());
  CholeskySolve(a, std::span<T>(right));
  for (std::size_t i = 0; i < kDim; ++i) EXPECT_NEAR(right[i], truth[i], 1e-3);

  std::vector<T> inverse(gram);
  const MatrixSpan<T> inverted(inverse, kDim, kDim);
  InvertLower(inverted);
  std::vector<T> solved(truth);
  SolveLower(a, Transpose::kNo, std::span<T>(solved));
  for (std::size_t i = 0; i < kDim; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j <= i; ++j) sum += double{inverse[i * kDim + j]} * truth[j];
    EXPECT_NEAR(solved[i], sum, 1e-3);
  }
}

TYPED_TEST(MatrixOf, CholeskyRefusesWhatIsNotPositiveDefiniteOrNotANumber) {
  using T = TypeParam;
  std::vector<T> indefinite = {1, 2, 2, 1};
  EXPECT_EQ(Cholesky(MatrixSpan<T>(std::span(indefinite), 2, 2)).code(),
            StatusCode::kInvalidArgument);
  std::vector<T> broken = {std::nan(""), 0, 0, 1};
  EXPECT_FALSE(Cholesky(MatrixSpan<T>(std::span(broken), 2, 2)).ok());
  EXPECT_TRUE(Cholesky(MatrixSpan<T>()).ok());
}

TEST(Matrix, SymmetricEigenTurnsAMatrixIntoOrthonormalRowsThatDiagonaliseIt) {
  constexpr std::size_t kDim = 17;
  const std::vector<double> x = RandomValues<double>(40 * kDim, 6);
  std::vector<double> gram(kDim * kDim);
  Gram(1, MatrixSpan<const double>(x, 40, kDim), 0, MatrixSpan<double>(gram, kDim, kDim));
  std::vector<double> vectors(gram);
  std::vector<double> values(kDim);
  ASSERT_TRUE(SymmetricEigen(MatrixSpan<double>(vectors, kDim, kDim), values).ok());
  for (std::size_t a = 0; a < kDim; ++a) {
    EXPECT_LE(values[a == 0 ? 0 : a - 1], values[a]);
    for (std::size_t b = 0; b < kDim; ++b) {
      double inner = 0;
      double form = 0;
      for (std::size_t i = 0; i < kDim; ++i) {
        inner += vectors[a * kDim + i] * vectors[b * kDim + i];
        for (std::size_t j = 0; j < kDim; ++j) {
          form += vectors[a * kDim + i] * gram[i * kDim + j] * vectors[b * kDim + j];
        }
      }
      EXPECT_NEAR(inner, a == b ? 1 : 0, 1e-10);
      EXPECT_NEAR(form, a == b ? values[a] : 0, 1e-8);
    }
  }
  vectors[3] = std::nan("");
  vectors[3 * kDim] = std::nan("");
  EXPECT_FALSE(SymmetricEigen(MatrixSpan<double>(vectors, kDim, kDim), values).ok());
}

TEST(Matrix, ConcurrentCallsGiveTheBitsOfLoneOnes) {
  constexpr std::size_t kDim = 16;
  constexpr std::size_t kTasks = 20000;
  const std::vector<float> x = RandomValues<float>(64 * 100 * kDim, 5);
  std::vector<float> grams(kTasks * kDim * kDim);
  const auto make = [&](std::size_t task, std::span<float> out) {
    const MatrixSpan<float> c(out, kDim, kDim);
    Gram(1, {x.data() + task % 64 * 100 * kDim, 100, kDim, kDim}, 0, c);
    ASSERT_TRUE(Cholesky(c).ok());
    InvertLower(c);
  };
  ThreadPool pool(4);
  pool.ParallelFor(kTasks, 16, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t task = begin; task < end; ++task) {
      make(task, std::span(grams).subspan(task * kDim * kDim, kDim * kDim));
    }
  });
  for (std::size_t task = 0; task < kTasks; ++task) {
    std::vector<float> alone(kDim * kDim);
    make(task, alone);
    ASSERT_TRUE(std::equal(alone.begin(), alone.end(),
                           grams.begin() + static_cast<std::ptrdiff_t>(task * kDim * kDim)));
  }
}

}  // namespace
}  // namespace poise
