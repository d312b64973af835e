// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a T, or the Status that says why there is none.
#pragma once

#include <optional>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace poise {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    POISE_CHECK(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Requires  ok().
  T& operator*() & { return Value(); }
  const T& operator*() const& { return const_cast<Result*>(this)->Value(); }
  // By value, so that `for (x : *F())` does not look into a temporary that is gone.
  T operator*() && { return std::move(Value()); }
  T* operator->() { return &Value(); }
  const T* operator->() const { return &const_cast<Result*>(this)->Value(); }

 private:
  T& Value() {
    POISE_CHECK(value_.has_value());
    return *value_;
  }

  std::optional<T> value_;
  Status status_;
};

}  // namespace poise

// POISE_ASSIGN_OR_RETURN(auto x, MakeX()): x is the value, or the function is left with the status.
#define POISE_ASSIGN_OR_RETURN(declaration, expression) \
  POISE_ASSIGN_OR_RETURN_INNER(POISE_CONCAT(poise_result_, __LINE__), declaration, expression)
#define POISE_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                         \
  if (!result.ok()) return result.status();                           \
  declaration = *std::move(result)
