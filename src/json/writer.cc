// SPDX-License-Identifier: Apache-2.0
#include "json/writer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "base/check.h"

namespace poise {

namespace {

// 0: as it is; 'u': \u00XX; 'x': the start of something beyond ASCII; else the letter after '\'.
constexpr std::array<char, 256> kEscape = [] {
  std::array<char, 256> table{};
  for (std::size_t c = 0; c < 0x20; ++c) table[c] = 'u';
  for (std::size_t c = 0x80; c < 0x100; ++c) table[c] = 'x';
  table[0x7f] = 'u';
  table['"'] = '"';
  table['\\'] = '\\';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['\b'] = 'b';
  table['\f'] = 'f';
  return table;
}();

// The length of the well-formed UTF-8 sequence at `text`, 0 if there is none.
std::size_t SequenceSize(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto is_tail = [&](std::size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const unsigned char lead = byte(0);
  if (lead < 0xc2 || lead > 0xf4 || !is_tail(1)) return 0;
  if (lead < 0xe0) return 2;
  const unsigned char second = byte(1);
  if (!is_tail(2)) return 0;
  if (lead < 0xf0) {
    if (lead == 0xe0 && second < 0xa0) return 0;
    if (lead == 0xed && second > 0x9f) return 0;
    return 3;
  }
  if (!is_tail(3)) return 0;
  if (lead == 0xf0 && second < 0x90) return 0;
  if (lead == 0xf4 && second > 0x8f) return 0;
  return 4;
}

template <typename T>
void AppendNumber(std::string& out, T number) {
  std::array<char, 32> digits;
  char* const begin = digits.data();
  char* const end = begin + digits.size();
  if constexpr (std::is_floating_point_v<T>) {
    // Digits without an exponent would read as an integer, and be beyond 64 bits.
    if (std::abs(number) >= T(1e17)) {
      out.append(begin, std::to_chars(begin, end, number, std::chars_format::scientific).ptr);
      return;
    }
  }
  out.append(begin, std::to_chars(begin, end, number).ptr);
}

}  // namespace

void JsonWriter::Newline() {
  out_ += '\n';
  out_.append(2 * depth_, ' ');
}

void JsonWriter::BeforeValue() {
  if (is_after_key_) {
    is_after_key_ = false;
    return;
  }
  if (needs_comma_) out_ += ',';
  if (style_ == JsonStyle::kPretty && depth_ > 0) Newline();
}

JsonWriter& JsonWriter::Begin(char bracket) {
  BeforeValue();
  out_ += bracket;
  ++depth_;
  needs_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::End(char bracket) {
  POISE_DCHECK(depth_ > 0 && !is_after_key_);
  --depth_;
  if (style_ == JsonStyle::kPretty && needs_comma_) Newline();
  out_ += bracket;
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::BeginObject() { return Begin('{'); }
JsonWriter& JsonWriter::EndObject() { return End('}'); }
JsonWriter& JsonWriter::BeginArray() { return Begin('['); }
JsonWriter& JsonWriter::EndArray() { return End(']'); }

JsonWriter& JsonWriter::Key(std::string_view name) {
  POISE_DCHECK(depth_ > 0 && !is_after_key_);
  BeforeValue();
  Quoted(name);
  out_ += style_ == JsonStyle::kPretty ? ": " : ":";
  is_after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::Literal(std::string_view text) {
  BeforeValue();
  out_ += text;
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Null() { return Literal("null"); }

JsonWriter& JsonWriter::Value(std::string_view text) {
  BeforeValue();
  Quoted(text);
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Value(double number) {
  if (!std::isfinite(number)) return Null();
  BeforeValue();
  AppendNumber(out_, number);
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Value(float number) {
  if (!std::isfinite(number)) return Null();
  BeforeValue();
  AppendNumber(out_, number);
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Integer(std::int64_t number) {
  BeforeValue();
  AppendNumber(out_, number);
  needs_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::Unsigned(std::uint64_t number) {
  BeforeValue();
  AppendNumber(out_, number);
  needs_comma_ = true;
  return *this;
}

void JsonWriter::Quoted(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out_ += '"';
  std::size_t plain = 0;  // start of what has not been copied yet
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const char escape = kEscape[c];
    if (escape == 0) {
      ++i;
      continue;
    }
    if (escape == 'x') {
      if (const std::size_t size = SequenceSize(text.substr(i)); size > 0) {
        i += size;
        continue;
      }
    }
    out_ += text.substr(plain, i - plain);
    if (escape == 'x') {
      out_ += "\xef\xbf\xbd";
    } else if (escape == 'u') {
      out_ += "\\u00";
      out_ += kHex[c >> 4];
      out_ += kHex[c & 15];
    } else {
      out_ += '\\';
      out_ += escape;
    }
    plain = ++i;
  }
  out_ += text.substr(plain);
  out_ += '"';
}

}  // namespace poise
