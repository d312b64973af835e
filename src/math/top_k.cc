// SPDX-License-Identifier: Apache-2.0
#include "math/top_k.h"

#include <immintrin.h>

#include <algorithm>

#include "base/check.h"

namespace poise {
namespace {

constexpr std::size_t kPiece = 512;

// Appends what is at least `threshold` to `out` and returns how many. "At least", because pieces
// may come in any order and an equal score of a smaller index has to win. The first filter, while
// nothing is known, is the lowest finite score, so minus infinity never passes.

std::size_t ScanBaseline(const float* scores, std::size_t count, std::uint32_t first_index,
                         float threshold, ScoredIndex* out) {
  std::size_t kept = 0;
  std::size_t i = 0;
  const __m128 bound = _mm_set1_ps(threshold);
  for (; i + 4 <= count; i += 4) {
    auto mask =
        static_cast<unsigned>(_mm_movemask_ps(_mm_cmpge_ps(_mm_loadu_ps(scores + i), bound)));
    for (; mask != 0; mask &= mask - 1) {
      const auto at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      out[kept++] = {scores[at], first_index + static_cast<std::uint32_t>(at)};
    }
  }
  for (; i < count; ++i) {
    if (scores[i] >= threshold) {
      out[kept++] = {scores[i], first_index + static_cast<std::uint32_t>(i)};
    }
  }
  return kept;
}

__attribute__((target("avx2"))) std::size_t ScanAvx2(const float* scores, std::size_t count,
                                                     std::uint32_t first_index, float threshold,
                                                     ScoredIndex* out) {
  std::size_t kept = 0;
  std::size_t i = 0;
  const __m256 bound = _mm256_set1_ps(threshold);
  for (; i + 32 <= count; i += 32) {
    unsigned mask = 0;
    for (unsigned part = 0; part < 4; ++part) {
      const __m256 hit = _mm256_cmp_ps(_mm256_loadu_ps(scores + i + 8 * part), bound, _CMP_GE_OQ);
      mask |= static_cast<unsigned>(_mm256_movemask_ps(hit)) << (8 * part);
    }
    for (; mask != 0; mask &= mask - 1) {
      const auto at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      out[kept++] = {scores[at], first_index + static_cast<std::uint32_t>(at)};
    }
  }
  return kept + ScanBaseline(scores + i, count - i, first_index + static_cast<std::uint32_t>(i),
                             threshold, out + kept);
}

__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) std::size_t ScanAvx512(
    const float* scores, std::size_t count, std::uint32_t first_index, float threshold,
    ScoredIndex* out) {
  std::size_t kept = 0;
  std::size_t i = 0;
  const __m512 bound = _mm512_set1_ps(threshold);
  for (; i + 64 <= count; i += 64) {
    std::uint64_t mask = 0;
    for (unsigned part = 0; part < 4; ++part) {
      const __mmask16 hit =
          _mm512_cmp_ps_mask(_mm512_loadu_ps(scores + i + 16 * part), bound, _CMP_GE_OQ);
      mask |= static_cast<std::uint64_t>(hit) << (16 * part);
    }
    for (; mask != 0; mask &= mask - 1) {
      const auto at = i + static_cast<std::size_t>(__builtin_ctzll(mask));
      out[kept++] = {scores[at], first_index + static_cast<std::uint32_t>(at)};
    }
  }
  return kept + ScanBaseline(scores + i, count - i, first_index + static_cast<std::uint32_t>(i),
                             threshold, out + kept);
}

std::size_t Scan(SimdLevel level, const float* scores, std::size_t count, std::uint32_t first_index,
                 float threshold, ScoredIndex* out) {
  switch (level) {
    case SimdLevel::kAvx512:
      return ScanAvx512(scores, count, first_index, threshold, out);
    case SimdLevel::kAvx2:
      return ScanAvx2(scores, count, first_index, threshold, out);
    case SimdLevel::kBaseline:
      break;
  }
  return ScanBaseline(scores, count, first_index, threshold, out);
}

}  // namespace

TopKSelector::TopKSelector(std::size_t k, SimdLevel level) : k_(k), level_(level) {
  POISE_CHECK(level <= BestSimdLevel());
}

void TopKSelector::Reset(std::size_t k) {
  k_ = k;
  size_ = 0;
  threshold_ = -std::numeric_limits<float>::infinity();
}

void TopKSelector::Add(std::span<const float> scores, std::uint32_t first_index) {
  if (k_ == 0) return;
  for (std::size_t begin = 0; begin < scores.size(); begin += kPiece) {
    const std::size_t count = std::min(kPiece, scores.size() - begin);
    if (buffer_.size() < size_ + count) {
      // Never more than 2k + a piece, and no more than there are scores.
      buffer_.resize(std::max(size_ + count, std::min(2 * k_ + kPiece, 2 * buffer_.size())));
    }
    const float bound = std::max(threshold_, std::numeric_limits<float>::lowest());
    size_ += Scan(level_, scores.data() + begin, count,
                  first_index + static_cast<std::uint32_t>(begin), bound, buffer_.data() + size_);
    const bool has_threshold = threshold_ != -std::numeric_limits<float>::infinity();
    if (size_ >= (has_threshold ? 2 * k_ : k_)) Prune();
  }
}

void TopKSelector::Prune() {
  if (size_ < k_) return;
  const auto begin = buffer_.begin();
  const auto kth = begin + static_cast<std::ptrdiff_t>(k_ - 1);
  std::nth_element(begin, kth, begin + static_cast<std::ptrdiff_t>(size_), IsBetter);
  size_ = k_;
  threshold_ = kth->score;
}

std::span<const ScoredIndex> TopKSelector::Finish() {
  if (k_ == 0) return {};
  Prune();
  std::sort(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(size_), IsBetter);
  return std::span(buffer_).first(size_);
}

void TopK(std::span<const float> scores, std::size_t k, std::vector<ScoredIndex>& best) {
  TopKSelector selector(std::min(k, scores.size()));
  selector.Add(scores, 0);
  const std::span<const ScoredIndex> found = selector.Finish();
  best.assign(found.begin(), found.end());
}

}  // namespace poise
