// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/factor_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/rng.h"
#include "math/matrix.h"

namespace poise {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kRowsPerRange = 1024;
// Float sums stay short; the sums of the ranges are added in double, in their order.
constexpr std::size_t kRowsPerSum = 2048;
constexpr std::size_t kSumsAtOnce = 32;

}  // namespace

void* AllocatePages(std::size_t size_bytes) {
  const std::size_t alignment = size_bytes >= kHugePage ? kHugePage : kCacheLine;
  const std::size_t rounded =
      std::max(alignment, (size_bytes + alignment - 1) / alignment * alignment);
  void* memory = std::aligned_alloc(alignment, rounded);
  POISE_CHECK(memory != nullptr);
  // Only a wish: without huge pages it works, slower.
  if (alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
  std::memset(memory, 0, rounded);
  return memory;
}

void ReleasePages::operator()(void* memory) const { std::free(memory); }

std::uint16_t* HalfMatrix::Resize(std::size_t count) {
  if (count > count_) {
    values_.reset(static_cast<std::uint16_t*>(AllocatePages(count * sizeof(std::uint16_t))));
    count_ = count;
  }
  return values_.get();
}

FactorMatrix::FactorMatrix(std::size_t row_count, std::size_t dim)
    : row_count_(row_count),
      dim_(dim),
      stride_(StrideOf(dim)),
      values_(static_cast<float*>(AllocatePages(row_count * stride_ * sizeof(float)))) {}

void FactorMatrix::FillNormal(double deviation, std::uint64_t seed, ThreadPool& pool) {
  pool.ParallelFor(row_count_, kRowsPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                     for (std::size_t row = begin; row < end; ++row) {
                       Rng rng(MixSeed(seed, row));
                       for (float& value : Row(row)) {
                         value = static_cast<float>(deviation * rng.Normal());
                       }
                     }
                   });
}

std::vector<double> FactorMatrix::GramOf(ThreadPool& pool) const {
  std::vector<double> gram(dim_ * dim_, 0.0);
  const std::size_t range_count = (row_count_ + kRowsPerSum - 1) / kRowsPerSum;
  std::vector<float> sums(std::min(range_count, kSumsAtOnce) * dim_ * dim_);
  for (std::size_t first = 0; first < range_count; first += kSumsAtOnce) {
    const std::size_t count = std::min(kSumsAtOnce, range_count - first);
    pool.ParallelFor(count, 1, [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
      for (std::size_t i = begin; i < end; ++i) {
        const std::size_t row = (first + i) * kRowsPerSum;
        Gram(1, {data() + row * stride_, std::min(kRowsPerSum, row_count_ - row), dim_, stride_}, 0,
             {sums.data() + i * dim_ * dim_, dim_, dim_, dim_});
      }
    });
    for (std::size_t i = 0; i < count; ++i) {
      const float* sum = sums.data() + i * dim_ * dim_;
      for (std::size_t at = 0; at < gram.size(); ++at) gram[at] += sum[at];
    }
  }
  return gram;
}

void FactorMatrix::Rotate(std::span<const float> rotation, ThreadPool& pool) {
  const MatrixSpan<const float> turn(rotation, dim_, dim_);
  std::vector<std::vector<float>> scratch(pool.thread_count());
  pool.ParallelFor(row_count_, kRowsPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     std::vector<float>& turned = scratch[worker];
                     turned.resize(kRowsPerRange * dim_);
                     const std::size_t count = end - begin;
                     Multiply(1, {data() + begin * stride_, count, dim_, stride_}, Transpose::kNo,
                              turn, Transpose::kYes, 0, {turned.data(), count, dim_, dim_});
                     for (std::size_t row = 0; row < count; ++row) {
                       std::copy_n(turned.data() + row * dim_, dim_, Row(begin + row).data());
                     }
                   });
}

std::vector<float> FactorMatrix::Compact() const {
  std::vector<float> out(row_count_ * dim_);
  for (std::size_t row = 0; row < row_count_; ++row) {
    std::copy_n(Row(row).data(), dim_, out.data() + row * dim_);
  }
  return out;
}

}  // namespace poise
