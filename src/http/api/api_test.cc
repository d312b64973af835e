// SPDX-License-Identifier: Apache-2.0
#include "http/api/api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <limits>

#include "http/api/fake_engine.h"
#include "http/api/schema.h"
#include "http/server/loopback_client.h"
#include "json/reader.h"
#include "json/writer.h"
#include "storage/table.h"

namespace poise {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kDecisionText = "0123456789abcdeffedcba9876543210";

// A body with every field of the schema, that is accepted. Batches and single records alike.
std::string FullBody(std::string_view schema, std::string_view id = "i0") {
  const std::string item = fmt::format(
      R"({{"itemId":"{}","title":"Teapot","description":"Of clay.","categories":["a","b"],)"
      R"("price":12.5,"attributes":{{"colour":"red","sizes":["s","m"],"weight":1.5,"new":true}},)"
      R"("available":true,"created":"2023-01-02T03:04:05Z"}})",
      id);
  const std::string user =
      fmt::format(R"({{"userId":"{}","attributes":{{"city":"Köln"}},"created":1672628645}})", id);
  const std::string event = fmt::format(
      R"({{"userId":"u","sessionId":"s","itemId":"{}","type":"custom","customType":"share",)"
      R"("value":1.5,"quantity":2,"idempotencyKey":"k{}","decisionId":"{}",)"
      R"("time":"2023-11-14T00:00:00Z"}})",
      id, id, kDecisionText);
  if (schema == "Item") return item;
  if (schema == "User") return user;
  if (schema == "Event") return event;
  if (schema == "ItemBatch") return fmt::format(R"({{"items":[{}]}})", item);
  if (schema == "UserBatch") return fmt::format(R"({{"users":[{}]}})", user);
  if (schema == "EventBatch") return fmt::format(R"({{"events":[{}]}})", event);
  if (schema == "RecommendRequest") {
    return R"({"userId":"u","sessionId":"s","history":["i1"],"placement":"cart","slots":3,)"
           R"("categories":["a"],"exclude":["i2"],"excludeSeen":true,"excludeBought":false,)"
           R"("deadlineMs":50})";
  }
  if (schema == "RerankRequest") {
    return R"({"userId":"u","sessionId":"s","items":["i1","i2"],"placement":"list","slots":2})";
  }
  if (schema == "ApiKeyRequest") return R"({"name":"shop","scopes":["ingest"]})";
  ADD_FAILURE() << "no body for " << schema;
  return "";
}

class ApiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 fmt::format("poise_api_{}_{}", ::getpid(),
                             ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(directory_);
    auto tables = Tables::Open((directory_ / "tables.db").string(), {"api_keys"});
    ASSERT_TRUE(tables.ok()) << tables.status().ToString();
    tables_ = std::move(*tables);
    Start({});
  }
  void TearDown() override {
    Stop();
    tables_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Start(ApiOptions options, HttpServerOptions server = {}) {
    Stop();
    options.blocking_threads = 2;
    server.thread_count = 2;
    auto keys = KeyStore::Open(*tables_, clock_, options.limits);
    ASSERT_TRUE(keys.ok()) << keys.status().ToString();
    keys_ = std::move(*keys);
    auto admin = keys_->Create("tests", Bit(Scope::kAdmin));
    ASSERT_TRUE(admin.ok()) << admin.status().ToString();
    secret_ = admin->secret;
    handler_ = std::make_unique<ApiHandler>(engine_, keys_.get(), options, clock_, metrics_);
    auto listening = HttpServer::Listen(server, *handler_, clock_, metrics_);
    ASSERT_TRUE(listening.ok()) << listening.status().ToString();
    server_ = std::move(*listening);
    client_ = std::make_unique<LoopbackClient>(server_->port());
  }
  void Stop() {
    client_.reset();
    server_.reset();
    handler_.reset();
    engine_.Join();
  }

  LoopbackAnswer Call(std::string_view method, std::string_view target, std::string_view body = {},
                      std::optional<std::string> secret = std::nullopt) {
    const std::string key = secret.value_or(secret_);
    std::string headers;
    if (!key.empty()) headers = fmt::format("Authorization: Bearer {}\r\n", key);
    if (!body.empty()) headers += "Content-Type: application/json\r\n";
    return client_->Call(method, target, body, headers);
  }
  // The call fails with this status, and names the field.
  void ExpectProblem(const LoopbackAnswer& answer, int status, std::string_view field,
                     std::string_view detail = {}) {
    EXPECT_EQ(answer.status, status) << answer.body;
    ASSERT_TRUE(answer.headers.count("content-type")) << answer.status;
    EXPECT_EQ(answer.headers.at("content-type"), "application/problem+json");
    const auto document = JsonDocument::Parse(answer.body);
    ASSERT_TRUE(document.ok()) << answer.body;
    ExpectFits(document->root(), "Problem");
    EXPECT_EQ(*document->root()["status"].GetInt64(), status);
    const JsonValue named = document->root()["field"];
    EXPECT_EQ(named.IsNull() ? "" : std::string(*named.GetString()), field) << answer.body;
    EXPECT_THAT(std::string(*document->root()["detail"].GetString()),
                HasSubstr(std::string(detail)));
  }

  // Holds a value against its schema; remembers which fields it saw.
  void ExpectFits(JsonValue value, std::string_view type) {
    if (type.starts_with('[')) {
      const auto array = value.GetArray();
      ASSERT_TRUE(array.ok()) << array.status().message();
      for (const JsonValue element : *array) ExpectFits(element, type.substr(1, type.size() - 2));
    } else if (type == "string") {
      EXPECT_TRUE(value.GetString().ok()) << value.GetString().status().message();
    } else if (type == "integer") {
      EXPECT_TRUE(value.GetUint64().ok()) << value.GetUint64().status().message();
    } else if (type == "number") {
      EXPECT_TRUE(value.GetDouble().ok()) << value.GetDouble().status().message();
    } else if (type == "boolean") {
      EXPECT_TRUE(value.GetBool().ok()) << value.GetBool().status().message();
    } else if (type == "date-time") {
      const auto text = value.GetString();
      ASSERT_TRUE(text.ok()) << text.status().message();
      EXPECT_TRUE(ParseTimestamp(*text).ok()) << *text;
    } else if (type == "attributes") {
      EXPECT_TRUE(value.GetObject().ok());
    } else {
      const Schema* schema = FindSchema(type);
      ASSERT_NE(schema, nullptr) << type;
      const auto object = value.GetObject();
      ASSERT_TRUE(object.ok()) << object.status().message();
      std::set<std::string_view> present;
      for (const JsonField field : *object) {
        const auto row = std::find_if(schema->fields.begin(), schema->fields.end(),
                                      [&](const SchemaField& f) { return f.name == field.name; });
        ASSERT_NE(row, schema->fields.end()) << schema->name << " has no field " << field.name;
        EXPECT_TRUE(present.insert(row->name).second) << field.name << " stands twice";
        seen_.insert(fmt::format("{}.{}", schema->name, row->name));
        ExpectFits(field.value, row->type);
      }
      for (const SchemaField& field : schema->fields) {
        if (field.presence == Presence::kRequired) {
          EXPECT_EQ(present.count(field.name), 1U) << schema->name << " lacks " << field.name;
        }
      }
    }
  }

  // A call to this route that succeeds.
  std::string TargetOf(const Route& route) {
    std::string target(route.path);
    const auto fill = [&](std::string_view name, std::string_view value) {
      if (const std::size_t at = target.find(name); at != std::string::npos) {
        target.replace(at, name.size(), value);
      }
    };
    fill("{itemId}", "i0");
    fill("{userId}", "u0");
    fill("{decisionId}", kDecisionText);
    if (target.find("{keyId}") != std::string::npos) {
      auto doomed = keys_->Create("doomed", Bit(Scope::kRead));
      fill("{keyId}", doomed->key.id);
    }
    return target;
  }
  std::string BodyOf(const Route& route) {
    if (route.request.empty()) return "";
    return FullBody(route.request, route.request == "User" ? "u0" : "i0");
  }
  void FillCatalog() {
    for (const std::string_view id : {"i0", "i1", "i2"}) {
      const std::string target = fmt::format("/api/v1/items/{}", id);
      ASSERT_EQ(Call("PUT", target, FullBody("Item", id)).status, 204);
    }
    for (const std::string_view id : {"u0", "u1"}) {
      const std::string target = fmt::format("/api/v1/users/{}", id);
      ASSERT_EQ(Call("PUT", target, FullBody("User", id)).status, 204);
    }
    engine_.is_training = false;
  }

  std::filesystem::path directory_;
  ManualClock clock_;
  MetricsRegistry metrics_;
  FakeEngine engine_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<KeyStore> keys_;
  std::unique_ptr<ApiHandler> handler_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<LoopbackClient> client_;
  std::string secret_;
  std::set<std::string> seen_;
};

// ---- the table of routes, held against what the server does

TEST_F(ApiTest, EveryRouteAnswersAsItsRowSaysAndEverySchemaFieldIsSeen) {
  std::set<std::string> requests;
  std::set<std::string> expected;
  for (const Route& route : AllRoutes()) {
    SCOPED_TRACE(fmt::format("{} {}", HttpMethodName(route.method), route.path));
    FillCatalog();
    const LoopbackAnswer answer =
        Call(HttpMethodName(route.method), TargetOf(route), BodyOf(route));
    EXPECT_EQ(answer.status, route.success) << answer.body;
    if (route.response.empty()) {
      EXPECT_EQ(answer.status, 204);
    } else if (route.response != "text") {
      EXPECT_EQ(answer.headers.at("content-type"), "application/json");
      const auto document = JsonDocument::Parse(answer.body);
      ASSERT_TRUE(document.ok()) << answer.body;
      ExpectFits(document->root(), route.response);
    }
    requests.insert(std::string(route.request));
  }
  // What only stands in answers that are not plain successes.
  FillCatalog();
  const auto fits = [&](const LoopbackAnswer& answer, std::string_view schema) {
    const auto document = JsonDocument::Parse(answer.body);
    ASSERT_TRUE(document.ok()) << answer.body;
    ExpectFits(document->root(), schema);
  };
  fits(Call("GET", "/api/v1/items?limit=1"), "ItemPage");
  fits(Call("GET", "/api/v1/users?limit=1"), "UserPage");
  fits(Call("POST", "/api/v1/events/batch", R"({"events":[{"itemId":7}]})"), "BatchResult");
  fits(Call("POST", "/api/v1/recommendations", R"({"slots":0})"), "Problem");
  engine_.is_ready = false;
  fits(Call("GET", "/health/ready"), "Health");
  fits(Call("GET", "/api/v1/state"), "State");
  for (const Schema& schema : AllSchemas()) {
    const bool is_request = requests.count(std::string(schema.name)) > 0;
    for (const SchemaField& field : schema.fields) {
      if (is_request && schema.name != "Item" && schema.name != "User") continue;
      expected.insert(fmt::format("{}.{}", schema.name, field.name));
    }
  }
  EXPECT_EQ(seen_, expected) << "fields that are declared but never sent, or the reverse";
}

TEST_F(ApiTest, EveryRequestTakesTheFieldsOfItsSchemaAndNoOther) {
  FillCatalog();
  for (const Route& route : AllRoutes()) {
    if (route.request.empty()) continue;
    SCOPED_TRACE(route.path);
    const std::string body = BodyOf(route);
    const Schema* schema = FindSchema(route.request);
    ASSERT_NE(schema, nullptr);
    std::vector<std::string> declared;
    for (const SchemaField& field : schema->fields) declared.emplace_back(field.name);
    const JsonDocument document = *JsonDocument::Parse(body);
    std::vector<std::string> sent;
    for (const JsonField field : *document.root().GetObject()) sent.emplace_back(field.name);
    EXPECT_THAT(sent, ::testing::UnorderedElementsAreArray(declared));

    const std::string extra = body.substr(0, body.size() - 1) + R"(,"nonsense":1})";
    const LoopbackAnswer answer = Call(HttpMethodName(route.method), TargetOf(route), extra);
    ExpectProblem(answer, 400, "nonsense", "unknown field; known: ");
    const JsonDocument problem = *JsonDocument::Parse(answer.body);
    std::string known(*problem.root()["detail"].GetString());
    known = known.substr(known.find("known: ") + 7);
    std::vector<std::string> names;
    for (std::size_t at = 0; at < known.size();) {
      const std::size_t end = std::min(known.find(", ", at), known.size());
      names.push_back(known.substr(at, end - at));
      at = end + 2;
    }
    EXPECT_THAT(names, ::testing::UnorderedElementsAreArray(declared));
  }
}

TEST_F(ApiTest, EveryFieldOfEveryRequestRefusesAWrongTypeByName) {
  FillCatalog();
  for (const Route& route : AllRoutes()) {
    if (route.request.empty()) continue;
    const std::string body = BodyOf(route);
    const JsonDocument document = *JsonDocument::Parse(body);
    for (const JsonField spoilt : *document.root().GetObject()) {
      SCOPED_TRACE(fmt::format("{} {}", route.path, spoilt.name));
      JsonWriter json;
      json.BeginObject();
      for (const JsonField field : *document.root().GetObject()) {
        json.Key(field.name)
            .Raw(field.name != spoilt.name     ? field.value.ToJson()
                 : field.value.GetArray().ok() ? "7"
                                               : "[[{}]]");
      }
      json.EndObject();
      const LoopbackAnswer answer =
          Call(HttpMethodName(route.method), TargetOf(route), json.text());
      EXPECT_EQ(answer.status, 400) << answer.body;
      EXPECT_THAT(answer.body, HasSubstr(std::string(spoilt.name)));
      EXPECT_THAT(answer.body, HasSubstr("expected"));
    }
  }
}

TEST_F(ApiTest, EveryBodyThatIsNotWhatItSaysIsRefused) {
  FillCatalog();
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  for (const Route& route : AllRoutes()) {
    if (route.request.empty()) continue;
    SCOPED_TRACE(route.path);
    const auto send = [&](std::string_view body) {
      return Call(HttpMethodName(route.method), TargetOf(route), body);
    };
    const std::string full = BodyOf(route);
    ExpectProblem(send(full.substr(0, full.size() - 1)), 400, "body", "malformed");
    ExpectProblem(send(full + "x"), 400, "body");
    ExpectProblem(send(deep), 400, "body", "deeper");
    ExpectProblem(send("{\"a\":\"\xff\"}"), 400, "body", "UTF-8");
    ExpectProblem(send("{\"a\":NaN}"), 400, "body");
    ExpectProblem(send("{\"a\":1e999}"), 400, "body", "out of range");
    ExpectProblem(send("[]"), 400, "", "expected an object, got array");
    ExpectProblem(send(full.substr(0, full.size() - 1) + "," + full.substr(1)), 400,
                  std::string(FindSchema(route.request)->fields[0].name), "given twice");
    ExpectProblem(client_->Call(HttpMethodName(route.method), TargetOf(route), "",
                                fmt::format("X-API-Key: {}\r\n", secret_)),
                  400, "body", "needed");
    ExpectProblem(
        client_->Call(HttpMethodName(route.method), TargetOf(route), full,
                      fmt::format("X-API-Key: {}\r\nContent-Type: text/plain\r\n", secret_)),
        415, "Content-Type");
    ExpectProblem(
        client_->Call(HttpMethodName(route.method), TargetOf(route), full,
                      fmt::format("X-API-Key: {}\r\nContent-Encoding: gzip\r\n", secret_)),
        415, "Content-Encoding");
    client_->Send(fmt::format("{} {} HTTP/1.1\r\nHost: t\r\nX-API-Key: {}\r\n\r\n",
                              HttpMethodName(route.method), TargetOf(route), secret_));
    ExpectProblem(client_->Receive(), 411, "");
  }
}

TEST_F(ApiTest, EveryRouteAsksForItsScopeAndForNoOther) {
  std::array<std::string, kScopeCount> secrets;
  for (std::size_t i = 0; i < kScopeCount; ++i) {
    secrets[i] = keys_->Create("k", static_cast<ScopeMask>(1U << i))->secret;
  }
  for (const Route& route : AllRoutes()) {
    SCOPED_TRACE(fmt::format("{} {}", HttpMethodName(route.method), route.path));
    const std::string_view method = HttpMethodName(route.method);
    for (std::size_t i = 0; i < kScopeCount; ++i) {
      FillCatalog();
      const LoopbackAnswer answer = Call(method, TargetOf(route), BodyOf(route), secrets[i]);
      const bool is_allowed = !route.scope.has_value() || static_cast<Scope>(i) == *route.scope ||
                              static_cast<Scope>(i) == Scope::kAdmin;
      EXPECT_EQ(answer.status, is_allowed ? route.success : 403)
          << ScopeName(static_cast<Scope>(i));
    }
    FillCatalog();
    for (const std::string& bad :
         {std::string(), std::string("poise_"), std::string("x"), "poise_" + std::string(43, 'A'),
          secret_.substr(0, secret_.size() - 1), secret_ + "x"}) {
      const LoopbackAnswer answer = Call(method, TargetOf(route), BodyOf(route), bad);
      if (route.scope.has_value()) {
        ExpectProblem(answer, 401, "");
        EXPECT_THAT(answer.headers.at("www-authenticate"), StartsWith("Bearer"));
      } else {
        EXPECT_EQ(answer.status, route.success);
      }
    }
  }
}

TEST_F(ApiTest, TheOpenApiDocumentHasEveryRouteAndEveryReferenceInItResolves) {
  const LoopbackAnswer answer = Call("GET", "/api/v1/openapi.json", {}, "");
  const JsonDocument document = *JsonDocument::Parse(answer.body);
  const JsonValue root = document.root();
  EXPECT_EQ(*root["openapi"].GetString(), "3.1.0");
  std::set<std::string> documented;
  std::set<std::string> operation_ids;
  for (const JsonField path : *root["paths"].GetObject()) {
    for (const JsonField method : *path.value.GetObject()) {
      documented.insert(fmt::format("{} {}", method.name, path.name));
      EXPECT_TRUE(
          operation_ids.insert(std::string(*method.value["operationId"].GetString())).second);
      const bool has_parameter = path.name.find('{') != std::string_view::npos;
      if (has_parameter) {
        EXPECT_EQ(*(*(*method.value["parameters"].GetArray()).begin())["in"].GetString(), "path");
      }
    }
  }
  std::set<std::string> routes;
  for (const Route& route : AllRoutes()) {
    std::string method(HttpMethodName(route.method));
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    routes.insert(fmt::format("{} {}", method, route.path));
    for (const std::string_view schema : {route.request, route.response}) {
      EXPECT_TRUE(schema.empty() || schema == "text" || FindSchema(schema) != nullptr) << schema;
    }
    EXPECT_EQ(
        (route.run_inline != nullptr) + (route.run_blocking != nullptr) + (route.start != nullptr),
        1)
        << route.path;
  }
  EXPECT_EQ(documented, routes);
  const std::string marker = R"("$ref":"#/components/schemas/)";
  std::size_t references = 0;
  for (std::size_t at = answer.body.find(marker); at != std::string::npos;
       at = answer.body.find(marker, at + 1)) {
    const std::size_t begin = at + marker.size();
    const std::string name = answer.body.substr(begin, answer.body.find('"', begin) - begin);
    EXPECT_FALSE(root["components"]["schemas"][name].IsNull()) << name;
    ++references;
  }
  EXPECT_GT(references, 40U);
}

TEST_F(ApiTest, EveryQueryParameterIsTakenAndAnUnknownOneIsNamed) {
  FillCatalog();
  for (const Route& route : AllRoutes()) {
    if (route.query.empty()) continue;
    SCOPED_TRACE(route.path);
    std::string query = "?";
    for (const RouteParameter& parameter : route.query) {
      query += fmt::format("{}={}&", parameter.name,
                           parameter.type == "integer"   ? "3"
                           : parameter.type == "boolean" ? "true"
                           : parameter.name == "cursor"  ? "6930"
                                                         : "a%20b");
    }
    EXPECT_EQ(Call("GET", TargetOf(route) + query).status, 200);
    ExpectProblem(Call("GET", TargetOf(route) + query + "nonsense=1"), 400, "nonsense",
                  "unknown parameter; known: ");
    const std::string first(route.query[0].name);
    ExpectProblem(Call("GET", TargetOf(route) + "?" + first + "=x"), 400, first, "integer");
    ExpectProblem(Call("GET", TargetOf(route) + "?" + first + "=-1"), 400, first, "between");
    ExpectProblem(Call("GET", TargetOf(route) + "?" + first + "=99999999999999"), 400, first,
                  "between");
    ExpectProblem(Call("GET", TargetOf(route) + "?" + first + "=1&" + first + "=2"), 400, first,
                  "twice");
    ExpectProblem(Call("GET", TargetOf(route) + "?" + first + "=%zz"), 400, first, "hexadecimal");
  }
}

// ---- routing

TEST_F(ApiTest, UnknownPathsAndWrongVerbsAreTold) {
  ExpectProblem(Call("GET", "/"), 404, "");
  ExpectProblem(Call("GET", "/api/v1/nothing"), 404, "");
  ExpectProblem(Call("GET", "/api/v1/items/a/b/c"), 404, "");
  const LoopbackAnswer answer = Call("PATCH", "/api/v1/items/i0");
  ExpectProblem(answer, 405, "");
  EXPECT_EQ(answer.headers.at("allow"), "PUT, GET, HEAD, DELETE");
  EXPECT_EQ(Call("GET", "/api/v1/rerank").headers.at("allow"), "POST");
  EXPECT_EQ(Call("HEAD", "/health/live").status, 200);
}

TEST_F(ApiTest, AnItemMayBeNamedLikeARoute) {
  ASSERT_EQ(Call("PUT", "/api/v1/items/batch", FullBody("Item", "batch")).status, 204);
  EXPECT_EQ(Call("GET", "/api/v1/items/batch").status, 200);
}

TEST_F(ApiTest, IdsOfAnyTextTravelThroughThePath) {
  const std::vector<std::string> ids = {
      "a", "a/b", "/", "..", "a b", "100%", "?", "#", "+", "书", std::string(4096, 'x'), [] {
        std::string slashes(4096, '/');
        return slashes;
      }()};
  for (const std::string& id : ids) {
    std::string encoded;
    for (const char c : id) encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    JsonWriter body;
    body.BeginObject().Field("itemId", id).Field("title", "t").EndObject();
    EXPECT_EQ(Call("PUT", "/api/v1/items/" + encoded, body.text()).status, 204) << id;
    const LoopbackAnswer answer = Call("GET", "/api/v1/items/" + encoded);
    ASSERT_EQ(answer.status, 200) << id;
    const JsonDocument document = *JsonDocument::Parse(answer.body);
    EXPECT_EQ(*document.root()["itemId"].GetString(), id);
    EXPECT_EQ(Call("DELETE", "/api/v1/items/" + encoded).status, 204);
  }
  ExpectProblem(Call("GET", "/api/v1/items/"), 400, "itemId", "empty");
  ExpectProblem(Call("GET", "/api/v1/items/" + std::string(4097, 'x')), 400, "itemId");
  ExpectProblem(Call("GET", "/api/v1/items/%ff"), 400, "itemId", "UTF-8");
  ExpectProblem(Call("GET", "/api/v1/items/%00"), 400, "itemId");
  ExpectProblem(Call("GET", "/api/v1/items/%4"), 400, "itemId", "hexadecimal");
  ExpectProblem(Call("PUT", "/api/v1/items/a", R"({"itemId":"b"})"), 400, "itemId", "path");
}

// ---- catalog

TEST_F(ApiTest, AnItemComesBackAsItWasWritten) {
  FillCatalog();
  const LoopbackAnswer answer = Call("GET", "/api/v1/items/i0");
  const JsonDocument written = *JsonDocument::Parse(FullBody("Item"));
  const JsonDocument read = *JsonDocument::Parse(answer.body);
  for (const JsonField field : *written.root().GetObject()) {
    if (field.name == "attributes") continue;  // kept in order of name
    EXPECT_EQ(read.root()[field.name].ToJson(), field.value.ToJson()) << field.name;
  }
  EXPECT_EQ(read.root()["attributes"].ToJson(),
            R"({"colour":"red","new":true,"sizes":["s","m"],"weight":1.5})");
}

TEST_F(ApiTest, BadRecordsNameTheField) {
  const auto put = [&](std::string_view body) { return Call("PUT", "/api/v1/items/i", body); };
  ExpectProblem(put(R"({"price":-1})"), 400, "price");
  ExpectProblem(put(R"({"attributes":{"a b":{}}})"), 400, R"(attributes["a b"])", "expected");
  ExpectProblem(put(R"({"attributes":{"a":1,"a":2}})"), 400, "attributes.a", "twice");
  ExpectProblem(put(R"({"attributes":{"a":["x",1]}})"), 400, "attributes.a[1]", "string");
  ExpectProblem(put(R"({"created":"yesterday"})"), 400, "created");
  ExpectProblem(put(R"({"created":1.5})"), 400, "created", "integer");
  ExpectProblem(put(fmt::format(R"({{"title":"{}"}})", std::string(2000, 'x'))), 400, "title");
}

TEST_F(ApiTest, PagesFollowEachOtherToTheEnd) {
  FillCatalog();
  std::string target = "/api/v1/items?limit=2";
  std::vector<std::string> ids;
  for (int pages = 0; pages < 2; ++pages) {
    const LoopbackAnswer answer = Call("GET", target);
    const JsonDocument page = *JsonDocument::Parse(answer.body);
    for (const JsonValue item : *page.root()["items"].GetArray()) {
      ids.emplace_back(*item["itemId"].GetString());
    }
    const JsonValue next = page.root()["nextCursor"];
    EXPECT_EQ(next.IsNull(), pages == 1);
    if (!next.IsNull()) target = fmt::format("/api/v1/items?limit=2&cursor={}", *next.GetString());
  }
  EXPECT_EQ(ids, (std::vector<std::string>{"i0", "i1", "i2"}));
  ExpectProblem(Call("GET", "/api/v1/items?cursor=6"), 400, "cursor");
  ExpectProblem(Call("GET", "/api/v1/items?cursor=zz"), 400, "cursor");
  ExpectProblem(Call("GET", "/api/v1/items?limit=0"), 400, "limit");
  ExpectProblem(Call("GET", "/api/v1/items?limit=1001"), 400, "limit");
}

// ---- batches and events

TEST_F(ApiTest, ABatchTellsWhatBecameOfEachElement) {
  const std::string good = FullBody("Event", "i0");
  const std::string duplicate = good;
  const LoopbackAnswer mixed = Call(
      "POST", "/api/v1/events/batch",
      fmt::format(R"({{"events":[{},{},{{"userId":"u","itemId":"i","type":"view","value":"x"}},)"
                  R"({{"userId":"u","itemId":"i","type":"wink"}},7]}})",
                  good, duplicate));
  EXPECT_EQ(mixed.status, 207);
  EXPECT_EQ(
      mixed.body,
      R"({"accepted":1,"duplicates":1,"rejected":3,"results":[)"
      R"({"index":0,"status":200,"code":"accepted"},{"index":1,"status":200,"code":"duplicate"},)"
      R"({"index":2,"status":400,"code":"invalid_argument",)"
      R"("detail":"expected a number, got string","field":"value"},)"
      R"({"index":3,"status":400,"code":"invalid_argument",)"
      R"("detail":"unknown event type \"wink\"; known: view, click, favourite, cart, purchase, )"
      R"(rating, return, custom","field":"type"},)"
      R"({"index":4,"status":400,"code":"invalid_argument",)"
      R"("detail":"expected an object, got number"}]})");
  EXPECT_EQ(engine_.recorded.size(), 1U);
  EXPECT_EQ(Call("POST", "/api/v1/events/batch", R"({"events":[7,8]})").status, 400);
  EXPECT_EQ(
      Call("POST", "/api/v1/items/batch", R"({"items":[{"itemId":"a"},{"title":"no id"}]})").status,
      207);
  ExpectProblem(Call("POST", "/api/v1/events/batch", R"({"events":[]})"), 400, "events", "empty");
}

