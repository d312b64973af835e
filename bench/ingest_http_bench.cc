// SPDX-License-Identifier: Apache-2.0
//
// What durable ingest over HTTP costs. Batches of 100 and 1000 events, sealed and not, over 8
// connections, against one thread that appends the same bodies to a file and syncs after each.
// Single events from 64 connections against the same path without syncs, and their latency at half
// of that rate, open loop, against one fdatasync. Medians of interleaved rounds. People and items
// are known beforehand, but for the row of new people, each of whom needs a key of their own
// stored.
//
// ingest_http_bench [folder on the disk to measure] [rounds] [seconds a round]
#include <cstdlib>

#include "engine/engine.h"
#include "http/server/server.h"
#include "metrics/metrics.h"
#include "served_engine.h"
#include "storage/env.h"

namespace poise::bench {
namespace {

constexpr std::uint64_t kUsers = 20'000;
constexpr std::uint64_t kItems = 10'000;
constexpr int kKnownPeople = 0;
constexpr int kNewPeople = 1;

void AppendEvent(int kind, std::uint64_t draw, std::string& out) {
  out += R"({"userId":"user-)";
  out += std::to_string(kind == kNewPeople ? draw : draw % kUsers);
  out += R"(","itemId":"item-)";
  out += std::to_string((draw >> 20) % kItems);
  out += R"(","type":"view","sessionId":"s-)";
  out += std::to_string(draw % kUsers);
  out += "\"}";
}

void AppendBody(const LoadOrder& order, std::uint64_t draw, std::string& out) {
  if (order.size == 1) return AppendEvent(order.kind, draw, out);
  out += R"({"events":[)";
  for (int i = 0; i < order.size; ++i) {
    if (i > 0) out += ',';
    AppendEvent(order.kind, draw, out);
    draw = draw * 6364136223846793005 + 1442695040888963407;
  }
  out += "]}";
}

struct RawRound {
  double events_per_second = 0;
  double sync_us = 0;  // median
};

RawRound MeasureRaw(const std::string& path, int size, double seconds) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) Fail("cannot open " + path);
  LoadOrder order{.size = size};
  std::string body;
  AppendBody(order, 88172645463325252, body);
  std::vector<double> syncs;
  const double start = Now();
  double end = start;
  std::uint64_t events = 0;
  while (end - start < seconds) {
    if (write(fd, body.data(), body.size()) != static_cast<ssize_t>(body.size())) Fail("write");
    const double before = Now();
    if (fdatasync(fd) != 0) Fail("fdatasync");
    end = Now();
    syncs.push_back((end - before) * 1e6);
    events += static_cast<std::uint64_t>(size);
  }
  close(fd);
  unlink(path.c_str());
  return {static_cast<double>(events) / (end - start), Median(syncs)};
}

struct Setting {
  const char* name;
  bool is_sealed;
  bool is_synced;
  int size;
  int connections;
  int kind = kKnownPeople;
  std::vector<double> events_per_second = {};
};

int Main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "ingest_http_bench_data";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5;
  const double seconds = argc > 3 ? std::atof(argv[3]) : 1;
  HttpLoad load(
      [](const LoadOrder& order, std::uint64_t draw, std::string& out) {
        thread_local std::string body;
        body.clear();
        AppendBody(order, draw, body);
        out += order.size == 1 ? "POST /api/v1/events" : "POST /api/v1/events/batch";
        out += " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nX-API-Key: ";
        out += order.key.data();
        out += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        out += body;
      },
      -1);
  std::filesystem::create_directories(folder);

  const auto serve = [&](const char* name, bool is_sealed, bool is_synced) {
    Configuration configuration;
    configuration.storage.sealed = is_sealed;
    configuration.storage.sync = is_synced;
    auto served = std::make_unique<ServedEngine>(configuration, folder + "/" + name);
    std::vector<Event> known;
    for (std::uint64_t u = 0; u < kUsers; ++u) {
      Event& event = known.emplace_back();
      event.user = {"user-" + std::to_string(u)};
      event.item = {"item-" + std::to_string(u % kItems)};
      event.time = served->clock().Now();
    }
    for (const EventResult& result : served->engine().RecordEventsAndWait(std::move(known))) {
      Must(result.status);
    }
    served->Serve();
    return served;
  };
  const auto plain = serve("plain", false, true);
  const auto sealed = serve("sealed", true, true);
  const auto unsynced = serve("unsynced", true, false);
  std::vector<Setting> settings = {
      {"batches of 100, not sealed", false, true, 100, 8},
      {"batches of 100, sealed", true, true, 100, 8},
      {"batches of 1000, not sealed", false, true, 1000, 8},
      {"batches of 1000, sealed", true, true, 1000, 8},
      {"singles, sealed", true, true, 1, 64},
      {"singles, sealed, no sync", true, false, 1, 64},
      {"batches of 100 new people", true, true, 100, 8, kNewPeople},
  };
  std::vector<double> raw100;
  std::vector<double> raw1000;
  std::vector<double> sync_us;
  for (int round = 0; round < rounds; ++round) {
    raw100.push_back(MeasureRaw(folder + "/raw", 100, seconds / 2).events_per_second);
    raw1000.push_back(MeasureRaw(folder + "/raw", 1000, seconds / 2).events_per_second);
    sync_us.push_back(MeasureRaw(folder + "/raw", 1, seconds / 2).sync_us);
    for (Setting& setting : settings) {
      LoadOrder order{.size = setting.size, .connections = setting.connections, .seconds = seconds};
      (!setting.is_synced ? *unsynced : setting.is_sealed ? *sealed : *plain).Address(order);
      const LoadReport report = load.Run(order);
      if (report.failed > 0) {
        std::fprintf(stderr, "%s: %llu answers failed\n", setting.name,
                     static_cast<unsigned long long>(report.failed));
        return 1;
      }
      setting.events_per_second.push_back(static_cast<double>(report.answered) * setting.size /
                                          report.seconds);
    }
  }
  const auto print = [](const char* name, double events_per_second, double of) {
    std::printf("%-30s %14.0f %8.2f\n", name, events_per_second, events_per_second / of);
  };
  std::printf("%-30s %14s %8s\n", "", "events/s", "ratio");
  print("raw append + sync of 100", Median(raw100), Median(raw100));
  for (int i = 0; i < 2; ++i) {
    print(settings[i].name, Median(settings[i].events_per_second), Median(raw100));
  }
  print(settings[6].name, Median(settings[6].events_per_second), Median(raw100));
  print("raw append + sync of 1000", Median(raw1000), Median(raw1000));
  for (int i = 2; i < 4; ++i) {
    print(settings[i].name, Median(settings[i].events_per_second), Median(raw1000));
  }
  const double unsynced_rate = Median(settings[5].events_per_second);
  print(settings[5].name, unsynced_rate, unsynced_rate);
  print(settings[4].name, Median(settings[4].events_per_second), unsynced_rate);

  LoadOrder order{.size = 1, .connections = 64, .seconds = 3 * seconds};
  order.rate = Median(settings[4].events_per_second) / 2;
  sealed->Address(order);
  const LoadReport report = load.Run(order);
  std::printf(
      "singles at %.0f/s, open loop: p50 %.0f us, p99 %.0f us; one fdatasync %.0f us; p99 is "
      "%.1f of it\n",
      order.rate, report.latency_us_p50, report.latency_us_p99, Median(sync_us),
      report.latency_us_p99 / Median(sync_us));
  return report.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace poise::bench

int main(int argc, char** argv) { return poise::bench::Main(argc, argv); }
