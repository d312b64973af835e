// SPDX-License-Identifier: Apache-2.0
#include "policy/softmax.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

#include "base/check.h"
#include "policy/kernels.h"

namespace poise {
namespace {

constexpr std::size_t kMaxTop = 16;
// Scores looked at together; their group maxima stand on the stack.
constexpr std::size_t kSegment = 4096;
constexpr std::size_t kGroups = kSegment / Kernels::kGroupSpan * Kernels::kLaneCount;
// So many keys are ranked by counting, without a branch; more are sorted.
constexpr std::size_t kMaxCounted = 32;

// Orders scores as numbers, and the earlier of equal ones above the later.
std::uint64_t KeyOf(float score, std::size_t index) {
  const auto bits = std::bit_cast<std::uint32_t>(score + 0.0F);  // -0 is 0
  const std::uint32_t ordered = (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
  return std::uint64_t{ordered} << 32 | (0xffffffffU - static_cast<std::uint32_t>(index));
}
std::size_t IndexOf(std::uint64_t key) { return 0xffffffffU - static_cast<std::uint32_t>(key); }

// Leaves the `count` largest keys, in any order that depends on the keys alone.
std::size_t KeepLargest(std::uint64_t* keys, std::size_t size, std::size_t count) {
  if (size <= count) return size;
  if (size > kMaxCounted) {
    std::partial_sort(keys, keys + count, keys + size, std::greater<>());
    return count;
  }
  std::array<std::uint64_t, kMaxCounted> all;
  std::copy(keys, keys + size, all.begin());
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size; ++i) {
    std::size_t larger = 0;
    for (std::size_t j = 0; j < size; ++j) larger += all[j] > all[i] ? 1 : 0;
    keys[kept] = all[i];
    kept += larger < count ? 1 : 0;
  }
  return kept;
}

// A score that at least `count` of the groups reach, for `count` up to 16; near the count-th
// highest maximum.
float BoundOf(std::span<const float> maxima, std::size_t count) {
  constexpr std::size_t kSets = 16;
  std::array<float, kSets> sets;
  sets.fill(-std::numeric_limits<float>::infinity());
  for (std::size_t group = 0; group < maxima.size(); ++group) {
    sets[group % kSets] = std::max(sets[group % kSets], maxima[group]);
  }
  float bound = std::numeric_limits<float>::infinity();
  for (const float candidate : sets) {
    std::size_t larger = 0;
    for (const float other : sets) larger += other > candidate ? 1 : 0;
    bound = larger < count ? std::min(bound, candidate) : bound;
  }
  return bound;
}

}  // namespace

float MaxOf(std::span<const float> values) {
  POISE_DCHECK(!values.empty());
  return BestKernels().max_of(values.data(), values.size());
}

void EvenAmongBest(std::span<const float> scores, float floor, std::span<float> probabilities) {
  const float best = MaxOf(scores);
  const std::size_t ties = BestKernels().count_equal(scores.data(), best, scores.size());
  const float even = floor / static_cast<float>(scores.size());
  const float high = (1.0F - floor) / static_cast<float>(ties) + even;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    probabilities[i] = scores[i] == best ? high : even;
  }
}

void Softmax(std::span<const float> scores, float temperature, float floor,
             std::span<float> probabilities) {
  POISE_DCHECK(temperature > 0);
  const Kernels& kernels = BestKernels();
  const float sum = kernels.scaled_exp(scores.data(), MaxOf(scores), 1.0F / temperature,
                                       scores.size(), probabilities.data());
  // The maximum itself contributes exp(0), so the sum is at least 1.
  kernels.scale_add(probabilities.data(), (1.0F - floor) / sum,
                    floor / static_cast<float>(scores.size()), scores.size());
}

float MeanOfTop(std::span<const float> scores, std::span<const float> values, int count) {
  POISE_DCHECK(count > 0 && static_cast<std::size_t>(count) <= kMaxTop);
  const std::size_t wanted = std::min(static_cast<std::size_t>(count), scores.size());
  // The best so far and whatever of the segment may be above them.
  std::array<std::uint64_t, kSegment + kMaxTop> keys;
  std::size_t held = 0;
  std::array<float, kGroups> maxima;
  std::array<std::uint32_t, kGroups> near;
  for (std::size_t begin = 0; begin < scores.size(); begin += kSegment) {
    const std::size_t size = std::min(scores.size() - begin, kSegment);
    BestKernels().group_maxima(scores.data() + begin, size, maxima.data());
    const std::size_t group_count =
        (size + Kernels::kGroupSpan - 1) / Kernels::kGroupSpan * Kernels::kLaneCount;
    // `wanted` groups reach the bound, each with an entry that does: nothing below it can be of
    // the top. Branches would be guessed wrong, so places are written always and kept at need.
    const float bound = BoundOf({maxima.data(), group_count}, wanted);
    std::size_t near_count = 0;
    for (std::size_t group = 0; group < group_count; ++group) {
      near[near_count] = static_cast<std::uint32_t>(group);
      near_count += maxima[group] >= bound ? 1 : 0;
    }
    for (std::size_t n = 0; n < near_count; ++n) {
      const std::size_t first = begin + near[n] / Kernels::kLaneCount * Kernels::kGroupSpan;
      const std::size_t end = std::min(begin + size, first + Kernels::kGroupSpan);
      for (std::size_t i = first + near[n] % Kernels::kLaneCount; i < end;
           i += Kernels::kLaneCount) {
        keys[held] = KeyOf(scores[i], i);
        held += scores[i] >= bound ? 1 : 0;
      }
    }
    held = KeepLargest(keys.data(), held, wanted);
  }
  double sum = 0;
  for (std::size_t k = 0; k < held; ++k) sum += values[IndexOf(keys[k])];
  return static_cast<float>(sum / static_cast<double>(wanted));
}

}  // namespace poise
