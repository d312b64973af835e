// SPDX-License-Identifier: Apache-2.0
#include "http/client/client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace poise {
namespace {

// Answers each request of a connection with its script, then closes.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::vector<std::string>> connections) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 8), 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, connections = std::move(connections)] {
      for (const auto& answers : connections) Serve(answers);
    });
  }
  ~ScriptedServer() {
    if (thread_.joinable()) thread_.join();
    close(listener_);
  }

  int port() const { return port_; }
  // Once the whole script has been played.
  const std::vector<std::string>& Requests() {
    thread_.join();
    return requests_;
  }

 private:
  void Serve(const std::vector<std::string>& answers) {
    const int connection = accept(listener_, nullptr, nullptr);
    for (const std::string& answer : answers) {
      std::string request;
      char byte = 0;
      while (request.find("\r\n\r\n") == std::string::npos && read(connection, &byte, 1) == 1) {
        request += byte;
      }
      const std::size_t length = request.find("Content-Length: ");
      const std::size_t size =
          length == std::string::npos ? 0 : std::stoul(request.substr(length + 16));
      for (std::size_t i = 0; i < size && read(connection, &byte, 1) == 1; ++i) request += byte;
      requests_.push_back(request);
      for (const char c : answer) {
        if (write(connection, &c, 1) != 1) break;
      }
    }
    close(connection);
  }

  int listener_ = -1;
  int port_ = 0;
  std::vector<std::string> requests_;
  std::thread thread_;
};

HttpClientOptions OptionsFor(int port) {
  HttpClientOptions options;
  options.port = port;
  return options;
}

TEST(HttpClient, ReadsSizedAndChunkedAnswersOnOneConnection) {
  ScriptedServer server({{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello",
                          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 Multi-Status\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n"
                          "0\r\nTrailer: x\r\n\r\n",
                          "HTTP/1.1 204 No Content\r\n\r\n"}});
  HttpClient client(OptionsFor(server.port()));
  const auto first = client.Get("/a");
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(first->body, "hello");
  EXPECT_EQ(first->Header("x-a"), "b");
  EXPECT_EQ(first->Header("none"), "");
  const auto second = client.Get("/b");
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_EQ(second->status, 207);
  EXPECT_EQ(second->body, "abc0123456789");
  const auto third = client.Send("DELETE", "/c");
  ASSERT_TRUE(third.ok()) << third.status().ToString();
  EXPECT_EQ(third->status, 204);
}

TEST(HttpClient, OpensTheConnectionAgainWhenTheServerHasClosedIt) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
  ScriptedServer server(
      {{answer}, {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\ny"}, {answer}});
  HttpClient client(OptionsFor(server.port()));
  EXPECT_EQ(client.Get("/")->body, "x");
  EXPECT_EQ(client.Get("/")->body, "y");
  EXPECT_EQ(client.Get("/")->body, "x");
}

TEST(HttpClient, SendsHeadersAndTheBodyAsJson) {
  ScriptedServer server({{"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"}});
  HttpClientOptions options = OptionsFor(server.port());
  options.headers = {{"Authorization", "Bearer k"}};
  HttpClient client(options);
  ASSERT_TRUE(client.Post("/x?y=1", "{}").ok());
  EXPECT_THAT(server.Requests().at(0),
              testing::AllOf(testing::StartsWith("POST /x?y=1 HTTP/1.1\r\n"),
                             testing::HasSubstr("Authorization: Bearer k\r\n"),
                             testing::HasSubstr("Content-Type: application/json\r\n"),
                             testing::EndsWith("Content-Length: 2\r\n\r\n{}")));
}

TEST(HttpClient, AnswersThatAreNotHttpAreErrors) {
  for (const char* answer :
       {"SMTP hello\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"}) {
    ScriptedServer server({{answer}});
    HttpClient client(OptionsFor(server.port()));
    EXPECT_EQ(client.Get("/").status().code(), StatusCode::kDataLoss) << answer;
  }
  ScriptedServer server({{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"}});
  HttpClient client(OptionsFor(server.port()));
  EXPECT_EQ(client.Get("/").status().code(), StatusCode::kUnavailable);
}

TEST(HttpClient, AServerThatDoesNotAnswerIsAnErrorInTime) {
  // Bound, listening and never accepting: the connection opens, the answer does not come.
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  HttpClientOptions options = OptionsFor(ntohs(address.sin_port));
  options.timeout = std::chrono::milliseconds(20);
  HttpClient client(options);
  EXPECT_EQ(client.Get("/").status().code(), StatusCode::kDeadlineExceeded);
  close(listener);
  EXPECT_EQ(client.Get("/").status().code(), StatusCode::kUnavailable);
}

TEST(HttpClient, TargetsAndHeadersOfTwoLinesAreRefused) {
  HttpClientOptions options = OptionsFor(1);
  EXPECT_EQ(HttpClient(options).Get("/a\r\nX: y").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(HttpClient(options).Get("a").status().code(), StatusCode::kInvalidArgument);
  options.headers = {{"A", "b\r\nC: d"}};
  EXPECT_EQ(HttpClient(options).Get("/").status().code(), StatusCode::kInvalidArgument);
}

TEST(EncodeSegment, EncodesAllButUnreservedCharacters) {
  EXPECT_EQ(EncodeSegment("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(EncodeSegment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
}

}  // namespace
}  // namespace poise
