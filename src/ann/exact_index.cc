// SPDX-License-Identifier: Apache-2.0
#include "ann/exact_index.h"

#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

#include "math/cpu.h"

namespace poise {
namespace {

constexpr std::size_t kBlockRows = 16;
constexpr std::size_t kGroup = 4;
// Seven bits: then a pair of products of the unsigned with the signed eight-bit query cannot
// saturate the sixteen bits of maddubs, and every level gives the same integers.
constexpr int kVectorLimit = 63;
constexpr int kVectorOffset = 64;
constexpr int kQueryLimit = 127;
// Sums of D products stay far inside 32 bits up to here.
constexpr std::size_t kMaxDim = 65'536;

// Rounding of norms and of the fp32 rescoring, relative to |q| |x|.
constexpr float kSlack = 4e-6F;

// What a query is to the kernels.
struct QueryBounds {
  const std::int8_t* levels;
  std::size_t group_count;
  std::int32_t offset_dot;  // what the vectors' offset adds to every sum
  float scale;
  float norm;        // times a row's residual, and
  float norm_share;  // times a row's norm: half the width of its bounds
};

// A block's rows.
struct BlockRows {
  const std::uint8_t* levels;
  const float* scales;
  const float* residuals;
  const float* norms;
};

// Writes the middle and half the width of the bounds of sixteen rows; true if one of them reaches
// the threshold. Rounding differs between levels by less than kSlack; which rows are the best does
// not.
using BlockBounds = bool (*)(const QueryBounds& query, const BlockRows& rows, float threshold,
                             float* middles, float* widths);

bool BlockBoundsBaseline(const QueryBounds& query, const BlockRows& rows, float threshold,
                         float* middles, float* widths) {
  const __m128i ones = _mm_set1_epi16(1);
  __m128i sums[4] = {_mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128(),
                     _mm_setzero_si128()};
  const std::uint8_t* block = rows.levels;
  for (std::size_t g = 0; g < query.group_count; ++g) {
    std::int32_t four;
    std::memcpy(&four, query.levels + g * kGroup, sizeof four);
    const __m128i q = _mm_set1_epi32(four);
    for (int part = 0; part < 4; ++part) {
      const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block) + part);
      sums[part] = _mm_add_epi32(sums[part], _mm_madd_epi16(_mm_maddubs_epi16(x, q), ones));
    }
    block += kBlockRows * kGroup;
  }
  __m128 reaches = _mm_setzero_ps();
  for (int part = 0; part < 4; ++part) {
    const __m128 dots =
        _mm_cvtepi32_ps(_mm_sub_epi32(sums[part], _mm_set1_epi32(query.offset_dot)));
    const __m128 middle = _mm_mul_ps(
        dots, _mm_mul_ps(_mm_loadu_ps(rows.scales + 4 * part), _mm_set1_ps(query.scale)));
    const __m128 width =
        _mm_add_ps(_mm_mul_ps(_mm_loadu_ps(rows.residuals + 4 * part), _mm_set1_ps(query.norm)),
                   _mm_mul_ps(_mm_loadu_ps(rows.norms + 4 * part), _mm_set1_ps(query.norm_share)));
    reaches = _mm_or_ps(reaches, _mm_cmpge_ps(_mm_add_ps(middle, width), _mm_set1_ps(threshold)));
    _mm_storeu_ps(middles + 4 * part, middle);
    _mm_storeu_ps(widths + 4 * part, width);
  }
  return _mm_movemask_ps(reaches) != 0;
}