TEST_F(ApiTest, AnEventArrivesWhole) {
  ASSERT_EQ(Call("POST", "/api/v1/events", FullBody("Event", "i7")).status, 200);
  const Event& event = engine_.recorded.at(0);
  EXPECT_EQ(event.user.value, "u");
  EXPECT_EQ(event.session, "s");
  EXPECT_EQ(event.item.value, "i7");
  EXPECT_EQ(event.type, EventType::kCustom);
  EXPECT_EQ(event.custom_type, "share");
  EXPECT_EQ(event.value, 1.5);
  EXPECT_EQ(event.quantity, 2U);
  EXPECT_EQ(event.idempotency_key, "ki7");
  EXPECT_EQ(FormatDecisionId(*event.decision), kDecisionText);
  EXPECT_EQ(FormatTimestamp(event.time), "2023-11-14T00:00:00Z");
  ASSERT_EQ(Call("POST", "/api/v1/events", R"({"userId":"u","itemId":"i","type":"view"})").status,
            200);
  EXPECT_EQ(engine_.recorded.at(1).time, clock_.Now()) << "without a time it is now";
  EXPECT_THAT(Call("POST", "/api/v1/events", FullBody("Event", "i7")).body, HasSubstr("duplicate"));
}

TEST_F(ApiTest, BadEventsNameTheField) {
  const auto post = [&](std::string_view fields) {
    return Call("POST", "/api/v1/events",
                fmt::format(R"({{"userId":"u","itemId":"i","type":"view",{}}})", fields));
  };
  ExpectProblem(post(R"("quantity":-1)"), 400, "quantity");
  ExpectProblem(post(R"("quantity":0)"), 400, "quantity");
  ExpectProblem(post(R"("quantity":4294967296)"), 400, "quantity");
  ExpectProblem(post(R"("value":1e300)"), 400, "value");
  ExpectProblem(post(R"("time":"2999-01-01T00:00:00Z")"), 400, "time");
  ExpectProblem(post(R"("time":-5)"), 400, "time");
  ExpectProblem(post(R"("decisionId":"xyz")"), 400, "decisionId");
  ExpectProblem(post(R"("customType":"x")"), 400, "customType");
  ExpectProblem(Call("POST", "/api/v1/events", R"({"itemId":"i","type":"view"})"), 400, "userId");
  ExpectProblem(Call("POST", "/api/v1/events", R"({"userId":"u","type":"view"})"), 400, "itemId",
                "required");
  ExpectProblem(
      Call("POST", "/api/v1/events",
           fmt::format(R"({{"userId":"{}","itemId":"i","type":"view"}})", std::string(4097, 'u'))),
      400, "userId");
  EXPECT_TRUE(engine_.recorded.empty());
}

