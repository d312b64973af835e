// SPDX-License-Identifier: Apache-2.0
// Compiled with -mavx2 and deliberately without -mfma: see kernels.h.
#include "policy/kernels.h"

namespace poise {

#include "policy/kernels.inc"

const Kernels& Avx2KernelsUnchecked();
const Kernels& Avx2KernelsUnchecked() { return kTable; }

}  // namespace poise
