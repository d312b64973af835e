// SPDX-License-Identifier: Apache-2.0
//
// PeakMemory: how large this process has been at most since a moment.
//
// The kernel's high-water mark is set back at the start, after freed memory was given back, so one
// model's training is not charged for another's. Where the kernel does not let a process set the
// mark back, the figure is the peak since the process began.
//
// Units    bytes of resident memory, code and data included
// Threads  One measurement at a time in a process.
#pragma once

#include <cstdint>

namespace poise {

class PeakMemory {
 public:
  PeakMemory();  // starts measuring
  std::uint64_t Bytes() const;
};

}  // namespace poise