TEST_F(ApiTest, ABatchBeyondTheLimitIsRefusedWhole) {
  Start({.max_batch = 3});
  std::string events;
  for (int i = 0; i < 4; ++i) {
    if (i > 0) events += ',';
    events += FullBody("Event", std::to_string(i));
  }
  ExpectProblem(Call("POST", "/api/v1/events/batch", "{\"events\":[" + events + "]}"), 413, "",
                "limit is 3");
  EXPECT_TRUE(engine_.recorded.empty());
}

TEST_F(ApiTest, TroublesOfTheEngineHaveTheirStatus) {
  const std::string event = FullBody("Event");
  const std::string batch = FullBody("EventBatch");
  const auto check = [&](Status failure, int status) {
    SCOPED_TRACE(failure.ToString());
    engine_.FailWith(failure);
    const LoopbackAnswer single = Call("POST", "/api/v1/events", event);
    EXPECT_EQ(single.status, status);
    EXPECT_EQ(single.headers.count("retry-after"), status == 503 || status == 429 ? 1U : 0U);
    EXPECT_EQ(Call("POST", "/api/v1/events/batch", batch).status, status >= 500 ? status : 400);
    EXPECT_EQ(Call("PUT", "/api/v1/items/i0", FullBody("Item")).status, status);
    EXPECT_EQ(Call("GET", "/api/v1/items/i0").status, status);
    EXPECT_EQ(Call("POST", "/api/v1/recommendations", "{\"userId\":\"u\"}").status, status);
    EXPECT_EQ(Call("POST", "/api/v1/users/u/forget").status, status);
  };
  check(ResourceExhausted("disk full: no space left"), 507);
  check(ResourceExhausted("queue full"), 503);
  check(Unavailable("closing"), 503);
  check(FailedPrecondition("not trained yet"), 409);
  check(NotFound("itemId: no such item"), 404);
  check(DeadlineExceeded("too late"), 504);
  check(DataLoss("damaged"), 500);
  check(Internal("bug"), 500);
  check(Unimplemented("not here"), 501);
}

