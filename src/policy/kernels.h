// SPDX-License-Identifier: Apache-2.0
//
// Kernels: the loops over candidates, eight at a time, with equal bits on every processor.
//
// A decision must be replayed bit for bit on whatever machine reads the log, so each kernel does
// the same multiplications and additions in the same order at every level: no fused
// multiply-add, eight partial sums always. The levels differ in speed alone.
//
// Place    [kernels] -> the policies, decide.cc, posterior.cc
// Shapes   arrays [n]; blocks of kBlock entries, the last one shorter
// Threads  Pure functions.
// Cost     With AVX2 about .5 ns an exponential.
// Source   exp: range reduction by powers of two and the polynomial of Cephes' expf, relative
//          error below 2e-7; reciprocal square root: three Newton steps from the integer guess.
#pragma once

#include <cstddef>
#include <cstdint>

namespace poise {

struct Kernels {
  static constexpr std::size_t kBlock = 32;
  static constexpr std::size_t kLaneCount = 8;
  static constexpr std::size_t kGroupSpan = 64;

  // out = a + scale * b
  void (*add_scaled)(const float* a, const float* b, float scale, std::size_t n, float* out);
  // Of each kGroupSpan entries kLaneCount maxima, each of those a multiple of kLaneCount apart:
  // entry i counts in out[i / kGroupSpan * kLaneCount + i % kLaneCount]. Minus infinity where
  // there is none.
  void (*group_maxima)(const float* values, std::size_t n, float* out);
  // Requires n > 0.
  float (*max_of)(const float* values, std::size_t n);
  // One sum a block.
  void (*block_sums)(const float* values, std::size_t n, float* out);
  // out = exp((values - max) * rate), 0 where that is below exp(-87); returns the sum.
  // Requires no value above max, rate >= 0.
  float (*scaled_exp)(const float* values, float max, float rate, std::size_t n, float* out);
  // values = values * scale + offset
  void (*scale_add)(float* values, float scale, float offset, std::size_t n);
  std::size_t (*count_equal)(const float* values, float value, std::size_t n);
  // Beliefs of a logistic reward, interleaved as {mean, sd}: with k = 1 / sqrt(1 + pi v / 8) and
  // p = sigma(logit * k):  mean = value * p,  sd = |value| * k * p * (1 - p) * sqrt(v).
  // Requires variances > 0.
  void (*believe)(const float* logits, const float* variances, const float* values, std::size_t n,
                  float* mean_and_sd);
};

// The fastest for this processor, and each that it can run, slowest first.
const Kernels& BestKernels();
const Kernels& BaselineKernels();
const Kernels* Avx2Kernels();  // null where the processor has none

}  // namespace poise
