// SPDX-License-Identifier: Apache-2.0
//
// Mapping: which column (CSV) or field (JSON Lines) holds what, by the caller's word or by names
// that shops commonly use; and the reading of a row's texts into records.
//
// Shapes   A field is one of kMappedFields of the mapping's kind: "user", "item", "type", ...
// Errors   kInvalidArgument: a mapping that names an unknown field or kind (the known ones are
//          listed), or a column that is not there. A bad value is a reject, not an error.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "importers/import_run.h"

namespace poise {

enum class RecordKind { kEvents, kItems, kUsers };

enum class MappedField {
  kUser,
  kSession,
  kItem,
  kType,
  kCustomType,
  kValue,
  kQuantity,
  kKey,
  kDecision,
  kTime,
  kTitle,
  kDescription,
  kCategories,
  kPrice,
  kAvailable,
};
inline constexpr std::size_t kMappedFieldCount = 15;

struct MappedFieldRow {
  MappedField field;
  RecordKind kind;
  std::string_view name;     // in a mapping
  std::string_view json;     // in messages, as domain/ says it
  std::string_view aliases;  // without case and punctuation, best first
};
std::span<const MappedFieldRow> MappedFields();

class Mapping {
 public:
  // Takes its keys kind, delimiter and encoding, and one key per field.
  static Result<Mapping> Make(const ParameterTexts& texts);

  RecordKind kind() const { return kind_; }
  char delimiter() const { return delimiter_; }  // 0: to be found
  bool is_latin1() const { return is_latin1_; }

  // The field that a column of this name holds by the mapping, or by its common names; nullopt:
  // none. `strength` is lower the better the name fits.
  std::optional<MappedField> FieldOf(std::string_view column, std::size_t& strength) const;
  static bool NamesRating(std::string_view column);
  // What a mapping "=word" sets for every row.
  const std::string* Constant(MappedField field) const;
  // Columns that the mapping names.
  const std::map<std::string, MappedField>& columns() const { return columns_; }
  // The mapping's own word for a field, e.g. "user".
  static std::string_view Name(MappedField field, RecordKind kind);

 private:
  RecordKind kind_ = RecordKind::kEvents;
  char delimiter_ = 0;
  bool is_latin1_ = false;
  std::map<std::string, MappedField> columns_;
  std::map<MappedField, std::string> constants_;
  std::map<std::string, std::pair<MappedField, std::size_t>> aliases_;
};

// A row's values by field; absent and empty are the same.
struct MappedRow {
  std::array<std::string, kMappedFieldCount> texts;
  std::vector<std::string> categories;  // if the row gives them one by one
  Attributes attributes;                // what no field takes
  bool value_is_rating = false;         // the value's column is called so; then it is the type too

  std::string& operator[](MappedField field) { return texts[static_cast<std::size_t>(field)]; }
  const std::string& operator[](MappedField field) const {
    return texts[static_cast<std::size_t>(field)];
  }
  void Clear();
};

// Reads the row into a record and adds or rejects it.
Status AddMapped(const Mapping& mapping, const MappedRow& row, std::string_view row_bytes,
                 ImportRun& run);

}  // namespace poise
