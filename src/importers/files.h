// SPDX-License-Identifier: Apache-2.0
//
// Finds the files of a data set of several, and walks the lines of one as a stage of an import.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "importers/import_run.h"
#include "importers/line_reader.h"

namespace poise {

bool IsFolder(const std::string& path);
bool IsFile(const std::string& path);
std::string Join(const std::string& folder, std::string_view name);
std::string FolderOf(const std::string& path);

// Calls `row(line)` for each line that is not blank; the first `header_rows` lines are passed over.
template <typename Row>
Status ForEachLine(const std::string& path, std::uint64_t header_rows, ImportRun& run, Row&& row) {
  POISE_ASSIGN_OR_RETURN(const ImportStage stage, run.Open(path, Rows::kCounted));
  if (stage.is_done) return run.Close();
  LineReader lines(*stage.source);
  if (stage.offset > 0) POISE_RETURN_IF_ERROR(lines.Seek(stage.offset, stage.row));
  while (true) {
    switch (lines.Next()) {
      case LineReader::Outcome::kEnd:
        return run.Close();
      case LineReader::Outcome::kFailed:
        return lines.status();
      case LineReader::Outcome::kReject:
        POISE_RETURN_IF_ERROR(run.At(lines.row(), lines.next_offset()));
        POISE_RETURN_IF_ERROR(run.RejectRow("", "the line is too long"));
        break;
      case LineReader::Outcome::kLine:
        if (lines.row() <= header_rows || Trim(lines.line()).empty()) break;
        POISE_RETURN_IF_ERROR(run.At(lines.row(), lines.next_offset()));
        POISE_RETURN_IF_ERROR(row(lines.line()));
        break;
    }
  }
}

}  // namespace poise