// ---- recommendations

TEST_F(ApiTest, ARecommendationRequestArrivesWholeByEitherVerb) {
  ASSERT_EQ(Call("POST", "/api/v1/recommendations", FullBody("RecommendRequest")).status, 200);
  const RecommendRequest posted = engine_.last_request;
  EXPECT_EQ(posted.user.value, "u");
  EXPECT_EQ(posted.session, "s");
  EXPECT_EQ(posted.history, (std::vector<ItemId>{{"i1"}}));
  EXPECT_EQ(posted.placement, "cart");
  EXPECT_EQ(posted.slots, 3);
  EXPECT_EQ(posted.categories, (std::vector<std::string>{"a"}));
  EXPECT_EQ(posted.exclude, (std::vector<ItemId>{{"i2"}}));
  EXPECT_EQ(posted.exclude_seen, true);
  EXPECT_EQ(posted.exclude_bought, false);
  EXPECT_EQ(posted.deadline, std::chrono::milliseconds(50));
  ASSERT_EQ(Call("GET",
                 "/api/v1/users/a%2Fb/recommendations?slots=3&placement=cart&category=a&category=b"
                 "&exclude=x&excludeSeen=false&sessionId=s%26t")
                .status,
            200);
  const RecommendRequest got = engine_.last_request;
  EXPECT_EQ(got.user.value, "a/b");
  EXPECT_EQ(got.session, "s&t");
  EXPECT_EQ(got.categories, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(got.exclude, (std::vector<ItemId>{{"x"}}));
  EXPECT_EQ(got.exclude_seen, false);
  EXPECT_FALSE(got.exclude_bought.has_value());
}

TEST_F(ApiTest, SlotsAndListsAreBounded) {
  const auto post = [&](std::string_view body) {
    return Call("POST", "/api/v1/recommendations", body);
  };
  ExpectProblem(post(R"({"userId":"u","slots":0})"), 400, "slots");
  ExpectProblem(post(R"({"userId":"u","slots":-1})"), 400, "slots");
  ExpectProblem(post(R"({"userId":"u","slots":201})"), 400, "slots");
  ExpectProblem(post(R"({"userId":"u","slots":1.5})"), 400, "slots", "integer");
  ExpectProblem(post(R"({"userId":"u","exclude":["a",""]})"), 400, "exclude[1]", "empty");
  ExpectProblem(post(R"({"userId":"u","deadlineMs":0})"), 400, "deadlineMs");
  EXPECT_EQ(post(R"({"userId":"u","slots":200})").status, 200);
  ExpectProblem(Call("POST", "/api/v1/rerank", R"({"userId":"u","items":[]})"), 400, "items");
  ExpectProblem(Call("POST", "/api/v1/rerank", R"({"userId":"u"})"), 400, "items", "required");
  std::string many = "[\"i\"";
  for (int i = 0; i < 1000; ++i) many += ",\"i\"";
  ExpectProblem(
      Call("POST", "/api/v1/rerank", fmt::format(R"({{"userId":"u","items":{}]}})", many)), 400,
      "items");
  ExpectProblem(Call("GET", "/api/v1/decisions/xyz"), 400, "decisionId");
  ExpectProblem(Call("GET", "/api/v1/decisions/" + std::string(32, '0')), 404, "decisionId");
  Start({.max_slots = 5});
  ExpectProblem(Call("POST", "/api/v1/recommendations", R"({"userId":"u","slots":6})"), 400,
                "slots");
}

TEST_F(ApiTest, TrainingThatIsUnderWayIsAConflict) {
  EXPECT_EQ(Call("POST", "/api/v1/models/train").status, 202);
  ExpectProblem(Call("POST", "/api/v1/models/train"), 409, "");
  ExpectProblem(Call("POST", "/api/v1/models/train", "{}"), 400, "body", "no body");
}

TEST_F(ApiTest, ReadinessIsTheEngines) {
  EXPECT_EQ(Call("GET", "/health/ready").status, 200);
  engine_.is_ready = false;
  const LoopbackAnswer answer = Call("GET", "/health/ready");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.body, R"({"status":"not ready","reason":"opening"})");
  EXPECT_EQ(Call("GET", "/health/live").status, 200);
}

