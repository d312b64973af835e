// SPDX-License-Identifier: Apache-2.0
//
// Progress: tells a person how far long work is, how fast, and how long it will take.
//
// On a terminal one line that is redrawn; elsewhere a plain line every few seconds. The work calls
// Update() as often as it likes; printing is limited by time.
//
// Threads  One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace poise {

class Progress {
 public:
  // `unit` names what is counted, e.g. "rows". `total` 0: unknown. Prints to `out`; null: silent.
  Progress(const Clock& clock, std::string title, std::string unit, std::uint64_t total,
           std::FILE* out);

  // `done` so far; `note` is appended, e.g. "loss 0.8123".
  void Update(std::uint64_t done, std::string_view note = {});

  // Prints the last line, with the total time and mean rate.
  void Finish(std::uint64_t done, std::string_view note = {});

 private:
  std::string Line(std::uint64_t done, std::string_view note, bool is_last) const;

  const Clock& clock_;
  std::string title_;
  std::string unit_;
  std::uint64_t total_;
  std::FILE* out_;
  bool is_terminal_;
  std::chrono::nanoseconds start_;
  std::chrono::nanoseconds last_print_;
};

// "1,234,567"
std::string WithThousands(std::uint64_t number);

}  // namespace poise
