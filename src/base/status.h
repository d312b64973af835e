// SPDX-License-Identifier: Apache-2.0
//
// Status: whether an operation worked, and if not what, which and where.
//
// Poise's own code throws nothing; a failure that a caller can cause or meet is a Status. The doors
// (http/, apps/) translate codes into HTTP statuses and exit codes, each in one table.
//
// Threads  A value type: distinct objects may be used concurrently.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace poise {

enum class StatusCode {
  kOk,
  kInvalidArgument,     // the caller's input is wrong; the message names the field
  kNotFound,            // a named thing does not exist
  kFailedPrecondition,  // right input, wrong time: not trained yet, directory in use
  kResourceExhausted,   // a bounded queue, a limit or the disk is full
  kDeadlineExceeded,
  kUnavailable,  // try again later
  kDataLoss,     // bytes on disk are damaged
  kUnimplemented,
  kInternal,
};

// The code's name as it stands in messages and JSON, e.g. "invalid_argument".
std::string_view StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // "invalid_argument: events[3].value: must be finite"
  std::string ToString() const;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string m) {
  return {StatusCode::kInvalidArgument, std::move(m)};
}
inline Status NotFound(std::string m) { return {StatusCode::kNotFound, std::move(m)}; }
inline Status FailedPrecondition(std::string m) {
  return {StatusCode::kFailedPrecondition, std::move(m)};
}
inline Status ResourceExhausted(std::string m) {
  return {StatusCode::kResourceExhausted, std::move(m)};
}
inline Status DeadlineExceeded(std::string m) {
  return {StatusCode::kDeadlineExceeded, std::move(m)};
}
inline Status Unavailable(std::string m) { return {StatusCode::kUnavailable, std::move(m)}; }
inline Status DataLoss(std::string m) { return {StatusCode::kDataLoss, std::move(m)}; }
inline Status Unimplemented(std::string m) { return {StatusCode::kUnimplemented, std::move(m)}; }
inline Status Internal(std::string m) { return {StatusCode::kInternal, std::move(m)}; }

}  // namespace poise

#define POISE_CONCAT_INNER(a, b) a##b
#define POISE_CONCAT(a, b) POISE_CONCAT_INNER(a, b)

// Leaves the function with the status of `expression` unless it is ok.
#define POISE_RETURN_IF_ERROR(expression)                                                        \
  do {                                                                                           \
    if (::poise::Status poise_status_ = (expression); !poise_status_.ok()) return poise_status_; \
  } while (false)
