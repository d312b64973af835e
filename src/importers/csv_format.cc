// SPDX-License-Identifier: Apache-2.0
//
// csv: any delimited file with a header row, by a mapping of its columns.
#include <fmt/format.h>

#include <charconv>

#include "importers/csv_reader.h"
#include "importers/formats.h"
#include "importers/line_reader.h"
#include "importers/mapping.h"

namespace poise {
namespace {

constexpr std::size_t kNoField = kMappedFieldCount;

struct Columns {
  std::vector<std::string> names;
  std::vector<std::size_t> fields;  // of each column, kNoField: none
  char delimiter = 0;
};

bool Holds(const Columns& columns, MappedField field) {
  for (const std::size_t held : columns.fields) {
    if (held == static_cast<std::size_t>(field)) return true;
  }
  return false;
}

bool HoldsRating(const Columns& columns) {
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    if (columns.fields[i] == static_cast<std::size_t>(MappedField::kValue) &&
        Mapping::NamesRating(columns.names[i])) {
      return true;
    }
  }
  return false;
}

// Each field takes the column that fits its name best; the first of two that fit alike.
void Assign(const Mapping& mapping, Columns& columns) {
  std::array<std::size_t, kMappedFieldCount> best;
  best.fill(static_cast<std::size_t>(-1));
  std::array<std::size_t, kMappedFieldCount> holder;
  holder.fill(kNoField);
  columns.fields.assign(columns.names.size(), kNoField);
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    std::size_t strength = 0;
    const auto field = mapping.FieldOf(columns.names[i], strength);
    if (!field) continue;
    const auto place = static_cast<std::size_t>(*field);
    if (strength >= best[place]) continue;
    if (best[place] != static_cast<std::size_t>(-1)) columns.fields[holder[place]] = kNoField;
    best[place] = strength;
    holder[place] = i;
    columns.fields[i] = place;
  }
}

Status CheckNeeded(const std::string& path, const Mapping& mapping, const Columns& columns) {
  const auto missing = [&](std::string_view what, std::string_view field) {
    return InvalidArgument(
        fmt::format("{}: no column for {}; it has {}; name one with {}=COLUMN, or set one value "
                    "for all rows with {}==VALUE",
                    path, what, fmt::join(columns.names, ", "), field, field));
  };
  const auto has = [&](MappedField field) {
    return Holds(columns, field) || mapping.Constant(field) != nullptr;
  };
  for (const auto& [name, field] : mapping.columns()) {
    bool is_there = false;
    for (const std::string& column : columns.names) is_there = is_there || column == name;
    if (!is_there) {
      return InvalidArgument(fmt::format("{}: no column \"{}\" for {}; it has {}", path, name,
                                         Mapping::Name(field, mapping.kind()),
                                         fmt::join(columns.names, ", ")));
    }
  }
  switch (mapping.kind()) {
    case RecordKind::kItems:
      return has(MappedField::kItem) ? Status::Ok() : missing("the item", "item");
    case RecordKind::kUsers:
      return has(MappedField::kUser) ? Status::Ok() : missing("the user", "user");
    case RecordKind::kEvents:
      break;
  }
  if (!has(MappedField::kUser) && !has(MappedField::kSession)) return missing("the user", "user");
  if (!has(MappedField::kItem)) return missing("the item", "item");
  if (!has(MappedField::kType) && !HoldsRating(columns)) return missing("the event type", "type");
  if (!has(MappedField::kTime)) return missing("the time", "time");
  return Status::Ok();
}

Result<Columns> ReadHeader(const std::string& path, const Mapping& mapping) {
  POISE_ASSIGN_OR_RETURN(const auto source, OpenFile(path));
  CsvReader csv(*source, {.delimiter = mapping.delimiter()});
  const CsvReader::Outcome outcome = csv.Next();
  if (outcome == CsvReader::Outcome::kFailed) {
    return Status(csv.status().code(), fmt::format("{}: {}", path, csv.status().message()));
  }
  if (outcome == CsvReader::Outcome::kReject) {
    return InvalidArgument(fmt::format("{}: the header row: {}", path, csv.reason()));
  }
  if (outcome == CsvReader::Outcome::kEnd) {
    return InvalidArgument(path + ": the file holds nothing but blank lines");
  }
  Columns columns;
  columns.delimiter = csv.delimiter();
  for (const std::string_view name : csv.fields()) {
    columns.names.push_back(Latin1OrUtf8(Trim(name)));
  }
  Assign(mapping, columns);
  POISE_RETURN_IF_ERROR(CheckNeeded(path, mapping, columns));
  return columns;
}

