// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <variant>

#include "base/check.h"

namespace poise {

namespace internal {

std::size_t MetricShard() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t shard =
      next.fetch_add(1, std::memory_order_relaxed) % kMetricShards;
  return shard;
}

}  // namespace internal

namespace {

void AtomicAdd(std::atomic<double>& sum, double by) {
  double before = sum.load(std::memory_order_relaxed);
  while (!sum.compare_exchange_weak(before, before + by, std::memory_order_relaxed)) {
  }
}

bool IsMetricName(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  };
  return !name.empty() && is_letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
  });
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string LabelText(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    if (!out.empty()) out += ',';
    out += fmt::format("{}=\"{}\"", name, Escaped(value));
  }
  return out;
}

std::string Sample(std::string_view name, std::string_view labels, const auto& value) {
  if (labels.empty()) return fmt::format("{} {}\n", name, value);
  return fmt::format("{}{{{}}} {}\n", name, labels, value);
}

void AppendText(std::string& out, std::string_view name, std::string_view labels,
                const Counter& counter) {
  out += Sample(name, labels, counter.Value());
}

void AppendText(std::string& out, std::string_view name, std::string_view labels,
                const Gauge& gauge) {
  out += Sample(name, labels, gauge.Value());
}

void AppendText(std::string& out, std::string_view name, std::string_view labels,
                const Histogram& histogram) {
  const Histogram::Reading reading = histogram.Read();
  const std::string comma = labels.empty() ? "" : ",";
  const std::string bucket = fmt::format("{}_bucket", name);
  for (std::size_t i = 0; i < histogram.bounds().size(); ++i) {
    out += Sample(bucket, fmt::format("{}{}le=\"{}\"", labels, comma, histogram.bounds()[i]),
                  reading.cumulative[i]);
  }
  out += Sample(bucket, fmt::format("{}{}le=\"+Inf\"", labels, comma), reading.cumulative.back());
  out += Sample(fmt::format("{}_sum", name), labels, reading.sum);
  out += Sample(fmt::format("{}_count", name), labels, reading.cumulative.back());
}

constexpr std::array<double, 19> kLatencyBounds = {1e-5,   2.5e-5, 5e-5, 1e-4,   2.5e-4, 5e-4, 1e-3,
                                                   2.5e-3, 5e-3,   1e-2, 2.5e-2, 5e-2,   0.1,  0.25,
                                                   0.5,    1.0,    2.5,  5.0,    10.0};

}  // namespace

std::uint64_t Counter::Value() const {
  std::uint64_t total = 0;
  for (const Cell& cell : cells_) total += cell.count.load(std::memory_order_relaxed);
  return total;
}

void Gauge::Add(double by) { AtomicAdd(value_, by); }

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()),
      cells_(std::make_unique<std::array<Cell, kMetricShards>>()) {
  POISE_CHECK(bounds_.size() <= kMaxBounds);
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    POISE_CHECK(std::isfinite(bounds_[i]) && (i == 0 || bounds_[i - 1] < bounds_[i]));
  }
}

void Histogram::Observe(double value) {
  const auto place = static_cast<std::size_t>(
      std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
  Cell& cell = (*cells_)[internal::MetricShard()];
  cell.counts[place].fetch_add(1, std::memory_order_relaxed);
  AtomicAdd(cell.sum, value);
}

Histogram::Reading Histogram::Read() const {
  Reading reading;
  reading.cumulative.assign(bounds_.size() + 1, 0);
  for (const Cell& cell : *cells_) {
    for (std::size_t i = 0; i <= bounds_.size(); ++i) {
      reading.cumulative[i] += cell.counts[i].load(std::memory_order_relaxed);
    }
    reading.sum += cell.sum.load(std::memory_order_relaxed);
  }
  for (std::size_t i = 1; i <= bounds_.size(); ++i) {
    reading.cumulative[i] += reading.cumulative[i - 1];
  }
  return reading;
}

std::span<const double> LatencyBoundsSeconds() { return kLatencyBounds; }

struct MetricsRegistry::State {
  enum class Kind { kCounter, kGauge, kHistogram };
  struct Family {
    Kind kind;
    std::string help;
    std::map<std::string, std::variant<Counter*, Gauge*, Histogram*>> by_labels;
  };

  Family& FamilyOf(std::string_view name, std::string_view help, Kind kind) {
    POISE_CHECK(IsMetricName(name));
    const auto [found, is_new] = families.try_emplace(std::string(name));
    if (is_new) found->second = {.kind = kind, .help = std::string(help), .by_labels = {}};
    POISE_CHECK(found->second.kind == kind);
    return found->second;
  }

  // Finds or makes; deques, because references must stay.
  template <typename T, typename... Arguments>
  T& Get(std::deque<T>& all, Family& family, const MetricLabels& labels,
         const Arguments&... arguments) {
    const auto [found, is_new] = family.by_labels.try_emplace(LabelText(labels));
    if (is_new) found->second = &all.emplace_back(arguments...);
    return *std::get<T*>(found->second);
  }

  std::mutex mutex;
  std::map<std::string, Family> families;
  std::deque<Counter> counters;
  std::deque<Gauge> gauges;
  std::deque<Histogram> histograms;
};

MetricsRegistry::MetricsRegistry() : state_(std::make_unique<State>()) {}
MetricsRegistry::~MetricsRegistry() = default;

Counter& MetricsRegistry::GetCounter(std::string_view name, std::string_view help,
                                     MetricLabels labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->Get(state_->counters, state_->FamilyOf(name, help, State::Kind::kCounter), labels);
}

Gauge& MetricsRegistry::GetGauge(std::string_view name, std::string_view help,
                                 MetricLabels labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->Get(state_->gauges, state_->FamilyOf(name, help, State::Kind::kGauge), labels);
}

Histogram& MetricsRegistry::GetHistogram(std::string_view name, std::string_view help,
                                         std::span<const double> bounds, MetricLabels labels) {
  const std::lock_guard lock(state_->mutex);
  return state_->Get(state_->histograms, state_->FamilyOf(name, help, State::Kind::kHistogram),
                     labels, bounds);
}

std::string MetricsRegistry::Text() const {
  const std::lock_guard lock(state_->mutex);
  std::string out;
  for (const auto& [name, family] : state_->families) {
    constexpr std::array<std::string_view, 3> kKinds = {"counter", "gauge", "histogram"};
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, Escaped(family.help), name,
                       kKinds[static_cast<std::size_t>(family.kind)]);
    for (const auto& entry : family.by_labels) {
      std::visit([&, &family_name = name](
                     const auto* metric) { AppendText(out, family_name, entry.first, *metric); },
                 entry.second);
    }
  }
  return out;
}

}  // namespace poise
