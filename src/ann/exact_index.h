// SPDX-License-Identifier: Apache-2.0
//
// ExactIndex: vectors in, the k with the largest inner products out; knows no user and no item.
//
// It reads a 7-bit copy of every vector and rescores in fp32 only what a proven error bound cannot
// rule out, so the answer is exact (up to fp32 sums) at a quarter of the memory traffic. Up to
// about a million vectors that beats approximate graphs, and it is built in one pass.
//
// Place    candidates/ -> [ExactIndex] -> candidates/
// Shapes   vectors [N, D] row-major, borrowed: they must outlive the index; query [D]
// Units    score: inner product in fp32, higher is nearer
// Errors   kInvalidArgument: a vector holds a value that is not finite (names its row), the sizes
//          disagree. A query that is not finite: kInvalidArgument.
// Threads  Immutable: searches may run concurrently.
// Cost     Build O(N D); Search O(N D) bytes read once; (D + 12) N bytes of memory beside the
//          vectors. The answer does not depend on the processor it runs on.
// Source   Bound: |q.x - q'.x'| <= |q'| |x - x'| + |q - q'| |x| by Cauchy and Schwarz, x' and q'
//          the quantised vectors, the norms of the differences known exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "math/cpu.h"
#include "math/top_k.h"

namespace poise {

class ExactIndex {
 public:
  static Result<ExactIndex> Build(std::span<const float> vectors, std::size_t dim);

  // Writes the `count` nearest rows into `out`, best first, ties by row; fewer if there are fewer.
  // `allowed`: bit r % 64 of word r / 64 admits row r; rows beyond its end are not admitted. Empty:
  // all are.
  Status Search(std::span<const float> query, std::size_t count, std::vector<ScoredIndex>& out,
                std::span<const std::uint64_t> allowed = {}) const;

  std::size_t row_count() const { return row_count_; }
  std::size_t dim() const { return dim_; }

  // The same with the instructions of one level, for tests: every level gives the same answer.
  Status SearchAt(SimdLevel level, std::span<const float> query, std::size_t count,
                  std::vector<ScoredIndex>& out, std::span<const std::uint64_t> allowed) const;

 private:
  ExactIndex() = default;

  std::span<const float> vectors_;
  std::size_t row_count_ = 0;
  std::size_t dim_ = 0;
  std::size_t group_count_ = 0;       // dim rounded up to fours
  std::vector<std::uint8_t> blocks_;  // [N / 16][D / 4][16][4], values + 64
  std::vector<float> scales_;         // [N rounded up to blocks] of the quantised values
  std::vector<float> residuals_;      // [N] norm of what quantising lost
  std::vector<float> norms_;          // [N] not below the vectors' norms
};

}  // namespace poise
