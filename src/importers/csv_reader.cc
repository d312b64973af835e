// SPDX-License-Identifier: Apache-2.0
#include "importers/csv_reader.h"

#include <emmintrin.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace poise {
namespace {

// The first `delimiter` or newline in [at, end), or end. May read 15 bytes behind end.
char* FindFieldEnd(char* at, char* end, char delimiter) {
  const __m128i delimiters = _mm_set1_epi8(delimiter);
  const __m128i newlines = _mm_set1_epi8('\n');
  for (; at < end; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto found = static_cast<unsigned>(_mm_movemask_epi8(
        _mm_or_si128(_mm_cmpeq_epi8(bytes, delimiters), _mm_cmpeq_epi8(bytes, newlines))));
    if (found != 0) return std::min(at + std::countr_zero(found), end);
  }
  return end;
}

}  // namespace

CsvReader::CsvReader(ByteSource& source, CsvOptions options)
    : buffer_(source, options.max_row_bytes), options_(options) {}

Status CsvReader::Start() {
  is_started_ = true;
  while (!buffer_.IsComplete() && buffer_.size() < 3) POISE_RETURN_IF_ERROR(buffer_.Fill());
  const std::string_view head(buffer_.begin(), std::min<std::size_t>(buffer_.size(), 3));
  if (head.substr(0, 2) == "\xff\xfe" || head.substr(0, 2) == "\xfe\xff") {
    return InvalidArgument("the file is UTF-16; convert it to UTF-8 first");
  }
  if (head == "\xef\xbb\xbf") buffer_.Consume(3);
  if (options_.delimiter == 0) {
    // The whole first row, so that what is found does not depend on how the bytes arrive.
    while (!HasWholeRow() && !buffer_.IsComplete() && !buffer_.IsFull()) {
      POISE_RETURN_IF_ERROR(buffer_.Fill());
    }
    options_.delimiter = SniffDelimiter();
  }
  return Status::Ok();
}

// A newline outside quotes, whatever the delimiter may be.
bool CsvReader::HasWholeRow() {
  bool is_quoted = false;
  for (const char* at = buffer_.begin(); at != buffer_.end(); ++at) {
    if (*at == '"' && options_.has_quotes) is_quoted = !is_quoted;
    if (*at == '\n' && !is_quoted) return true;
  }
  return false;
}

char CsvReader::SniffDelimiter() {
  constexpr std::string_view kDelimiters = ",;\t|";
  std::array<std::size_t, kDelimiters.size()> counts{};
  bool is_quoted = false;
  for (const char* at = buffer_.begin(); at != buffer_.end(); ++at) {
    if (*at == '"' && options_.has_quotes) is_quoted = !is_quoted;
    if (is_quoted) continue;
    if (*at == '\n') break;
    const std::size_t which = kDelimiters.find(*at);
    if (which != std::string_view::npos) ++counts[which];
  }
  return kDelimiters[static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) -
                                              counts.begin())];
}

Status CsvReader::Seek(std::uint64_t offset, std::uint64_t row) {
  if (!is_started_) POISE_RETURN_IF_ERROR(Start());
  row_ = row;
  return buffer_.Seek(offset);
}

CsvReader::Outcome CsvReader::Next() {
  if (!status_.ok()) return Outcome::kFailed;
  if (!is_started_) {
    status_ = Start();
    if (!status_.ok()) return Outcome::kFailed;
  }
  while (true) {
    if (buffer_.size() == 0 && buffer_.IsComplete()) return Outcome::kEnd;
    switch (ScanRow()) {
      case Scan::kNeedsMore:
        status_ = buffer_.Fill();
        if (!status_.ok()) return Outcome::kFailed;
        break;
      case Scan::kBlank:
        buffer_.Consume(row_size_);
        ++row_;
        break;
      case Scan::kBad:
        return Rejected();
      case Scan::kComplete:
        Unescape();
        buffer_.Consume(row_size_);
        ++row_;
        if (expected_columns_ != 0 && fields_.size() != expected_columns_) {
          reason_ = fmt::format("expected {} fields, got {}", expected_columns_, fields_.size());
          return Outcome::kReject;
        }
        return Outcome::kRow;
    }
  }
}

CsvReader::Scan CsvReader::Bad(std::string reason) {
  reason_ = std::move(reason);
  return Scan::kBad;
}

