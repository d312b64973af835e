// SPDX-License-Identifier: Apache-2.0
//
// JsonWriter: appends JSON to a string, one value after another.
//
//   JsonWriter json;
//   json.BeginObject().Field("itemId", id).Field("score", 0.25).Key("tags").BeginArray();
//   for (const auto& tag : tags) json.Value(tag);
//   json.EndArray().EndObject();
//
// What comes out is always JSON: bytes that are not UTF-8 become U+FFFD, a number that is not
// finite becomes null.
//
// Units    Numbers: the shortest text that reads back as the same double (or float).
// Errors   None. A value without its key, or an End that does not match, is a bug (POISE_DCHECK).
// Cost     About 1 GB/s; allocates only as the string grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace poise {

enum class JsonStyle {
  kCompact,
  kPretty,  // two spaces a level, for people
};

class JsonWriter {
 public:
  explicit JsonWriter(JsonStyle style = JsonStyle::kCompact) : style_(style) {}
  // Goes on in a string that has memory already; what it holds stays in front.
  explicit JsonWriter(std::string out, JsonStyle style = JsonStyle::kCompact)
      : style_(style), out_(std::move(out)) {}

  JsonWriter& BeginObject();
  JsonWriter& EndObject();
  JsonWriter& BeginArray();
  JsonWriter& EndArray();
  JsonWriter& Key(std::string_view name);

  JsonWriter& Value(std::string_view text);
  JsonWriter& Value(const char* text) { return Value(std::string_view(text)); }
  JsonWriter& Value(const std::string& text) { return Value(std::string_view(text)); }
  JsonWriter& Value(double number);
  JsonWriter& Value(float number);
  JsonWriter& Null();
  // Integers and bool.
  template <typename T>
  requires std::is_integral_v<T> JsonWriter& Value(T value) {
    if constexpr (std::is_same_v<T, bool>) {
      return Literal(value ? "true" : "false");
    } else if constexpr (std::is_signed_v<T>) {
      return Integer(value);
    } else {
      return Unsigned(value);
    }
  }
  template <typename T>
  JsonWriter& Value(const std::vector<T>& values) {
    BeginArray();
    for (const auto& value : values) Value(value);
    return EndArray();
  }
  // A text that is JSON already.
  JsonWriter& Raw(std::string_view json) { return Literal(json); }

  template <typename T>
  JsonWriter& Field(std::string_view name, const T& value) {
    return Key(name).Value(value);
  }

  const std::string& text() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  JsonWriter& Literal(std::string_view text);
  JsonWriter& Integer(std::int64_t number);
  JsonWriter& Unsigned(std::uint64_t number);
  JsonWriter& Begin(char bracket);
  JsonWriter& End(char bracket);
  void BeforeValue();
  void Newline();
  void Quoted(std::string_view text);

  JsonStyle style_;
  std::string out_;
  std::size_t depth_ = 0;
  bool needs_comma_ = false;
  bool is_after_key_ = false;
};

}  // namespace poise
