// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>

#include "apps/command.h"
#include "importers/import.h"
#include "storage/table.h"

namespace poise {
namespace {

struct ImportFlags {
  CommandFlags common;
  std::vector<std::string> sources;
  std::string mapping;
  std::string rejects_file;
  int batch_size = 5000;
  bool is_dry_run = false;
  bool from_start = false;
};

// Hands batches to the engine; what it acknowledges is on disk.
class EngineSink final : public ImportSink {
 public:
  EngineSink(Engine& engine, std::string token_key)
      : engine_(engine), token_key_(std::move(token_key)) {}

  Status Items(std::span<ItemRecord> items) override {
    return FirstError(engine_.UpsertItems(items));
  }
  Status Users(std::span<UserRecord> users) override {
    return FirstError(engine_.UpsertUsers(users));
  }
  Status Events(std::span<Event> events) override {
    const std::vector<EventResult> results = engine_.RecordEventsAndWait(
        {std::make_move_iterator(events.begin()), std::make_move_iterator(events.end())});
    for (const EventResult& result : results) {
      if (result.outcome == EventResult::Outcome::kRejected) return result.status;
      if (result.outcome == EventResult::Outcome::kDuplicate) ++duplicate_count_;
    }
    return Status::Ok();
  }
  Status Checkpoint(std::string_view token) override {
    return engine_.tables().Put(kImportsTable, token_key_, token);
  }
  std::uint64_t duplicate_count() const { return duplicate_count_; }

 private:
  static Status FirstError(const std::vector<Status>& statuses) {
    for (const Status& status : statuses) POISE_RETURN_IF_ERROR(status);
    return Status::Ok();
  }

  Engine& engine_;
  const std::string token_key_;
  std::uint64_t duplicate_count_ = 0;
};

// A dry run has nowhere to write to: Import() never calls it.
class NoSink final : public ImportSink {
 public:
  Status Items(std::span<ItemRecord>) override { return Refuse(); }
  Status Users(std::span<UserRecord>) override { return Refuse(); }
  Status Events(std::span<Event>) override { return Refuse(); }
  Status Checkpoint(std::string_view) override { return Refuse(); }

 private:
  static Status Refuse() { return Internal("a dry run wrote something"); }
};

void PrintReport(const ImportReport& report, bool is_json) {
  fmt::print("{}{}", is_json ? ReportJson(report) : ReportText(report), is_json ? "\n" : "");
}

// Finished imports leave no token: importing a grown file again starts over, and its idempotency
// keys keep what is known from counting twice.
Status ImportOne(LocalEngine& local, const ImportFlags& flags, const ImportSource& source,
                 ImportOptions options) {
  std::error_code error;
  const std::string key =
      source.format + ":" + std::filesystem::weakly_canonical(source.path, error).string();
  EngineSink sink(local.engine(), key);
  if (!flags.from_start) {
    POISE_ASSIGN_OR_RETURN(const std::optional<std::string> token,
                           local.engine().tables().Get(kImportsTable, key));
    if (token.has_value()) {
      options.resume_from = *token;
      fmt::print(stderr, "going on where an earlier import of {} was cut off\n", source.path);
    }
  }
  POISE_ASSIGN_OR_RETURN(const ImportReport report, Import(source, options, sink, local.clock()));
  POISE_RETURN_IF_ERROR(local.engine().tables().Delete(kImportsTable, key));
  PrintReport(report, flags.common.is_json);
  if (sink.duplicate_count() > 0 && !flags.common.is_json) {
    fmt::print("{} events were known already and were not counted again\n", sink.duplicate_count());
  }
  return Status::Ok();
}

Status RunImport(const ImportFlags& flags) {
  ImportOptions options;
  options.batch_size = static_cast<std::size_t>(flags.batch_size);
  options.rejects_file = flags.rejects_file;
  options.progress_out = flags.common.is_json ? nullptr : stderr;
  options.mode = flags.is_dry_run ? ImportMode::kDryRun : ImportMode::kApply;
  if (!flags.mapping.empty()) {
    POISE_ASSIGN_OR_RETURN(options.mapping, ParseMapping(flags.mapping));
  }
  std::vector<ImportSource> sources;
  for (const std::string& text : flags.sources) {
    POISE_ASSIGN_OR_RETURN(ImportSource source, ParseImportSource(text));
    sources.push_back(std::move(source));
  }
  if (flags.is_dry_run) {
    const SystemClock clock;
    NoSink sink;
    for (const ImportSource& source : sources) {
      POISE_ASSIGN_OR_RETURN(const ImportReport report, Import(source, options, sink, clock));
      PrintReport(report, flags.common.is_json);
    }
    return Status::Ok();
  }
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags.common));
  for (const ImportSource& source : sources) {
    POISE_RETURN_IF_ERROR(ImportOne(*local, flags, source, options));
  }
  return Status::Ok();
}

std::string FormatList() {
  std::string text = "Formats:\n";
  for (const ImportFormatDescription& format : DescribeImportFormats()) {
    text += fmt::format("  {}:{:<28} {}\n", format.name, format.path, format.sentence);
  }
  return text + "\nAn import that was cut off goes on where it stopped when it is called again.";
}

}  // namespace

void AddImportCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("import", "Bring items, users and events in from files");
  auto flags = std::make_shared<ImportFlags>();
  command->add_option("sources", flags->sources, "FORMAT:PATH, one or several")
      ->required()
      ->type_name("FORMAT:PATH");
  command->add_option("--map", flags->mapping, "columns of csv and jsonl: user=customer_id,...")
      ->type_name("FIELD=COLUMN,...");
  command->add_option("--rejects", flags->rejects_file, "write every rejected row to this CSV file")
      ->type_name("FILE");
  command->add_option("--batch", flags->batch_size, "records a batch")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command->add_flag("--dry-run", flags->is_dry_run, "read and check everything, write nothing");
  command->add_flag("--from-start", flags->from_start,
                    "do not go on from an earlier cut-off import");
  AddCommandFlags(*command, flags->common);
  command->footer(FormatList);
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunImport(*flags)); });
}

}  // namespace poise
