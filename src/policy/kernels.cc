// SPDX-License-Identifier: Apache-2.0
#include "policy/kernels.h"

#include "math/cpu.h"

namespace poise {

const Kernels& Avx2KernelsUnchecked();  // kernels_avx2.cc

const Kernels* Avx2Kernels() {
  return BestSimdLevel() >= SimdLevel::kAvx2 ? &Avx2KernelsUnchecked() : nullptr;
}

const Kernels& BestKernels() {
  static const Kernels& best = Avx2Kernels() != nullptr ? *Avx2Kernels() : BaselineKernels();
  return best;
}

}  // namespace poise
