// SPDX-License-Identifier: Apache-2.0
#include "evaluation/peak_memory.h"

#include <malloc.h>
#include <sys/resource.h>

#include <charconv>
#include <fstream>
#include <string>

namespace poise {

PeakMemory::PeakMemory() {
  malloc_trim(0);
  // "5" sets VmHWM back to the present size (proc(5)).
  std::ofstream("/proc/self/clear_refs") << "5";
}

std::uint64_t PeakMemory::Bytes() const {
  constexpr std::string_view kLabel = "VmHWM:";
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.compare(0, kLabel.size(), kLabel) != 0) continue;
    const std::size_t digits = line.find_first_of("0123456789");
    if (digits == std::string::npos) break;
    std::uint64_t kib = 0;
    std::from_chars(line.data() + digits, line.data() + line.size(), kib);
    return kib * 1024;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace poise
