// SPDX-License-Identifier: Apache-2.0
#include "importers/mapping.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "importers/line_reader.h"

namespace poise {
namespace {

using enum MappedField;
using enum RecordKind;

constexpr MappedFieldRow kFields[] = {
    {kUser, kEvents, "user", "userId", "userid user customerid customer visitorid memberid uid"},
    {kSession, kEvents, "session", "sessionId", "sessionid session visitid"},
    {kItem, kEvents, "item", "itemId", "itemid item productid product sku movieid asin articleid"},
    {kType, kEvents, "type", "type", "type eventtype event action behavior behaviour"},
    {kCustomType, kEvents, "custom_type", "customType", "customtype"},
    {kValue, kEvents, "value", "value", "value rating stars price unitprice"},
    {kQuantity, kEvents, "quantity", "quantity", "quantity qty count"},
    {kKey, kEvents, "key", "idempotencyKey", "idempotencykey eventid"},
    {kDecision, kEvents, "decision", "decisionId", "decisionid"},
    {kTime, kEvents, "time", "time", "time timestamp ts datetime date eventtime createdat"},
    {kItem, kItems, "item", "itemId", "itemid id item productid sku movieid asin articleid"},
    {kTitle, kItems, "title", "title", "title name productname"},
    {kDescription, kItems, "description", "description", "description desc text"},
    {kCategories, kItems, "categories", "categories", "categories category genres tags"},
    {kPrice, kItems, "price", "price", "price unitprice"},
    {kAvailable, kItems, "available", "available", "available isavailable instock"},
    {kTime, kItems, "time", "created", "created createdat time timestamp date"},
    {kUser, kUsers, "user", "userId", "userid id user customerid visitorid memberid uid"},
    {kTime, kUsers, "time", "created", "created createdat time timestamp date"},
};

struct TypeWord {
  std::string_view word;
  EventType type;
};
// What shops call the same things.
constexpr TypeWord kTypeWords[] = {
    {"pv", EventType::kView},
    {"pageview", EventType::kView},
    {"detail", EventType::kView},
    {"impressionclick", EventType::kClick},
    {"fav", EventType::kFavourite},
    {"favorite", EventType::kFavourite},
    {"like", EventType::kFavourite},
    {"wishlist", EventType::kFavourite},
    {"addtocart", EventType::kCart},
    {"basket", EventType::kCart},
    {"buy", EventType::kPurchase},
    {"order", EventType::kPurchase},
    {"transaction", EventType::kPurchase},
    {"sale", EventType::kPurchase},
    {"rate", EventType::kRating},
    {"refund", EventType::kReturn},
};

// "Customer_ID" -> "customerid"
std::string Folded(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') {
      out += static_cast<char>(c + 32);
    } else if (c != '_' && c != '-' && c != ' ' && c != '.') {
      out += c;
    }
  }
  return out;
}

template <typename Use>
void ForEachWord(std::string_view words, Use&& use) {
  for (std::size_t place = 0; !words.empty(); ++place) {
    const std::size_t space = std::min(words.find(' '), words.size());
    use(words.substr(0, space), place);
    words.remove_prefix(std::min(space + 1, words.size()));
  }
}

std::string KnownNames(RecordKind kind) {
  std::string known = "kind, delimiter, encoding";
  for (const MappedFieldRow& row : kFields) {
    if (row.kind == kind) known += fmt::format(", {}", row.name);
  }
  return known;
}

Status ReadKind(std::string_view text, RecordKind& out) {
  if (text == "events") {
    out = kEvents;
  } else if (text == "items") {
    out = kItems;
  } else if (text == "users") {
    out = kUsers;
  } else {
    return InvalidArgument(
        fmt::format("mapping: kind: expected events, items or users, got \"{}\"", text));
  }
  return Status::Ok();
}

Status ReadDelimiter(std::string_view text, char& out) {
  constexpr std::pair<std::string_view, char> kNamed[] = {
      {"comma", ','}, {"semicolon", ';'}, {"tab", '\t'}, {"bar", '|'}, {"space", ' '}};
  for (const auto& [name, delimiter] : kNamed) {
    if (text == name) out = delimiter;
  }
  if (text.size() == 1 && text[0] != '"' && text[0] != '\n' && text[0] != '\r') out = text[0];
  if (out != 0) return Status::Ok();
  return InvalidArgument(fmt::format(
      "mapping: delimiter: expected comma, semicolon, tab, bar, space or one character, got \"{}\"",
      text));
}

