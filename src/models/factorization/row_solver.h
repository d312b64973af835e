// SPDX-License-Identifier: Apache-2.0
//
// RowSolver: conjugate gradients for one user's (or item's) vector against the other side's.
//
// Solves  (diag(D) + sum_j w_j y_j y_j^T) x = sum_j w_j y_j
//
// from the x at hand. The caller has rotated the vectors so that what all rows share, the Gram
// matrix of the other side and the regularisation, is diagonal: applying it costs O(D), and it is
// the preconditioner for nothing.
//
// Place    ials_solver, ials -> [here]
// Shapes   matrix [N, stride] row-major, 64-byte aligned; stride a multiple of 16, padding zero;
//          diagonal, x [stride]; indices, weights [n]
// Errors   None: the caller made sure that indices are within the matrix.
// Threads  A scratch belongs to one thread.
// Cost     O((steps + 1) n D); reads each of the n rows from the matrix once if they fit the panel.
//          Reading dominates, so the rows may lie in half precision: the error of a row, 2^-11 of
//          itself, moves the solution far less than stopping after a few steps does.
// Source   Takacs, Pilaszy and Tikk, "Applications of the conjugate gradient method for implicit
//          feedback collaborative filtering" (RecSys 2011), with the preconditioner exact for all
//          that does not depend on the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "math/cpu.h"

namespace poise {

struct RowProblem {
  const float* matrix = nullptr;
  std::size_t stride = 0;
  const float* diagonal = nullptr;  // > 0, also in the padding
  const std::uint32_t* indices = nullptr;
  const float* weights = nullptr;
  std::size_t count = 0;
  std::size_t step_count = 3;
  // The matrix once more in half precision, times half_unit; if set, rows are read from it.
  const std::uint16_t* halves = nullptr;
  float half_unit = 1;
};

class RowScratch {
 public:
  explicit RowScratch(std::size_t stride);

  // What a level-two cache holds beside everything else.
  static constexpr std::size_t kPanelFloats = std::size_t{128} << 10;

  float* panel() { return aligned_; }
  std::size_t PanelRows() const { return kPanelFloats / stride_; }
  // Vectors of `stride` floats: five, and from kFew on eight that lie together.
  static constexpr std::size_t kFew = 5;
  static constexpr std::size_t kVectors = kFew + 8;
  float* Vector(std::size_t which) { return aligned_ + kPanelFloats + which * stride_; }

 private:
  std::size_t stride_;
  std::unique_ptr<float[]> memory_;
  float* aligned_;
};

using SolveRowFunction = void (*)(const RowProblem& problem, RowScratch& scratch, float* x);

// Requires  `level` is among SupportedSimdLevels().
SolveRowFunction SolveRowAt(SimdLevel level);

// Writes from[i] * scale in half precision. Null at a level without conversions. `count` is a
// multiple of 8, `from` 32-byte aligned; what overflows turns infinite.
using ToHalvesFunction = void (*)(const float* from, std::size_t count, float scale,
                                  std::uint16_t* to);
ToHalvesFunction ToHalvesAt(SimdLevel level);

}  // namespace poise
