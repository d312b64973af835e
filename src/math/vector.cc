// SPDX-License-Identifier: Apache-2.0
#include "math/vector.h"

#include <immintrin.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

#define POISE_TARGET_AVX2 __attribute__((target("avx2,fma")))
#define POISE_TARGET_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")))

namespace poise {
namespace {

// Coefficients of e^f - 1 - f for f in [-ln2/2, ln2/2] (Cephes, expf).
constexpr float kExpP0 = 1.9875691500e-4F;
constexpr float kExpP1 = 1.3981999507e-3F;
constexpr float kExpP2 = 8.3334519073e-3F;
constexpr float kExpP3 = 4.1665795894e-2F;
constexpr float kExpP4 = 1.6666665459e-1F;
constexpr float kExpP5 = 5.0000001201e-1F;
constexpr float kLn2High = 0.693359375F;
constexpr float kLn2Low = -2.12194440e-4F;
constexpr float kLog2E = 1.44269504088896341F;
constexpr float kExpMin = -87.3F;
constexpr float kExpMax = 88.72F;

// Baseline: four sums, so that the compiler's two-wide or four-wide code need not reassociate.

float DotBaseline(const float* x, const float* y, std::size_t count) {
  __m128 sum0 = _mm_setzero_ps();
  __m128 sum1 = _mm_setzero_ps();
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    sum0 = _mm_add_ps(sum0, _mm_mul_ps(_mm_loadu_ps(x + i), _mm_loadu_ps(y + i)));
    sum1 = _mm_add_ps(sum1, _mm_mul_ps(_mm_loadu_ps(x + i + 4), _mm_loadu_ps(y + i + 4)));
  }
  alignas(16) float parts[4];
  _mm_store_ps(parts, _mm_add_ps(sum0, sum1));
  float sum = (parts[0] + parts[1]) + (parts[2] + parts[3]);
  for (; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

void AxpyBaseline(float a, const float* x, float* y, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) y[i] += a * x[i];
}

float SquaredDistanceBaseline(const float* x, const float* y, std::size_t count) {
  float sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (std::size_t part = 0; part < 4; ++part) {
      const float difference = x[i + part] - y[i + part];
      sums[part] += difference * difference;
    }
  }
  float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (; i < count; ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum;
}

void DotRowsBaseline(const float* rows, const float* x, std::size_t dim, std::size_t row_count,
                     float* scores) {
  for (std::size_t row = 0; row < row_count; ++row) {
    scores[row] = DotBaseline(rows + row * dim, x, dim);
  }
}

void ExpBaseline(const float* x, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const float value = x[i];
    if (value < kExpMin) {
      out[i] = 0;
    } else if (value > kExpMax) {
      out[i] = std::numeric_limits<float>::infinity();
    } else {
      out[i] = std::exp(value);
    }
  }
}

POISE_TARGET_AVX2 float SumOf(__m256 v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_shuffle_ps(sum, sum, 1)));
}

POISE_TARGET_AVX2 float DotAvx2(const float* x, const float* y, std::size_t count) {
  __m256 sum0 = _mm256_setzero_ps();
  __m256 sum1 = _mm256_setzero_ps();
  __m256 sum2 = _mm256_setzero_ps();
  __m256 sum3 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), sum0);
    sum1 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8), sum1);
    sum2 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 16), _mm256_loadu_ps(y + i + 16), sum2);
    sum3 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i + 24), _mm256_loadu_ps(y + i + 24), sum3);
  }
  for (; i + 8 <= count; i += 8) {
    sum0 = _mm256_fmadd_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i), sum0);
  }
  float sum = SumOf(_mm256_add_ps(_mm256_add_ps(sum0, sum1), _mm256_add_ps(sum2, sum3)));
  for (; i < count; ++i) sum += x[i] * y[i];
  return sum;
}

POISE_TARGET_AVX2 void AxpyAvx2(float a, const float* x, float* y, std::size_t count) {
  const __m256 factor = _mm256_set1_ps(a);
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(y + i,
                     _mm256_fmadd_ps(factor, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
  }
  for (; i < count; ++i) y[i] += a * x[i];
}

POISE_TARGET_AVX2 float SquaredDistanceAvx2(const float* x, const float* y, std::size_t count) {
  __m256 sum0 = _mm256_setzero_ps();
  __m256 sum1 = _mm256_setzero_ps();
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256 d0 = _mm256_sub_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i));
    const __m256 d1 = _mm256_sub_ps(_mm256_loadu_ps(x + i + 8), _mm256_loadu_ps(y + i + 8));
    sum0 = _mm256_fmadd_ps(d0, d0, sum0);
    sum1 = _mm256_fmadd_ps(d1, d1, sum1);
  }
  float sum = SumOf(_mm256_add_ps(sum0, sum1));
  for (; i < count; ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum;
}