// "12.50" is a number, "007" and "1e5" are words.
AttributeValue Attribute(std::string text) {
  double number = 0;
  if (ParseFinite(text, number) && fmt::format("{}", number) == text &&
      text.find('e') == std::string::npos) {
    return number;
  }
  return text;
}

void Describe(const Mapping& mapping, const Columns& columns, ImportRun& run) {
  std::vector<std::string> unread;
  for (std::size_t i = 0; i < columns.names.size(); ++i) {
    if (columns.fields[i] == kNoField) {
      unread.push_back(columns.names[i]);
      continue;
    }
    for (const MappedFieldRow& row : MappedFields()) {
      if (row.kind == mapping.kind() && static_cast<std::size_t>(row.field) == columns.fields[i]) {
        run.NameColumn(std::string(row.json), columns.names[i]);
      }
    }
  }
  if (unread.empty()) return;
  run.Note(fmt::format(
      "{}: {}",
      mapping.kind() == RecordKind::kEvents ? "columns not read" : "columns kept as attributes",
      fmt::join(unread, ", ")));
}

void ReadRow(const Mapping& mapping, const Columns& columns,
             std::span<const std::string_view> fields, MappedRow& row) {
  row.Clear();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::string_view text = Trim(fields[i]);
    if (text.empty()) continue;
    if (columns.fields[i] == kNoField) {
      if (mapping.kind() != RecordKind::kEvents && !columns.names[i].empty()) {
        row.attributes[columns.names[i]] =
            Attribute(mapping.is_latin1() ? Latin1OrUtf8(text) : std::string(text));
      }
    } else if (mapping.is_latin1()) {
      row.texts[columns.fields[i]] = Latin1OrUtf8(text);
    } else {
      row.texts[columns.fields[i]] = text;
    }
  }
  for (std::size_t field = 0; field < kMappedFieldCount; ++field) {
    const std::string* constant = mapping.Constant(static_cast<MappedField>(field));
    if (constant != nullptr) row.texts[field] = *constant;
  }
}

}  // namespace

Status ReadCsv(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Make(run.options().mapping));
  POISE_RETURN_IF_ERROR(run.Expect({path}));
  POISE_ASSIGN_OR_RETURN(const Columns columns, ReadHeader(path, mapping));
  Describe(mapping, columns, run);
  POISE_ASSIGN_OR_RETURN(const ImportStage stage, run.Open(path, Rows::kCounted));
  if (stage.is_done) return run.Close();
  const bool value_is_rating = HoldsRating(columns);
  CsvReader csv(*stage.source, {.delimiter = columns.delimiter});
  csv.ExpectColumns(columns.names.size());
  bool is_past_header = stage.offset > 0;
  if (is_past_header) POISE_RETURN_IF_ERROR(csv.Seek(stage.offset, stage.row));
  MappedRow row;
  std::string row_bytes;
  while (true) {
    const CsvReader::Outcome outcome = csv.Next();
    if (outcome == CsvReader::Outcome::kEnd) return run.Close();
    if (outcome == CsvReader::Outcome::kFailed) return csv.status();
    if (!is_past_header) {
      is_past_header = true;
      continue;
    }
    POISE_RETURN_IF_ERROR(run.At(csv.row(), csv.next_offset()));
    if (outcome == CsvReader::Outcome::kReject) {
      POISE_RETURN_IF_ERROR(run.RejectRow("", csv.reason()));
      continue;
    }
    ReadRow(mapping, columns, csv.fields(), row);
    row.value_is_rating = value_is_rating;
    row_bytes.clear();
    for (const std::string_view field : csv.fields()) (row_bytes += field) += '\x1f';
    POISE_RETURN_IF_ERROR(AddMapped(mapping, row, row_bytes, run));
  }
}

}  // namespace poise