__attribute__((target("avx2"))) bool BlockBoundsAvx2(const QueryBounds& query,
                                                     const BlockRows& rows, float threshold,
                                                     float* middles, float* widths) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  const std::uint8_t* block = rows.levels;
  for (std::size_t g = 0; g < query.group_count; ++g) {
    std::int32_t four;
    std::memcpy(&four, query.levels + g * kGroup, sizeof four);
    const __m256i q = _mm256_set1_epi32(four);
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block));
    const __m256i y = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block) + 1);
    sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_maddubs_epi16(x, q), ones));
    sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_maddubs_epi16(y, q), ones));
    block += kBlockRows * kGroup;
  }
  __m256 reaches = _mm256_setzero_ps();
  for (int part = 0; part < 2; ++part) {
    const __m256 dots =
        _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[part], _mm256_set1_epi32(query.offset_dot)));
    const __m256 middle = _mm256_mul_ps(
        dots, _mm256_mul_ps(_mm256_loadu_ps(rows.scales + 8 * part), _mm256_set1_ps(query.scale)));
    const __m256 width = _mm256_add_ps(
        _mm256_mul_ps(_mm256_loadu_ps(rows.residuals + 8 * part), _mm256_set1_ps(query.norm)),
        _mm256_mul_ps(_mm256_loadu_ps(rows.norms + 8 * part), _mm256_set1_ps(query.norm_share)));
    reaches = _mm256_or_ps(reaches, _mm256_cmp_ps(_mm256_add_ps(middle, width),
                                                  _mm256_set1_ps(threshold), _CMP_GE_OQ));
    _mm256_storeu_ps(middles + 8 * part, middle);
    _mm256_storeu_ps(widths + 8 * part, width);
  }
  return _mm256_movemask_ps(reaches) != 0;
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) bool BlockBoundsVnni(
    const QueryBounds& query, const BlockRows& rows, float threshold, float* middles,
    float* widths) {
  // Two sums, so that an addition need not wait for the one before it.
  __m512i even = _mm512_setzero_si512();
  __m512i odd = _mm512_setzero_si512();
  const std::uint8_t* block = rows.levels;
  std::size_t g = 0;
  for (; g + 2 <= query.group_count; g += 2) {
    std::int32_t four;
    std::memcpy(&four, query.levels + g * kGroup, sizeof four);
    even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(block), _mm512_set1_epi32(four));
    std::memcpy(&four, query.levels + (g + 1) * kGroup, sizeof four);
    odd = _mm512_dpbusd_epi32(odd, _mm512_loadu_si512(block + kBlockRows * kGroup),
                              _mm512_set1_epi32(four));
    block += 2 * kBlockRows * kGroup;
  }
  if (g < query.group_count) {
    std::int32_t four;
    std::memcpy(&four, query.levels + g * kGroup, sizeof four);
    even = _mm512_dpbusd_epi32(even, _mm512_loadu_si512(block), _mm512_set1_epi32(four));
  }
  // The form with a mask, because gcc 12 warns of its own header's plain one.
  const __m512 dots = _mm512_maskz_cvtepi32_ps(
      0xffff, _mm512_sub_epi32(_mm512_add_epi32(even, odd), _mm512_set1_epi32(query.offset_dot)));
  const __m512 middle =
      _mm512_mul_ps(dots, _mm512_mul_ps(_mm512_loadu_ps(rows.scales), _mm512_set1_ps(query.scale)));
  const __m512 width =
      _mm512_add_ps(_mm512_mul_ps(_mm512_loadu_ps(rows.residuals), _mm512_set1_ps(query.norm)),
                    _mm512_mul_ps(_mm512_loadu_ps(rows.norms), _mm512_set1_ps(query.norm_share)));
  _mm512_storeu_ps(middles, middle);
  _mm512_storeu_ps(widths, width);
  return _mm512_cmp_ps_mask(_mm512_add_ps(middle, width), _mm512_set1_ps(threshold), _CMP_GE_OQ) !=
         0;
}

BlockBounds BoundsOf(SimdLevel level) {
  if (level >= SimdLevel::kAvx512 && __builtin_cpu_supports("avx512vnni")) return BlockBoundsVnni;
  return level >= SimdLevel::kAvx2 ? BlockBoundsAvx2 : BlockBoundsBaseline;
}