Result<EventType> ReadType(const std::string& text) {
  const std::string folded = Folded(text);
  if (auto type = ParseEventType(folded); type.ok()) return type;
  for (const TypeWord& row : kTypeWords) {
    if (row.word == folded) return row.type;
  }
  return InvalidArgument("unknown event type");
}

// False where the text is no whole number from 1 on.
bool ReadQuantity(const std::string& text, std::uint32_t& out) {
  double value = 0;
  if (!ParseFinite(text, value) || value != std::floor(value) || value < 1 ||
      value > std::numeric_limits<std::uint32_t>::max()) {
    return false;
  }
  out = static_cast<std::uint32_t>(value);
  return true;
}

Status AddEvent(const MappedRow& row, std::string_view row_bytes, ImportRun& run) {
  Event event;
  event.user.value = row[kUser];
  event.session = row[kSession];
  event.item.value = row[kItem];
  event.idempotency_key = row[kKey];
  event.custom_type = row[kCustomType];
  if (event.item.value.empty()) return run.RejectRow("itemId", "missing");
  if (event.user.value.empty() && event.session.empty()) {
    return run.RejectRow("userId", "missing, and no session either");
  }
  if (row[kType].empty() && !row.value_is_rating) return run.RejectRow("type", "missing");
  const auto type =
      row[kType].empty() ? Result<EventType>(EventType::kRating) : ReadType(row[kType]);
  if (!type.ok()) return run.RejectRow("type", "unknown event type", row[kType]);
  event.type = *type;
  if (!row[kValue].empty() && !ParseFinite(row[kValue], event.value)) {
    return run.RejectRow("value", "expected a finite number", row[kValue]);
  }
  if (event.type == EventType::kRating && row[kValue].empty()) {
    return run.RejectRow("value", "missing: a rating needs one");
  }
  if (!row[kQuantity].empty() && !ReadQuantity(row[kQuantity], event.quantity)) {
    return run.RejectRow("quantity", "expected a whole number of at least 1", row[kQuantity]);
  }
  if (!row[kDecision].empty()) {
    const auto decision = ParseDecisionId(row[kDecision]);
    if (!decision.ok()) return run.RejectRow("decisionId", "not a decision id", row[kDecision]);
    event.decision = *decision;
  }
  if (row[kTime].empty()) return run.RejectRow("time", "missing");
  const auto time = ParseTimestamp(row[kTime]);
  if (!time.ok()) {
    return run.RejectRow("time", "expected RFC 3339 or unix seconds", row[kTime]);
  }
  event.time = *time;
  return run.Add(std::move(event), row_bytes);
}

bool ReadFlag(std::string text, bool& out) {
  text = Folded(text);
  const auto is_one_of = [&text](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), text) != words.end();
  };
  out = is_one_of({"true", "1", "yes", "y", "instock"});
  return out || is_one_of({"false", "0", "no", "n", "outofstock"});
}

Status AddItem(const MappedRow& row, ImportRun& run) {
  ItemRecord item;
  item.id.value = row[kItem];
  if (item.id.value.empty()) return run.RejectRow("itemId", "missing");
  item.title = row[kTitle];
  item.description = row[kDescription];
  item.categories = row.categories;
  if (!row[kCategories].empty()) {
    const char separator = row[kCategories].find('|') != std::string::npos ? '|' : ';';
    std::vector<std::string_view> words;
    Split(row[kCategories], std::string_view(&separator, 1), words);
    for (const std::string_view word : words) {
      if (!Trim(word).empty()) item.categories.emplace_back(Trim(word));
    }
  }
  if (!row[kPrice].empty() && !ParseFinite(row[kPrice], item.price)) {
    return run.RejectRow("price", "expected a finite number", row[kPrice]);
  }
  if (!row[kAvailable].empty() && !ReadFlag(row[kAvailable], item.is_available)) {
    return run.RejectRow("available", "expected true or false", row[kAvailable]);
  }
  if (!row[kTime].empty()) {
    const auto time = ParseTimestamp(row[kTime]);
    if (!time.ok()) {
      return run.RejectRow("created", "expected RFC 3339 or unix seconds", row[kTime]);
    }
    item.created = *time;
  }
  item.attributes = row.attributes;
  return run.Add(std::move(item));
}

