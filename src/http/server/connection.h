// SPDX-License-Identifier: Apache-2.0
//
// Connection: one client, from its first byte to its last; Loop: one thread and its connections.
//
// A connection belongs to one loop and is touched by that loop's thread only. An answer from
// another thread is posted to the loop together with the reference that kept the connection alive,
// so nothing of a connection ever ends on a foreign thread.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include "http/server/request_parser.h"
#include "http/server/server.h"

namespace poise {

using LoopExecutor = boost::asio::io_context::executor_type;
using LoopSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, LoopExecutor>;

class Connection;

// What every loop shares.
struct ServerContext {
  ServerContext(const HttpServerOptions& o, HttpHandler& h, const Clock& c, MetricsRegistry& m)
      : options(o),
        handler(h),
        clock(c),
        bodies(o.max_bodies_bytes),
        accepted(m.GetCounter("poise_http_connections_total", "Connections accepted.")),
        turned_away(m.GetCounter("poise_http_connections_refused_total",
                                 "Connections refused because too many were open.")),
        open(m.GetGauge("poise_http_connections_open", "Connections open now.")),
        malformed(m.GetCounter("poise_http_malformed_total",
                               "Requests that broke the protocol or a limit of it.")),
        timed_out(m.GetCounter("poise_http_timeouts_total",
                               "Connections closed because the client was too slow.")) {}

  const HttpServerOptions options;
  HttpHandler& handler;
  const Clock& clock;
  BodyBudget bodies;
  Counter& accepted;
  Counter& turned_away;
  Gauge& open;
  Counter& malformed;
  Counter& timed_out;
  std::atomic<std::size_t> open_count{0};
};

class Loop {
 public:
  explicit Loop(ServerContext& context);
  ~Loop();

  void Start();
  // Closes what is idle and, once the rest has been answered, ends the thread; waits for it.
  void Drain();
  void Join();

  boost::asio::io_context& io() { return io_; }
  ServerContext& context() { return context_; }
  bool IsThisThread() const { return std::this_thread::get_id() == thread_.get_id(); }
  bool is_draining() const { return is_draining_; }
  // As of the last tick: good enough for timeouts, and free.
  std::chrono::nanoseconds now() const { return now_; }
  std::string_view date() const { return date_; }

  void Adopt(LoopSocket socket);
  void Release(const std::shared_ptr<Connection>& connection);

 private:
  void Tick();
  void ScheduleTick();
  bool IsDrained() const { return is_draining_ && connections_.empty(); }
  void EndIfDrained();

  ServerContext& context_;
  boost::asio::io_context io_;
  boost::asio::basic_waitable_timer<
      std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>, LoopExecutor>
      timer_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::chrono::nanoseconds now_{};
  std::string date_;
  bool is_draining_ = false;
  std::thread thread_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Loop& loop, LoopSocket socket);

  void Start();
  // Ends the connection if its time is up.
  void CheckDeadline();
  // Ends it unless a request is with the handler or an answer is on its way.
  void StopWhenIdle();
  Loop& loop() { return loop_; }

  // On the loop's thread.
  void OnAnswer(HttpResponse response);

 private:
  enum class Phase {
    kIdle,      // between requests
    kReading,   // a request has begun
    kHandling,  // the handler has it
    kLinger,    // all said; reading what the client still sends, so that it can read our last words
    kClosed,
  };

  void Advance();
  // False if the connection must wait: for bytes, for the handler, for the client to read.
  bool AdvanceOnce();
  void Read();
  void OnRead(const boost::system::error_code& error, std::size_t size);
  void Flush();
  void OnWritten(const boost::system::error_code& error, std::size_t size);
  void AfterFlush();
  void Refuse(int status, std::string_view detail);
  void Append(const HttpResponse& response, bool is_last);
  void Linger();
  void Close();
  void SetDeadline(std::chrono::nanoseconds after);

  Loop& loop_;
  LoopSocket socket_;
  std::string remote_address_;
  Phase phase_ = Phase::kIdle;
  std::chrono::nanoseconds deadline_{};

  std::vector<char> in_;
  std::size_t in_begin_ = 0;  // bytes before it are parsed
  std::size_t in_end_ = 0;
  std::optional<RequestParser> parser_;
  bool is_continue_sent_ = false;
  bool is_head_timed_ = false;
  bool is_reading_ = false;
  bool is_advancing_ = false;

  std::string out_;
  std::string writing_;
  std::size_t written_ = 0;
  bool is_writing_ = false;
  bool is_last_ = false;  // close once everything is written
  bool is_refused_ = false;
  HttpMethod method_ = HttpMethod::kGet;
  bool keeps_alive_ = true;
};

class HttpResponder::Exchange {
 public:
  explicit Exchange(std::shared_ptr<Connection> connection)
      : work_(connection->loop().io().get_executor()), connection_(std::move(connection)) {}
  void Answer(HttpResponse response);
  void AnswerWith(std::function<HttpResponse()> make);
  bool is_answered() const { return connection_ == nullptr; }

  // While the handler runs, an answer on the loop's thread is put here instead of being posted.
  // Both belong to that thread.
  std::optional<HttpResponse> inline_answer;
  bool is_inline = true;

 private:
  // The loop runs on until every request that a handler has is answered.
  boost::asio::executor_work_guard<LoopExecutor> work_;
  std::shared_ptr<Connection> connection_;
};

}  // namespace poise
