// SPDX-License-Identifier: Apache-2.0
#include "importers/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "importers/formats.h"
#include "importers/import_run.h"
#include "json/writer.h"

namespace poise {
namespace {

constexpr ImportFormat kFormats[] = {
    {"movielens-100k", "folder, or a ratings file such as u.data",
     "MovieLens 100K: ratings, films with genres, people", "type", &ReadMovieLens100k},
    {"movielens-1m", "folder, or ratings.dat or ratings_rebuilt.tsv",
     "MovieLens 1M: ratings, films with genres, people", "type", &ReadMovieLens1m},
    {"online-retail", "folder or file",
     "Online Retail: invoice lines of a gift shop, with returns and visitors without a name", "",
     &ReadOnlineRetail},
    {"sasrec", "file", "\"user item\" lines in the order of time", "type", &ReadSasrec},
    {"lightgcn", "folder with train.txt, valid.txt, test.txt, or one of them",
     "\"user item item ...\" lines", "type", &ReadLightgcn},
    {"csv", "file with a header row", "any delimited file, by a mapping of its columns", "*",
     &ReadCsv},
    {"jsonl", "file", "a JSON object a line, by a mapping of its fields", "*", &ReadJsonLines},
    {"poise", "file", "what poise export writes", "", &ReadPoiseExport},
};

std::string KnownFormats() {
  std::string known;
  for (const ImportFormat& format : kFormats) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", format.name);
  }
  return known;
}

Result<const ImportFormat*> FindFormat(std::string_view name) {
  for (const ImportFormat& format : kFormats) {
    if (format.name == name) return &format;
  }
  return InvalidArgument(fmt::format("unknown format \"{}\"; known: {}", name, KnownFormats()));
}

Status CheckMapping(const ImportFormat& format, const ParameterTexts& mapping) {
  if (format.mapping == "*") return Status::Ok();
  for (const auto& [name, text] : mapping) {
    if (!format.mapping.empty() && name == format.mapping) continue;
    return InvalidArgument(fmt::format("mapping: {} takes {}, got \"{}\"", format.name,
                                       format.mapping.empty() ? "none" : format.mapping, name));
  }
  return Status::Ok();
}

std::string RejectText(const Reject& reject) {
  std::string text = fmt::format("{}:{}: ", reject.file, reject.row);
  if (!reject.column.empty()) text += fmt::format("{}: ", reject.column);
  text += reject.reason;
  if (!reject.excerpt.empty()) text += fmt::format(" (\"{}\")", reject.excerpt);
  return text;
}

}  // namespace

Result<ImportSource> ParseImportSource(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) {
    return InvalidArgument(
        fmt::format("\"{}\": expected FORMAT:PATH; formats: {}", text, KnownFormats()));
  }
  ImportSource source{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  POISE_RETURN_IF_ERROR(FindFormat(source.format).status());
  return source;
}

Result<ParameterTexts> ParseMapping(std::string_view text) {
  ParameterTexts mapping;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view pair = text.substr(0, comma);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return InvalidArgument(fmt::format(
          "mapping: expected FIELD=COLUMN pairs with commas between, got \"{}\"", pair));
    }
    mapping.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return mapping;
}

std::vector<ImportFormatDescription> DescribeImportFormats() {
  std::vector<ImportFormatDescription> out;
  for (const ImportFormat& format : kFormats) {
    out.push_back({format.name, format.path, format.sentence});
  }
  return out;
}

Result<EventType> MappedType(const ImportRun& run, EventType otherwise) {
  for (const auto& [name, text] : run.options().mapping) {
    if (name != "type") continue;
    if (text.empty() || text.front() != '=') {
      return InvalidArgument("mapping: type: expected =WORD, for all rows");
    }
    return ParseEventType(std::string_view(text).substr(1));
  }
  return otherwise;
}

Result<ImportReport> Import(const ImportSource& source, const ImportOptions& options,
                            ImportSink& sink, const Clock& clock) {
  POISE_ASSIGN_OR_RETURN(const ImportFormat* format, FindFormat(source.format));
  POISE_RETURN_IF_ERROR(CheckMapping(*format, options.mapping));
  ImportRun run(options, sink, clock, source.format);
  POISE_RETURN_IF_ERROR(run.Start());
  POISE_RETURN_IF_ERROR(format->read(source.path, run));
  return run.Finish();
}

std::string ReportText(const ImportReport& report) {
  std::string out = fmt::format(
      "{}{}: {} rows: {} items, {} users, {} events accepted, {} rejected, {:.1f} s\n",
      report.format, report.mode == ImportMode::kDryRun ? " (dry run)" : "",
      WithThousands(report.rows), WithThousands(report.items), WithThousands(report.users),
      WithThousands(report.events), WithThousands(report.rejected), report.seconds);
  std::string types;
  for (std::size_t type = 0; type < kEventTypeCount; ++type) {
    if (report.events_by_type[type] == 0) continue;
    types += fmt::format("{}{} {}", types.empty() ? "  " : ", ",
                         WithThousands(report.events_by_type[type]),
                         EventTypeName(static_cast<EventType>(type)));
  }
  if (!types.empty()) out += types + "\n";
  for (const std::string& note : report.notes) out += fmt::format("  note: {}\n", note);
  if (report.rejected == 0) return out;
  out += "Rejected, by reason:\n";
  for (const RejectCount& row : report.reject_counts) {
    out += fmt::format("{:>12}  {}{}{}\n", WithThousands(row.count), row.column,
                       row.column.empty() ? "" : ": ", row.reason);
  }
  out += "First of them:\n";
  for (const Reject& reject : report.first_rejects) out += "  " + RejectText(reject) + "\n";
  if (!report.rejects_file.empty()) out += fmt::format("All of them: {}\n", report.rejects_file);
  return out;
}

std::string ReportJson(const ImportReport& report) {
  JsonWriter json(JsonStyle::kPretty);
  json.BeginObject()
      .Field("format", report.format)
      .Field("dryRun", report.mode == ImportMode::kDryRun)
      .Field("rows", report.rows)
      .Field("items", report.items)
      .Field("users", report.users)
      .Field("events", report.events)
      .Field("rejected", report.rejected)
      .Field("seconds", report.seconds);
  json.Key("eventsByType").BeginObject();
  for (std::size_t type = 0; type < kEventTypeCount; ++type) {
    if (report.events_by_type[type] == 0) continue;
    json.Field(EventTypeName(static_cast<EventType>(type)), report.events_by_type[type]);
  }
  json.EndObject().Field("notes", report.notes);
  json.Key("rejectedByReason").BeginArray();
  for (const RejectCount& row : report.reject_counts) {
    json.BeginObject()
        .Field("column", row.column)
        .Field("reason", row.reason)
        .Field("count", row.count)
        .EndObject();
  }
  json.EndArray().Key("firstRejected").BeginArray();
  for (const Reject& reject : report.first_rejects) {
    json.BeginObject()
        .Field("file", reject.file)
        .Field("row", reject.row)
        .Field("column", reject.column)
        .Field("reason", reject.reason)
        .Field("excerpt", reject.excerpt)
        .EndObject();
  }
  json.EndArray();
  if (!report.rejects_file.empty()) json.Field("rejectsFile", report.rejects_file);
  return json.EndObject().Take() + "\n";
}

}  // namespace poise
