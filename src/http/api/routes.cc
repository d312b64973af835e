// SPDX-License-Identifier: Apache-2.0
//
// What each route does: parse, call the engine, print.
#include <fmt/format.h>

#include <memory>

#include "http/api/api.h"
#include "http/api/codec.h"
#include "http/api/problem.h"
#include "http/api/query.h"
#include "json/reader.h"
#include "json/writer.h"

namespace poise {

namespace {

// A parser keeps its memory; after a body larger than this it is made anew.
constexpr std::size_t kKeptParserBytes = 1 << 20;

// Valid until the next body on this thread.
Result<JsonValue> ParseBody(const ApiCall& call) {
  thread_local std::unique_ptr<JsonParser> parser;
  thread_local std::size_t largest = 0;
  if (parser == nullptr || largest > kKeptParserBytes) {
    parser = std::make_unique<JsonParser>();
    largest = 0;
  }
  largest = std::max(largest, call.request.body.size());
  if (call.request.body.empty()) return InvalidArgument("body: a JSON object is needed");
  auto value = parser->Parse(call.request.body);
  if (!value.ok()) {
    return Status(value.status().code(), fmt::format("body: {}", value.status().message()));
  }
  return value;
}

HttpResponse JsonResponse(int status, std::string body) {
  return {
      .status = status, .content_type = "application/json", .body = std::move(body), .headers = {}};
}

template <typename Write>
HttpResponse Respond(Write&& write, int status = 200) {
  JsonWriter json;
  write(json);
  return JsonResponse(status, json.Take());
}

HttpResponse NoContent() { return {.status = 204, .content_type = {}, .body = {}, .headers = {}}; }

// ---- batches

struct ElementOutcome {
  Status status;
  bool is_duplicate = false;
};

int StatusOfBatch(const std::vector<ElementOutcome>& outcomes) {
  std::size_t rejected = 0;
  for (const ElementOutcome& outcome : outcomes) rejected += outcome.status.ok() ? 0 : 1;
  if (rejected == 0) return 200;
  if (rejected < outcomes.size()) return 207;
  // All refused for one reason that is ours, a full disk or queue: the caller should send it again.
  const int first = HttpStatusOf(outcomes.front().status);
  for (const ElementOutcome& outcome : outcomes) {
    if (HttpStatusOf(outcome.status) != first) return 400;
  }
  return first >= 500 ? first : 400;
}

HttpResponse BatchResponse(const std::vector<ElementOutcome>& outcomes) {
  std::size_t accepted = 0;
  std::size_t duplicates = 0;
  for (const ElementOutcome& outcome : outcomes) {
    if (!outcome.status.ok()) continue;
    ++(outcome.is_duplicate ? duplicates : accepted);
  }
  std::string memory;
  memory.reserve(100 + 50 * outcomes.size());
  JsonWriter json(std::move(memory));
  json.BeginObject()
      .Field("accepted", accepted)
      .Field("duplicates", duplicates)
      .Field("rejected", outcomes.size() - accepted - duplicates)
      .Key("results")
      .BeginArray();
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const ElementOutcome& outcome = outcomes[i];
    json.BeginObject().Field("index", i);
    if (outcome.status.ok()) {
      json.Field("status", 200).Field("code", outcome.is_duplicate ? "duplicate" : "accepted");
    } else {
      const auto [field, detail] = SplitField(outcome.status.message());
      json.Field("status", HttpStatusOf(outcome.status))
          .Field("code", StatusCodeName(outcome.status.code()))
          .Field("detail", detail);
      if (!field.empty()) json.Field("field", field);
    }
    json.EndObject();
  }
  json.EndArray().EndObject();
  HttpResponse response = JsonResponse(StatusOfBatch(outcomes), json.Take());
  if (response.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

// The elements of {"<name>": [...]}.
Result<JsonArrayView> ReadBatch(const ApiContext& context, const ApiCall& call,
                                std::string_view name) {
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  JsonValue elements;
  ObjectReader reader(body);
  reader.Required(name, elements);
  POISE_RETURN_IF_ERROR(reader.Finish());
  POISE_ASSIGN_OR_RETURN(const JsonArrayView array, elements.GetArray());
  const std::size_t size = array.size();
  if (size == 0) return InvalidArgument(fmt::format("{}: must not be empty", name));
  if (size > context.options.max_batch) {
    return ResourceExhausted(fmt::format("batch too large: {} {}, the limit is {}; split it", size,
                                         name, context.options.max_batch));
  }
  return array;
}

// Reads every element, hands the good ones to the engine, and tells what became of each.
template <typename Record, typename Read, typename Upsert>
Result<HttpResponse> UpsertBatch(const ApiContext& context, const ApiCall& call,
                                 std::string_view name, Read&& read, Upsert&& upsert) {
  POISE_ASSIGN_OR_RETURN(const JsonArrayView array, ReadBatch(context, call, name));
  std::vector<ElementOutcome> outcomes;
  std::vector<Record> records;
  std::vector<std::size_t> places;
  for (const JsonValue element : array) {
    Result<Record> record = read(element.AsRoot());
    if (record.ok()) {
      records.push_back(std::move(*record));
      places.push_back(outcomes.size());
    }
    outcomes.push_back({.status = record.status()});
  }
  if (!records.empty()) {
    std::vector<Status> statuses = upsert(records);
    POISE_CHECK(statuses.size() == records.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      outcomes[places[i]].status = std::move(statuses[i]);
    }
  }
  return BatchResponse(outcomes);
}

// ---- pages

std::string HexCursor(std::string_view cursor) {
  std::string out;
  for (const char c : cursor) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

Result<std::string> CursorOf(std::string_view hex) {
  // Written by HexCursor, so an escape of each two digits reads it.
  std::string escaped;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    escaped += '%';
    escaped += hex.substr(i, 2);
  }
  auto cursor = PercentDecode(escaped, "cursor");
  if (!cursor.ok()) return InvalidArgument("cursor: is not one that a page gave");
  return cursor;
}

template <typename List, typename Write>
Result<HttpResponse> ListPage(const ApiCall& call, std::string_view name, List&& list,
                              Write&& write) {
  int limit = 100;
  std::string cursor_text;
  QueryReader query(call.request.query());
  query.OptionalIn("limit", 1, 1000, limit).Optional("cursor", cursor_text);
  POISE_RETURN_IF_ERROR(query.Finish());
  POISE_ASSIGN_OR_RETURN(const std::string cursor, CursorOf(cursor_text));
  POISE_ASSIGN_OR_RETURN(const auto page, list(cursor, limit));
  return Respond([&](JsonWriter& json) {
    json.BeginObject().Key(name).BeginArray();
    for (const auto& row : page.rows) write(row, json);
    json.EndArray();
    if (!page.next_cursor.empty()) json.Field("nextCursor", HexCursor(page.next_cursor));
    json.EndObject();
  });
}

// ---- items

Result<HttpResponse> PutItem(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  POISE_ASSIGN_OR_RETURN(const ItemRecord item, ReadItem(body, call.parameter));
  POISE_RETURN_IF_ERROR(context.engine.UpsertItems({&item, 1}).at(0));
  return NoContent();
}

Result<HttpResponse> GetItem(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(QueryReader(call.request.query()).Finish());
  POISE_ASSIGN_OR_RETURN(const ItemRecord item, context.engine.GetItem({call.parameter}));
  return Respond([&](JsonWriter& json) { WriteItem(item, json); });
}

Result<HttpResponse> DeleteItem(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(context.engine.DeleteItem({call.parameter}));
  return NoContent();
}

Result<HttpResponse> PostItems(ApiContext& context, const ApiCall& call) {
  return UpsertBatch<ItemRecord>(
      context, call, "items", [](JsonValue value) { return ReadItem(value, {}); },
      [&](const std::vector<ItemRecord>& items) { return context.engine.UpsertItems(items); });
}

Result<HttpResponse> ListItems(ApiContext& context, const ApiCall& call) {
  return ListPage(
      call, "items",
      [&](const std::string& cursor, int limit) { return context.engine.ListItems(cursor, limit); },
      WriteItem);
}

// ---- users

Result<HttpResponse> PutUser(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  POISE_ASSIGN_OR_RETURN(const UserRecord user, ReadUser(body, call.parameter));
  POISE_RETURN_IF_ERROR(context.engine.UpsertUsers({&user, 1}).at(0));
  return NoContent();
}

Result<HttpResponse> GetUser(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(QueryReader(call.request.query()).Finish());
  POISE_ASSIGN_OR_RETURN(const UserRecord user, context.engine.GetUser({call.parameter}));
  return Respond([&](JsonWriter& json) { WriteUser(user, json); });
}

Result<HttpResponse> DeleteUser(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(context.engine.DeleteUser({call.parameter}));
  return NoContent();
}

Result<HttpResponse> PostUsers(ApiContext& context, const ApiCall& call) {
  return UpsertBatch<UserRecord>(
      context, call, "users", [](JsonValue value) { return ReadUser(value, {}); },
      [&](const std::vector<UserRecord>& users) { return context.engine.UpsertUsers(users); });
}

Result<HttpResponse> ListUsers(ApiContext& context, const ApiCall& call) {
  return ListPage(
      call, "users",
      [&](const std::string& cursor, int limit) { return context.engine.ListUsers(cursor, limit); },
      WriteUser);
}

Result<HttpResponse> ForgetUser(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const ForgetReceipt receipt, context.engine.Forget({call.parameter}));
  return Respond([&](JsonWriter& json) { WriteForgetReceipt(receipt, json); });
}

// ---- events

void PostEvent(ApiContext& context, ApiCall call) {
  Result<Event> event = [&]() -> Result<Event> {
    POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
    return ReadEvent(body, context.clock.Now());
  }();
  if (!event.ok()) return call.Finish(ProblemOf(event.status()));
  std::vector<Event> events;
  events.push_back(std::move(*event));
  const auto shared = std::make_shared<ApiCall>(std::move(call));
  context.engine.RecordEvents(std::move(events), [shared](std::vector<EventResult> results) {
    const EventResult& result = results.at(0);
    if (result.outcome == EventResult::Outcome::kRejected) {
      return shared->Finish(ProblemOf(result.status));
    }
    shared->Finish(JsonResponse(200, result.outcome == EventResult::Outcome::kDuplicate
                                         ? R"({"status":"duplicate"})"
                                         : R"({"status":"accepted"})"));
  });
}

void PostEvents(ApiContext& context, ApiCall call) {
  const auto array = ReadBatch(context, call, "events");
  if (!array.ok()) return call.Finish(ProblemOf(array.status()));
  struct Batch {
    ApiCall call;
    std::vector<ElementOutcome> outcomes;
    std::vector<std::size_t> places;  // of the events that the engine was given
  };
  const Timestamp now = context.clock.Now();
  const std::size_t size = array->size();
  std::vector<ElementOutcome> outcomes;
  std::vector<std::size_t> places;
  std::vector<Event> events;
  outcomes.reserve(size);
  places.reserve(size);
  events.reserve(size);
  for (const JsonValue element : *array) {
    Result<Event> event = ReadEvent(element.AsRoot(), now);
    if (event.ok()) {
      events.push_back(std::move(*event));
      places.push_back(outcomes.size());
    }
    outcomes.push_back({.status = event.status()});
  }
  if (events.empty()) return call.Finish(BatchResponse(outcomes));
  const auto batch =
      std::make_shared<Batch>(Batch{std::move(call), std::move(outcomes), std::move(places)});
  context.engine.RecordEvents(std::move(events), [batch](std::vector<EventResult> results) {
    batch->call.FinishWith([batch, results = std::move(results)] {
      POISE_CHECK(results.size() == batch->places.size());
      for (std::size_t i = 0; i < results.size(); ++i) {
        ElementOutcome& outcome = batch->outcomes[batch->places[i]];
        outcome.status = results[i].status;
        outcome.is_duplicate = results[i].outcome == EventResult::Outcome::kDuplicate;
      }
      return BatchResponse(batch->outcomes);
    });
  });
}

// ---- recommendations

Status CheckSlots(const ApiContext& context, int slots) {
  if (slots <= context.options.max_slots) return Status::Ok();
  return InvalidArgument(
      fmt::format("slots: must be between 1 and {}, got {}", context.options.max_slots, slots));
}

Result<HttpResponse> Recommend(ApiContext& context, const RecommendRequest& request) {
  POISE_RETURN_IF_ERROR(CheckSlots(context, request.slots));
  POISE_ASSIGN_OR_RETURN(const RecommendResponse response, context.engine.Recommend(request));
  std::string memory;
  memory.reserve(256 + 320 * response.items.size());
  JsonWriter json(std::move(memory));
  WriteRecommendation(response, json);
  return JsonResponse(200, json.Take());
}

Result<HttpResponse> PostRecommendations(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  POISE_ASSIGN_OR_RETURN(const RecommendRequest request, ReadRecommendRequest(body));
  return Recommend(context, request);
}

Result<HttpResponse> GetRecommendations(ApiContext& context, const ApiCall& call) {
  RecommendRequest request;
  request.user = {call.parameter};
  std::vector<std::string> exclude;
  QueryReader query(call.request.query());
  query.OptionalIn("slots", 1, kMaxSlots, request.slots)
      .Optional("placement", request.placement)
      .Optional("sessionId", request.session)
      .Repeated("category", request.categories)
      .Repeated("exclude", exclude)
      .Optional("excludeSeen", request.exclude_seen)
      .Optional("excludeBought", request.exclude_bought);
  for (std::string& id : exclude) {
    query.Keep(ValidateId(id, "exclude"));
    request.exclude.push_back({std::move(id)});
  }
  POISE_RETURN_IF_ERROR(query.Finish());
  return Recommend(context, request);
}

Result<HttpResponse> PostRerank(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  POISE_ASSIGN_OR_RETURN(const RerankRequest request, ReadRerankRequest(body));
  POISE_RETURN_IF_ERROR(CheckSlots(context, request.slots));
  POISE_ASSIGN_OR_RETURN(const RecommendResponse response, context.engine.Rerank(request));
  return Respond([&](JsonWriter& json) { WriteRecommendation(response, json); });
}

Result<HttpResponse> GetSimilar(ApiContext& context, const ApiCall& call) {
  int limit = 10;
  QueryReader query(call.request.query());
  query.OptionalIn("limit", 1, kMaxSlots, limit);
  POISE_RETURN_IF_ERROR(query.Finish());
  POISE_ASSIGN_OR_RETURN(const auto items, context.engine.Similar({call.parameter}, limit));
  return Respond([&](JsonWriter& json) { WriteScoredItems(items, json); });
}

template <typename List>
Result<HttpResponse> ListScored(const ApiCall& call, List&& list) {
  int limit = 10;
  std::string category;
  QueryReader query(call.request.query());
  query.OptionalIn("limit", 1, kMaxSlots, limit).Optional("category", category);
  POISE_RETURN_IF_ERROR(query.Finish());
  POISE_ASSIGN_OR_RETURN(const auto items, list(category, limit));
  return Respond([&](JsonWriter& json) { WriteScoredItems(items, json); });
}

Result<HttpResponse> GetPopular(ApiContext& context, const ApiCall& call) {
  return ListScored(call, [&](const std::string& category, int limit) {
    return context.engine.Popular(category, limit);
  });
}

Result<HttpResponse> GetTrending(ApiContext& context, const ApiCall& call) {
  return ListScored(call, [&](const std::string& category, int limit) {
    return context.engine.Trending(category, limit);
  });
}

Result<HttpResponse> GetDecision(ApiContext& context, const ApiCall& call) {
  POISE_ASSIGN_OR_RETURN(const DecisionId id, ParseDecisionId(call.parameter));
  POISE_ASSIGN_OR_RETURN(const DecisionRecord record, context.engine.FindDecision(id));
  return Respond([&](JsonWriter& json) { WriteDecision(record, json); });
}

// ---- models and keys

Result<HttpResponse> GetModels(ApiContext& context, const ApiCall&) {
  return Respond([&](JsonWriter& json) { WriteModels(context.engine.Models(), json); });
}

Result<HttpResponse> PostTrain(ApiContext& context, const ApiCall&) {
  POISE_RETURN_IF_ERROR(context.engine.RequestTraining());
  return JsonResponse(202, R"({"status":"training"})");
}

Result<HttpResponse> PostRollBack(ApiContext& context, const ApiCall&) {
  POISE_RETURN_IF_ERROR(context.engine.RollBack());
  return Respond([&](JsonWriter& json) { WriteModels(context.engine.Models(), json); });
}

void WriteKey(const ApiKey& key, std::string_view secret, JsonWriter& json) {
  json.BeginObject()
      .Field("keyId", key.id)
      .Field("name", key.name)
      .Field("scopes", ScopeNames(key.scopes))
      .Field("created", FormatTimestamp(key.created));
  if (!secret.empty()) json.Field("key", secret);
  json.EndObject();
}

Status CheckKeys(const ApiContext& context) {
  if (context.keys != nullptr) return Status::Ok();
  return FailedPrecondition("keys are not kept here: authentication is off");
}

Result<HttpResponse> PostKey(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(CheckKeys(context));
  POISE_ASSIGN_OR_RETURN(const JsonValue body, ParseBody(call));
  std::string name;
  std::vector<std::string> scopes;
  ObjectReader reader(body);
  reader.Required("name", name).Required("scopes", scopes);
  POISE_RETURN_IF_ERROR(reader.Finish());
  POISE_ASSIGN_OR_RETURN(const ScopeMask mask, ParseScopes(scopes));
  POISE_ASSIGN_OR_RETURN(const NewApiKey created, context.keys->Create(name, mask));
  return Respond([&](JsonWriter& json) { WriteKey(created.key, created.secret, json); }, 201);
}

Result<HttpResponse> GetKeys(ApiContext& context, const ApiCall&) {
  POISE_RETURN_IF_ERROR(CheckKeys(context));
  return Respond([&](JsonWriter& json) {
    json.BeginObject().Key("keys").BeginArray();
    for (const ApiKey& key : context.keys->List()) WriteKey(key, {}, json);
    json.EndArray().EndObject();
  });
}

Result<HttpResponse> DeleteKey(ApiContext& context, const ApiCall& call) {
  POISE_RETURN_IF_ERROR(CheckKeys(context));
  POISE_RETURN_IF_ERROR(context.keys->Revoke(call.parameter));
  return NoContent();
}

// ---- the service itself

Result<HttpResponse> GetOpenApi(ApiContext& context, const ApiCall&) {
  return JsonResponse(200, context.open_api);
}

Result<HttpResponse> GetState(ApiContext& context, const ApiCall&) {
  return Respond([&](JsonWriter& json) { WriteState(context.engine.State(), json); });
}

Result<HttpResponse> GetLive(ApiContext&, const ApiCall&) {
  return JsonResponse(200, R"({"status":"live"})");
}

Result<HttpResponse> GetReady(ApiContext& context, const ApiCall&) {
  const EngineState state = context.engine.State();
  if (state.is_ready) return JsonResponse(200, R"({"status":"ready"})");
  return Respond(
      [&](JsonWriter& json) {
        json.BeginObject()
            .Field("status", "not ready")
            .Field("reason", state.not_ready_because)
            .EndObject();
      },
      503);
}

Result<HttpResponse> GetMetrics(ApiContext& context, const ApiCall&) {
  return HttpResponse{.status = 200,
                      .content_type = "text/plain; version=0.0.4; charset=utf-8",
                      .body = context.metrics.Text(),
                      .headers = {}};
}

constexpr RouteParameter kPage[] = {
    {"limit", "integer", "How many, 1 to 1,000; 100 if absent."},
    {"cursor", "string", "nextCursor of the page before."},
};
constexpr RouteParameter kLimit[] = {
    {"limit", "integer", "How many, 1 to 200; 10 if absent."},
};
constexpr RouteParameter kLimitAndCategory[] = {
    {"limit", "integer", "How many, 1 to 200; 10 if absent."},
    {"category", "string", "Only items of it."},
};
constexpr RouteParameter kRecommendQuery[] = {
    {"slots", "integer", "How many items, 1 to 200; 10 if absent."},
    {"placement", "string", "Where on the product: home if absent."},
    {"sessionId", "string", "The visit."},
    {"category", "[string]", "Any of these; all if absent."},
    {"exclude", "[string]", "Items that must not be shown."},
    {"excludeSeen", "boolean", "As configured if absent."},
    {"excludeBought", "boolean", "As configured if absent."},
};

constexpr auto kGet = HttpMethod::kGet;
constexpr auto kPost = HttpMethod::kPost;
constexpr auto kPut = HttpMethod::kPut;
constexpr auto kDelete = HttpMethod::kDelete;

constexpr Route kRoutes[] = {
    {kPut,
     "/api/v1/items/{itemId}",
     "Write an item.",
     Scope::kIngest,
     {},
     "Item",
     "",
     204,
     nullptr,
     PutItem},
    {kGet, "/api/v1/items/{itemId}", "Read an item.", Scope::kRead, {}, "", "Item", 200, GetItem},
    {kDelete,
     "/api/v1/items/{itemId}",
     "Delete an item.",
     Scope::kIngest,
     {},
     "",
     "",
     204,
     nullptr,
     DeleteItem},
    {kPost,
     "/api/v1/items/batch",
     "Write many items.",
     Scope::kIngest,
     {},
     "ItemBatch",
     "BatchResult",
     200,
     nullptr,
     PostItems},
    {kGet, "/api/v1/items", "List items.", Scope::kRead, kPage, "", "ItemPage", 200, nullptr,
     ListItems},
    {kPut,
     "/api/v1/users/{userId}",
     "Write a user.",
     Scope::kIngest,
     {},
     "User",
     "",
     204,
     nullptr,
     PutUser},
    {kGet, "/api/v1/users/{userId}", "Read a user.", Scope::kRead, {}, "", "User", 200, GetUser},
    {kDelete,
     "/api/v1/users/{userId}",
     "Delete a user's profile; the events stay: see forget for erasure.",
     Scope::kIngest,
     {},
     "",
     "",
     204,
     nullptr,
     DeleteUser},
    {kPost,
     "/api/v1/users/batch",
     "Write many users.",
     Scope::kIngest,
     {},
     "UserBatch",
     "BatchResult",
     200,
     nullptr,
     PostUsers},
    {kGet, "/api/v1/users", "List users.", Scope::kRead, kPage, "", "UserPage", 200, nullptr,
     ListUsers},
    {kPost,
     "/api/v1/users/{userId}/forget",
     "Erase a person.",
     Scope::kAdmin,
     {},
     "",
     "ForgetReceipt",
     200,
     nullptr,
     ForgetUser},
    {kPost,
     "/api/v1/events",
     "Record an event; it is on disk when this answers.",
     Scope::kIngest,
     {},
     "Event",
     "EventReceipt",
     200,
     nullptr,
     nullptr,
     PostEvent},
    {kPost,
     "/api/v1/events/batch",
     "Record many events; they are on disk when this answers.",
     Scope::kIngest,
     {},
     "EventBatch",
     "BatchResult",
     200,
     nullptr,
     nullptr,
     PostEvents},
    {kPost,
     "/api/v1/recommendations",
     "Recommend items to a user or an anonymous visitor.",
     Scope::kRecommend,
     {},
     "RecommendRequest",
     "Recommendation",
     200,
     PostRecommendations},
    {kGet, "/api/v1/users/{userId}/recommendations", "Recommend items to a user.",
     Scope::kRecommend, kRecommendQuery, "", "Recommendation", 200, GetRecommendations},
    {kPost,
     "/api/v1/rerank",
     "Put a list of the caller's in order.",
     Scope::kRecommend,
     {},
     "RerankRequest",
     "Recommendation",
     200,
     PostRerank},
    {kGet, "/api/v1/items/{itemId}/similar", "Items like this one.", Scope::kRecommend, kLimit, "",
     "ScoredItems", 200, GetSimilar},
    {kGet, "/api/v1/popular", "What most like.", Scope::kRecommend, kLimitAndCategory, "",
     "ScoredItems", 200, GetPopular},
    {kGet, "/api/v1/trending", "What is rising.", Scope::kRecommend, kLimitAndCategory, "",
     "ScoredItems", 200, GetTrending},
    {kGet,
     "/api/v1/decisions/{decisionId}",
     "Read a decision as it was logged.",
     Scope::kRead,
     {},
     "",
     "Decision",
     200,
     nullptr,
     GetDecision},
    {kGet, "/api/v1/models", "List the models.", Scope::kRead, {}, "", "ModelList", 200, GetModels},
    {kPost,
     "/api/v1/models/train",
     "Train all models in the background.",
     Scope::kAdmin,
     {},
     "",
     "Training",
     202,
     nullptr,
     PostTrain},
    {kPost,
     "/api/v1/models/rollback",
     "Serve the publication before this one again.",
     Scope::kAdmin,
     {},
     "",
     "ModelList",
     200,
     nullptr,
     PostRollBack},
    {kGet,
     "/api/v1/keys",
     "List the API keys, without the keys themselves.",
     Scope::kAdmin,
     {},
     "",
     "ApiKeyList",
     200,
     GetKeys},
    {kPost,
     "/api/v1/keys",
     "Make an API key; it is shown this once.",
     Scope::kAdmin,
     {},
     "ApiKeyRequest",
     "ApiKey",
     201,
     nullptr,
     PostKey},
    {kDelete,
     "/api/v1/keys/{keyId}",
     "Revoke an API key.",
     Scope::kAdmin,
     {},
     "",
     "",
     204,
     nullptr,
     DeleteKey},
    {kGet, "/api/v1/state", "How the engine is.", Scope::kRead, {}, "", "State", 200, GetState},
    {kGet, "/api/v1/openapi.json", "This document.", std::nullopt, {}, "", "text", 200, GetOpenApi},
    {kGet,
     "/health/live",
     "Whether the process runs.",
     std::nullopt,
     {},
     "",
     "Health",
     200,
     GetLive},
    {kGet,
     "/health/ready",
     "Whether requests are served; 503 if not.",
     std::nullopt,
     {},
     "",
     "Health",
     200,
     GetReady},
    {kGet,
     "/metrics",
     "Metrics in Prometheus' text format.",
     Scope::kRead,
     {},
     "",
     "text",
     200,
     GetMetrics},
};

}  // namespace

std::span<const Route> AllRoutes() { return kRoutes; }

}  // namespace poise
