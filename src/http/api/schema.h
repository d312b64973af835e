// SPDX-License-Identifier: Apache-2.0
//
// Schema: the fields of one JSON object that goes in or out, declared once.
//
// The OpenAPI document is written from these rows; a test sends and reads every body against them,
// so that they cannot drift from the code that parses and prints.
#pragma once

#include <span>
#include <string_view>

namespace poise {

enum class Presence { kRequired, kOptional };

struct SchemaField {
  std::string_view name;
  // "string", "integer", "number", "boolean", "date-time", "attributes", the name of a schema; in
  // brackets: a list of these.
  std::string_view type;
  Presence presence;
  std::string_view sentence;
};

struct Schema {
  std::string_view name;
  std::string_view sentence;
  std::span<const SchemaField> fields;
};

std::span<const Schema> AllSchemas();
// Null: no such schema.
const Schema* FindSchema(std::string_view name);

}  // namespace poise