TEST_F(ApiTest, MetricsCountByRouteAndNameNobody) {
  FillCatalog();
  Call("GET", "/api/v1/users/u0");
  Call("GET", "/api/v1/users/somebody-secret");
  Call("GET", "/nowhere");
  const std::string text = Call("GET", "/metrics").body;
  EXPECT_THAT(text, HasSubstr("poise_http_requests_total{route=\"GET /api/v1/users/{userId}\","
                              "status=\"4xx\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poise_http_requests_total{route=\"none\",status=\"4xx\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poise_http_request_seconds_count{route=\"PUT "
                              "/api/v1/items/{itemId}\"} 3\n"));
  EXPECT_EQ(text.find("somebody-secret"), std::string::npos);
}

// ---- keys and rates

TEST_F(ApiTest, AKeyIsShownOnceWorksAfterARestartAndCanBeRevoked) {
  const LoopbackAnswer made = Call("POST", "/api/v1/keys", FullBody("ApiKeyRequest"));
  ASSERT_EQ(made.status, 201);
  const JsonDocument document = *JsonDocument::Parse(made.body);
  const std::string secret(*document.root()["key"].GetString());
  const std::string id(*document.root()["keyId"].GetString());
  EXPECT_THAT(secret, StartsWith("poise_"));
  const std::string list = Call("GET", "/api/v1/keys").body;
  EXPECT_THAT(list, HasSubstr(id));
  EXPECT_EQ(list.find(secret), std::string::npos);
  const auto stored = tables_->Get(KeyStore::kTable, id);
  ASSERT_TRUE(stored.ok() && stored->has_value());
  EXPECT_EQ((*stored)->find(secret.substr(6)), std::string::npos) << "only the hash is kept";
  Start({});
  EXPECT_EQ(Call("PUT", "/api/v1/items/i", "{}", secret).status, 204);
  EXPECT_EQ(Call("DELETE", "/api/v1/keys/" + id).status, 204);
  EXPECT_EQ(Call("PUT", "/api/v1/items/i", "{}", secret).status, 401);
  ExpectProblem(Call("DELETE", "/api/v1/keys/" + id), 404, "keyId");
  ExpectProblem(Call("POST", "/api/v1/keys", R"({"name":"x","scopes":["root"]})"), 400, "scopes",
                "known: ingest, recommend, read, admin");
  ExpectProblem(Call("POST", "/api/v1/keys", R"({"name":"x","scopes":[]})"), 400, "scopes");
  ExpectProblem(Call("POST", "/api/v1/keys",
                     fmt::format(R"({{"name":"{}","scopes":["read"]}})", std::string(201, 'x'))),
                400, "name");
}