// In an order that does not depend on the processor, so neither does the answer.
float Rescore(const float* a, const float* b, std::size_t dim) {
  std::array<float, 8> sums{};
  std::size_t d = 0;
  for (; d + 8 <= dim; d += 8) {
    for (std::size_t l = 0; l < 8; ++l) sums[l] += a[d + l] * b[d + l];
  }
  for (std::size_t l = 0; d < dim; ++d, ++l) sums[l] += a[d] * b[d];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

struct Suspect {
  float low;
  float high;
  std::uint32_t row;
};

struct Quantised {
  float scale = 0;
  float residual = 0;  // norm of what was lost
  float norm = 0;      // of the quantised vector
};

// Writes round(value / scale) within [-limit, limit].
template <typename T>
Quantised Quantise(std::span<const float> vector, int limit, int offset, T* out,
                   std::size_t stride_group) {
  float largest = 0;
  for (const float value : vector) largest = std::max(largest, std::fabs(value));
  Quantised result;
  result.scale = largest / static_cast<float>(limit);
  double lost = 0;
  double kept = 0;
  for (std::size_t d = 0; d < vector.size(); ++d) {
    // A scale of zero, or too small to divide by, leaves all of the vector in the residual.
    const float ratio = result.scale > 0 ? vector[d] / result.scale : 0;
    const int level =
        std::clamp(static_cast<int>(std::lround(std::isfinite(ratio) ? ratio : 0)), -limit, limit);
    const double quantised = static_cast<double>(level) * result.scale;
    lost += (vector[d] - quantised) * (vector[d] - quantised);
    kept += quantised * quantised;
    out[d / kGroup * stride_group + d % kGroup] = static_cast<T>(level + offset);
  }
  result.residual = static_cast<float>(std::sqrt(lost));
  result.norm = static_cast<float>(std::sqrt(kept));
  return result;
}

bool IsBounded(std::span<const float> vector) {
  // Squares of anything larger would not fit into a float; NaN fails the comparison.
  return std::all_of(vector.begin(), vector.end(),
                     [](float value) { return std::fabs(value) <= 1e15F; });
}

}  // namespace

Result<ExactIndex> ExactIndex::Build(std::span<const float> vectors, std::size_t dim) {
  if (dim == 0 || dim > kMaxDim) {
    return InvalidArgument(fmt::format("vectors: dimension {} is not in [1, {}]", dim, kMaxDim));
  }
  if (vectors.size() % dim != 0) {
    return InvalidArgument(
        fmt::format("vectors: {} values are not rows of {}", vectors.size(), dim));
  }
  ExactIndex index;
  index.vectors_ = vectors;
  index.dim_ = dim;
  index.row_count_ = vectors.size() / dim;
  if (index.row_count_ > 0xffffffffU) {
    return InvalidArgument("vectors: more than 2^32 - 1 rows");
  }
  index.group_count_ = (dim + kGroup - 1) / kGroup;
  const std::size_t block_count = (index.row_count_ + kBlockRows - 1) / kBlockRows;
  const std::size_t block_bytes = index.group_count_ * kBlockRows * kGroup;
  index.blocks_.assign(block_count * block_bytes, kVectorOffset);
  index.scales_.resize(block_count * kBlockRows);
  index.residuals_.resize(block_count * kBlockRows);
  index.norms_.resize(block_count * kBlockRows);
  for (std::size_t row = 0; row < index.row_count_; ++row) {
    const std::span<const float> vector = vectors.subspan(row * dim, dim);
    if (!IsBounded(vector)) {
      return InvalidArgument(fmt::format("vectors: row {} is not finite, or beyond 1e15", row));
    }
    std::uint8_t* out =
        index.blocks_.data() + row / kBlockRows * block_bytes + row % kBlockRows * kGroup;
    const Quantised quantised =
        Quantise(vector, kVectorLimit, kVectorOffset, out, kBlockRows * kGroup);
    index.scales_[row] = quantised.scale;
    index.residuals_[row] = quantised.residual;
    index.norms_[row] = quantised.norm + quantised.residual;  // bounds the vector's own
  }
  return index;
}

