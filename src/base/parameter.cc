// SPDX-License-Identifier: Apache-2.0
#include "base/parameter.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace poise {
namespace {

template <typename Number>
Status ParseNumber(std::string_view text, std::string_view name, double min, double max,
                   std::string_view kind, Number& out) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return InvalidArgument(fmt::format("{}: expected {}, got \"{}\"", name, kind, text));
  }
  const auto as_double = static_cast<double>(value);
  if (!std::isfinite(as_double) || as_double < min || as_double > max) {
    return InvalidArgument(fmt::format("{}: must be in [{}, {}], got {}", name, min, max, text));
  }
  out = value;
  return Status::Ok();
}

}  // namespace

Status ParseInto(std::string_view text, std::string_view name, double min, double max, int& out) {
  return ParseNumber(text, name, min, max, "a whole number", out);
}

Status ParseInto(std::string_view text, std::string_view name, double min, double max,
                 double& out) {
  return ParseNumber(text, name, min, max, "a number", out);
}

Status ParseInto(std::string_view text, std::string_view name, double, double, bool& out) {
  if (text == "true" || text == "1" || text == "yes") {
    out = true;
  } else if (text == "false" || text == "0" || text == "no") {
    out = false;
  } else {
    return InvalidArgument(fmt::format("{}: expected true or false, got \"{}\"", name, text));
  }
  return Status::Ok();
}

Status ParseInto(std::string_view text, std::string_view name, double, double max,
                 std::string& out) {
  if (max > 0 && static_cast<double>(text.size()) > max) {
    return InvalidArgument(fmt::format("{}: at most {} bytes, got {}", name, max, text.size()));
  }
  out = std::string(text);
  return Status::Ok();
}

std::string ParameterText(int value) { return std::to_string(value); }
std::string ParameterText(double value) { return fmt::format("{}", value); }
std::string ParameterText(bool value) { return value ? "true" : "false"; }
std::string ParameterText(const std::string& value) { return value; }

Status UnknownParameter(std::string_view name, const std::vector<std::string_view>& known) {
  return InvalidArgument(
      fmt::format("{}: unknown parameter; known: {}", name, fmt::join(known, ", ")));
}

}  // namespace poise
