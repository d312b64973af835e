// SPDX-License-Identifier: Apache-2.0
//
// SimdLevel: which vector instructions this processor has, asked once at run time.
//
// The program is built for x86-64-v2 and picks faster kernels when it starts, so one binary runs
// everywhere and is fast where it can be. Results of floating-point sums differ between levels in
// the last bits: a model is byte-identical only among machines of one level.
#pragma once

#include <span>
#include <string_view>

namespace poise {

enum class SimdLevel {
  kBaseline,  // x86-64-v2
  kAvx2,      // with FMA and F16C
  kAvx512,    // F, BW, DQ, VL
};

// The best level of this processor.
SimdLevel BestSimdLevel();

// Every level that this processor can run, slowest first; tests hold each against the first.
std::span<const SimdLevel> SupportedSimdLevels();

std::string_view SimdLevelName(SimdLevel level);

}  // namespace poise
