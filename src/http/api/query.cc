// SPDX-License-Identifier: Apache-2.0
#include "http/api/query.h"

#include <fmt/format.h>

#include <charconv>

namespace poise {

Result<std::string> PercentDecode(std::string_view text, std::string_view field) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return InvalidArgument(
          fmt::format("{}: a % must be followed by two hexadecimal digits", field));
    }
    out += static_cast<char>(16 * high + low);
    i += 2;
  }
  return out;
}

QueryReader::QueryReader(std::string_view query) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view part = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
    if (part.empty()) continue;
    const std::size_t equals = part.find('=');
    auto name = PercentDecode(part.substr(0, equals), "query");
    std::string encoded;
    if (equals != std::string_view::npos) encoded = part.substr(equals + 1);
    for (char& c : encoded) c = c == '+' ? ' ' : c;  // as forms write spaces
    if (!name.ok()) {
      Keep(name.status());
      continue;
    }
    auto value = PercentDecode(encoded, *name);
    if (!value.ok()) {
      Keep(value.status());
      continue;
    }
    pairs_.push_back({std::move(*name), std::move(*value), false});
  }
}

const std::string* QueryReader::Take(std::string_view name) {
  known_.push_back(name);
  for (Pair& pair : pairs_) {
    if (pair.name != name) continue;
    pair.is_taken = true;
    return &pair.value;
  }
  return nullptr;
}

QueryReader& QueryReader::Optional(std::string_view name, std::string& out) {
  if (const std::string* value = Take(name)) out = *value;
  return *this;
}

QueryReader& QueryReader::OptionalIn(std::string_view name, int min, int max, int& out) {
  const std::string* value = Take(name);
  if (value == nullptr) return *this;
  int number = 0;
  const char* end = value->data() + value->size();
  const auto [stop, error] = std::from_chars(value->data(), end, number);
  if (error == std::errc::invalid_argument || stop != end) {
    return Keep(InvalidArgument(fmt::format("{}: expected an integer", name)));
  }
  if (error != std::errc() || number < min || number > max) {
    return Keep(InvalidArgument(fmt::format("{}: must be between {} and {}", name, min, max)));
  }
  out = number;
  return *this;
}

QueryReader& QueryReader::Optional(std::string_view name, std::optional<bool>& out) {
  const std::string* value = Take(name);
  if (value == nullptr) return *this;
  if (*value != "true" && *value != "false") {
    return Keep(InvalidArgument(fmt::format("{}: expected true or false", name)));
  }
  out = *value == "true";
  return *this;
}

QueryReader& QueryReader::Repeated(std::string_view name, std::vector<std::string>& out) {
  known_.push_back(name);
  for (Pair& pair : pairs_) {
    if (pair.name != name) continue;
    pair.is_taken = true;
    out.push_back(pair.value);
  }
  return *this;
}

QueryReader& QueryReader::Keep(Status status) {
  if (first_error_.ok()) first_error_ = std::move(status);
  return *this;
}

Status QueryReader::Finish() {
  if (!first_error_.ok()) return first_error_;
  for (const Pair& pair : pairs_) {
    if (pair.is_taken) continue;
    const std::string_view name = std::string_view(pair.name).substr(0, 64);
    for (const std::string_view known : known_) {
      if (known == pair.name) return InvalidArgument(fmt::format("{}: is given twice", name));
    }
    return InvalidArgument(
        fmt::format("{}: unknown parameter; known: {}", name,
                    known_.empty() ? "none" : fmt::format("{}", fmt::join(known_, ", "))));
  }
  return Status::Ok();
}

}  // namespace poise
