// SPDX-License-Identifier: Apache-2.0
#include "http/server/server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "http/server/loopback_client.h"
#include "json/reader.h"

namespace poise {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Says what it was asked; "/later" answers from another thread, "/never" drops the responder.
class EchoHandler : public HttpHandler {
 public:
  ~EchoHandler() override { Join(); }

  void Handle(HttpRequest request, HttpResponder respond) override {
    if (request.path() == "/never") return;
    HttpResponse response{.status = 200, .content_type = "text/plain", .body = "", .headers = {}};
    if (request.path() == "/empty") response.status = 204;
    if (request.path() == "/big") response.body.assign(8 << 20, 'x');
    if (request.path() == "/headers") response.headers.emplace_back("X-Note", "a\r\nEvil: b");
    if (response.body.empty() && response.status == 200) {
      response.body =
          fmt::format("{} {} q={} body={} type={}", HttpMethodName(request.method), request.path(),
                      request.query(), request.body.size(), request.Header("content-type"));
    }
    if (request.path() != "/later") return respond(std::move(response));
    const std::lock_guard lock(mutex_);
    threads_.emplace_back([this, respond = std::make_shared<HttpResponder>(std::move(respond)),
                           response = std::move(response)]() mutable {
      std::unique_lock hold(gate_mutex_);
      gate_.wait(hold, [&] { return is_open_; });
      hold.unlock();
      (*respond)(std::move(response));
    });
    waiting_.notify_all();
  }

  void Open(bool is_open) {
    const std::lock_guard lock(gate_mutex_);
    is_open_ = is_open;
    gate_.notify_all();
  }
  void AwaitWaiting(std::size_t count) {
    std::unique_lock lock(mutex_);
    waiting_.wait(lock, [&] { return threads_.size() >= count; });
  }
  void Join() {
    Open(true);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::mutex mutex_;
  std::condition_variable waiting_;
  std::vector<std::thread> threads_;
  std::mutex gate_mutex_;
  std::condition_variable gate_;
  bool is_open_ = true;
};

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    if (options.thread_count == 0) options.thread_count = 2;
    auto server = HttpServer::Listen(options, handler_, clock_, metrics_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = std::move(*server);
  }
  // What the server answers to these bytes until it closes.
  std::string AnswerTo(std::string_view bytes) {
    LoopbackClient client(server_->port());
    client.Send(bytes);
    client.CloseSending();
    return client.ReceiveAll();
  }
  void ExpectProblem(std::string_view bytes, int status, std::string_view detail) {
    LoopbackClient client(server_->port());
    client.Send(bytes);
    const LoopbackAnswer answer = client.Receive();
    EXPECT_EQ(answer.status, status) << bytes.substr(0, 200);
    EXPECT_EQ(answer.headers.at("content-type"), "application/problem+json");
    EXPECT_EQ(answer.headers.at("connection"), "close");
    const auto body = JsonDocument::Parse(answer.body);
    ASSERT_TRUE(body.ok()) << answer.body;
    EXPECT_EQ(*body->root()["status"].GetInt64(), status);
    EXPECT_THAT(std::string(*body->root()["detail"].GetString()), HasSubstr(std::string(detail)));
    EXPECT_EQ(client.ReceiveAll(), "") << "nothing after the last word";
  }

  ManualClock clock_;
  MetricsRegistry metrics_;
  EchoHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersRequestAfterRequestOnOneConnection) {
  Start();
  LoopbackClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    const LoopbackAnswer answer = client.Call("POST", "/a%2Fb?x=1&y=", "hello");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "POST /a%2Fb q=x=1&y= body=5 type=");
    EXPECT_EQ(answer.headers.at("date"), "Tue, 14 Nov 2023 22:13:20 GMT");
  }
  EXPECT_EQ(metrics_.GetCounter("poise_http_connections_total", "").Value(), 1U);
}

TEST_F(HttpServerTest, PipelinedRequestsAreAnsweredInOrderEvenWhenSomeWait) {
  Start();
  std::string requests;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string path = i % 50 == 7 ? "/later" : fmt::format("/n{}", i);
    requests += fmt::format("GET {}?{} HTTP/1.1\r\nHost: t\r\n\r\n", path, i);
  }
  LoopbackClient client(server_->port());
  client.Send(requests);
  for (int i = 0; i < 300; ++i) {
    EXPECT_THAT(client.Receive().body, HasSubstr(fmt::format("q={} ", i)));
  }
}

