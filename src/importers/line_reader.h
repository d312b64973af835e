// SPDX-License-Identifier: Apache-2.0
//
// LineReader: lines of a text file, LF or CRLF, without a byte order mark; and small pieces that
// the readers of line formats share.
//
// Errors   Next() gives kReject for a line that is too long, kFailed with status() when the source
//          fails.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "importers/record_buffer.h"

namespace poise {

class LineReader {
 public:
  enum class Outcome { kLine, kReject, kEnd, kFailed };

  static constexpr std::size_t kMaxLineBytes = 16 << 20;

  explicit LineReader(ByteSource& source, std::size_t max_bytes = kMaxLineBytes)
      : buffer_(source, max_bytes) {}

  Outcome Next();

  // After kLine, until the next call.
  std::string_view line() const { return line_; }
  const Status& status() const { return status_; }
  std::uint64_t row() const { return row_; }  // 1-based
  std::uint64_t next_offset() const { return buffer_.offset(); }
  Status Seek(std::uint64_t offset, std::uint64_t row);

 private:
  RecordBuffer buffer_;
  std::string_view line_;
  std::uint64_t row_ = 0;
  Status status_;
};

// Splits at each `separator` ("\t", "::", "|") into the same vector.
void Split(std::string_view line, std::string_view separator, std::vector<std::string_view>& out);

// Splits at runs of spaces and tabs.
void SplitWords(std::string_view line, std::vector<std::string_view>& out);

std::string Latin1ToUtf8(std::string_view latin1);
// The text itself where it is UTF-8 already: files that promise Latin-1 have often been converted.
std::string Latin1OrUtf8(std::string_view text);

// Without spaces and tabs at both ends.
std::string_view Trim(std::string_view text);

// The whole text as a finite number.
bool ParseFinite(std::string_view text, double& out);

}  // namespace poise
