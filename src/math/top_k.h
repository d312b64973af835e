// SPDX-License-Identifier: Apache-2.0
//
// Top-k: the k largest of many scores, best first.
//
// A vector scan drops what is not above the k-th best so far, which is nearly everything; what is
// left is cut back now and then. Ties go to the smaller index, so an answer never depends on the
// order of evaluation.
//
// Shapes   scores [N]; the answer [min(k, what counts)]
// Units    NaN and minus infinity never count: a score of minus infinity is how a caller leaves an
//          item out.
// Threads  A selector belongs to one thread.
// Cost     O(N + k log k) in the mean; memory 2k + 512 entries, kept between uses.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "math/cpu.h"

namespace poise {

struct ScoredIndex {
  float score;
  std::uint32_t index;
  bool operator==(const ScoredIndex&) const = default;
};

// Higher score first, then smaller index.
constexpr bool IsBetter(const ScoredIndex& a, const ScoredIndex& b) {
  return a.score > b.score || (a.score == b.score && a.index < b.index);
}

// Collects the best of scores that come in pieces.
class TopKSelector {
 public:
  explicit TopKSelector(std::size_t k = 0, SimdLevel level = BestSimdLevel());

  // Forgets everything, keeps the memory.
  void Reset(std::size_t k);

  // scores[n] belongs to index first_index + n. Pieces may come in any order if no index comes
  // twice.
  void Add(std::span<const float> scores, std::uint32_t first_index);

  // Scores that are not above this can no longer enter; minus infinity while fewer than k came.
  float Threshold() const { return threshold_; }

  // The best so far, best first. Valid until the next call on this object.
  std::span<const ScoredIndex> Finish();

 private:
  void Prune();

  std::size_t k_;
  SimdLevel level_;
  float threshold_ = -std::numeric_limits<float>::infinity();
  std::size_t size_ = 0;
  std::vector<ScoredIndex> buffer_;
};

// Writes the best min(k, N) to `best`, best first.
void TopK(std::span<const float> scores, std::size_t k, std::vector<ScoredIndex>& best);

}  // namespace poise
