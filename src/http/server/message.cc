// SPDX-License-Identifier: Apache-2.0
#include "http/server/message.h"

#include "json/writer.h"

namespace poise {

std::string_view HttpMethodName(HttpMethod method) {
  switch (method) {
    case HttpMethod::kGet:
      return "GET";
    case HttpMethod::kHead:
      return "HEAD";
    case HttpMethod::kPost:
      return "POST";
    case HttpMethod::kPut:
      return "PUT";
    case HttpMethod::kDelete:
      return "DELETE";
    case HttpMethod::kPatch:
      return "PATCH";
    case HttpMethod::kOptions:
      return "OPTIONS";
    case HttpMethod::kOther:
      break;
  }
  return "OTHER";
}

std::string_view HttpRequest::path() const {
  const std::string_view target = this->target();
  return target.substr(0, target.find('?'));
}

std::string_view HttpRequest::query() const {
  const std::string_view target = this->target();
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1);
}

std::string_view HttpRequest::Header(std::string_view name) const {
  for (const auto& [field, value] : headers_) {
    if (field.size != name.size()) continue;
    const std::string_view text = View(field);
    bool is_equal = true;
    for (std::size_t i = 0; i < name.size() && is_equal; ++i) {
      const char c = text[i];
      is_equal = (c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) == name[i];
    }
    if (is_equal) return View(value);
  }
  return {};
}

HttpRequest::Span HttpRequest::Append(std::string_view text) {
  const Span span{static_cast<std::uint32_t>(head_.size()),
                  static_cast<std::uint32_t>(text.size())};
  head_ += text;
  return span;
}

void HttpRequest::SetTarget(std::string_view target) {
  if (head_.capacity() < 512) head_.reserve(512);
  target_ = Append(target);
}

void HttpRequest::AddHeader(std::string_view name, std::string_view value) {
  if (headers_.empty()) headers_.reserve(8);
  const Span field = Append(name);
  headers_.emplace_back(field, Append(value));
}

std::string_view HttpReason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 207:
      return "Multi-Status";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

HttpResponse ProblemResponse(int status, std::string_view detail, std::string_view field) {
  JsonWriter json;
  json.BeginObject()
      .Field("type", "about:blank")
      .Field("title", HttpReason(status))
      .Field("status", status)
      .Field("detail", detail);
  if (!field.empty()) json.Field("field", field);
  json.EndObject();
  return {.status = status,
          .content_type = "application/problem+json",
          .body = json.Take(),
          .headers = {}};
}

}  // namespace poise
