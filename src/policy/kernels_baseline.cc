// SPDX-License-Identifier: Apache-2.0
#include "policy/kernels.h"

namespace poise {

#include "policy/kernels.inc"

const Kernels& BaselineKernels() { return kTable; }

}  // namespace poise
