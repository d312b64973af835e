// SPDX-License-Identifier: Apache-2.0
//
// jsonl: one JSON object a line, by a mapping of its fields; and Poise's own export.
#include <fmt/format.h>

#include "importers/files.h"
#include "importers/formats.h"
#include "importers/mapping.h"
#include "json/reader.h"

namespace poise {
namespace {

constexpr int kExportVersion = 1;

// A scalar as text; false for anything else. Null is empty.
bool ToText(JsonValue value, std::string& out) {
  switch (value.type()) {
    case JsonType::kNull:
      out.clear();
      return true;
    case JsonType::kString:
      out = *value.GetString();
      return true;
    case JsonType::kNumber:
    case JsonType::kBool:
      out = value.ToJson();
      return true;
    case JsonType::kArray:
    case JsonType::kObject:
      return false;
  }
  return false;
}

bool ToWords(JsonValue value, std::vector<std::string>& out) {
  const auto array = value.GetArray();
  if (!array.ok()) return false;
  for (const JsonValue element : *array) {
    std::string word;
    if (element.IsNull() || !ToText(element, word)) return false;
    out.push_back(std::move(word));
  }
  return true;
}

bool ToAttribute(JsonValue value, AttributeValue& out) {
  switch (value.type()) {
    case JsonType::kString:
      out = std::string(*value.GetString());
      return true;
    case JsonType::kNumber:
      if (const auto number = value.GetDouble(); number.ok()) out = *number;
      return true;
    case JsonType::kBool:
      out = *value.GetBool();
      return true;
    case JsonType::kArray: {
      std::vector<std::string> words;
      if (!ToWords(value, words)) return false;
      out = std::move(words);
      return true;
    }
    case JsonType::kNull:
    case JsonType::kObject:
      return false;
  }
  return false;
}

struct Problem {
  std::string field;
  std::string_view reason;
};

std::optional<Problem> ReadAttributes(JsonValue object, Attributes& out) {
  const auto fields = object.GetObject();
  if (!fields.ok()) return Problem{"attributes", "expected an object"};
  for (const auto [name, value] : *fields) {
    if (value.IsNull()) continue;
    if (!ToAttribute(value, out[std::string(name)])) {
      return Problem{"attributes." + std::string(name),
                     "expected a text, a number, true or false, or a list of texts"};
    }
  }
  return std::nullopt;
}

class JsonRow {
 public:
  explicit JsonRow(const Mapping& mapping) : mapping_(mapping) {}

  std::optional<Problem> Read(JsonValue object, MappedRow& row) {
    row.Clear();
    strengths_.fill(static_cast<std::size_t>(-1));
    const auto fields = object.GetObject();
    if (!fields.ok()) return Problem{"", "expected a JSON object"};
    for (const auto [name, value] : *fields) {
      if (auto problem = ReadField(name, value, row)) return problem;
    }
    for (const auto& [column, field] : mapping_.columns()) {
      if (column.find('.') == std::string::npos) continue;
      if (auto problem = ReadMapped(column, field, 0, At(object, column), row)) return problem;
    }
    for (std::size_t field = 0; field < kMappedFieldCount; ++field) {
      const std::string* constant = mapping_.Constant(static_cast<MappedField>(field));
      if (constant != nullptr) row.texts[field] = *constant;
    }
    return std::nullopt;
  }

 private:
  // "payload.sku"
  static JsonValue At(JsonValue object, std::string_view path) {
    while (true) {
      const std::size_t dot = path.find('.');
      if (dot == std::string_view::npos) return object[path];
      object = object[path.substr(0, dot)];
      path.remove_prefix(dot + 1);
    }
  }

  std::optional<Problem> ReadField(std::string_view name, JsonValue value, MappedRow& row) {
    const bool has_attributes = mapping_.kind() != RecordKind::kEvents;
    std::size_t strength = 0;
    const auto field = mapping_.FieldOf(name, strength);
    if (field) return ReadMapped(name, *field, strength, value, row);
    if (!has_attributes || value.IsNull()) return std::nullopt;
    if (name == "attributes") return ReadAttributes(value, row.attributes);
    if (!ToAttribute(value, row.attributes[std::string(name)])) {
      return Problem{std::string(name),
                     "expected a text, a number, true or false, or a list of texts"};
    }
    return std::nullopt;
  }

  std::optional<Problem> ReadMapped(std::string_view name, MappedField field, std::size_t strength,
                                    JsonValue value, MappedRow& row) {
    std::size_t& best = strengths_[static_cast<std::size_t>(field)];
    if (value.IsNull() || strength > best) return std::nullopt;
    if (strength == best) return Problem{std::string(name), "given twice"};
    best = strength;
    if (field == MappedField::kCategories && value.type() == JsonType::kArray) {
      row.categories.clear();
      if (ToWords(value, row.categories)) return std::nullopt;
      return Problem{std::string(name), "expected a text or a list of texts"};
    }
    if (!ToText(value, row[field])) {
      return Problem{std::string(name), value.type() == JsonType::kArray
                                            ? "expected a text or a number, got a list"
                                            : "expected a text or a number, got an object"};
    }
    if (field == MappedField::kValue) row.value_is_rating = Mapping::NamesRating(name);
    return std::nullopt;
  }

