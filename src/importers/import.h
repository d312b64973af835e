// SPDX-License-Identifier: Apache-2.0
//
// Import: turns a file of a known format into items, users and events, batch by batch.
//
// It knows nothing of the engine: what it reads goes to a sink, which acknowledges each batch when
// it is durable. Nothing is dropped in silence: every row is either accepted or counted in the
// report with its row, its column and the reason.
//
// Every event has an idempotency key: the format's own where it has one, otherwise made from the
// row's number and bytes. So importing the same file again adds nothing, and importing a file that
// has grown adds what is new. After each acknowledged batch the sink is given a token; an import
// that was cut off goes on from the last token it stored.
//
// Place    apps/ names a source -> [here] -> ImportSink (engine/)
// Units    Row: 1 for a file's first line. Token: opaque text.
// Errors   kInvalidArgument: no such format (lists them), a mapping that does not fit, an empty
//          file. kNotFound: no such file. kFailedPrecondition: the file is not the one that the
//          token speaks of. Whatever the sink answers. Not an error: bad rows, a header alone.
// Threads  One thread; the sink is called from it.
// Cost     Memory: one batch, and for online-retail one record per item and user.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/parameter.h"
#include "base/result.h"
#include "domain/event.h"
#include "domain/item.h"

namespace poise {

// Takes batches; each call returns once what it got is durable. The records may be moved from.
class ImportSink {
 public:
  virtual ~ImportSink() = default;
  virtual Status Items(std::span<ItemRecord> items) = 0;
  virtual Status Users(std::span<UserRecord> users) = 0;
  virtual Status Events(std::span<Event> events) = 0;
  // Everything up to `token` has been acknowledged.
  virtual Status Checkpoint(std::string_view token) = 0;
};

enum class ImportMode {
  kApply,
  kDryRun,  // everything but the sink
};

struct ImportOptions {
  ImportMode mode = ImportMode::kApply;
  std::size_t batch_size = 1000;
  // "user" = "customer_id" and so on; see docs/import.md. A column "=word" is the word itself for
  // every row.
  ParameterTexts mapping;
  std::string resume_from;            // a token; empty: from the start
  std::string rejects_file;           // every reject as CSV; empty: none
  std::size_t kept_rejects = 20;      // in the report
  std::FILE* progress_out = nullptr;  // null: silent
};

struct Reject {
  std::string file;  // its name without folders
  std::uint64_t row = 0;
  std::string column;  // empty: the whole row
  std::string reason;
  std::string excerpt;  // the start of the value; empty where it names a person
};

struct RejectCount {
  std::string column;
  std::string reason;
  std::uint64_t count = 0;
};

struct ImportReport {
  std::string format;
  ImportMode mode = ImportMode::kApply;
  std::uint64_t rows = 0;
  std::uint64_t items = 0;
  std::uint64_t users = 0;
  std::uint64_t events = 0;
  std::uint64_t rejected = 0;
  std::array<std::uint64_t, kEventTypeCount> events_by_type{};
  std::vector<RejectCount> reject_counts;  // most frequent first
  std::vector<Reject> first_rejects;
  std::vector<std::string> notes;  // what a person should know, e.g. columns that were not read
  std::string rejects_file;
  double seconds = 0;
};

struct ImportSource {
  std::string format;
  std::string path;
};

// Reads "FORMAT:PATH".
Result<ImportSource> ParseImportSource(std::string_view text);

// Reads "user=customer_id,item=sku".
Result<ParameterTexts> ParseMapping(std::string_view text);

struct ImportFormatDescription {
  std::string_view name;
  std::string_view path;  // what to name: "folder or u.data"
  std::string_view sentence;
};
std::vector<ImportFormatDescription> DescribeImportFormats();

// A failure of the sink ends the import; the last checkpoint says where to go on.
Result<ImportReport> Import(const ImportSource& source, const ImportOptions& options,
                            ImportSink& sink, const Clock& clock);

// The report for people, and as JSON.
std::string ReportText(const ImportReport& report);
std::string ReportJson(const ImportReport& report);

}  // namespace poise
