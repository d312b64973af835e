// SPDX-License-Identifier: Apache-2.0
#include "scenarios/words.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace poise {
namespace {

template <typename Number>
std::optional<Number> Parse(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Status Expected(std::string_view what, std::string_view got) {
  if (got.empty()) return InvalidArgument(fmt::format("expected {}, got the line's end", what));
  return InvalidArgument(fmt::format("expected {}, got '{}'", what, got));
}

struct DurationUnit {
  std::string_view name;
  std::int64_t micros;
};
constexpr DurationUnit kDurationUnits[] = {{"ms", 1'000},
                                           {"s", 1'000'000},
                                           {"m", 60'000'000},
                                           {"h", 3'600'000'000},
                                           {"d", 86'400'000'000}};

}  // namespace

bool Bound::Holds(double actual) const {
  if (comparison == ">=") return actual >= value;
  if (comparison == "<=") return actual <= value;
  if (comparison == ">") return actual > value;
  if (comparison == "<") return actual < value;
  return actual == value;
}

std::string Bound::ToString() const { return fmt::format("{} {}", comparison, value); }

bool WordReader::Take(std::string_view word) {
  if (done() || Peek() != word) return false;
  ++at_;
  return true;
}

Result<std::string> WordReader::Word(std::string_view what) {
  if (done()) return Expected(what, "");
  return std::string(words_[at_++]);
}

Result<double> WordReader::Number(std::string_view what) {
  const std::string_view text = Peek();
  if (const auto value = Parse<double>(text)) {
    ++at_;
    return *value;
  }
  return Expected(what, text);
}

Result<int> WordReader::Integer(std::string_view what) {
  const std::string_view text = Peek();
  if (const auto value = Parse<int>(text)) {
    ++at_;
    return *value;
  }
  return Expected(what, text);
}

Result<std::chrono::microseconds> WordReader::Duration() {
  const std::string_view text = Peek();
  for (const DurationUnit& unit : kDurationUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto count = Parse<double>(text.substr(0, text.size() - unit.name.size()));
    if (!count) continue;
    ++at_;
    return std::chrono::microseconds(
        static_cast<std::int64_t>(*count * static_cast<double>(unit.micros)));
  }
  return Expected("a duration such as 90s, 15m, 2h, 1d or 250ms", text);
}

Result<Bound> WordReader::ReadBound() {
  Bound bound{"=", 0};
  for (const std::string_view comparison : {">=", "<=", ">", "<", "="}) {
    if (Take(comparison)) {
      bound.comparison = comparison;
      break;
    }
  }
  POISE_ASSIGN_OR_RETURN(bound.value, Number("a number, or >= <= > < = and a number"));
  return bound;
}

std::vector<std::string> WordReader::Rest() {
  std::vector<std::string> rest(words_.begin() + static_cast<std::ptrdiff_t>(at_), words_.end());
  at_ = words_.size();
  return rest;
}

Status WordReader::Finish() const {
  if (done()) return Status::Ok();
  return InvalidArgument(fmt::format("'{}' and what follows is not understood", Peek()));
}

}  // namespace poise