CsvReader::Outcome CsvReader::Rejected() {
  ++row_;
  status_ = SkipLine();
  return status_.ok() ? Outcome::kReject : Outcome::kFailed;
}

Status CsvReader::SkipLine() {
  while (true) {
    const void* newline =
        buffer_.size() == 0 ? nullptr : std::memchr(buffer_.begin(), '\n', buffer_.size());
    if (newline != nullptr) {
      buffer_.Consume(
          static_cast<std::size_t>(static_cast<const char*>(newline) - buffer_.begin()) + 1);
      return Status::Ok();
    }
    buffer_.Consume(buffer_.size());
    if (buffer_.IsComplete()) return Status::Ok();
    POISE_RETURN_IF_ERROR(buffer_.Fill());
  }
}

// Scans from the start of the row each time, so that nothing needs to be kept while more is read.
CsvReader::Scan CsvReader::ScanRow() {
  fields_.clear();
  escaped_.clear();
  char* const begin = buffer_.begin();
  char* const end = buffer_.end();
  char* at = begin;
  while (true) {
    if (fields_.size() == kMaxColumns) {
      return Bad(fmt::format("more than {} fields", kMaxColumns));
    }
    const bool is_quoted = options_.has_quotes && at < end && *at == '"';
    if (is_quoted) {
      const Scan scan = ScanQuoted(at);
      if (scan != Scan::kComplete) return scan;
    } else {
      char* const stop = FindFieldEnd(at, end, options_.delimiter);
      fields_.emplace_back(at, static_cast<std::size_t>(stop - at));
      at = stop;
    }
    if (at == end) {
      if (!buffer_.IsComplete()) {
        if (!buffer_.IsFull()) return Scan::kNeedsMore;
        return Bad(fmt::format("longer than {} bytes", options_.max_row_bytes));
      }
      break;
    }
    if (*at == '\n') {
      ++at;
      break;
    }
    ++at;
  }
  row_size_ = static_cast<std::size_t>(at - begin);
  std::string_view& last = fields_.back();
  const bool is_last_quoted =
      !last.empty() && last.data() > begin && last.data()[-1] == '"' && options_.has_quotes;
  if (!is_last_quoted && !last.empty() && last.back() == '\r') last.remove_suffix(1);
  for (const std::string_view field : fields_) {
    if (field.size() > options_.max_field_bytes) {
      return Bad(fmt::format("a field longer than {} bytes", options_.max_field_bytes));
    }
  }
  const bool is_blank = fields_.size() == 1 && last.empty() && *begin != '"';
  return is_blank ? Scan::kBlank : Scan::kComplete;
}

CsvReader::Scan CsvReader::ScanQuoted(char*& at) {
  char* const end = buffer_.end();
  char* const open = at;
  bool has_doubled = false;
  for (++at;; at += 2) {
    at = at < end ? static_cast<char*>(std::memchr(at, '"', static_cast<std::size_t>(end - at)))
                  : nullptr;
    if (at == nullptr) {
      if (!buffer_.IsComplete() && !buffer_.IsFull()) return Scan::kNeedsMore;
      return Bad("a quote is never closed");
    }
    if (at + 1 == end && !buffer_.IsComplete() && !buffer_.IsFull()) return Scan::kNeedsMore;
    if (at + 1 == end || at[1] != '"') break;
    has_doubled = true;
  }
  if (has_doubled) escaped_.push_back(fields_.size());
  fields_.emplace_back(open + 1, static_cast<std::size_t>(at - open - 1));
  ++at;
  if (at < end && *at == '\r' && at + 1 == end && !buffer_.IsComplete() && !buffer_.IsFull()) {
    return Scan::kNeedsMore;
  }
  if (at < end && *at == '\r' && (at + 1 == end || at[1] == '\n')) ++at;
  if (at < end && *at != options_.delimiter && *at != '\n') {
    return Bad("text after a closing quote");
  }
  return Scan::kComplete;
}

void CsvReader::Unescape() {
  for (const std::size_t place : escaped_) {
    const std::string_view field = fields_[place];
    char* const out = buffer_.begin() + (field.data() - buffer_.begin());
    std::size_t size = 0;
    for (std::size_t i = 0; i < field.size(); ++i) {
      out[size++] = field[i];
      if (field[i] == '"') ++i;
    }
    fields_[place] = {out, size};
  }
}

std::string CsvField(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace poise