TEST_F(HttpServerTest, PipelinedBigAnswersDoNotStallAndAreNotLost) {
  Start();
  std::string requests;
  for (int i = 0; i < 8; ++i) requests += "GET /big HTTP/1.1\r\nHost: t\r\n\r\n";
  LoopbackClient client(server_->port());
  client.Send(requests);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(client.Receive().body.size(), std::size_t{8} << 20);
}

TEST_F(HttpServerTest, ARequestInAnyPiecesIsTheSameRequest) {
  Start();
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: t\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n6;note=1\r\n world\r\n0\r\nHost: trailer\r\n\r\n";
  LoopbackClient client(server_->port());
  for (std::size_t piece = 1; piece < request.size(); piece += 7) {
    for (std::size_t at = 0; at < request.size(); at += piece) {
      client.Send(std::string_view(request).substr(at, piece));
    }
    EXPECT_EQ(client.Receive().body, "POST /x q= body=11 type=a/b");
  }
}

TEST_F(HttpServerTest, HeadHasTheLengthButNoBody) {
  Start();
  LoopbackClient client(server_->port());
  const LoopbackAnswer head = client.Call("HEAD", "/h");
  EXPECT_EQ(head.headers.at("content-length"), "23");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(client.Call("GET", "/empty").status, 204);
  EXPECT_THAT(client.Call("GET", "/g").body, StartsWith("GET /g")) << "nothing was left over";
}

