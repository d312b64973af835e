// SPDX-License-Identifier: Apache-2.0
//
// Vectors of floats: inner products, sums and exponentials, by the processor's best instructions.
//
// Place    [math/vector] -> ann/, models/, candidates/, policy/
// Shapes   x, y [D]; rows [N, D] row-major; scores [N]
// Errors   None: sizes that do not fit are bugs of the caller and are checked.
// Threads  Pure functions.
// Cost     O(D) or O(N D); nothing allocates. Dot at D = 64: about 5 ns.
#pragma once

#include <cmath>
#include <cstddef>
#include <span>

#include "math/cpu.h"

namespace poise {

// Sum of x[i] * y[i]. Requires equal sizes.
float Dot(std::span<const float> x, std::span<const float> y);

// y += a * x. Requires equal sizes.
void Axpy(float a, std::span<const float> x, std::span<float> y);

// Sum of x[i]^2.
float SquaredNorm(std::span<const float> x);

// Sum of (x[i] - y[i])^2. Requires equal sizes.
float SquaredDistance(std::span<const float> x, std::span<const float> y);

// Cosine of the angle between x and y, in [-1, 1]; 0 if either is the zero vector.
float Cosine(std::span<const float> x, std::span<const float> y);

// scores[n] = inner product of rows[n] with x.
//
// Requires  rows.size() == scores.size() * x.size().
// Ensures   Each score has the same bits whatever the other rows are.
void DotRows(std::span<const float> rows, std::span<const float> x, std::span<float> scores);

// out[i] = e^x[i] within 2 units in the last place; 0 below -87.3, infinite above 88.7; NaN stays.
// In place if the spans are the same.
void Exp(std::span<const float> x, std::span<float> out);

// 1 / (1 + e^-x), without overflow.
inline double Sigmoid(double x) {
  if (x >= 0) return 1.0 / (1.0 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1.0 + e);
}

// ln Sigmoid(x), exact for large |x| too.
inline double LogSigmoid(double x) {
  return x >= 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

// ln p/(1-p). Requires 0 < p < 1.
inline double Logit(double p) { return std::log(p) - std::log1p(-p); }

// ln of the sum of e^x[i], without overflow; minus infinity for no x. NaN gives NaN.
double LogSumExp(std::span<const double> x);

// The functions above for one level, for tests and benchmarks.
struct VectorKernels {
  float (*dot)(const float* x, const float* y, std::size_t count);
  void (*axpy)(float a, const float* x, float* y, std::size_t count);
  float (*squared_distance)(const float* x, const float* y, std::size_t count);
  void (*dot_rows)(const float* rows, const float* x, std::size_t dim, std::size_t row_count,
                   float* scores);
  void (*exp)(const float* x, float* out, std::size_t count);
};
// Requires  `level` is among SupportedSimdLevels().
const VectorKernels& VectorKernelsOf(SimdLevel level);

}  // namespace poise
