// SPDX-License-Identifier: Apache-2.0
#include "math/cpu.h"

#include <cpuid.h>

#include <array>

namespace poise {
namespace {

constexpr std::array kLevels = {SimdLevel::kBaseline, SimdLevel::kAvx2, SimdLevel::kAvx512};

// Clang 14's __builtin_cpu_supports() does not know this feature.
bool HasHalfPrecisionConversion() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

SimdLevel DetectSimdLevel() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") == 0 || __builtin_cpu_supports("fma") == 0 ||
      !HasHalfPrecisionConversion()) {
    return SimdLevel::kBaseline;
  }
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0) {
    return SimdLevel::kAvx512;
  }
  return SimdLevel::kAvx2;
}

}  // namespace

SimdLevel BestSimdLevel() {
  static const SimdLevel best = DetectSimdLevel();
  return best;
}

std::span<const SimdLevel> SupportedSimdLevels() {
  return std::span(kLevels).first(static_cast<std::size_t>(BestSimdLevel()) + 1);
}

std::string_view SimdLevelName(SimdLevel level) {
  switch (level) {
    case SimdLevel::kBaseline:
      return "x86-64-v2";
    case SimdLevel::kAvx2:
      return "avx2";
    case SimdLevel::kAvx512:
      return "avx512";
  }
  return "unknown";
}

}  // namespace poise
