// SPDX-License-Identifier: Apache-2.0
//
// FactorMatrix: the vectors of all users, or of all items, while they are being learned.
//
// Rows are padded with zeros to whole cache lines, and the memory asks for huge pages: solvers read
// rows in random order, where address translation costs as much as the memory itself.
//
// Place    [here] -> ials_solver, factorization
// Shapes   values [R, stride] row-major; stride = D rounded up to 16
// Threads  Distinct rows may be written concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace poise {

// Memory for large arrays: aligned, zeroed, in huge pages where the system has them.
void* AllocatePages(std::size_t size_bytes);
struct ReleasePages {
  void operator()(void* memory) const;
};

// Room for a matrix in half precision.
class HalfMatrix {
 public:
  // Keeps the memory it has if that is enough.
  std::uint16_t* Resize(std::size_t count);

 private:
  std::size_t count_ = 0;
  std::unique_ptr<std::uint16_t[], ReleasePages> values_;
};

class FactorMatrix {
 public:
  static constexpr std::size_t kRowMultiple = 16;
  static std::size_t StrideOf(std::size_t dim) {
    return (dim + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
  }

  // All zeros.
  FactorMatrix(std::size_t row_count, std::size_t dim);

  std::size_t row_count() const { return row_count_; }
  std::size_t dim() const { return dim_; }
  std::size_t stride() const { return stride_; }
  float* data() { return values_.get(); }
  const float* data() const { return values_.get(); }
  std::span<float> Row(std::size_t row) { return {values_.get() + row * stride_, dim_}; }
  std::span<const float> Row(std::size_t row) const {
    return {values_.get() + row * stride_, dim_};
  }

  // Normal numbers of the given deviation; row r depends on (seed, r) alone.
  void FillNormal(double deviation, std::uint64_t seed, ThreadPool& pool);

  // X^T X in double, [D, D]; the same bits for every number of threads.
  std::vector<double> GramOf(ThreadPool& pool) const;

  // Row <- rotation * row for every row. `rotation` [D, D] row-major.
  void Rotate(std::span<const float> rotation, ThreadPool& pool);

  // The rows without padding.
  std::vector<float> Compact() const;

 private:
  std::size_t row_count_;
  std::size_t dim_;
  std::size_t stride_;
  std::unique_ptr<float[], ReleasePages> values_;
};

}  // namespace poise
