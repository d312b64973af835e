// SPDX-License-Identifier: Apache-2.0
//
// What the HTTP server costs over a raw epoll responder, one thread each, with a handler that only
// answers: requests per second and processor time per request, medians of interleaved rounds.
//
// http_bench [rounds] [seconds a round] [connections]
#include <cstdlib>

#include "base/clock.h"
#include "http/server/server.h"
#include "http_load.h"
#include "metrics/metrics.h"

namespace poise::bench {
namespace {

constexpr std::size_t kBodyBytes = 1500;

class FixedHandler final : public HttpHandler {
 public:
  void Handle(HttpRequest, HttpResponder respond) override {
    respond({.status = 200,
             .content_type = "application/json",
             .body = std::string(kBodyBytes, 'x'),
             .headers = {}});
  }
};

int Main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 0.5;
  const int connections = argc > 3 ? std::atoi(argv[3]) : 16;
  const std::vector<int> processors = Processors();
  HttpLoad load(
      [](const LoadOrder&, std::uint64_t draw, std::string& out) {
        out += "GET /api/v1/users/u" + std::to_string(draw % 1'000'000) +
               "/recommendations?slots=10 HTTP/1.1\r\nHost: localhost\r\n"
               "Authorization: Bearer poise_0000000000000000000000000000000000000000000\r\n\r\n";
      },
      processors.size() > 1 ? processors[1] : -1);
  if (processors.size() > 1) PinThisThread(processors[0]);

  SystemClock clock;
  MetricsRegistry metrics;
  FixedHandler handler;
  auto server = HttpServer::Listen({.thread_count = 1}, handler, clock, metrics);
  if (!server.ok()) Fail(server.status().ToString());
  RawResponder raw_responder(kBodyBytes);
  Measured raw;
  Measured poise;
  for (int round = 0; round < rounds; ++round) {
    LoadOrder order{.connections = connections, .seconds = seconds};
    order.port = raw_responder.port();
    MeasureRound(load, order, raw);
    order.port = (*server)->port();
    MeasureRound(load, order, poise);
  }
  std::printf("%-10s %12s %14s\n", "", "requests/s", "CPU us/request");
  std::printf("%-10s %12.0f %14.2f\n", "raw epoll", Median(raw.per_second), Median(raw.cpu_us));
  std::printf("%-10s %12.0f %14.2f\n", "server", Median(poise.per_second), Median(poise.cpu_us));
  std::printf("%-10s %12.2f %14.2f\n", "ratio", Median(poise.per_second) / Median(raw.per_second),
              Median(poise.cpu_us) / Median(raw.cpu_us));
  return 0;
}

}  // namespace
}  // namespace poise::bench

int main(int argc, char** argv) { return poise::bench::Main(argc, argv); }
