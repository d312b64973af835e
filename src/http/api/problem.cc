// SPDX-License-Identifier: Apache-2.0
#include "http/api/problem.h"

namespace poise {

namespace {

struct Row {
  StatusCode code;
  std::string_view message_prefix;  // empty: any; rows of one code are tried in order
  int http_status;
};

constexpr Row kTable[] = {
    {StatusCode::kInvalidArgument, "", 400},
    {StatusCode::kNotFound, "", 404},
    {StatusCode::kFailedPrecondition, "", 409},
    {StatusCode::kResourceExhausted, "disk full", 507},
    {StatusCode::kResourceExhausted, "rate limit", 429},
    {StatusCode::kResourceExhausted, "batch too large", 413},
    {StatusCode::kResourceExhausted, "", 503},  // "queue full", not enough memory
    {StatusCode::kDeadlineExceeded, "", 504},
    {StatusCode::kUnavailable, "", 503},
    {StatusCode::kDataLoss, "", 500},
    {StatusCode::kUnimplemented, "", 501},
    {StatusCode::kInternal, "", 500},
};

bool IsPathCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.' || c == '[' || c == ']';
}

}  // namespace

int HttpStatusOf(const Status& status) {
  for (const Row& row : kTable) {
    if (row.code == status.code() && status.message().starts_with(row.message_prefix)) {
      return row.http_status;
    }
  }
  return 500;
}

FieldAndDetail SplitField(std::string_view message) {
  std::size_t end = 0;
  bool is_quoted = false;  // a name that is no plain word stands as ["a b"]
  while (end < message.size()) {
    const char c = message[end];
    if (is_quoted) {
      if (c == '\\' && end + 1 < message.size()) ++end;
      if (c == '"') is_quoted = false;
    } else if (c == '"' && end > 0 && message[end - 1] == '[') {
      is_quoted = true;
    } else if (!IsPathCharacter(c)) {
      break;
    }
    ++end;
  }
  if (end == 0 || !message.substr(end).starts_with(": ")) return {{}, message};
  return {message.substr(0, end), message.substr(end + 2)};
}

HttpResponse ProblemOf(const Status& status) {
  const int http_status = HttpStatusOf(status);
  const auto [field, detail] = SplitField(status.message());
  HttpResponse response = ProblemResponse(http_status, detail, field);
  if (http_status == 503 || http_status == 429) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace poise
