// SPDX-License-Identifier: Apache-2.0
//
// Clock: the only way Poise reads the time, so that everything can be simulated.
//
// Units    Timestamp: microseconds since 1970-01-01T00:00:00Z. Steady time: nanoseconds from an
//          arbitrary start, never jumping back.
// Threads  All methods may be called concurrently.
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace poise {

struct Timestamp {
  std::int64_t micros = 0;

  auto operator<=>(const Timestamp&) const = default;
  std::int64_t seconds() const { return micros / 1'000'000; }
  static Timestamp FromSeconds(std::int64_t s) { return {s * 1'000'000}; }
};

inline Timestamp operator+(Timestamp t, std::chrono::microseconds d) {
  return {t.micros + d.count()};
}
inline Timestamp operator-(Timestamp t, std::chrono::microseconds d) {
  return {t.micros - d.count()};
}
inline std::chrono::microseconds operator-(Timestamp a, Timestamp b) {
  return std::chrono::microseconds(a.micros - b.micros);
}

// RFC 3339 in UTC, "2026-11-24T15:48:00Z", with a fraction only where there is one.
std::string FormatTimestamp(Timestamp t);

// Reads RFC 3339 (any offset, optional fraction), "YYYY-MM-DD", "YYYY-MM-DD HH:MM[:SS]" (UTC), and
// unix seconds, milliseconds or microseconds as digits (told apart by magnitude).
//
// Errors  kInvalidArgument, saying what was expected.
Result<Timestamp> ParseTimestamp(std::string_view text);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp Now() const = 0;
  virtual std::chrono::nanoseconds Steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  Timestamp Now() const override;
  std::chrono::nanoseconds Steady() const override;
};

// Moves only when told to. Starts at `start`.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = Timestamp::FromSeconds(1'700'000'000))
      : micros_(start.micros) {}

  Timestamp Now() const override { return {micros_.load()}; }
  std::chrono::nanoseconds Steady() const override {
    return std::chrono::microseconds(micros_.load());
  }
  void Advance(std::chrono::microseconds by) { micros_ += by.count(); }
  void Set(Timestamp t) { micros_ = t.micros; }

 private:
  std::atomic<std::int64_t> micros_;
};

}  // namespace poise
