// SPDX-License-Identifier: Apache-2.0
#include "http/api/codec.h"

#include <fmt/format.h>

#include "http/api/problem.h"

namespace poise {

namespace {

// Texts as FormatTimestamp writes them, or unix time as a number; told apart by magnitude.
Status ReadTime(JsonValue value, Timestamp& out) {
  if (value.IsNull()) return Status::Ok();
  std::string text;
  if (value.type() == JsonType::kNumber) {
    POISE_ASSIGN_OR_RETURN(const std::int64_t number, value.GetInt64());
    text = std::to_string(number);
  } else {
    POISE_ASSIGN_OR_RETURN(text, value.GetString());
  }
  const auto time = ParseTimestamp(text);
  if (!time.ok()) return value.Error(SplitField(time.status().message()).detail);
  out = *time;
  return Status::Ok();
}

Status ReadAttribute(JsonValue value, AttributeValue& out) {
  switch (value.type()) {
    case JsonType::kString:
      out = std::string(*value.GetString());
      return Status::Ok();
    case JsonType::kNumber:
      out = *value.GetDouble();
      return Status::Ok();
    case JsonType::kBool:
      out = *value.GetBool();
      return Status::Ok();
    case JsonType::kArray: {
      std::vector<std::string> words;
      for (const JsonValue element : *value.GetArray()) {
        POISE_ASSIGN_OR_RETURN(const std::string_view word, element.GetString());
        words.emplace_back(word);
      }
      out = std::move(words);
      return Status::Ok();
    }
    case JsonType::kNull:
    case JsonType::kObject:
      break;
  }
  return value.Error("expected a string, a number, true or false, or an array of strings, got " +
                     std::string(JsonTypeName(value.type())));
}

Status ReadAttributes(JsonValue value, Attributes& out) {
  if (value.IsNull()) return Status::Ok();
  POISE_ASSIGN_OR_RETURN(const JsonObjectView fields, value.GetObject());
  for (const JsonField field : fields) {
    if (field.value.IsNull()) continue;
    const auto [place, is_new] = out.try_emplace(std::string(field.name));
    if (!is_new) return field.value.Error("is given twice");
    POISE_RETURN_IF_ERROR(ReadAttribute(field.value, place->second));
  }
  return Status::Ok();
}

Status ReadIds(JsonValue value, std::vector<ItemId>& out) {
  if (value.IsNull()) return Status::Ok();
  POISE_ASSIGN_OR_RETURN(const JsonArrayView array, value.GetArray());
  for (const JsonValue element : array) {
    POISE_ASSIGN_OR_RETURN(const std::string_view text, element.GetString());
    if (const Status status = ValidateId(text, "id"); !status.ok()) {
      return element.Error(SplitField(status.message()).detail);
    }
    out.push_back({std::string(text)});
  }
  return Status::Ok();
}

// The id of a record: from the path, from the body, or from both if they agree.
void TakeId(ObjectReader& reader, std::string_view name, std::string_view path_id,
            std::string& out) {
  if (path_id.empty()) {
    reader.Required(name, out);
    return;
  }
  out = path_id;
  reader.Optional(name, out);
  if (out != path_id) {
    reader.Keep(InvalidArgument(fmt::format("{}: is not the one in the path", name)));
  }
}

template <typename T>
void TakeOptional(ObjectReader& reader, std::string_view name, std::optional<T>& out) {
  if (const JsonValue value = reader.Take(name); !value.IsNull()) {
    const auto read = value.GetBool();
    if (read.ok()) {
      out = *read;
    } else {
      reader.Keep(read.status());
    }
  }
}

void WriteAttribute(const AttributeValue& value, JsonWriter& json) {
  std::visit([&](const auto& v) { json.Value(v); }, value);
}

void WriteAttributes(const Attributes& attributes, JsonWriter& json) {
  json.Key("attributes").BeginObject();
  for (const auto& [name, value] : attributes) {
    json.Key(name);
    WriteAttribute(value, json);
  }
  json.EndObject();
}

void WriteDegraded(const std::vector<Degradation>& degraded, JsonWriter& json) {
  json.Key("degraded").BeginArray();
  for (const Degradation& one : degraded) {
    json.BeginObject().Field("stage", one.stage).Field("reason", one.reason).EndObject();
  }
  json.EndArray();
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

}  // namespace

Result<ItemRecord> ReadItem(JsonValue value, std::string_view path_id) {
  ItemRecord item;
  ObjectReader reader(value);
  TakeId(reader, "itemId", path_id, item.id.value);
  reader.Optional("title", item.title)
      .Optional("description", item.description)
      .Optional("categories", item.categories)
      .Optional("price", item.price);
  reader.Keep(ReadAttributes(reader.Take("attributes"), item.attributes));
  reader.Optional("available", item.is_available);
  reader.Keep(ReadTime(reader.Take("created"), item.created));
  POISE_RETURN_IF_ERROR(reader.Finish());
  POISE_RETURN_IF_ERROR(ValidateItem(item));
  return item;
}

Result<UserRecord> ReadUser(JsonValue value, std::string_view path_id) {
  UserRecord user;
  ObjectReader reader(value);
  TakeId(reader, "userId", path_id, user.id.value);
  reader.Keep(ReadAttributes(reader.Take("attributes"), user.attributes));
  reader.Keep(ReadTime(reader.Take("created"), user.created));
  POISE_RETURN_IF_ERROR(reader.Finish());
  POISE_RETURN_IF_ERROR(ValidateUser(user));
  return user;
}

Result<Event> ReadEvent(JsonValue value, Timestamp now) {
  Event event;
  event.time = now;
  std::string_view type;
  std::string_view decision;
  ObjectReader reader(value);
  reader.Optional("userId", event.user.value)
      .Optional("sessionId", event.session)
      .Required("itemId", event.item.value)
      .Required("type", type)
      .Optional("customType", event.custom_type)
      .Optional("value", event.value)
      .Optional("quantity", event.quantity)
      .Optional("idempotencyKey", event.idempotency_key)
      .Optional("decisionId", decision);
  reader.Keep(ReadTime(reader.Take("time"), event.time));
  POISE_RETURN_IF_ERROR(reader.Finish());
  POISE_ASSIGN_OR_RETURN(event.type, ParseEventType(type));
  if (!decision.empty()) {
    POISE_ASSIGN_OR_RETURN(event.decision, ParseDecisionId(decision));
  }
  POISE_RETURN_IF_ERROR(ValidateEvent(event, now));
  return event;
}

Result<RecommendRequest> ReadRecommendRequest(JsonValue value) {
  RecommendRequest request;
  int deadline_ms = 0;
  ObjectReader reader(value);
  reader.Optional("userId", request.user.value).Optional("sessionId", request.session);
  reader.Keep(ReadIds(reader.Take("history"), request.history));
  reader.Optional("placement", request.placement)
      .OptionalIn("slots", 1, kMaxSlots, request.slots)
      .Optional("categories", request.categories);
  reader.Keep(ReadIds(reader.Take("exclude"), request.exclude));
  TakeOptional(reader, "excludeSeen", request.exclude_seen);
  TakeOptional(reader, "excludeBought", request.exclude_bought);
  reader.OptionalIn("deadlineMs", 1, 60'000, deadline_ms);
  POISE_RETURN_IF_ERROR(reader.Finish());
  if (deadline_ms > 0) request.deadline = std::chrono::milliseconds(deadline_ms);
  return request;
}

Result<RerankRequest> ReadRerankRequest(JsonValue value) {
  RerankRequest request;
  ObjectReader reader(value);
  reader.Optional("userId", request.user.value).Optional("sessionId", request.session);
  const JsonValue items = reader.Take("items");
  reader.Keep(ReadIds(items, request.items));
  reader.Optional("placement", request.placement).OptionalIn("slots", 1, kMaxSlots, request.slots);
  POISE_RETURN_IF_ERROR(reader.Finish());
  if (items.IsNull()) return InvalidArgument("items: is required");
  if (request.items.empty() || request.items.size() > kMaxRerankItems) {
    return InvalidArgument(
        fmt::format("items: must hold 1 to {} ids, got {}", kMaxRerankItems, request.items.size()));
  }
  return request;
}

void WriteItem(const ItemRecord& item, JsonWriter& json) {
  json.BeginObject()
      .Field("itemId", item.id.value)
      .Field("title", item.title)
      .Field("description", item.description)
      .Field("categories", item.categories)
      .Field("price", item.price);
  WriteAttributes(item.attributes, json);
  json.Field("available", item.is_available)
      .Field("created", FormatTimestamp(item.created))
      .EndObject();
}

void WriteUser(const UserRecord& user, JsonWriter& json) {
  json.BeginObject().Field("userId", user.id.value);
  WriteAttributes(user.attributes, json);
  json.Field("created", FormatTimestamp(user.created)).EndObject();
}

void WriteRecommendation(const RecommendResponse& response, JsonWriter& json) {
  json.BeginObject()
      .Field("decisionId", FormatDecisionId(response.decision))
      .Field("placement", response.placement)
      .Field("policy", response.policy)
      .Field("policyVersion", response.policy_version)
      .Field("modelVersion", response.model_version)
      .Field("eligibleCount", response.eligible_count)
      .Key("items")
      .BeginArray();
  for (const RecommendedItem& item : response.items) {
    json.BeginObject().Field("itemId", item.item.value);
    if (!item.title.empty()) json.Field("title", item.title);
    json.Field("slot", item.slot)
        .Field("score", item.score)
        .Field("propensity", item.propensity)
        .Field("explored", item.explored)
        .Field("reason", item.reason)
        .Field("reasonCode", item.reason_code)
        .Field("sources", item.sources)
        .EndObject();
  }
  json.EndArray();
  WriteDegraded(response.degraded, json);
  json.EndObject();
}

void WriteScoredItems(const std::vector<ScoredItem>& items, JsonWriter& json) {
  json.BeginObject().Key("items").BeginArray();
  for (const ScoredItem& item : items) {
    json.BeginObject().Field("itemId", item.item.value);
    if (!item.title.empty()) json.Field("title", item.title);
    json.Field("score", item.score).EndObject();
  }
  json.EndArray().EndObject();
}

void WriteDecision(const DecisionRecord& record, JsonWriter& json) {
  const Decision& decision = record.decision;
  json.BeginObject()
      .Field("decisionId", FormatDecisionId(decision.id))
      .Field("userPseudonym", Hex(decision.user.view()))
      .Field("placement", decision.placement)
      .Field("time", FormatTimestamp(decision.time))
      .Field("policy", decision.policy)
      .Field("policyParameters", decision.policy_parameters)
      .Field("modelVersion", decision.model_version)
      .Field("seed", std::to_string(decision.seed))
      .Field("eligibleCount", decision.eligible_count)
      .Field("eligibleHash", fmt::format("{:016x}", decision.eligible_hash))
      .Field("filters", decision.filters)
      .Key("slots")
      .BeginArray();
  for (std::size_t slot = 0; slot < decision.slate.size(); ++slot) {
    const Choice& choice = decision.slate[slot];
    json.BeginObject().Field("slot", slot);
    json.Field("itemId", slot < record.items.size() ? record.items[slot].value : std::string());
    json.Field("score", choice.score)
        .Field("propensity", choice.propensity)
        .Field("explored", choice.explored);
    if (slot < record.exploit_items.size() && !record.exploit_items[slot].value.empty()) {
      json.Field("exploitItemId", record.exploit_items[slot].value);
    }
    json.Field("expectedReward", choice.belief.mean)
        .Field("rewardDeviation", choice.belief.sd)
        .Key("sources")
        .BeginArray();
    for (std::size_t source = 0; source < kSourceCount; ++source) {
      if ((choice.sources >> source) & 1) json.Value(SourceName(static_cast<Source>(source)));
    }
    json.EndArray().EndObject();
  }
  json.EndArray();
  WriteDegraded(decision.degraded, json);
  json.EndObject();
}

void WriteForgetReceipt(const ForgetReceipt& receipt, JsonWriter& json) {
  json.BeginObject()
      .Field("userPseudonym", receipt.user_pseudonym)
      .Field("forgotten", FormatTimestamp(receipt.forgotten))
      .Field("wasKnown", receipt.was_known)
      .Field("modelErasure", receipt.model_erasure)
      .EndObject();
}

void WriteModels(const std::vector<ModelDescription>& models, JsonWriter& json) {
  json.BeginObject().Key("models").BeginArray();
  for (const ModelDescription& model : models) {
    json.BeginObject()
        .Field("name", model.name)
        .Field("version", model.version)
        .Field("trained", FormatTimestamp(model.trained))
        .Field("trainSeconds", model.train_seconds)
        .Field("interactionCount", model.interaction_count)
        .Field("serving", model.is_serving)
        .EndObject();
  }
  json.EndArray().EndObject();
}

void WriteState(const EngineState& state, JsonWriter& json) {
  json.BeginObject().Field("ready", state.is_ready);
  if (!state.is_ready) json.Field("notReadyBecause", state.not_ready_because);
  json.Field("itemCount", state.item_count)
      .Field("userCount", state.user_count)
      .Field("eventCount", state.event_count)
      .Field("decisionCount", state.decision_count)
      .Field("modelVersion", state.model_version);
  if (state.model_version > 0) json.Field("modelTrained", FormatTimestamp(state.model_trained));
  json.Field("training", state.is_training).Field("recovery", state.recovery).EndObject();
}

}  // namespace poise
