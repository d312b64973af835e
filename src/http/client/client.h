// SPDX-License-Identifier: Apache-2.0
//
// HttpClient: a small blocking HTTP/1.1 client for our own server: the demo's shoppers, the health
// check, tests. One connection, kept alive, opened again when the server has closed it.
//
// Units    Timeouts: for each wait on the socket, not for the whole exchange.
// Errors   kInvalidArgument: no such address. kUnavailable: refused, reset, or closed in the middle
//          of an answer. kDeadlineExceeded: a wait took longer than the timeout. kDataLoss: the
//          answer is not HTTP/1.1, or larger than the limit. An HTTP status is never an error here.
// Threads  One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace poise {

struct HttpClientOptions {
  std::string host = "127.0.0.1";  // a name or an address
  int port = 8088;
  std::chrono::milliseconds timeout{10'000};
  std::size_t max_body_bytes = 64 << 20;
  // Sent with every request, e.g. {"Authorization", "Bearer ..."}.
  std::vector<std::pair<std::string, std::string>> headers;
};

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;

  // Empty if there is none. `name` in lower case.
  std::string_view Header(std::string_view name) const;
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options) : options_(std::move(options)) {}
  ~HttpClient() { Close(); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `target` as it stands in the request line, already percent-encoded; `body` is sent as JSON
  // unless it is empty. A kept connection that ends before a byte of the answer has come was almost
  // always closed while idle: the request is sent again, once, on a new one. So events that must
  // not count twice carry idempotency keys.
  Result<HttpAnswer> Send(std::string_view method, std::string_view target,
                          std::string_view body = {});
  Result<HttpAnswer> Get(std::string_view target) { return Send("GET", target); }
  Result<HttpAnswer> Post(std::string_view target, std::string_view json) {
    return Send("POST", target, json);
  }

  void Close();

 private:
  Status Connect();
  Status Write(std::string_view bytes);
  // Reads more into in_; kUnavailable at the end of the stream.
  Status ReadMore();
  Result<HttpAnswer> ReadAnswer(std::string_view method);
  Result<HttpAnswer> ReadHead();
  Status ReadSized(std::uint64_t size, std::string& body);
  Status ReadChunks(std::string& body);
  Status ReadToEnd(std::string& body);
  Result<std::string> ReadLine();
  Status WaitFor(short what) const;

  HttpClientOptions options_;
  int socket_ = -1;
  std::string in_;         // received, not yet read
  bool is_fresh_ = false;  // nothing has been answered on this connection
};

// Percent-encodes everything but unreserved characters, for one segment of a path or one value.
std::string EncodeSegment(std::string_view text);

}  // namespace poise