Status AddUser(const MappedRow& row, ImportRun& run) {
  UserRecord user;
  user.id.value = row[kUser];
  if (user.id.value.empty()) return run.RejectRow("userId", "missing");
  if (!row[kTime].empty()) {
    const auto time = ParseTimestamp(row[kTime]);
    if (!time.ok()) return run.RejectRow("created", "expected RFC 3339 or unix seconds");
    user.created = *time;
  }
  user.attributes = row.attributes;
  return run.Add(std::move(user));
}

}  // namespace

std::span<const MappedFieldRow> MappedFields() { return kFields; }

std::string_view Mapping::Name(MappedField field, RecordKind kind) {
  for (const MappedFieldRow& row : kFields) {
    if (row.kind == kind && row.field == field) return row.name;
  }
  return {};
}

Result<Mapping> Mapping::Make(const ParameterTexts& texts) {
  Mapping mapping;
  for (const auto& [name, text] : texts) {
    if (name == "kind") POISE_RETURN_IF_ERROR(ReadKind(text, mapping.kind_));
  }
  for (const auto& [name, text] : texts) {
    if (name == "kind") continue;
    if (name == "delimiter") {
      POISE_RETURN_IF_ERROR(ReadDelimiter(text, mapping.delimiter_));
      continue;
    }
    if (name == "encoding") {
      if (text != "utf-8" && text != "latin-1") {
        return InvalidArgument(
            fmt::format("mapping: encoding: expected utf-8 or latin-1, got \"{}\"", text));
      }
      mapping.is_latin1_ = text == "latin-1";
      continue;
    }
    const MappedFieldRow* found = nullptr;
    for (const MappedFieldRow& row : kFields) {
      if (row.kind == mapping.kind_ && row.name == name) found = &row;
    }
    if (found == nullptr) {
      return InvalidArgument(
          fmt::format("mapping: unknown field \"{}\"; known: {}", name, KnownNames(mapping.kind_)));
    }
    if (text.empty() || text == "=") {
      return InvalidArgument(fmt::format("mapping: {}: names no column", name));
    }
    if (text.front() == '=') {
      mapping.constants_[found->field] = text.substr(1);
    } else if (!mapping.columns_.emplace(text, found->field).second) {
      return InvalidArgument(fmt::format("mapping: column \"{}\" is named twice", text));
    }
  }
  for (const MappedFieldRow& row : kFields) {
    if (row.kind != mapping.kind_ || mapping.constants_.contains(row.field)) continue;
    const bool is_named =
        std::any_of(mapping.columns_.begin(), mapping.columns_.end(),
                    [&row](const auto& column) { return column.second == row.field; });
    if (is_named) continue;
    ForEachWord(row.aliases, [&](std::string_view alias, std::size_t place) {
      mapping.aliases_.emplace(alias, std::pair(row.field, place + 1));
    });
  }
  if (const std::string* type = mapping.Constant(kType); type != nullptr) {
    if (!ReadType(*type).ok()) {
      return InvalidArgument(
          fmt::format("mapping: type: {}", ParseEventType(*type).status().message()));
    }
  }
  return mapping;
}

std::optional<MappedField> Mapping::FieldOf(std::string_view column, std::size_t& strength) const {
  if (const auto named = columns_.find(std::string(column)); named != columns_.end()) {
    strength = 0;
    return named->second;
  }
  const auto alias = aliases_.find(Folded(column));
  if (alias == aliases_.end()) return std::nullopt;
  strength = alias->second.second;
  return alias->second.first;
}

bool Mapping::NamesRating(std::string_view column) {
  const std::string folded = Folded(column);
  return folded == "rating" || folded == "stars";
}

const std::string* Mapping::Constant(MappedField field) const {
  const auto found = constants_.find(field);
  return found == constants_.end() ? nullptr : &found->second;
}

void MappedRow::Clear() {
  for (std::string& text : texts) text.clear();
  categories.clear();
  attributes.clear();
  value_is_rating = false;
}

Status AddMapped(const Mapping& mapping, const MappedRow& row, std::string_view row_bytes,
                 ImportRun& run) {
  switch (mapping.kind()) {
    case kEvents:
      return AddEvent(row, row_bytes, run);
    case kItems:
      return AddItem(row, run);
    case kUsers:
      return AddUser(row, run);
  }
  return Internal("mapping: no such kind");
}

}  // namespace poise
