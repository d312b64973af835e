// SPDX-License-Identifier: Apache-2.0
//
// MetricsRegistry: the counters, gauges and histograms of one process, as Prometheus reads them.
//
//   Counter& served = metrics.GetCounter("poise_requests_total", "Requests answered.",
//                                        {{"route", "recommend"}});
//   served.Increment();
//
// A metric is looked up once, where its owner is made, and then counted without a lock: each
// thread adds to a cell on its own cache line, and a scrape sums the cells.
//
// Place    every room that counts -> [here] -> http/ (GET /metrics)
// Units    in the names: _seconds, _bytes, _total for counters. A label never holds an id of a
//          person.
// Errors   None: a name that is not [a-zA-Z_:][a-zA-Z0-9_:]*, or that is already another kind, is a
//          bug (POISE_CHECK).
// Threads  Everything may be called concurrently. A reference lives as long as its registry.
// Cost     Increment, Observe: one uncontended atomic add, some 5 ns, whatever other threads do.
//          Memory: 1 KiB a counter, some 3 KiB a histogram of 15 bounds.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poise {

inline constexpr std::size_t kMetricShards = 16;
inline constexpr std::size_t kCacheLineBytes = 64;

namespace internal {
// This thread's cell; threads take cells in turn.
std::size_t MetricShard();
}  // namespace internal

// Only grows.
class Counter {
 public:
  void Increment(std::uint64_t by = 1) {
    cells_[internal::MetricShard()].count.fetch_add(by, std::memory_order_relaxed);
  }
  std::uint64_t Value() const;

 private:
  struct alignas(kCacheLineBytes) Cell {
    std::atomic<std::uint64_t> count{0};
  };
  std::array<Cell, kMetricShards> cells_;
};

// Goes up and down.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by);
  double Value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// How often a value fell at or below each bound.
class Histogram {
 public:
  static constexpr std::size_t kMaxBounds = 30;

  // Requires  strictly increasing finite bounds, at most kMaxBounds.
  explicit Histogram(std::span<const double> bounds);

  void Observe(double value);

  struct Reading {
    std::vector<std::uint64_t> cumulative;  // per bound, and at last of all values
    double sum = 0;
  };
  Reading Read() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  struct alignas(kCacheLineBytes) Cell {
    std::array<std::atomic<std::uint64_t>, kMaxBounds + 1> counts{};
    std::atomic<double> sum{0};
  };
  std::vector<double> bounds_;
  std::unique_ptr<std::array<Cell, kMetricShards>> cells_;
};

// From 10 us to 10 s, for latencies.
std::span<const double> LatencyBoundsSeconds();

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();
  MetricsRegistry(const MetricsRegistry&) = delete;
  MetricsRegistry& operator=(const MetricsRegistry&) = delete;

  // The metric of this name and these labels, made at the first call. `help` is a sentence.
  Counter& GetCounter(std::string_view name, std::string_view help, MetricLabels labels = {});
  Gauge& GetGauge(std::string_view name, std::string_view help, MetricLabels labels = {});
  Histogram& GetHistogram(std::string_view name, std::string_view help,
                          std::span<const double> bounds, MetricLabels labels = {});

  // Prometheus' text format 0.0.4, families in order of name.
  std::string Text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace poise
