// SPDX-License-Identifier: Apache-2.0
//
// ApiHandler: /api/v1, health and metrics: parses a request, calls the engine, prints its answer.
//
// It decides nothing: what is recommended, stored and forgotten is the engine's. Here are keys and
// scopes, rates, sizes of batches, and the words of the wire.
//
// Place    HttpServer -> [ApiHandler] -> Engine
// Errors   Problem details (RFC 9457) naming the field; the statuses are in problem.cc, and here
// 401
//          (no key or an unknown one), 403 (scope), 404, 405 with Allow, 411, 413 (batch), 415,
//          429.
// Threads  Handle() may be called concurrently. The handler must outlive its server, and the engine
//          and the key store the handler.
// Cost     2 to 3 us beside the engine's own time for a recommendation of 10 slots.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/configuration.h"
#include "engine/engine.h"
#include "http/api/keys.h"
#include "http/api/rate_limit.h"
#include "http/api/route.h"
#include "http/server/server.h"
#include "metrics/metrics.h"

namespace poise {

struct ApiOptions {
  bool authentication = true;
  std::size_t max_batch = 10'000;
  int max_slots = kMaxSlots;
  KeyLimits limits{};  // of callers without a key, together, when authentication is off
  // Threads for what waits for a disk. Several, so that they share commits.
  int blocking_threads = 8;
  std::size_t max_blocking_queue = 1024;
};

ApiOptions ApiOptionsOf(const Configuration& configuration);
HttpServerOptions HttpServerOptionsOf(const Configuration& configuration);

struct ApiContext {
  Engine& engine;
  KeyStore* keys;
  const ApiOptions options;
  const Clock& clock;
  MetricsRegistry& metrics;
  std::string open_api;
};

class RouteMetrics;

// One request on its way through the API.
struct ApiCall {
  HttpRequest request;
  std::string parameter;  // of the path, decoded; "" if the route has none
  const Route* route = nullptr;
  HttpResponder respond;
  RouteMetrics* metrics = nullptr;
  const Clock* clock = nullptr;
  std::chrono::nanoseconds started{};

  void Finish(HttpResponse response);
  void FinishWith(std::function<HttpResponse()> make);
};

class ApiHandler final : public HttpHandler {
 public:
  // `keys` may be null if options.authentication is off.
  ApiHandler(Engine& engine, KeyStore* keys, const ApiOptions& options, const Clock& clock,
             MetricsRegistry& metrics);
  ~ApiHandler() override;

  void Handle(HttpRequest request, HttpResponder respond) override;

 private:
  // Why the call may not run; ok if it may.
  std::optional<HttpResponse> Refusal(const Route& route, const HttpRequest& request);
  void RunBlockingCalls();

  ApiContext context_;
  Router router_;
  RateBucket anonymous_;
  std::vector<std::unique_ptr<RouteMetrics>> metrics_;  // by route; at last: no route
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<ApiCall> queue_;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace poise