TEST_F(ApiTest, ADamagedKeyIsReportedNotIgnored) {
  ASSERT_TRUE(tables_->Put(KeyStore::kTable, "key_bad", "{").ok());
  const auto keys = KeyStore::Open(*tables_, clock_);
  EXPECT_EQ(keys.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(keys.status().message(), HasSubstr("key_bad"));
}

TEST_F(ApiTest, EachKeyHasItsOwnRate) {
  Start({.limits = {.requests_per_second = 10, .burst = 3}});
  const std::string other = keys_->Create("other", Bit(Scope::kRead))->secret;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Call("GET", "/api/v1/state").status, 200);
  const LoopbackAnswer limited = Call("GET", "/api/v1/state");
  ExpectProblem(limited, 429, "");
  EXPECT_EQ(limited.headers.at("retry-after"), "1");
  EXPECT_EQ(Call("GET", "/api/v1/state", {}, other).status, 200);
  EXPECT_EQ(Call("GET", "/health/live").status, 200) << "health is always told";
  clock_.Advance(std::chrono::milliseconds(100));
  EXPECT_EQ(Call("GET", "/api/v1/state").status, 200);
  EXPECT_EQ(Call("GET", "/api/v1/state").status, 429);
}

TEST_F(ApiTest, WithoutAuthenticationEverybodySharesOneRate) {
  Start({.authentication = false, .limits = {.requests_per_second = 10, .burst = 2}});
  EXPECT_EQ(Call("GET", "/api/v1/state", {}, "").status, 200);
  EXPECT_EQ(Call("GET", "/api/v1/state", {}, "").status, 200);
  EXPECT_EQ(Call("GET", "/api/v1/state", {}, "").status, 429);
}

TEST_F(ApiTest, AHugeBodyIsRefusedAtItsHead) {
  Start({}, {.max_body_bytes = 1000});
  ExpectProblem(Call("PUT", "/api/v1/items/i", std::string(2000, 'x')), 413, "");
}

TEST(RateBucket, LetsTheBurstThroughThenTheRate) {
  RateBucket bucket(1000, 5);
  std::chrono::nanoseconds now{0};
  int passed = 0;
  for (int i = 0; i < 10; ++i) passed += bucket.Take(now);
  EXPECT_EQ(passed, 5);
  for (int ms = 0; ms < 1000; ++ms) {
    now += std::chrono::milliseconds(1);
    passed += bucket.Take(now);
    passed += bucket.Take(now);
  }
  EXPECT_EQ(passed, 1005);
}

}  // namespace
}  // namespace poise
