// SPDX-License-Identifier: Apache-2.0
//
// What the segment log costs over the bare minimum: its durable appends against write + fdatasync
// of the same bytes to a growing file, one thread, and how 64 threads with single records share
// syncs.
//
// Prints per setting the medians of interleaved rounds and log / raw (1 would be free of charge;
// above 1 the log gains, because its segments are given their space beforehand).
//
// ingest_log_bench [folder] [rounds]
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "storage/segment_log.h"

namespace poise {
namespace {

constexpr std::size_t kPayloadBytes = 100;

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

[[noreturn]] void Fail(std::string_view what) {
  fmt::print(stderr, "ingest_log_bench: {}\n", what);
  std::exit(1);
}

// Records per second.
double MeasureRaw(const std::string& path, int batch_records, int commits) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) Fail("cannot open " + path);
  const std::string payload(kPayloadBytes, 'x');
  const auto start = std::chrono::steady_clock::now();
  std::string bytes;
  for (int i = 0; i < commits; ++i) {
    bytes.clear();
    for (int r = 0; r < batch_records; ++r) bytes.append(payload);
    if (write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()) ||
        fdatasync(fd) != 0) {
      Fail("cannot write " + path);
    }
  }
  const double seconds = Seconds(std::chrono::steady_clock::now() - start);
  close(fd);
  unlink(path.c_str());
  return batch_records * commits / seconds;
}

double MeasureLog(SegmentLog& log, int batch_records, int commits) {
  const std::string payload(kPayloadBytes, 'x');
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < commits; ++i) {
    LogBatch batch;
    batch.Reserve(static_cast<std::size_t>(batch_records) * (kPayloadBytes + 16));
    for (int r = 0; r < batch_records; ++r) {
      if (!batch.Add(1, payload).ok()) Fail("batch");
    }
    if (!log.Append(std::move(batch)).ok()) Fail("append");
  }
  return batch_records * commits / Seconds(std::chrono::steady_clock::now() - start);
}

struct Latencies {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

Latencies MeasureThreads(SegmentLog& log, int thread_count, int appends_each) {
  std::vector<std::vector<double>> latencies(static_cast<std::size_t>(thread_count));
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (auto& mine : latencies) {
      threads.emplace_back([&] {
        const std::string payload(kPayloadBytes, 'x');
        for (int i = 0; i < appends_each; ++i) {
          LogBatch batch;
          if (!batch.Add(1, payload).ok()) Fail("batch");
          const auto before = std::chrono::steady_clock::now();
          if (!log.Append(std::move(batch)).ok()) Fail("append");
          mine.push_back(1e6 * Seconds(std::chrono::steady_clock::now() - before));
        }
      });
    }
  }
  const double seconds = Seconds(std::chrono::steady_clock::now() - start);
  std::vector<double> all;
  for (const auto& mine : latencies) all.insert(all.end(), mine.begin(), mine.end());
  std::sort(all.begin(), all.end());
  return {static_cast<double>(all.size()) / seconds, all[all.size() / 2],
          all[all.size() * 99 / 100]};
}

std::unique_ptr<SegmentLog> MustOpen(Env& env, const std::string& folder, bool fsync) {
  SegmentLog::Options options;
  options.fsync = fsync;
  auto log = SegmentLog::Open(env, folder, options, nullptr);
  if (!log.ok()) Fail(log.status().ToString());
  return *std::move(log);
}

}  // namespace

int Main(int argc, char** argv) {
  const std::string parent = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  const int rounds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 7;
  std::string folder = parent + "/ingest-log-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) Fail("cannot make a folder in " + parent);
  PosixEnv env;
  {
    auto log = MustOpen(env, folder + "/log", true);
    auto unsynced = MustOpen(env, folder + "/unsynced", false);
    fmt::print("records of {} bytes, {} rounds\n", kPayloadBytes, rounds);
    fmt::print("{:>8} {:>14} {:>14} {:>8}\n", "batch", "raw rec/s", "log rec/s", "log/raw");
    for (const int batch_records : {1, 100, 1000}) {
      const int commits = batch_records == 1 ? 800 : batch_records == 100 ? 600 : 300;
      std::vector<double> raw;
      std::vector<double> logged;
      std::vector<double> ratios;
      for (int round = 0; round < rounds; ++round) {
        raw.push_back(MeasureRaw(folder + "/raw", batch_records, commits));
        logged.push_back(MeasureLog(*log, batch_records, commits));
        ratios.push_back(logged.back() / raw.back());
      }
      fmt::print("{:>8} {:>14.0f} {:>14.0f} {:>8.2f}\n", batch_records, Median(raw), Median(logged),
                 Median(ratios));
    }
    std::vector<double> durable;
    std::vector<double> p50_us;
    std::vector<double> p99_us;
    std::vector<double> without;
    std::vector<double> ratios;
    for (int round = 0; round < rounds; ++round) {
      const Latencies latencies = MeasureThreads(*log, 64, 200);
      durable.push_back(latencies.per_second);
      p50_us.push_back(latencies.p50_us);
      p99_us.push_back(latencies.p99_us);
      without.push_back(MeasureThreads(*unsynced, 64, 200).per_second);
      ratios.push_back(durable.back() / without.back());
    }
    fmt::print(
        "64 threads, single records: {:.0f}/s durable (p50 {:.0f} us, p99 {:.0f} us), "
        "{:.0f}/s without fsync, ratio {:.2f}\n",
        Median(durable), Median(p50_us), Median(p99_us), Median(without), Median(ratios));
    const auto counters = log->counters();
    fmt::print("{} records in {} groups\n", counters.record_count, counters.group_count);

    const auto start = std::chrono::steady_clock::now();
    std::uint64_t record_count = 0;
    std::uint64_t byte_count = 0;
    const Status scanned = log->Scan({}, [&](const LogRecord& record) {
      ++record_count;
      byte_count += record.payload.size();
      return true;
    });
    if (!scanned.ok()) Fail(scanned.ToString());
    const double seconds = Seconds(std::chrono::steady_clock::now() - start);
    fmt::print("scan: {:.1f} M records/s, {:.2f} GB/s\n",
               static_cast<double>(record_count) / seconds / 1e6,
               static_cast<double>(byte_count) / seconds / 1e9);
  }
  const auto start = std::chrono::steady_clock::now();
  RecoveryReport report;
  auto log = SegmentLog::Open(env, folder + "/log", {}, &report);
  if (!log.ok()) Fail(log.status().ToString());
  fmt::print("reopen: {} records in {} segments, {:.1f} ms\n", report.record_count,
             report.segment_count, 1e3 * Seconds(std::chrono::steady_clock::now() - start));
  log->reset();
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace poise

int main(int argc, char** argv) { return poise::Main(argc, argv); }
