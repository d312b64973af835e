// SPDX-License-Identifier: Apache-2.0
//
// ImportRun: one import while it runs: batches, checkpoints, rejects, progress. Formats read rows
// and hand over records; everything that is the same for all formats is here.
//
// A format opens its files in a fixed order; each opening is a stage, and a token is a stage and a
// place in its file. For each row: At(), then records or Reject().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "importers/byte_source.h"
#include "importers/import.h"

namespace poise {

enum class Rows {
  kCounted,
  kSilent,  // the file is read again later; this pass neither counts nor rejects
};

struct ImportStage {
  bool is_done = false;  // nothing to do: it lies before the token
  std::unique_ptr<ByteSource> source;
  std::uint64_t offset = 0;  // where to go on, 0: from the start
  std::uint64_t row = 0;     // the row before
};

class ImportRun {
 public:
  ImportRun(const ImportOptions& options, ImportSink& sink, const Clock& clock, std::string format);
  ~ImportRun();
  ImportRun(const ImportRun&) = delete;
  ImportRun& operator=(const ImportRun&) = delete;

  Status Start();

  const ImportOptions& options() const { return options_; }
  Timestamp now() const { return now_; }
  std::uint64_t row() const { return current_.row; }
  // Columns as the file names them, for fields as domain/ names them in its messages.
  void NameColumn(std::string field, std::string column) { columns_[std::move(field)] = column; }
  void Note(std::string note) { report_.notes.push_back(std::move(note)); }

  // All files that will be opened, for the progress. A file that is read twice is named twice.
  Status Expect(const std::vector<std::string>& paths);
  Result<ImportStage> Open(const std::string& path, Rows rows);
  // Begins a row. `next_offset` is where the row after it begins.
  Status At(std::uint64_t row, std::uint64_t next_offset);
  // Flushes a full batch in the middle of a row, or behind the last: it is checkpointed as not yet
  // done, and what it holds is given again after a restart.
  Status MayFlush();
  // Ends the stage: everything is flushed.
  Status Close();

  // A record that is not valid is rejected, which is not an error.
  Status Add(ItemRecord item);
  Status Add(UserRecord user);
  // An event without a key gets one from the row's number and `row_bytes`.
  Status Add(Event event, std::string_view row_bytes);
  // `excerpt` must not name a person.
  Status RejectRow(std::string_view column, std::string_view reason, std::string_view excerpt = {});

  Result<ImportReport> Finish();

 private:
  struct Position {
    std::size_t stage = 0;
    std::uint64_t offset = 0;
    std::uint64_t row = 0;
  };

  Status RejectStatus(const Status& status);
  Status Flush();
  std::string Token() const;
  Status ParseToken();
  Status ReadHead(ByteSource& source);
  std::uint64_t Fingerprint(std::uint64_t offset) const;
  void ShowProgress();

  ImportOptions options_;
  ImportSink& sink_;
  const Clock& clock_;
  Timestamp now_;
  std::chrono::nanoseconds start_;
  ImportReport report_;
  std::map<std::string, std::string> columns_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> reject_counts_;
  std::FILE* rejects_ = nullptr;

  std::vector<ItemRecord> items_;
  std::vector<UserRecord> users_;
  std::vector<Event> events_;

  std::optional<Progress> progress_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_before_ = 0;  // of the stages that are closed

  std::optional<Position> resume_;
  std::uint64_t resume_fingerprint_ = 0;
  std::size_t stage_count_ = 0;
  std::string file_;  // the current one, without folders
  std::uint64_t file_size_ = 0;
  std::string head_;  // the beginning of the current file
  Rows rows_ = Rows::kCounted;
  Position done_;     // all rows before are in the batch or behind it
  Position current_;  // the row being read ends here
};

}  // namespace poise
