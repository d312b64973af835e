// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "http/api/route.h"
#include "http/api/schema.h"
#include "json/writer.h"

namespace poise {

namespace {

void WriteReference(std::string_view schema, JsonWriter& json) {
  json.Field("$ref", fmt::format("#/components/schemas/{}", schema));
}

// The members of a schema object, without its braces.
void WriteType(std::string_view type, JsonWriter& json) {
  if (type.starts_with('[')) {
    json.Field("type", "array").Key("items").BeginObject();
    WriteType(type.substr(1, type.size() - 2), json);
    json.EndObject();
  } else if (type == "date-time") {
    json.Field("type", "string").Field("format", "date-time");
  } else if (type == "attributes") {
    json.Field("type", "object")
        .Key("additionalProperties")
        .BeginObject()
        .Key("oneOf")
        .BeginArray();
    for (const std::string_view one : {"string", "number", "boolean", "[string]"}) {
      json.BeginObject();
      WriteType(one, json);
      json.EndObject();
    }
    json.EndArray().EndObject();
  } else if (FindSchema(type) != nullptr) {
    WriteReference(type, json);
  } else {
    json.Field("type", type);
  }
}

void WriteSchema(const Schema& schema, JsonWriter& json) {
  json.Key(schema.name)
      .BeginObject()
      .Field("type", "object")
      .Field("description", schema.sentence)
      .Field("additionalProperties", false)
      .Key("properties")
      .BeginObject();
  bool has_required = false;
  for (const SchemaField& field : schema.fields) {
    json.Key(field.name).BeginObject();
    WriteType(field.type, json);
    json.Field("description", field.sentence).EndObject();
    has_required |= field.presence == Presence::kRequired;
  }
  json.EndObject();
  if (has_required) {
    json.Key("required").BeginArray();
    for (const SchemaField& field : schema.fields) {
      if (field.presence == Presence::kRequired) json.Value(field.name);
    }
    json.EndArray();
  }
  json.EndObject();
}

void WriteContent(std::string_view media_type, std::string_view schema, JsonWriter& json) {
  json.Key("content").BeginObject().Key(media_type).BeginObject().Key("schema").BeginObject();
  WriteType(schema, json);
  json.EndObject().EndObject().EndObject();
}

void WriteResponse(int status, std::string_view description, std::string_view schema,
                   JsonWriter& json) {
  json.Key(std::to_string(status)).BeginObject().Field("description", description);
  if (schema == "text") {
    json.Key("content").BeginObject().Key("*/*").BeginObject().EndObject().EndObject();
  } else if (!schema.empty()) {
    WriteContent(schema == "Problem" ? "application/problem+json" : "application/json", schema,
                 json);
  }
  json.EndObject();
}

void WriteParameters(const Route& route, JsonWriter& json) {
  const std::size_t open = route.path.find('{');
  if (open == std::string_view::npos && route.query.empty()) return;
  json.Key("parameters").BeginArray();
  if (open != std::string_view::npos) {
    const std::string_view name = route.path.substr(open + 1, route.path.find('}') - open - 1);
    json.BeginObject()
        .Field("name", name)
        .Field("in", "path")
        .Field("required", true)
        .Field("description", "Percent-encoded, slashes too.")
        .Key("schema")
        .BeginObject()
        .Field("type", "string")
        .EndObject()
        .EndObject();
  }
  for (const RouteParameter& parameter : route.query) {
    json.BeginObject()
        .Field("name", parameter.name)
        .Field("in", "query")
        .Field("required", false)
        .Field("description", parameter.sentence)
        .Key("schema")
        .BeginObject();
    WriteType(parameter.type, json);
    json.EndObject().EndObject();
  }
  json.EndArray();
}

// "put /api/v1/items/{itemId}" becomes "putItemsByItemId".
std::string OperationId(const Route& route) {
  std::string id;
  for (const char c : HttpMethodName(route.method)) id += static_cast<char>(c - 'A' + 'a');
  std::string_view path = route.path;
  if (path.starts_with("/api/v1")) path.remove_prefix(7);
  bool is_start = true;
  for (const char c : path) {
    if (c == '{') id += "By";
    if (c == '/' || c == '{' || c == '}' || c == '.') {
      is_start = true;
      continue;
    }
    id += is_start && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    is_start = false;
  }
  return id;
}

void WriteOperation(const Route& route, JsonWriter& json) {
  std::string method(HttpMethodName(route.method));
  for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
  json.Key(method)
      .BeginObject()
      .Field("operationId", OperationId(route))
      .Field("summary", route.summary);
  if (route.scope.has_value()) {
    json.Field("description",
               fmt::format("Needs a key with the scope {}.", ScopeName(*route.scope)));
  } else {
    json.Key("security").BeginArray().EndArray();
  }
  WriteParameters(route, json);
  if (!route.request.empty()) {
    json.Key("requestBody").BeginObject().Field("required", true);
    WriteContent("application/json", route.request, json);
    json.EndObject();
  }
  json.Key("responses").BeginObject();
  WriteResponse(route.success, "As asked.", route.response, json);
  if (route.response == "BatchResult") {
    WriteResponse(207, "Some elements were rejected; the others are kept.", "BatchResult", json);
    WriteResponse(400, "Every element was rejected.", "BatchResult", json);
  }
  json.Key("default").BeginObject().Field("description", "A problem.");
  WriteContent("application/problem+json", "Problem", json);
  json.EndObject().EndObject().EndObject();
}

}  // namespace

std::string OpenApiDocument(std::span<const Route> routes) {
  JsonWriter json;
  json.BeginObject()
      .Field("openapi", "3.1.0")
      .Key("info")
      .BeginObject()
      .Field("title", "Poise")
      .Field("version", "1")
      .Field("description",
             "A recommender that explores on purpose and says what every choice was worth.")
      .Key("license")
      .BeginObject()
      .Field("name", "Apache-2.0")
      .Field("identifier", "Apache-2.0")
      .EndObject()
      .EndObject()
      .Key("security")
      .BeginArray()
      .BeginObject()
      .Key("bearer")
      .BeginArray()
      .EndArray()
      .EndObject()
      .BeginObject()
      .Key("apiKey")
      .BeginArray()
      .EndArray()
      .EndObject()
      .EndArray()
      .Key("paths")
      .BeginObject();
  for (std::size_t i = 0; i < routes.size(); ++i) {
    bool is_first = true;
    for (std::size_t j = 0; j < i; ++j) is_first &= routes[j].path != routes[i].path;
    if (!is_first) continue;
    json.Key(routes[i].path).BeginObject();
    for (const Route& route : routes) {
      if (route.path == routes[i].path) WriteOperation(route, json);
    }
    json.EndObject();
  }
  json.EndObject()
      .Key("components")
      .BeginObject()
      .Key("securitySchemes")
      .BeginObject()
      .Key("bearer")
      .BeginObject()
      .Field("type", "http")
      .Field("scheme", "bearer")
      .EndObject()
      .Key("apiKey")
      .BeginObject()
      .Field("type", "apiKey")
      .Field("in", "header")
      .Field("name", "X-API-Key")
      .EndObject()
      .EndObject()
      .Key("schemas")
      .BeginObject();
  for (const Schema& schema : AllSchemas()) WriteSchema(schema, json);
  json.EndObject().EndObject().EndObject();
  return json.Take();
}

}  // namespace poise
