// SPDX-License-Identifier: Apache-2.0
//
// RateBucket: lets `per_second` requests through in the long run, and `burst` at once.
//
// Threads  Take() may be called concurrently.
// Cost     One compare-and-swap.
// Source   Generic cell rate algorithm (ITU-T I.371): the bucket is the time at which it would be
//          full again, so it is one number and needs no refilling.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace poise {

class RateBucket {
 public:
  // Requires  per_second > 0, burst >= 1.
  RateBucket(double per_second, double burst)
      : step_ns_(static_cast<std::int64_t>(1e9 / per_second)),
        room_ns_(static_cast<std::int64_t>(1e9 / per_second * burst)) {}

  bool Take(std::chrono::nanoseconds now) {
    std::int64_t full = full_at_ns_.load(std::memory_order_relaxed);
    while (true) {
      const std::int64_t next = (full > now.count() ? full : now.count()) + step_ns_;
      if (next - now.count() > room_ns_) return false;
      if (full_at_ns_.compare_exchange_weak(full, next, std::memory_order_relaxed)) return true;
    }
  }

 private:
  std::int64_t step_ns_;
  std::int64_t room_ns_;
  std::atomic<std::int64_t> full_at_ns_{INT64_MIN / 2};
};

}  // namespace poise
