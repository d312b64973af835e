// SPDX-License-Identifier: Apache-2.0
//
// What a recommendation over HTTP costs: the whole pipeline (500 candidates, 10 slots, a key,
// propensities, the decision log) on one server thread against a raw epoll responder that sends as
// many bytes, in one run. Uniformly random users, then 64 hot ones; medians of interleaved rounds.
// Then latency at half of saturation, open loop: from when a request was due.
//
// recommend_bench [folder] [users] [items] [events a user] [rounds] [seconds a round]
#include <cstdlib>

#include "engine/engine.h"
#include "http/api/codec.h"
#include "http/server/server.h"
#include "json/writer.h"
#include "metrics/metrics.h"
#include "served_engine.h"
#include "storage/env.h"

namespace poise::bench {
namespace {

constexpr int kHotUsers = 64;
constexpr int kConnections = 32;
constexpr int kUniform = 0;
constexpr int kHot = 1;

std::string Name(char letter, std::uint64_t number) {
  std::string digits = std::to_string(number);
  return letter + std::string(7 - std::min<std::size_t>(7, digits.size()), '0') + digits;
}

void Fill(Engine& engine, Timestamp now, std::uint64_t users, std::uint64_t items, int events) {
  constexpr std::size_t kBatch = 5000;
  constexpr std::uint64_t kClusters = 50;
  std::vector<ItemRecord> records;
  for (std::uint64_t i = 0; i < items; ++i) {
    ItemRecord& item = records.emplace_back();
    item.id = {Name('i', i)};
    item.title = "Item " + std::to_string(i);
    item.categories = {"c" + std::to_string(i % kClusters)};
    item.price = 1 + static_cast<double>(i % 100);
    item.created = now;
    if (records.size() == kBatch || i + 1 == items) {
      for (const Status& status : engine.UpsertItems(records)) Must(status);
      records.clear();
    }
  }
  std::uint64_t state = 20261124;
  const auto draw = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  };
  std::vector<Event> batch;
  for (std::uint64_t u = 0; u < users; ++u) {
    for (int e = 0; e < events; ++e) {
      // Popularity falls with the square root; most of what a user does is in a cluster of theirs.
      const double x = static_cast<double>(draw() >> 11) * 0x1p-53;
      auto item = static_cast<std::uint64_t>(x * x * static_cast<double>(items));
      if (draw() % 10 < 7) item = item / kClusters * kClusters + u % kClusters;
      Event& event = batch.emplace_back();
      event.user = {Name('u', u)};
      event.item = {Name('i', std::min(item, items - 1))};
      event.type = draw() % 10 == 0 ? EventType::kPurchase : EventType::kView;
      event.time = now - std::chrono::seconds(draw() % (30 * 86'400));
      if (batch.size() == kBatch || (u + 1 == users && e + 1 == events)) {
        for (const EventResult& result : engine.RecordEventsAndWait(std::move(batch))) {
          Must(result.status);
        }
        batch.clear();
      }
    }
  }
}

int Main(int argc, char** argv) {
  const std::string folder = argc > 1 ? argv[1] : "recommend_bench_data";
  const std::uint64_t users = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 50'000;
  const std::uint64_t items = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 20'000;
  const int events = argc > 4 ? std::atoi(argv[4]) : 20;
  const int rounds = argc > 5 ? std::atoi(argv[5]) : 7;
  const double seconds = argc > 6 ? std::atof(argv[6]) : 1;
  const std::vector<int> processors = Processors();
  HttpLoad load(
      [users](const LoadOrder& order, std::uint64_t draw, std::string& out) {
        out += "GET /api/v1/users/";
        out += Name('u', draw % (order.kind == kHot ? kHotUsers : users));
        out += "/recommendations?slots=10 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ";
        out += order.key.data();
        out += "\r\n\r\n";
      },
      processors.size() > 1 ? processors[1] : -1);

  Configuration configuration;
  configuration.candidates.total = 500;
  ServedEngine served(configuration, folder);
  Fill(served.engine(), served.clock().Now(), users, items, events);
  const auto models = Must(served.engine().Train(nullptr));
  Must(served.engine().Settle());
  if (processors.size() > 1) PinThisThread(processors[0]);
  served.Serve();

  RecommendRequest sample;
  sample.user = {Name('u', 7)};
  const RecommendResponse response = Must(served.engine().Recommend(sample));
  JsonWriter json;
  WriteRecommendation(response, json);
  std::printf(
      "%llu users, %llu items, %llu events, %zu models; a sample had %u eligible items, %zu "
      "slots, %zu bytes\n",
      static_cast<unsigned long long>(users), static_cast<unsigned long long>(items),
      static_cast<unsigned long long>(users) * static_cast<unsigned long long>(events),
      models.size(), response.eligible_count, response.items.size(), json.text().size());

  RawResponder raw_responder(json.text().size());
  Measured raw;
  Measured uniform;
  Measured hot;
  for (int round = 0; round < rounds; ++round) {
    LoadOrder order{.kind = kUniform, .connections = kConnections, .seconds = seconds};
    served.Address(order);
    MeasureRound(load, order, uniform);
    order.kind = kHot;
    MeasureRound(load, order, hot);
    order.port = raw_responder.port();
    MeasureRound(load, order, raw);
  }
  const auto print = [&](const char* name, const Measured& measured) {
    std::printf("%-14s %12.0f %16.2f %10.2f %10.2f\n", name, Median(measured.per_second),
                Median(measured.cpu_us), Median(measured.per_second) / Median(raw.per_second),
                Median(measured.cpu_us) / Median(raw.cpu_us));
  };
  std::printf("%-14s %12s %16s %10s %10s\n", "", "requests/s", "CPU us/request", "of raw", "CPU x");
  print("raw epoll", raw);
  print("uniform users", uniform);
  print("hot users", hot);

  LoadOrder order{.kind = kUniform, .connections = 4 * kConnections, .seconds = 3 * seconds};
  order.rate = Median(uniform.per_second) / 2;
  served.Address(order);
  const LoadReport report = load.Run(order);
  std::printf(
      "open loop at %.0f/s (half of saturation): answered %llu, failed %llu, p50 %.0f us, "
      "p99 %.0f us, p99.9 %.0f us\n",
      order.rate, static_cast<unsigned long long>(report.answered),
      static_cast<unsigned long long>(report.failed), report.latency_us_p50, report.latency_us_p99,
      report.latency_us_p999);
  return report.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace poise::bench

int main(int argc, char** argv) { return poise::bench::Main(argc, argv); }