  const Mapping& mapping_;
  std::array<std::size_t, kMappedFieldCount> strengths_{};
};

Status RejectStatus(const Status& status, ImportRun& run) {
  const std::string_view message = status.message();
  const std::size_t colon = message.find(": ");
  if (colon == std::string_view::npos) return run.RejectRow("", message);
  return run.RejectRow(message.substr(0, colon), message.substr(colon + 2));
}

Status ReadTime(ObjectReader& reader, std::string_view name, Timestamp& out) {
  std::string text;
  reader.Optional(name, text);
  if (text.empty()) return Status::Ok();
  const auto time = ParseTimestamp(text);
  if (!time.ok()) return InvalidArgument(std::string(name) + ": expected RFC 3339");
  out = *time;
  return Status::Ok();
}

Status TakeAttributes(ObjectReader& reader, Attributes& out) {
  const JsonValue value = reader.Take("attributes");
  if (value.IsNull()) return Status::Ok();
  if (auto problem = ReadAttributes(value, out)) {
    return InvalidArgument(fmt::format("{}: {}", problem->field, problem->reason));
  }
  return Status::Ok();
}

Result<ItemRecord> ExportedItem(ObjectReader& reader) {
  ItemRecord item;
  reader.Required("itemId", item.id.value)
      .Optional("title", item.title)
      .Optional("description", item.description)
      .Optional("categories", item.categories)
      .Optional("price", item.price)
      .Optional("available", item.is_available);
  reader.Keep(TakeAttributes(reader, item.attributes));
  reader.Keep(ReadTime(reader, "created", item.created));
  POISE_RETURN_IF_ERROR(reader.Finish());
  return item;
}

Result<UserRecord> ExportedUser(ObjectReader& reader) {
  UserRecord user;
  reader.Required("userId", user.id.value);
  reader.Keep(TakeAttributes(reader, user.attributes));
  reader.Keep(ReadTime(reader, "created", user.created));
  POISE_RETURN_IF_ERROR(reader.Finish());
  return user;
}

Result<Event> ExportedEvent(ObjectReader& reader) {
  Event event;
  std::string type;
  std::string decision;
  reader.Optional("userId", event.user.value)
      .Optional("sessionId", event.session)
      .Required("itemId", event.item.value)
      .Required("type", type)
      .Optional("customType", event.custom_type)
      .Optional("value", event.value)
      .Optional("quantity", event.quantity)
      .Optional("idempotencyKey", event.idempotency_key)
      .Optional("decisionId", decision);
  reader.Keep(ReadTime(reader, "time", event.time));
  POISE_RETURN_IF_ERROR(reader.Finish());
  const auto parsed = ParseEventType(type);
  if (!parsed.ok()) return InvalidArgument("type: unknown event type");
  event.type = *parsed;
  if (event.time == Timestamp{}) return InvalidArgument("time: missing");
  if (!decision.empty()) {
    const auto id = ParseDecisionId(decision);
    if (!id.ok()) return InvalidArgument("decisionId: not a decision id");
    event.decision = *id;
  }
  return event;
}

Status AddExported(JsonValue object, std::string_view line, ImportRun& run) {
  if (object.type() != JsonType::kObject) return run.RejectRow("", "expected a JSON object");
  ObjectReader reader(object);
  std::string kind;
  reader.Required("kind", kind);
  if (kind == "item") {
    auto item = ExportedItem(reader);
    return item.ok() ? run.Add(*std::move(item)) : RejectStatus(item.status(), run);
  }
  if (kind == "user") {
    auto user = ExportedUser(reader);
    return user.ok() ? run.Add(*std::move(user)) : RejectStatus(user.status(), run);
  }
  if (kind == "event") {
    auto event = ExportedEvent(reader);
    return event.ok() ? run.Add(*std::move(event), line) : RejectStatus(event.status(), run);
  }
  if (kind == "poise-export") {
    int version = 0;
    std::string created;
    reader.Required("version", version).Optional("created", created);
    if (const Status status = reader.Finish(); !status.ok()) return RejectStatus(status, run);
    if (version > kExportVersion) {
      return InvalidArgument(fmt::format("the export is of version {}; this Poise reads up to {}",
                                         version, kExportVersion));
    }
    return Status::Ok();
  }
  return run.RejectRow("kind", "expected item, user or event", kind);
}

}  // namespace

Status ReadJsonLines(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const Mapping mapping, Mapping::Make(run.options().mapping));
  POISE_RETURN_IF_ERROR(run.Expect({path}));
  JsonParser parser;
  JsonRow reader(mapping);
  MappedRow row;
  std::string converted;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    if (mapping.is_latin1()) {
      converted = Latin1OrUtf8(line);
      line = converted;
    }
    const auto object = parser.Parse(line);
    if (!object.ok()) return run.RejectRow("", object.status().message());
    if (const auto problem = reader.Read(*object, row)) {
      return run.RejectRow(problem->field, problem->reason);
    }
    return AddMapped(mapping, row, line, run);
  });
}

Status ReadPoiseExport(const std::string& path, ImportRun& run) {
  POISE_RETURN_IF_ERROR(run.Expect({path}));
  JsonParser parser;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    const auto object = parser.Parse(line);
    if (!object.ok()) return run.RejectRow("", object.status().message());
    return AddExported(*object, line, run);
  });
}

}  // namespace poise
