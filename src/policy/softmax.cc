// SPDX-License-Identifier: Apache-2.0
#include "policy/softmax.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "base/check.h"
#include "policy/kernels.h"

namespace poise {
namespace {

constexpr std::size_t kBlock = Kernels::kBlock;
constexpr std::size_t kChunkBlocks = 64;  // of stack at a time
constexpr std::size_t kMaxTop = 16;

}  // namespace

float MaxOf(std::span<const float> values) {
  POISE_DCHECK(!values.empty());
  std::array<float, kChunkBlocks> maxima;
  float best = values[0];
  for (std::size_t begin = 0; begin < values.size(); begin += kChunkBlocks * kBlock) {
    const std::size_t count = std::min(values.size() - begin, kChunkBlocks * kBlock);
    BestKernels().block_maxima(values.data() + begin, count, maxima.data());
    const std::size_t blocks = (count + kBlock - 1) / kBlock;
    for (std::size_t b = 0; b < blocks; ++b) best = std::max(best, maxima[b]);
  }
  return best;
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
  // Ascending: the weakest of the best so far stands at 0.
  std::array<std::pair<float, float>, kMaxTop> best;
  std::size_t held = 0;
  std::array<float, kChunkBlocks> maxima;
  for (std::size_t begin = 0; begin < scores.size(); begin += kChunkBlocks * kBlock) {
    const std::size_t chunk = std::min(scores.size() - begin, kChunkBlocks * kBlock);
    BestKernels().block_maxima(scores.data() + begin, chunk, maxima.data());
    for (std::size_t block = 0; block * kBlock < chunk; ++block) {
      if (held == wanted && maxima[block] <= best[0].first) continue;
      const std::size_t end = begin + std::min(chunk, (block + 1) * kBlock);
      for (std::size_t i = begin + block * kBlock; i < end; ++i) {
        const float score = scores[i];
        if (held == wanted) {
          if (score <= best[0].first) continue;
          std::size_t place = 0;
          while (place + 1 < wanted && best[place + 1].first < score) {
            best[place] = best[place + 1];
            ++place;
          }
          best[place] = {score, values[i]};
          continue;
        }
        std::size_t place = held++;
        while (place > 0 && best[place - 1].first >= score) {
          best[place] = best[place - 1];
          --place;
        }
        best[place] = {score, values[i]};
      }
    }
  }
  double sum = 0;
  for (std::size_t i = 0; i < wanted; ++i) sum += best[i].second;
  return static_cast<float>(sum / static_cast<double>(wanted));
}

}  // namespace poise
