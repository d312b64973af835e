// SPDX-License-Identifier: Apache-2.0
#include "domain/ids.h"

#include <fmt/format.h>

#include <charconv>

#include "domain/text.h"

namespace poise {

Status ValidateId(std::string_view id, std::string_view field) {
  if (id.empty()) return InvalidArgument(fmt::format("{}: must not be empty", field));
  return ValidateText(id, kMaxIdBytes, TextLines::kOne, field);
}

std::string FormatDecisionId(const DecisionId& id) {
  return fmt::format("{:016x}{:016x}", id.high, id.low);
}

Result<DecisionId> ParseDecisionId(std::string_view text) {
  constexpr std::size_t kHalf = 16;
  constexpr std::string_view kDigits = "0123456789abcdef";
  if (text.size() != 2 * kHalf || text.find_first_not_of(kDigits) != std::string_view::npos) {
    return InvalidArgument("decisionId: expected 32 lower-case hexadecimal digits");
  }
  DecisionId id;
  std::from_chars(text.data(), text.data() + kHalf, id.high, 16);
  std::from_chars(text.data() + kHalf, text.data() + 2 * kHalf, id.low, 16);
  return id;
}

}  // namespace poise
