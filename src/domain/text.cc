// SPDX-License-Identifier: Apache-2.0
#include "domain/text.h"

#include <fmt/format.h>

namespace poise {
namespace {

// Bytes of the well-formed sequence at the front of `text`, 0 if there is none.
// Source: The Unicode Standard, table 3-7.
std::size_t SequenceLength(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto is_tail = [&](std::size_t i) { return byte(i) >= 0x80 && byte(i) <= 0xbf; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return is_tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    return byte(1) >= low && byte(1) <= high && is_tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const unsigned low = first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xf4 ? 0x8f : 0xbf;
    return byte(1) >= low && byte(1) <= high && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Status ValidateText(std::string_view text, std::size_t max_bytes, TextLines lines,
                    std::string_view field) {
  if (text.size() > max_bytes) {
    return InvalidArgument(
        fmt::format("{}: at most {} bytes, got {}", field, max_bytes, text.size()));
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_break = c == '\n' || c == '\r' || c == '\t';
    if (byte == 0x7f || (byte < 0x20 && !(is_break && lines == TextLines::kMany))) {
      return InvalidArgument(
          fmt::format("{}: must not contain the control character 0x{:02x}", field, byte));
    }
  }
  if (!IsUtf8(text)) return InvalidArgument(fmt::format("{}: is not valid UTF-8", field));
  return Status::Ok();
}

}  // namespace poise
