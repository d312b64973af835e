// SPDX-License-Identifier: Apache-2.0
//
// HttpServer: HTTP/1.1 on a socket; hands whole requests to a handler and sends what it answers.
//
// An answer that is ready when the handler returns is written by the same thread without a
// hop; one that must wait (for a disk) comes later from any thread. Requests of one connection are
// handled one after another, so pipelined answers are in order.
//
// Place    sockets -> [HttpServer] -> HttpHandler (http/api)
// Errors   Listen(): kUnavailable naming the address and what the system said; kInvalidArgument for
//          an address that is no IP literal.
//          To clients, as problem details: 400 malformed, 408 too slow, 413 body, 414 target,
//          417 expectation, 431 head, 501 transfer coding, 503 too many connections or too
//          much body in flight, 505 version.
// Threads  The handler is called from several threads at once, and must not block. A responder may
//          be used from any thread. Stop() and the destructor: not from a handler.
// Cost     7 to 9 us of CPU for a small request, most of it the kernel's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/server/message.h"
#include "metrics/metrics.h"

namespace poise {

// The way back to the client that sent one request.
class HttpResponder {
 public:
  class Exchange;

  explicit HttpResponder(std::shared_ptr<Exchange> exchange);
  // Unanswered: answers 500, so that no client waits forever.
  ~HttpResponder();
  HttpResponder(HttpResponder&&) noexcept = default;
  HttpResponder& operator=(HttpResponder&&) = delete;

  // Requires  one of these is called, once.
  void operator()(HttpResponse response);
  // The same, for an answer that takes long to print: `make` runs on the connection's thread and
  // not on one that others wait for.
  void AnswerWith(std::function<HttpResponse()> make);

 private:
  std::shared_ptr<Exchange> exchange_;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void Handle(HttpRequest request, HttpResponder respond) = 0;
};

struct HttpServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  int thread_count = 0;    // 0: one for each processor that this process may run on
  std::size_t max_body_bytes = 16 << 20;
  std::size_t max_target_bytes = 16 << 10;  // an id of 4,096 bytes, percent-encoded
  std::size_t max_head_bytes = 32 << 10;
  std::size_t max_head_fields = 100;
  std::size_t max_connections = 4096;
  std::size_t max_bodies_bytes = 512 << 20;         // of all large bodies in flight together
  std::chrono::milliseconds idle_timeout{60'000};   // between requests
  std::chrono::milliseconds head_timeout{10'000};   // from a request's first byte to its body
  std::chrono::milliseconds body_timeout{60'000};   // from the head to the body's last byte
  std::chrono::milliseconds write_timeout{30'000};  // for a client to take what is sent
  std::chrono::milliseconds linger_timeout{2'000};  // to let a refused client read why
};

class HttpServer {
 public:
  // Accepts connections from here on. `handler`, `clock` and `metrics` must outlive the server.
  static Result<std::unique_ptr<HttpServer>> Listen(const HttpServerOptions& options,
                                                    HttpHandler& handler, const Clock& clock,
                                                    MetricsRegistry& metrics);
  // Stops.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  // Takes no more requests, waits until those that a handler has are answered and sent. Idempotent.
  void Stop();

 private:
  class State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace poise
