// SPDX-License-Identifier: Apache-2.0
//
// WordReader: takes a script line's words one after the other, and says what it expected instead.
//
// Errors   kInvalidArgument without the line's number, which whoever runs the line puts before it.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

// "at least 3" as a script writes it: ">= 3", "= 3", "< 3"; a number alone means "=".
struct Bound {
  std::string comparison;
  double value = 0;

  bool Holds(double actual) const;
  std::string ToString() const;
};

class WordReader {
 public:
  explicit WordReader(std::span<const std::string> words) : words_(words) {}

  bool done() const { return at_ == words_.size(); }
  // The next word, empty at the end.
  std::string_view Peek() const { return done() ? std::string_view() : words_[at_]; }
  // Takes the next word if it is this one.
  bool Take(std::string_view word);

  // `what` says what is expected: "an item's id".
  Result<std::string> Word(std::string_view what);
  Result<double> Number(std::string_view what);
  Result<int> Integer(std::string_view what);
  // "90s", "15m", "2h", "1d", "250ms"
  Result<std::chrono::microseconds> Duration();
  Result<Bound> ReadBound();
  std::vector<std::string> Rest();

  // Errors  when words are left.
  Status Finish() const;

 private:
  std::span<const std::string> words_;
  std::size_t at_ = 0;
};

}  // namespace poise