Status ExactIndex::Search(std::span<const float> query, std::size_t count,
                          std::vector<ScoredIndex>& out,
                          std::span<const std::uint64_t> allowed) const {
  return SearchAt(BestSimdLevel(), query, count, out, allowed);
}

Status ExactIndex::SearchAt(SimdLevel level, std::span<const float> query, std::size_t count,
                            std::vector<ScoredIndex>& out,
                            std::span<const std::uint64_t> allowed) const {
  out.clear();
  if (query.size() != dim_) {
    return InvalidArgument(
        fmt::format("query: {} dimensions for vectors of {}", query.size(), dim_));
  }
  if (!IsBounded(query)) return InvalidArgument("query: is not finite, or beyond 1e15");
  count = std::min(count, row_count_);
  if (count == 0) return Status::Ok();

  thread_local std::vector<std::int8_t> quantised_query;
  thread_local std::vector<Suspect> suspects;
  thread_local std::vector<float> lows;
  quantised_query.assign(group_count_ * kGroup, 0);
  const Quantised q = Quantise(query, kQueryLimit, 0, quantised_query.data(), kGroup);
  std::int32_t offset_dot = 0;
  for (const std::int8_t value : quantised_query) offset_dot += kVectorOffset * value;
  const float query_norm = q.norm + q.residual;
  const float norm_share = q.residual + kSlack * query_norm;

  // A row is a suspect while its highest possible score reaches the lowest that the best `count`
  // rows seen so far can have: `threshold` only rises, so nothing is lost by looking once.
  suspects.clear();
  lows.clear();
  float threshold = -std::numeric_limits<float>::infinity();
  const std::size_t limit = 2 * count + 64;
  const auto raise = [&] {
    std::nth_element(lows.begin(), lows.begin() + static_cast<std::ptrdiff_t>(count) - 1,
                     lows.end(), std::greater<>());
    lows.resize(count);
    threshold = lows[count - 1];
  };
  const BlockBounds block_bounds = BoundsOf(level);
  const QueryBounds bounds = {
      quantised_query.data(), group_count_, offset_dot, q.scale, q.norm, norm_share};
  const std::size_t block_bytes = group_count_ * kBlockRows * kGroup;
  std::array<float, kBlockRows> middles;
  std::array<float, kBlockRows> widths;
  for (std::size_t first = 0; first < row_count_; first += kBlockRows) {
    if (!allowed.empty()) {
      const std::size_t word = first / 64;
      if (word >= allowed.size()) break;
      if ((allowed[word] >> (first % 64) & 0xffffU) == 0) continue;
    }
    if (!block_bounds(bounds,
                      {blocks_.data() + first / kBlockRows * block_bytes, scales_.data() + first,
                       residuals_.data() + first, norms_.data() + first},
                      threshold, middles.data(), widths.data())) {
      continue;
    }
    const std::size_t rows = std::min(kBlockRows, row_count_ - first);
    for (std::size_t r = 0; r < rows; ++r) {
      const float high = middles[r] + widths[r];
      if (!(high >= threshold)) continue;
      const std::size_t row = first + r;
      if (!allowed.empty() && (allowed[row / 64] >> (row % 64) & 1U) == 0) continue;
      const float low = middles[r] - widths[r];
      suspects.push_back({low, high, static_cast<std::uint32_t>(row)});
      if (low > threshold || lows.size() < count) {
        lows.push_back(low);
        if (lows.size() >= limit) raise();
      }
    }
  }
  if (lows.size() >= count) raise();

  for (const Suspect& suspect : suspects) {
    if (suspect.high < threshold) continue;
    out.push_back({Rescore(query.data(), vectors_.data() + suspect.row * dim_, dim_), suspect.row});
  }
  const auto end = out.begin() + static_cast<std::ptrdiff_t>(std::min(count, out.size()));
  std::partial_sort(out.begin(), end, out.end(), IsBetter);
  out.erase(end, out.end());
  return Status::Ok();
}

}  // namespace poise
