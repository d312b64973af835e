// SPDX-License-Identifier: Apache-2.0
//
// The JSON of what the engine takes and gives; one function a schema (schema.h).
//
// Errors   kInvalidArgument naming the field.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "json/reader.h"
#include "json/writer.h"

namespace poise {

// `path_id` is the id that the path names; empty in a batch, where the body must.
Result<ItemRecord> ReadItem(JsonValue value, std::string_view path_id);
Result<UserRecord> ReadUser(JsonValue value, std::string_view path_id);
// Without a time it happened `now`.
Result<Event> ReadEvent(JsonValue value, Timestamp now);
Result<RecommendRequest> ReadRecommendRequest(JsonValue value);
Result<RerankRequest> ReadRerankRequest(JsonValue value);

void WriteItem(const ItemRecord& item, JsonWriter& json);
void WriteUser(const UserRecord& user, JsonWriter& json);
void WriteRecommendation(const RecommendResponse& response, JsonWriter& json);
void WriteScoredItems(const std::vector<ScoredItem>& items, JsonWriter& json);
void WriteDecision(const DecisionRecord& record, JsonWriter& json);
void WriteForgetReceipt(const ForgetReceipt& receipt, JsonWriter& json);
void WriteModels(const std::vector<ModelDescription>& models, JsonWriter& json);
void WriteState(const EngineState& state, JsonWriter& json);

}  // namespace poise