POISE_TARGET_AVX2 void DotRowsAvx2(const float* rows, const float* x, std::size_t dim,
                                   std::size_t row_count, float* scores) {
  for (std::size_t row = 0; row < row_count; ++row) {
    // Rows are read once, in order: ask for them before the sum in hand is done.
    _mm_prefetch(rows + (row + 8) * dim, _MM_HINT_T0);
    scores[row] = DotAvx2(rows + row * dim, x, dim);
  }
}

POISE_TARGET_AVX2 __m256 ExpOf(__m256 x) {
  const __m256 clamped =
      _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(kExpMin)), _mm256_set1_ps(kExpMax));
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(clamped, _mm256_set1_ps(kLog2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 f = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), clamped);
  f = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), f);
  __m256 p = _mm256_set1_ps(kExpP0);
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExpP1));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExpP2));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExpP3));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExpP4));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kExpP5));
  p = _mm256_fmadd_ps(p, _mm256_mul_ps(f, f), _mm256_add_ps(f, _mm256_set1_ps(1)));
  // 2^n in two halves: n reaches 128, which is one too many for an exponent.
  const __m256i exponent = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256 low = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 high = _mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23));
  __m256 result = _mm256_mul_ps(_mm256_mul_ps(p, low), high);
  result = _mm256_andnot_ps(_mm256_cmp_ps(x, _mm256_set1_ps(kExpMin), _CMP_LT_OQ), result);
  result = _mm256_blendv_ps(result, _mm256_set1_ps(std::numeric_limits<float>::infinity()),
                            _mm256_cmp_ps(x, _mm256_set1_ps(kExpMax), _CMP_GT_OQ));
  return _mm256_blendv_ps(result, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

POISE_TARGET_AVX2 void ExpAvx2(const float* x, float* out, std::size_t count) {
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) _mm256_storeu_ps(out + i, ExpOf(_mm256_loadu_ps(x + i)));
  if (i == count) return;
  float rest[8] = {};
  std::copy(x + i, x + count, rest);
  _mm256_storeu_ps(rest, ExpOf(_mm256_loadu_ps(rest)));
  std::copy(rest, rest + (count - i), out + i);
}

POISE_TARGET_AVX512 __mmask16 TailMask(std::size_t count) {
  return static_cast<__mmask16>((1U << count) - 1U);
}

POISE_TARGET_AVX512 float DotAvx512(const float* x, const float* y, std::size_t count) {
  __m512 sum0 = _mm512_setzero_ps();
  __m512 sum1 = _mm512_setzero_ps();
  __m512 sum2 = _mm512_setzero_ps();
  __m512 sum3 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i), sum0);
    sum1 = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(y + i + 16), sum1);
    sum2 = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 32), _mm512_loadu_ps(y + i + 32), sum2);
    sum3 = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + 48), _mm512_loadu_ps(y + i + 48), sum3);
  }
  for (; i + 16 <= count; i += 16) {
    sum0 = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i), sum0);
  }
  if (i < count) {
    const __mmask16 mask = TailMask(count - i);
    sum1 = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i),
                           sum1);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sum0, sum1), _mm512_add_ps(sum2, sum3)));
}

POISE_TARGET_AVX512 void AxpyAvx512(float a, const float* x, float* y, std::size_t count) {
  const __m512 factor = _mm512_set1_ps(a);
  std::size_t i = 0;
  for (; i + 16 <= count; i += 16) {
    _mm512_storeu_ps(y + i,
                     _mm512_fmadd_ps(factor, _mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i)));
  }
  if (i < count) {
    const __mmask16 mask = TailMask(count - i);
    _mm512_mask_storeu_ps(y + i, mask,
                          _mm512_fmadd_ps(factor, _mm512_maskz_loadu_ps(mask, x + i),
                                          _mm512_maskz_loadu_ps(mask, y + i)));
  }
}

POISE_TARGET_AVX512 float SquaredDistanceAvx512(const float* x, const float* y, std::size_t count) {
  __m512 sum0 = _mm512_setzero_ps();
  __m512 sum1 = _mm512_setzero_ps();
  std::size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512 d0 = _mm512_sub_ps(_mm512_loadu_ps(x + i), _mm512_loadu_ps(y + i));
    const __m512 d1 = _mm512_sub_ps(_mm512_loadu_ps(x + i + 16), _mm512_loadu_ps(y + i + 16));
    sum0 = _mm512_fmadd_ps(d0, d0, sum0);
    sum1 = _mm512_fmadd_ps(d1, d1, sum1);
  }
  for (; i < count; i += 16) {
    const __mmask16 mask = TailMask(std::min<std::size_t>(16, count - i));
    const __m512 d =
        _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + i), _mm512_maskz_loadu_ps(mask, y + i));
    sum0 = _mm512_fmadd_ps(d, d, sum0);
  }
  return _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

