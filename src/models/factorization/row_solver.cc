// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/row_solver.h"

#include <immintrin.h>

#include <algorithm>

#include "base/check.h"

namespace poise {
namespace {

namespace baseline {
#define POISE_KERNEL_TARGET
#define POISE_KERNEL_WIDTH 4
#include "models/factorization/row_solver_kernel.inc"
#undef POISE_KERNEL_TARGET
#undef POISE_KERNEL_WIDTH
}  // namespace baseline

namespace avx2 {
#define POISE_KERNEL_TARGET __attribute__((target("avx2,fma,f16c")))
#define POISE_KERNEL_WIDTH 8
#include "models/factorization/row_solver_kernel.inc"
#undef POISE_KERNEL_TARGET
#undef POISE_KERNEL_WIDTH
}  // namespace avx2

namespace avx512 {
#define POISE_KERNEL_TARGET \
  __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#define POISE_KERNEL_WIDTH 16
#include "models/factorization/row_solver_kernel.inc"
#undef POISE_KERNEL_TARGET
#undef POISE_KERNEL_WIDTH
}  // namespace avx512

constexpr std::size_t kCacheLineFloats = 16;

}  // namespace

RowScratch::RowScratch(std::size_t stride)
    : stride_(stride),
      memory_(new float[kPanelFloats + kVectors * stride + kCacheLineFloats]()),
      aligned_(memory_.get()) {
  POISE_CHECK(stride % kCacheLineFloats == 0);
  const auto address = reinterpret_cast<std::uintptr_t>(aligned_);
  aligned_ += (64 - address % 64) % 64 / sizeof(float);
}

SolveRowFunction SolveRowAt(SimdLevel level) {
  POISE_CHECK(level <= BestSimdLevel());
  switch (level) {
    case SimdLevel::kAvx512:
      return avx512::SolveRow;
    case SimdLevel::kAvx2:
      return avx2::SolveRow;
    case SimdLevel::kBaseline:
      break;
  }
  return baseline::SolveRow;
}

ToHalvesFunction ToHalvesAt(SimdLevel level) {
  POISE_CHECK(level <= BestSimdLevel());
  switch (level) {
    case SimdLevel::kAvx512:
      return avx512::ToHalves;
    case SimdLevel::kAvx2:
      return avx2::ToHalves;
    case SimdLevel::kBaseline:
      break;
  }
  return nullptr;
}

}  // namespace poise
