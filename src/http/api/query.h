// SPDX-License-Identifier: Apache-2.0
//
// QueryReader: takes the parameters of a query string by name, as ObjectReader does for JSON.
//
// Errors   kInvalidArgument naming the parameter: malformed escape, out of range, given twice,
//          unknown (with the known ones listed).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace poise {

// %XX undone; '+' is a plus.
// Errors  kInvalidArgument naming `field`.
Result<std::string> PercentDecode(std::string_view text, std::string_view field);

class QueryReader {
 public:
  explicit QueryReader(std::string_view query);

  QueryReader& Optional(std::string_view name, std::string& out);
  QueryReader& OptionalIn(std::string_view name, int min, int max, int& out);
  QueryReader& Optional(std::string_view name, std::optional<bool>& out);
  // As often as it is given.
  QueryReader& Repeated(std::string_view name, std::vector<std::string>& out);
  QueryReader& Keep(Status status);
  [[nodiscard]] Status Finish();

 private:
  struct Pair {
    std::string name;
    std::string value;
    bool is_taken = false;
  };
  const std::string* Take(std::string_view name);

  std::vector<Pair> pairs_;
  std::vector<std::string_view> known_;
  Status first_error_;
};

}  // namespace poise
