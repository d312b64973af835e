// SPDX-License-Identifier: Apache-2.0
#include "apps/http_shop_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/reader.h"
#include "json/writer.h"

namespace poise {
namespace {

constexpr std::size_t kBatch = 500;

HttpClientOptions OptionsFor(std::string host, int port, const std::string& key) {
  HttpClientOptions options;
  options.host = std::move(host);
  options.port = port;
  if (!key.empty()) options.headers = {{"Authorization", "Bearer " + key}};
  return options;
}

// A mixed batch is an error too: the demo sends nothing that may be refused.
Status Check(std::string_view what, const HttpAnswer& answer) {
  if (answer.status >= 200 && answer.status < 300 && answer.status != 207) return Status::Ok();
  std::string detail;
  if (const auto problem = JsonDocument::Parse(answer.body); problem.ok()) {
    if (const auto text = problem->root()["detail"].GetString(); text.ok()) detail = *text;
  }
  return Unavailable(fmt::format("{}: the server answered {} {}", what, answer.status, detail));
}

void Write(const Event& event, JsonWriter& json) {
  json.BeginObject()
      .Field("userId", event.user.value)
      .Field("itemId", event.item.value)
      .Field("type", EventTypeName(event.type))
      .Field("time", FormatTimestamp(event.time));
  if (event.value != 0) json.Field("value", event.value);
  if (event.quantity != 1) json.Field("quantity", event.quantity);
  if (event.decision) json.Field("decisionId", FormatDecisionId(*event.decision));
  if (!event.idempotency_key.empty()) json.Field("idempotencyKey", event.idempotency_key);
  json.EndObject();
}

void Write(const ItemRecord& item, JsonWriter& json) {
  json.BeginObject()
      .Field("itemId", item.id.value)
      .Field("title", item.title)
      .Field("description", item.description)
      .Field("categories", item.categories)
      .Field("price", item.price);
  json.Key("attributes").BeginObject();
  for (const auto& [name, value] : item.attributes) {
    json.Key(name);
    std::visit([&json](const auto& v) { json.Value(v); }, value);
  }
  json.EndObject();
  if (item.created != Timestamp{}) json.Field("created", FormatTimestamp(item.created));
  json.EndObject();
}

// {"events":[...]} in pieces that a server takes.
template <typename Record>
Status PostAll(HttpClient& client, std::string_view target, std::string_view name,
               std::span<const Record> records) {
  while (!records.empty()) {
    const auto batch = records.first(std::min(records.size(), kBatch));
    JsonWriter json;
    json.BeginObject().Key(name).BeginArray();
    for (const Record& record : batch) Write(record, json);
    json.EndArray().EndObject();
    POISE_ASSIGN_OR_RETURN(const HttpAnswer answer, client.Post(target, json.text()));
    POISE_RETURN_IF_ERROR(Check(target, answer));
    records = records.subspan(batch.size());
  }
  return Status::Ok();
}

}  // namespace

HttpShopClient::HttpShopClient(std::string host, int port, const std::string& key)
    : client_(OptionsFor(std::move(host), port, key)) {}

Result<ShopSlate> HttpShopClient::Recommend(const std::string& user_id, int slots) {
  JsonWriter json;
  json.BeginObject().Field("userId", user_id).Field("slots", slots).EndObject();
  POISE_ASSIGN_OR_RETURN(const HttpAnswer answer,
                         client_.Post("/api/v1/recommendations", json.text()));
  POISE_RETURN_IF_ERROR(Check("recommendations", answer));
  POISE_ASSIGN_OR_RETURN(const JsonDocument document, JsonDocument::Parse(answer.body));
  ShopSlate slate;
  POISE_ASSIGN_OR_RETURN(slate.decision_id, document.root()["decisionId"].GetString());
  POISE_ASSIGN_OR_RETURN(const JsonArrayView items, document.root()["items"].GetArray());
  for (const JsonValue item : items) {
    ShopSlot slot;
    POISE_ASSIGN_OR_RETURN(slot.item_id, item["itemId"].GetString());
    POISE_ASSIGN_OR_RETURN(slot.explored, item["explored"].GetBool());
    slate.slots.push_back(std::move(slot));
  }
  return slate;
}

Status HttpShopClient::SendEvents(std::span<const Event> events) {
  return PostAll(client_, "/api/v1/events/batch", "events", events);
}

Status HttpShopClient::PutItem(const ItemRecord& item) {
  return PutItems(std::span<const ItemRecord>(&item, 1));
}

Status HttpShopClient::PutItems(std::span<const ItemRecord> items) {
  return PostAll(client_, "/api/v1/items/batch", "items", items);
}

}  // namespace poise
