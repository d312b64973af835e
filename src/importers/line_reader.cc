// SPDX-License-Identifier: Apache-2.0
#include "importers/line_reader.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "domain/text.h"

namespace poise {

LineReader::Outcome LineReader::Next() {
  std::size_t searched = 0;
  while (true) {
    const char* const begin = buffer_.begin();
    const void* newline = buffer_.size() == searched
                              ? nullptr
                              : std::memchr(begin + searched, '\n', buffer_.size() - searched);
    if (newline != nullptr || (buffer_.IsComplete() && buffer_.size() > 0)) {
      const char* const end =
          newline != nullptr ? static_cast<const char*>(newline) : buffer_.end();
      line_ = {begin, static_cast<std::size_t>(end - begin)};
      if (buffer_.offset() == 0 && line_.substr(0, 3) == "\xef\xbb\xbf") line_.remove_prefix(3);
      if (!line_.empty() && line_.back() == '\r') line_.remove_suffix(1);
      buffer_.Consume(static_cast<std::size_t>(end - begin) + (newline != nullptr ? 1 : 0));
      ++row_;
      return Outcome::kLine;
    }
    if (buffer_.IsComplete()) return Outcome::kEnd;
    searched = buffer_.size();
    if (buffer_.IsFull()) break;
    status_ = buffer_.Fill();
    if (!status_.ok()) return Outcome::kFailed;
  }
  ++row_;
  while (true) {
    const void* newline =
        buffer_.size() == 0 ? nullptr : std::memchr(buffer_.begin(), '\n', buffer_.size());
    if (newline != nullptr) {
      buffer_.Consume(
          static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.begin()) + 1);
      return Outcome::kReject;
    }
    buffer_.Consume(buffer_.size());
    if (buffer_.IsComplete()) return Outcome::kReject;
    status_ = buffer_.Fill();
    if (!status_.ok()) return Outcome::kFailed;
  }
}

Status LineReader::Seek(std::uint64_t offset, std::uint64_t row) {
  row_ = row;
  return buffer_.Seek(offset);
}

void Split(std::string_view line, std::string_view separator, std::vector<std::string_view>& out) {
  out.clear();
  while (true) {
    const std::size_t at = line.find(separator);
    if (at == std::string_view::npos) break;
    out.push_back(line.substr(0, at));
    line.remove_prefix(at + separator.size());
  }
  out.push_back(line);
}

void SplitWords(std::string_view line, std::vector<std::string_view>& out) {
  constexpr std::string_view kBlanks = " \t";
  out.clear();
  for (std::size_t at = 0; (at = line.find_first_not_of(kBlanks, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
    out.push_back(line.substr(at, end - at));
    at = end;
  }
}

std::string Latin1ToUtf8(std::string_view latin1) {
  std::string out;
  out.reserve(latin1.size());
  for (const char c : latin1) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      out += c;
    } else {
      out += static_cast<char>(0xc0 | (byte >> 6));
      out += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  return out;
}

std::string Latin1OrUtf8(std::string_view text) {
  return IsUtf8(text) ? std::string(text) : Latin1ToUtf8(text);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool ParseFinite(std::string_view text, double& out) {
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return false;
  }
  out = value;
  return true;
}

}  // namespace poise