POISE_TARGET_AVX512 void DotRowsAvx512(const float* rows, const float* x, std::size_t dim,
                                       std::size_t row_count, float* scores) {
  for (std::size_t row = 0; row < row_count; ++row) {
    _mm_prefetch(rows + (row + 8) * dim, _MM_HINT_T0);
    scores[row] = DotAvx512(rows + row * dim, x, dim);
  }
}

POISE_TARGET_AVX512 __m512 ExpOf(__m512 x) {
  const __m512 clamped =
      _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(kExpMin)), _mm512_set1_ps(kExpMax));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(clamped, _mm512_set1_ps(kLog2E)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 f = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), clamped);
  f = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), f);
  __m512 p = _mm512_set1_ps(kExpP0);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExpP1));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExpP2));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExpP3));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExpP4));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kExpP5));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(f, f), _mm512_add_ps(f, _mm512_set1_ps(1)));
  __m512 result = _mm512_scalef_ps(p, n);
  result = _mm512_mask_mov_ps(result, _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpMin), _CMP_LT_OQ),
                              _mm512_setzero_ps());
  result = _mm512_mask_mov_ps(result, _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpMax), _CMP_GT_OQ),
                              _mm512_set1_ps(std::numeric_limits<float>::infinity()));
  return _mm512_mask_mov_ps(result, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), x);
}

POISE_TARGET_AVX512 void ExpAvx512(const float* x, float* out, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 16) {
    const __mmask16 mask = TailMask(std::min<std::size_t>(16, count - i));
    _mm512_mask_storeu_ps(out + i, mask, ExpOf(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

constexpr VectorKernels kKernels[] = {
    {DotBaseline, AxpyBaseline, SquaredDistanceBaseline, DotRowsBaseline, ExpBaseline},
    {DotAvx2, AxpyAvx2, SquaredDistanceAvx2, DotRowsAvx2, ExpAvx2},
    {DotAvx512, AxpyAvx512, SquaredDistanceAvx512, DotRowsAvx512, ExpAvx512}};

const VectorKernels& BestKernels() {
  static const VectorKernels& best = kKernels[static_cast<std::size_t>(BestSimdLevel())];
  return best;
}

}  // namespace

const VectorKernels& VectorKernelsOf(SimdLevel level) {
  POISE_CHECK(level <= BestSimdLevel());
  return kKernels[static_cast<std::size_t>(level)];
}

float Dot(std::span<const float> x, std::span<const float> y) {
  POISE_CHECK(x.size() == y.size());
  return BestKernels().dot(x.data(), y.data(), x.size());
}

void Axpy(float a, std::span<const float> x, std::span<float> y) {
  POISE_CHECK(x.size() == y.size());
  BestKernels().axpy(a, x.data(), y.data(), x.size());
}

float SquaredNorm(std::span<const float> x) {
  return BestKernels().dot(x.data(), x.data(), x.size());
}

float SquaredDistance(std::span<const float> x, std::span<const float> y) {
  POISE_CHECK(x.size() == y.size());
  return BestKernels().squared_distance(x.data(), y.data(), x.size());
}

float Cosine(std::span<const float> x, std::span<const float> y) {
  // Roots before the product: the product of two tiny squared norms is 0.
  const float norms = std::sqrt(SquaredNorm(x)) * std::sqrt(SquaredNorm(y));
  if (!(norms > 0)) return 0;
  return std::clamp(Dot(x, y) / norms, -1.0F, 1.0F);
}

void DotRows(std::span<const float> rows, std::span<const float> x, std::span<float> scores) {
  POISE_CHECK(rows.size() == scores.size() * x.size());
  BestKernels().dot_rows(rows.data(), x.data(), x.size(), scores.size(), scores.data());
}

void Exp(std::span<const float> x, std::span<float> out) {
  POISE_CHECK(x.size() == out.size());
  BestKernels().exp(x.data(), out.data(), x.size());
}

double LogSumExp(std::span<const double> x) {
  double top = -std::numeric_limits<double>::infinity();
  for (const double value : x) {
    if (std::isnan(value)) return value;
    top = std::max(top, value);
  }
  if (std::isinf(top)) return top;
  double sum = 0;
  for (const double value : x) sum += std::exp(value - top);
  return top + std::log(sum);
}

}  // namespace poise
