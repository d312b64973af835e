// SPDX-License-Identifier: Apache-2.0
#include "http/api/api.h"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "domain/ids.h"
#include "http/api/problem.h"
#include "http/api/query.h"

namespace poise {

// Counted by route and class of status; a histogram of latency by route.
class RouteMetrics {
 public:
  RouteMetrics(MetricsRegistry& metrics, std::string_view route)
      : seconds_(metrics.GetHistogram("poise_http_request_seconds",
                                      "Time from a request's last byte to its answer, by route.",
                                      LatencyBoundsSeconds(), {{"route", std::string(route)}})) {
    for (std::size_t i = 0; i < by_class_.size(); ++i) {
      by_class_[i] = &metrics.GetCounter(
          "poise_http_requests_total", "Requests answered, by route and class of status.",
          {{"route", std::string(route)}, {"status", fmt::format("{}xx", i + 2)}});
    }
  }

  void Count(int status, std::chrono::nanoseconds time) {
    const auto place = static_cast<std::size_t>(std::clamp(status / 100 - 2, 0, 3));
    by_class_[place]->Increment();
    seconds_.Observe(static_cast<double>(time.count()) * 1e-9);
  }

 private:
  Histogram& seconds_;
  std::array<Counter*, 4> by_class_{};
};

namespace {

std::string_view KeyOf(const HttpRequest& request) {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view authorization = request.Header("authorization");
  if (authorization.size() > kBearer.size() &&
      std::equal(kBearer.begin(), kBearer.end(), authorization.begin(), [](char a, char b) {
        return a == (b >= 'A' && b <= 'Z' ? b + ('a' - 'A') : b);
      })) {
    return authorization.substr(kBearer.size());
  }
  return request.Header("x-api-key");
}

bool IsJson(std::string_view content_type) {
  std::string type(content_type.substr(0, content_type.find(';')));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.pop_back();
  for (char& c : type) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return type == "application/json";
}

}  // namespace

ApiOptions ApiOptionsOf(const Configuration& configuration) {
  return {.authentication = configuration.server.authentication,
          .max_batch = static_cast<std::size_t>(configuration.limits.batch_size),
          .max_slots = std::min(configuration.limits.slots, kMaxSlots),
          .limits = {.requests_per_second = configuration.limits.requests_per_second,
                     .burst = configuration.limits.burst}};
}

HttpServerOptions HttpServerOptionsOf(const Configuration& configuration) {
  HttpServerOptions options;
  options.address = configuration.server.address;
  options.port = static_cast<std::uint16_t>(configuration.server.port);
  options.thread_count = configuration.server.threads;
  options.max_body_bytes = static_cast<std::size_t>(configuration.limits.body_bytes);
  options.max_connections = static_cast<std::size_t>(configuration.limits.connections);
  options.idle_timeout = std::chrono::seconds(configuration.server.idle_timeout_s);
  return options;
}

void ApiCall::Finish(HttpResponse response) {
  metrics->Count(response.status, clock->Steady() - started);
  respond(std::move(response));
}

void ApiCall::FinishWith(std::function<HttpResponse()> make) {
  respond.AnswerWith([metrics = metrics, clock = clock, started = started, make = std::move(make)] {
    HttpResponse response = make();
    metrics->Count(response.status, clock->Steady() - started);
    return response;
  });
}

ApiHandler::ApiHandler(Engine& engine, KeyStore* keys, const ApiOptions& options,
                       const Clock& clock, MetricsRegistry& metrics)
    : context_{engine, keys, options, clock, metrics, OpenApiDocument(AllRoutes())},
      router_(AllRoutes()),
      anonymous_(options.limits.requests_per_second, options.limits.burst) {
  POISE_CHECK(keys != nullptr || !options.authentication);
  for (const Route& route : AllRoutes()) {
    metrics_.push_back(std::make_unique<RouteMetrics>(
        metrics, fmt::format("{} {}", HttpMethodName(route.method), route.path)));
  }
  metrics_.push_back(std::make_unique<RouteMetrics>(metrics, "none"));
  for (int i = 0; i < options.blocking_threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "poise-api");
      RunBlockingCalls();
    });
  }
}

