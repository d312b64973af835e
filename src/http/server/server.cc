// SPDX-License-Identifier: Apache-2.0
#include "http/server/server.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/post.hpp>

#include "base/log.h"
#include "http/server/connection.h"

namespace poise {

namespace asio = boost::asio;
using asio::ip::tcp;

class HttpServer::State {
 public:
  State(const HttpServerOptions& options, HttpHandler& handler, const Clock& clock,
        MetricsRegistry& metrics)
      : context_(options, handler, clock, metrics) {
    const std::size_t count = options.thread_count > 0
                                  ? static_cast<std::size_t>(options.thread_count)
                                  : std::max(1U, std::thread::hardware_concurrency());
    for (std::size_t i = 0; i < count; ++i) loops_.push_back(std::make_unique<Loop>(context_));
  }

  Status Open() {
    const HttpServerOptions& options = context_.options;
    boost::system::error_code error;
    const std::string literal = options.address == "localhost" ? "127.0.0.1" : options.address;
    const auto address = asio::ip::make_address(literal, error);
    if (error) {
      return InvalidArgument(fmt::format(
          "address: \"{}\" is not an IP address such as 127.0.0.1 or ::1", options.address));
    }
    const tcp::endpoint endpoint(address, options.port);
    acceptor_.emplace(loops_[0]->io());
    acceptor_->open(endpoint.protocol(), error);
    if (!error) acceptor_->set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_->bind(endpoint, error);
    if (!error) acceptor_->listen(4096, error);
    if (!error) port_ = acceptor_->local_endpoint(error).port();
    if (error) {
      return Unavailable(fmt::format("cannot listen on {} port {}: {}", options.address,
                                     options.port, error.message()));
    }
    retry_.emplace(loops_[0]->io());
    for (const auto& loop : loops_) loop->Start();
    asio::post(loops_[0]->io(), [this] { Accept(); });
    return Status::Ok();
  }

  void Stop() {
    if (is_stopped_) return;
    is_stopped_ = true;
    asio::post(loops_[0]->io(), [this] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      retry_->cancel();
    });
    for (const auto& loop : loops_) loop->Drain();
    for (const auto& loop : loops_) loop->Join();
  }

  std::uint16_t port() const { return port_; }

 private:
  void Accept() {
    if (!acceptor_->is_open()) return;
    Loop& loop = *loops_[next_loop_++ % loops_.size()];
    acceptor_->async_accept(
        loop.io(), [this, &loop](const boost::system::error_code& error, LoopSocket socket) {
          if (error == asio::error::operation_aborted) return;
          if (error && error != asio::error::connection_aborted) {
            // Out of file descriptors, most likely: trying again at once would only burn time.
            LogWarning(fmt::format("cannot accept a connection: {}", error.message()));
            retry_->expires_after(std::chrono::milliseconds(100));
            retry_->async_wait([this](const boost::system::error_code& stopped) {
              if (!stopped) Accept();
            });
            return;
          }
          if (!error) Welcome(loop, std::move(socket));
          Accept();
        });
  }

  void Welcome(Loop& loop, LoopSocket socket) {
    if (context_.open_count.load() >= context_.options.max_connections) {
      context_.turned_away.Increment();
      const HttpResponse problem = ProblemResponse(503, "too many connections; try again");
      const std::string text = fmt::format(
          "HTTP/1.1 503 Service Unavailable\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
          "Retry-After: 1\r\nConnection: close\r\n\r\n{}",
          problem.content_type, problem.body.size(), problem.body);
      // A fresh socket's buffer is empty, and a client that gets nothing sees the connection end.
      (void)::send(socket.native_handle(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      boost::system::error_code ignored;
      socket.shutdown(asio::socket_base::shutdown_send, ignored);
      return;
    }
    context_.accepted.Increment();
    ++context_.open_count;
    asio::post(loop.io(),
               [&loop, socket = std::move(socket)]() mutable { loop.Adopt(std::move(socket)); });
  }

  ServerContext context_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::optional<asio::basic_socket_acceptor<tcp, LoopExecutor>> acceptor_;
  std::optional<asio::basic_waitable_timer<
      std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, LoopExecutor>>
      retry_;
  std::size_t next_loop_ = 0;
  std::uint16_t port_ = 0;
  bool is_stopped_ = false;
};

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() { Stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(const HttpServerOptions& options,
                                                       HttpHandler& handler, const Clock& clock,
                                                       MetricsRegistry& metrics) {
  auto state = std::make_unique<State>(options, handler, clock, metrics);
  POISE_RETURN_IF_ERROR(state->Open());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
}

std::uint16_t HttpServer::port() const { return state_->port(); }

void HttpServer::Stop() { state_->Stop(); }

}  // namespace poise
