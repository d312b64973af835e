// SPDX-License-Identifier: Apache-2.0
//
// RequestParser: bytes of a connection in, one HttpRequest out; the only place that knows Beast.
//
// Errors   status() is what to answer: 400, 413, 414, 431, 501, 503, 505.
#pragma once

#include <atomic>
#include <boost/beast/http/basic_parser.hpp>
#include <string>

#include "http/server/server.h"

namespace poise {

// Memory that large bodies hold, over all connections.
class BodyBudget {
 public:
  static constexpr std::size_t kFreeBytes = 64 * 1024;  // smaller bodies are not counted

  explicit BodyBudget(std::size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  bool Take(std::size_t bytes) {
    if (taken_bytes_.fetch_add(bytes) + bytes <= limit_bytes_) return true;
    taken_bytes_.fetch_sub(bytes);
    return false;
  }
  void GiveBack(std::size_t bytes) { taken_bytes_.fetch_sub(bytes); }

 private:
  std::size_t limit_bytes_;
  std::atomic<std::size_t> taken_bytes_{0};
};

class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  RequestParser(const HttpServerOptions& options, BodyBudget& budget);
  ~RequestParser() override;

  // Returns how many bytes were taken; is_done() and failed_status() say what came of it.
  std::size_t Feed(std::string_view bytes);

  // 0: well so far.
  int failed_status() const { return failed_status_; }
  const std::string& failure() const { return failure_; }
  bool expects_continue() const { return expects_continue_; }
  // Bytes that the budget counts for this request; given back by who takes the request.
  std::size_t budget_bytes() const { return budget_bytes_; }

  // Requires  is_done().
  HttpRequest TakeRequest() { return std::move(request_); }
  HttpMethod method() const { return request_.method; }

 private:
  using ErrorCode = boost::beast::error_code;
  using Text = boost::beast::string_view;
  using Verb = boost::beast::http::verb;
  using KnownField = boost::beast::http::field;

  void on_request_impl(Verb verb, Text method, Text target, int version, ErrorCode& error) override;
  void on_response_impl(int, Text, int, ErrorCode&) override {}
  void on_field_impl(KnownField name, Text name_text, Text value, ErrorCode& error) override;
  void on_header_impl(ErrorCode& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, ErrorCode& error) override;
  std::size_t on_body_impl(Text body, ErrorCode& error) override;
  void on_chunk_header_impl(std::uint64_t, Text, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t rest, Text body, ErrorCode& error) override;
  void on_finish_impl(ErrorCode&) override {}

  void Fail(int status, std::string failure, ErrorCode& error);

  const HttpServerOptions& options_;
  BodyBudget& budget_;
  HttpRequest request_;
  std::string failure_;
  std::size_t budget_bytes_ = 0;
  std::size_t field_count_ = 0;
  int failed_status_ = 0;
  int version_ = 0;
  bool has_host_ = false;
  bool expects_continue_ = false;
  bool is_head_done_ = false;
};

}  // namespace poise
