// SPDX-License-Identifier: Apache-2.0
//
// CsvReader: rows of a delimited text file, one at a time, with what is wrong with the bad ones.
//
// RFC 4180 with what files in the wild need: any delimiter, LF or CRLF, a byte order mark, a quote
// in the middle of an unquoted field stands for itself. One stray quote costs one row: after a
// quote that is never closed, or that text follows, reading goes on at the next line.
//
// Shapes   fields(): one view a column, quotes removed and doubled quotes halved
// Units    row(): 1 for the first row of the file, the header included; blank lines count, so it is
//          the line in an editor as long as no field holds a newline. Offsets: bytes.
// Errors   Next() gives kReject with reason() for a bad row, kFailed with status() when the source
//          fails or is UTF-16. Neither an empty file nor a blank line is an error.
// Threads  One thread at a time.
// Cost     At least 200 MB/s on plain rows (bench/csv_bench); memory at most max_row_bytes.
#pragma once

#include <span>
#include <string_view>

#include "importers/record_buffer.h"

namespace poise {

struct CsvOptions {
  char delimiter = 0;      // 0: found in the first row among comma, semicolon, tab and bar
  bool has_quotes = true;  // false: a quote is a character like any other
  std::size_t max_field_bytes = 1 << 20;
  std::size_t max_row_bytes = 4 << 20;
};

class CsvReader {
 public:
  enum class Outcome { kRow, kReject, kEnd, kFailed };

  static constexpr std::size_t kMaxColumns = 4096;

  explicit CsvReader(ByteSource& source, CsvOptions options = {});

  Outcome Next();

  // After kRow, until the next call.
  std::span<const std::string_view> fields() const { return fields_; }
  // After kReject.
  const std::string& reason() const { return reason_; }
  // After kFailed.
  const Status& status() const { return status_; }

  std::uint64_t row() const { return row_; }
  // Where the row after this one begins.
  std::uint64_t next_offset() const { return buffer_.offset(); }
  char delimiter() const { return options_.delimiter; }

  // Rows with another number of fields are rejected from now on.
  void ExpectColumns(std::size_t count) { expected_columns_ = count; }
  // Goes on at `offset`, whose row is the one after `row`.
  Status Seek(std::uint64_t offset, std::uint64_t row);

 private:
  enum class Scan { kComplete, kBlank, kNeedsMore, kBad };

  Status Start();
  bool HasWholeRow();
  char SniffDelimiter();
  Scan ScanRow();
  Scan ScanQuoted(char*& at);
  Scan Bad(std::string reason);
  Outcome Rejected();
  Status SkipLine();
  void Unescape();

  RecordBuffer buffer_;
  CsvOptions options_;
  std::vector<std::string_view> fields_;
  std::vector<std::size_t> escaped_;  // places in fields_ that hold doubled quotes
  std::size_t expected_columns_ = 0;
  std::size_t row_size_ = 0;  // bytes of the row just scanned, its newline included
  std::uint64_t row_ = 0;
  bool is_started_ = false;
  std::string reason_;
  Status status_;
};

// A field as it stands in a CSV file: quoted where it must be.
std::string CsvField(std::string_view text);

}  // namespace poise