ApiHandler::~ApiHandler() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ApiHandler::RunBlockingCalls() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [&] { return is_stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    ApiCall call = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    if (call.route->start != nullptr) {
      call.route->start(context_, std::move(call));
    } else {
      auto answer = call.route->run_blocking(context_, call);
      call.Finish(answer.ok() ? std::move(*answer) : ProblemOf(answer.status()));
    }
    lock.lock();
  }
}

std::optional<HttpResponse> ApiHandler::Refusal(const Route& route, const HttpRequest& request) {
  RateBucket* bucket = &anonymous_;
  std::optional<KeyStore::Grant> grant;
  if (route.scope.has_value() && context_.options.authentication) {
    const std::string_view key = KeyOf(request);
    if (!key.empty()) grant = context_.keys->Authenticate(key);
    if (!grant.has_value()) {
      HttpResponse problem =
          ProblemResponse(401, key.empty() ? "an API key is needed: Authorization: Bearer poise_..."
                                           : "this API key is not known");
      problem.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"poise\"");
      return problem;
    }
    if (!Allows(grant->scopes, *route.scope)) {
      return ProblemResponse(
          403, fmt::format("this API key lacks the scope \"{}\"", ScopeName(*route.scope)));
    }
    bucket = grant->bucket.get();
  }
  // Health is asked for by who must know it, however busy we are.
  if (route.scope.has_value() && !bucket->Take(context_.clock.Steady())) {
    return ProblemOf(ResourceExhausted("rate limit reached; try again"));
  }
  if (route.request.empty()) {
    if (request.body.empty()) return std::nullopt;
    return ProblemResponse(400, "this route takes no body", "body");
  }
  if (request.Header("content-length").empty() && request.Header("transfer-encoding").empty()) {
    return ProblemResponse(411, "a body of JSON with its Content-Length is needed");
  }
  const std::string_view type = request.Header("content-type");
  if (!type.empty() && !IsJson(type)) {
    return ProblemResponse(415, "Content-Type: must be application/json", "Content-Type");
  }
  const std::string_view encoding = request.Header("content-encoding");
  if (!encoding.empty() && encoding != "identity") {
    return ProblemResponse(415, "Content-Encoding: must be absent; bodies are sent as they are",
                           "Content-Encoding");
  }
  return std::nullopt;
}

void ApiHandler::Handle(HttpRequest request, HttpResponder respond) {
  const auto started = context_.clock.Steady();
  std::string allow;
  const auto match = router_.Find(request.method, request.path(), allow);
  // The views into the request are spent before it moves on.
  std::size_t parameter_begin = 0;
  if (match.has_value() && !match->parameter.empty()) {
    parameter_begin = static_cast<std::size_t>(match->parameter.data() - request.target().data());
  }
  const std::size_t place = match.has_value() ? match->route : AllRoutes().size();
  ApiCall call{.request = std::move(request),
               .parameter = {},
               .route = match.has_value() ? &AllRoutes()[place] : nullptr,
               .respond = std::move(respond),
               .metrics = metrics_[place].get(),
               .clock = &context_.clock,
               .started = started};
  if (!match.has_value()) {
    if (allow.empty()) return call.Finish(ProblemResponse(404, "there is no such route"));
    HttpResponse problem = ProblemResponse(405, "this route knows only " + allow);
    problem.headers.emplace_back("Allow", allow);
    return call.Finish(std::move(problem));
  }
  const Route& route = *call.route;
  if (auto refusal = Refusal(route, call.request)) return call.Finish(std::move(*refusal));

  if (const std::size_t open = route.path.find('{'); open != std::string_view::npos) {
    const std::string_view name = route.path.substr(open + 1, route.path.find('}') - open - 1);
    const auto decoded =
        PercentDecode(call.request.target().substr(parameter_begin, match->parameter.size()), name);
    if (!decoded.ok()) return call.Finish(ProblemOf(decoded.status()));
    call.parameter = *decoded;
    if (const Status status = ValidateId(call.parameter, name); !status.ok()) {
      return call.Finish(ProblemOf(status));
    }
  }
  if (route.run_inline != nullptr) {
    auto answer = route.run_inline(context_, call);
    return call.Finish(answer.ok() ? std::move(*answer) : ProblemOf(answer.status()));
  }
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() < context_.options.max_blocking_queue) {
      queue_.push_back(std::move(call));
      wake_.notify_one();
      return;
    }
  }
  call.Finish(ProblemOf(ResourceExhausted("queue full; try again")));
}

}  // namespace poise
