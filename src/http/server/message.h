// SPDX-License-Identifier: Apache-2.0
//
// HttpRequest and HttpResponse: one exchange, free of the library that parses it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace poise {

enum class HttpMethod { kGet, kHead, kPost, kPut, kDelete, kPatch, kOptions, kOther };
std::string_view HttpMethodName(HttpMethod method);

class HttpRequest {
 public:
  HttpMethod method = HttpMethod::kGet;
  std::string body;
  std::string remote_address;  // without the port

  // As it came, percent-encoded: "/api/v1/items/a%2Fb?limit=3".
  std::string_view target() const { return View(target_); }
  std::string_view path() const;
  std::string_view query() const;  // without the '?'
  // The first field of this name, empty if there is none.
  // Requires  `name` in lower case.
  std::string_view Header(std::string_view name) const;

  void SetTarget(std::string_view target);
  void AddHeader(std::string_view name, std::string_view value);
  std::size_t header_count() const { return headers_.size(); }

 private:
  struct Span {
    std::uint32_t begin = 0;
    std::uint32_t size = 0;
  };
  std::string_view View(Span span) const {
    return std::string_view(head_).substr(span.begin, span.size);
  }
  Span Append(std::string_view text);

  std::string head_;  // every text of the head, so that a request is a handful of allocations
  Span target_;
  std::vector<std::pair<Span, Span>> headers_;
};

struct HttpResponse {
  int status = 200;
  std::string content_type;  // empty: none
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // beyond type, length and date
};

// "Not Found"; "Unknown" for a number nobody named.
std::string_view HttpReason(int status);

// RFC 9457 problem details. `field` names the part of the request at fault; empty: none.
HttpResponse ProblemResponse(int status, std::string_view detail, std::string_view field = {});

}  // namespace poise