TEST_F(HttpServerTest, ExpectedContinueIsSaidBeforeTheBody) {
  Start();
  LoopbackClient client(server_->port());
  client.Send("PUT /c HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Receive().status, 100);
  client.Send("abc");
  EXPECT_THAT(client.Receive().body, HasSubstr("body=3"));
}

TEST_F(HttpServerTest, ABodyThatIsTooLongIsRefusedBeforeItIsSent) {
  Start({.max_body_bytes = 1000});
  ExpectProblem(
      "PUT /c HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n", 413,
      "longer than 1000 bytes");
  ExpectProblem("PUT /c HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n", 413,
                "longer than 1000 bytes");
  LoopbackClient client(server_->port());
  EXPECT_EQ(client.Call("PUT", "/c", std::string(1000, 'x')).status, 200);
}

TEST_F(HttpServerTest, ARefusedClientThatStillSendsReadsWhy) {
  Start({.max_body_bytes = 1000});
  LoopbackClient client(server_->port());
  client.Send("PUT /c HTTP/1.1\r\nHost: t\r\nContent-Length: 4000000\r\n\r\n");
  client.Send(std::string(4'000'000, 'x'));
  EXPECT_EQ(client.Receive().status, 413);
}

TEST_F(HttpServerTest, WhatIsMalformedOrBeyondALimitGetsAProblem) {
  Start();
  ExpectProblem("nonsense\r\n\r\n", 400, "malformed");
  ExpectProblem("GET / HTTP/1.1\r\n\r\n", 400, "Host is missing");
  ExpectProblem("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host is given twice");
  ExpectProblem("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1");
  ExpectProblem("GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400, "malformed");
  ExpectProblem("GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "16384");
  ExpectProblem("GET /" + std::string(40'000, 'a'), 414, "16384");
  ExpectProblem("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(40'000, 'a') + "\r\n\r\n", 431,
                "32768");
  std::string fields = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 101; ++i) fields += "X: y\r\n";
  ExpectProblem(fields + "\r\n", 431, "100 header fields");
  ExpectProblem("GET / HTTP/1.1\r\nHost: a\r\nExpect: a pony\r\n\r\n", 417, "100-continue");
}

TEST_F(HttpServerTest, AmbiguousLengthsAreRefusedSoThatNothingIsSmuggled) {
  Start();
  for (const std::string_view fields :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n", "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999\r\n", "Content-Length: 3x\r\n"}) {
    ExpectProblem(fmt::format("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields), 400, "malformed");
  }
  for (const std::string_view coding : {"gzip", "gzip, chunked", "chunked, chunked", "xchunked"}) {
    ExpectProblem(
        fmt::format("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {}\r\n\r\n", coding), 501,
        "chunked");
  }
  ExpectProblem("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
                "malformed");
  ExpectProblem("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" +
                    std::string(200'000, 'x'),
                400, "malformed");
}

TEST_F(HttpServerTest, AnAbsoluteTargetIsReadByItsPath) {
  Start();
  EXPECT_THAT(AnswerTo("GET http://shop.example/p?q HTTP/1.1\r\nHost: a\r\n\r\n"),
              HasSubstr("GET /p q=q"));
}

TEST_F(HttpServerTest, OlderClientsAndThoseThatAskAreClosedAfterTheAnswer) {
  Start();
  EXPECT_THAT(AnswerTo("GET /old HTTP/1.0\r\n\r\n"),
              HasSubstr("Connection: close\r\n\r\nGET /old"));
  LoopbackClient client(server_->port());
  client.Send("GET /bye HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReceiveAll(), HasSubstr("GET /bye"));
}

TEST_F(HttpServerTest, AHeaderValueCannotWriteHeaders) {
  Start();
  const LoopbackAnswer answer = LoopbackClient(server_->port()).Call("GET", "/headers");
  EXPECT_EQ(answer.headers.at("x-note"), "a  Evil: b");
  EXPECT_EQ(answer.headers.count("evil"), 0U);
}

TEST_F(HttpServerTest, ADroppedResponderAnswers500) {
  Start();
  LoopbackClient client(server_->port());
  EXPECT_EQ(client.Call("GET", "/never").status, 500);
  EXPECT_EQ(client.Call("GET", "/after").status, 200);
}

TEST_F(HttpServerTest, ASlowRequestGets408AndAnIdleConnectionIsClosed) {
  Start();
  LoopbackClient slow(server_->port());
  LoopbackClient slow_body(server_->port());
  LoopbackClient idle(server_->port());
  EXPECT_EQ(idle.Call("GET", "/").status, 200);
  slow.Send("GET / HTTP/1.1\r\nHost: a\r\nX");
  slow_body.Send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(slow_body.Receive().status, 100);
  slow_body.Send("ab");
  // Time moves only here; a connection that was accepted late just waits for a later step.
  std::atomic<bool> is_done{false};
  std::jthread mover([&] {
    while (!is_done) {
      clock_.Advance(std::chrono::seconds(1));
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(slow.Receive().status, 408);
  EXPECT_EQ(slow_body.Receive().status, 408);
  EXPECT_EQ(idle.ReceiveAll(), "");
  is_done = true;
}

TEST_F(HttpServerTest, AClientThatDoesNotReadIsDroppedAtLast) {
  Start({.write_timeout = std::chrono::seconds(5)});
  LoopbackClient client(server_->port());
  std::string requests;
  for (int i = 0; i < 20; ++i) requests += "GET /big HTTP/1.1\r\nHost: t\r\n\r\n";
  client.Send(requests);
  Gauge& open = metrics_.GetGauge("poise_http_connections_open", "");
  Counter& timeouts = metrics_.GetCounter("poise_http_timeouts_total", "");
  while (timeouts.Value() == 0 || open.Value() > 0) {
    clock_.Advance(std::chrono::milliseconds(100));
    std::this_thread::yield();
  }
  EXPECT_EQ(timeouts.Value(), 1U);
}

TEST_F(HttpServerTest, ConnectionsBeyondTheLimitGet503) {
  Start({.max_connections = 2});
  LoopbackClient first(server_->port());
  LoopbackClient second(server_->port());
  EXPECT_EQ(first.Call("GET", "/").status, 200);
  EXPECT_EQ(second.Call("GET", "/").status, 200);
  LoopbackClient third(server_->port());
  const LoopbackAnswer answer = third.Receive();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.headers.at("retry-after"), "1");
}

TEST_F(HttpServerTest, LargeBodiesTogetherAreBounded) {
  Start({.max_bodies_bytes = 1 << 20});
  LoopbackClient first(server_->port());
  first.Send("PUT /later HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n");
  handler_.Open(false);
  first.Send(std::string(800'000, 'x'));
  handler_.AwaitWaiting(1);
  LoopbackClient second(server_->port());
  EXPECT_EQ(second.Call("PUT", "/x", std::string(800'000, 'x')).status, 503);
  LoopbackClient small(server_->port());
  EXPECT_EQ(small.Call("PUT", "/x", std::string(60'000, 'x')).status, 200);
  handler_.Open(true);
  EXPECT_EQ(first.Receive().status, 200);
  LoopbackClient third(server_->port());
  EXPECT_EQ(third.Call("PUT", "/x", std::string(800'000, 'x')).status, 200)
      << "what was held is given back";
}

TEST_F(HttpServerTest, StopWaitsForRequestsInFlightAndSendsTheirAnswers) {
  Start();
  handler_.Open(false);
  LoopbackClient waiting(server_->port());
  LoopbackClient idle(server_->port());
  EXPECT_EQ(idle.Call("GET", "/").status, 200);
  waiting.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
  handler_.AwaitWaiting(1);
  std::jthread stopper([&] { server_->Stop(); });
  EXPECT_EQ(idle.ReceiveAll(), "") << "idle connections are closed at once";
  handler_.Open(true);
  const LoopbackAnswer answer = waiting.Receive();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("connection"), "close");
  stopper.join();
  EXPECT_FALSE(LoopbackClient(server_->port()).is_connected());
}

TEST_F(HttpServerTest, StopEndsAtWhateverMomentItComes) {
  // The loops tick every 50 ms: among many stops some meet a tick.
  for (int i = 0; i < 100; ++i) {
    Start({.thread_count = 4});
    LoopbackClient client(server_->port());
    EXPECT_EQ(client.Call("GET", i % 2 == 0 ? "/" : "/later").status, 200);
    handler_.Join();
    server_->Stop();
  }
}

TEST_F(HttpServerTest, AClientThatLeavesWhileItsAnswerIsMadeHarmsNobody) {
  Start();
  handler_.Open(false);
  {
    LoopbackClient client(server_->port());
    client.Send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n");
    handler_.AwaitWaiting(1);
  }
  handler_.Open(true);
  EXPECT_EQ(LoopbackClient(server_->port()).Call("GET", "/").status, 200);
  server_->Stop();
}

TEST_F(HttpServerTest, ManyClientsAtOnceAreAllServed) {
  Start();
  std::vector<std::jthread> clients;
  std::atomic<int> served{0};
  for (int c = 0; c < 16; ++c) {
    clients.emplace_back([&, c] {
      LoopbackClient client(server_->port());
      for (int i = 0; i < 100; ++i) {
        const std::string path = i % 10 == 0 && c % 4 == 0 ? "/later" : "/now";
        const LoopbackAnswer answer = client.Call("POST", path, std::string(i * 100, 'b'));
        if (answer.body == fmt::format("POST {} q= body={} type=", path, i * 100)) ++served;
      }
    });
  }
  clients.clear();
  EXPECT_EQ(served, 1600);
}

TEST_F(HttpServerTest, ListenSaysWhyItCannot) {
  Start();
  const auto taken =
      HttpServer::Listen({.port = server_->port(), .thread_count = 1}, handler_, clock_, metrics_);
  EXPECT_EQ(taken.status().code(), StatusCode::kUnavailable);
  EXPECT_THAT(taken.status().message(), HasSubstr(std::to_string(server_->port())));
  const auto name = HttpServer::Listen({.address = "shop.example"}, handler_, clock_, metrics_);
  EXPECT_EQ(name.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(name.status().message(), HasSubstr("shop.example"));
}

TEST(HttpMessage, HeadersAreFoundInAnyCase) {
  HttpRequest request;
  request.SetTarget("/p");
  request.AddHeader("X-API-Key", "first");
  request.AddHeader("x-api-key", "second");
  EXPECT_EQ(request.Header("x-api-key"), "first");
  EXPECT_EQ(request.Header("x-api-ke"), "");
  EXPECT_EQ(request.query(), "");
}

}  // namespace
}  // namespace poise
