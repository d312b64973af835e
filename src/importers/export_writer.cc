// SPDX-License-Identifier: Apache-2.0
#include "importers/export_writer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "json/writer.h"

namespace poise {
namespace {

void WriteAttributes(const Attributes& attributes, JsonWriter& json) {
  if (attributes.empty()) return;
  json.Key("attributes").BeginObject();
  for (const auto& [name, value] : attributes) {
    json.Key(name);
    std::visit([&json](const auto& v) { json.Value(v); }, value);
  }
  json.EndObject();
}

void WriteTime(std::string_view name, Timestamp time, JsonWriter& json) {
  if (time != Timestamp{}) json.Field(name, FormatTimestamp(time));
}

void WriteText(std::string_view name, const std::string& text, JsonWriter& json) {
  if (!text.empty()) json.Field(name, text);
}

}  // namespace

Result<std::unique_ptr<ExportWriter>> ExportWriter::Create(std::string path, const Clock& clock) {
  std::FILE* const file = std::fopen((path + ".part").c_str(), "wbe");
  if (file == nullptr) {
    return InvalidArgument(fmt::format("{}: cannot be written: {}", path, std::strerror(errno)));
  }
  std::unique_ptr<ExportWriter> writer(new ExportWriter(std::move(path), file));
  JsonWriter json;
  json.BeginObject()
      .Field("kind", "poise-export")
      .Field("version", 1)
      .Field("created", FormatTimestamp(clock.Now()))
      .EndObject();
  POISE_RETURN_IF_ERROR(writer->Put(json.Take()));
  return writer;
}

ExportWriter::~ExportWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  unlink(PartPath().c_str());
}

Status ExportWriter::Full() const {
  return ResourceExhausted(fmt::format("{}: cannot be written: {}", path_, std::strerror(errno)));
}

Status ExportWriter::Put(std::string line) {
  line += '\n';
  return std::fwrite(line.data(), 1, line.size(), file_) == line.size() ? Status::Ok() : Full();
}

Status ExportWriter::Write(const ItemRecord& item) {
  JsonWriter json;
  json.BeginObject().Field("kind", "item").Field("itemId", item.id.value);
  WriteText("title", item.title, json);
  WriteText("description", item.description, json);
  if (!item.categories.empty()) json.Field("categories", item.categories);
  if (item.price != 0) json.Field("price", item.price);
  if (!item.is_available) json.Field("available", false);
  WriteAttributes(item.attributes, json);
  WriteTime("created", item.created, json);
  return Put(json.EndObject().Take());
}

Status ExportWriter::Write(const UserRecord& user) {
  JsonWriter json;
  json.BeginObject().Field("kind", "user").Field("userId", user.id.value);
  WriteAttributes(user.attributes, json);
  WriteTime("created", user.created, json);
  return Put(json.EndObject().Take());
}

Status ExportWriter::Write(const Event& event) {
  JsonWriter json;
  json.BeginObject().Field("kind", "event");
  WriteText("userId", event.user.value, json);
  WriteText("sessionId", event.session, json);
  json.Field("itemId", event.item.value).Field("type", EventTypeName(event.type));
  WriteText("customType", event.custom_type, json);
  if (event.value != 0) json.Field("value", event.value);
  if (event.quantity != 1) json.Field("quantity", event.quantity);
  WriteText("idempotencyKey", event.idempotency_key, json);
  if (event.decision) json.Field("decisionId", FormatDecisionId(*event.decision));
  json.Field("time", FormatTimestamp(event.time));
  return Put(json.EndObject().Take());
}

Status ExportWriter::Finish() {
  std::FILE* const file = file_;
  file_ = nullptr;
  const bool is_written = std::fflush(file) == 0 && fsync(fileno(file)) == 0;
  const Status full = is_written ? Status::Ok() : Full();
  const bool is_closed = std::fclose(file) == 0;
  if (is_written && is_closed && std::rename(PartPath().c_str(), path_.c_str()) == 0) {
    return Status::Ok();
  }
  const Status status = full.ok() ? Full() : full;
  unlink(PartPath().c_str());
  return status;
}

}  // namespace poise
