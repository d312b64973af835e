// SPDX-License-Identifier: Apache-2.0
#include "http/server/request_parser.h"

#include <fmt/format.h>

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>

namespace poise {

namespace http = boost::beast::http;

namespace {

std::string_view View(boost::beast::string_view text) { return {text.data(), text.size()}; }

HttpMethod MethodOf(http::verb verb) {
  switch (verb) {
    case http::verb::get:
      return HttpMethod::kGet;
    case http::verb::head:
      return HttpMethod::kHead;
    case http::verb::post:
      return HttpMethod::kPost;
    case http::verb::put:
      return HttpMethod::kPut;
    case http::verb::delete_:
      return HttpMethod::kDelete;
    case http::verb::patch:
      return HttpMethod::kPatch;
    case http::verb::options:
      return HttpMethod::kOptions;
    default:
      return HttpMethod::kOther;
  }
}

}  // namespace

RequestParser::RequestParser(const HttpServerOptions& options, BodyBudget& budget)
    : options_(options), budget_(budget) {
  eager(true);
  header_limit(static_cast<std::uint32_t>(options.max_head_bytes));
  body_limit(options.max_body_bytes);
}

RequestParser::~RequestParser() {
  if (budget_bytes_ > 0) budget_.GiveBack(budget_bytes_);
}

std::size_t RequestParser::Feed(std::string_view bytes) {
  ErrorCode error;
  const std::size_t taken = put({bytes.data(), bytes.size()}, error);
  if (!error || error == http::error::need_more || failed_status_ != 0) return taken;
  if (error == http::error::body_limit) {
    Fail(413, fmt::format("the body is longer than {} bytes", options_.max_body_bytes), error);
  } else if (error == http::error::header_limit) {
    const bool is_line = version_ == 0;  // the limit was met before the first line's end
    Fail(is_line ? 414 : 431,
         is_line
             ? fmt::format("the target is longer than {} bytes", options_.max_target_bytes)
             : fmt::format("the header fields are longer than {} bytes", options_.max_head_bytes),
         error);
  } else if (error == http::error::bad_version) {
    Fail(505, "only HTTP/1.0 and HTTP/1.1 are spoken here", error);
  } else {
    Fail(400, "malformed request: " + error.message(), error);
  }
  return taken;
}

void RequestParser::Fail(int status, std::string failure, ErrorCode& error) {
  failed_status_ = status;
  failure_ = std::move(failure);
  error = http::error::bad_value;
}

void RequestParser::on_request_impl(Verb verb, Text, Text target, int version, ErrorCode& error) {
  version_ = version;
  if (target.size() > options_.max_target_bytes) {
    return Fail(414, fmt::format("the target is longer than {} bytes", options_.max_target_bytes),
                error);
  }
  request_.method = MethodOf(verb);
  // Proxies may send the absolute form, whose authority is said again in Host.
  std::string_view path = View(target);
  if (path.starts_with("http://") || path.starts_with("https://")) {
    const std::size_t slash = path.find('/', path.find("//") + 2);
    path = slash == std::string_view::npos ? "/" : path.substr(slash);
  }
  request_.SetTarget(path);
}

void RequestParser::on_field_impl(KnownField name, Text name_text, Text value, ErrorCode& error) {
  if (is_head_done_) return;  // trailers of a chunked body say nothing that could be trusted
  if (++field_count_ > options_.max_head_fields) {
    return Fail(431, fmt::format("more than {} header fields", options_.max_head_fields), error);
  }
  switch (name) {
    case http::field::host:
      if (has_host_) return Fail(400, "malformed request: Host is given twice", error);
      has_host_ = true;
      break;
    case http::field::expect:
      if (!boost::beast::iequals(value, "100-continue")) {
        return Fail(417, "the only expectation that can be met is 100-continue", error);
      }
      expects_continue_ = version_ >= 11;
      break;
    case http::field::transfer_encoding:
      // Anything but plain chunks, or said twice, is how requests are smuggled past proxies.
      if (!boost::beast::iequals(value, "chunked") ||
          !request_.Header("transfer-encoding").empty()) {
        return Fail(501, "the only transfer coding that is understood is chunked", error);
      }
      break;
    default:
      break;
  }
  request_.AddHeader(View(name_text), View(value));
}

void RequestParser::on_header_impl(ErrorCode& error) {
  is_head_done_ = true;
  if (version_ >= 11 && !has_host_) Fail(400, "malformed request: Host is missing", error);
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length,
                                      ErrorCode& error) {
  if (!length) return;
  if (*length > options_.max_body_bytes) {
    return Fail(413, fmt::format("the body is longer than {} bytes", options_.max_body_bytes),
                error);
  }
  // What is announced is not yet believed: memory beyond this comes as the bytes do.
  request_.body.reserve(std::min<std::size_t>(*length, BodyBudget::kFreeBytes));
}

std::size_t RequestParser::on_body_impl(Text body, ErrorCode& error) {
  const std::size_t size = request_.body.size() + body.size();
  if (size > BodyBudget::kFreeBytes && size > budget_bytes_) {
    const std::size_t more = size - budget_bytes_;
    if (!budget_.Take(more)) {
      Fail(503, "too much is being received at once; try again", error);
      return 0;
    }
    budget_bytes_ += more;
  }
  request_.body.append(body.data(), body.size());
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, Text body, ErrorCode& error) {
  return on_body_impl(body, error);
}

}  // namespace poise
