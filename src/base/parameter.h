// SPDX-License-Identifier: Apache-2.0
//
// Parameter: one row that declares an option once; parsing, ranges, errors and help come from it.
//
//   struct IalsOptions { int dim = 64; double l2 = 0.003; };
//   constexpr Parameter<IalsOptions> kIalsParameters[] = {
//       {"dim", &IalsOptions::dim, "", 1, 1024, "length of the user and item vectors"},
//       {"l2", &IalsOptions::l2, "", 0, 1e3, "strength of the L2 regularisation"}};
//
// The default is the member's own initialiser.
//
// Errors   kInvalidArgument: unknown name (lists the known ones), not of the member's type, out of
//          range.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace poise {

template <typename Options>
struct Parameter {
  std::string_view name;
  std::variant<int Options::*, double Options::*, bool Options::*, std::string Options::*> member;
  std::string_view unit;
  double min = 0;  // of numbers; a string's length is bounded by max
  double max = 0;
  std::string_view sentence;
};

// A row as people see it, free of the options' type.
struct ParameterDescription {
  std::string name;
  std::string type;  // "integer", "number", "flag", "text"
  std::string unit;
  std::string default_value;
  double min = 0;
  double max = 0;
  std::string sentence;
};

// "name=value" pairs, as they come from a command line or a configuration file.
using ParameterTexts = std::vector<std::pair<std::string, std::string>>;

// The typed halves behind SetParameter().
Status ParseInto(std::string_view text, std::string_view name, double min, double max, int& out);
Status ParseInto(std::string_view text, std::string_view name, double min, double max, double& out);
Status ParseInto(std::string_view text, std::string_view name, double min, double max, bool& out);
Status ParseInto(std::string_view text, std::string_view name, double min, double max,
                 std::string& out);
std::string ParameterText(int value);
std::string ParameterText(double value);
std::string ParameterText(bool value);
std::string ParameterText(const std::string& value);
Status UnknownParameter(std::string_view name, const std::vector<std::string_view>& known);

constexpr std::string_view TypeName(int) { return "integer"; }
constexpr std::string_view TypeName(double) { return "number"; }
constexpr std::string_view TypeName(bool) { return "flag"; }
inline std::string_view TypeName(const std::string&) { return "text"; }

template <typename Options>
Status SetParameter(std::span<const Parameter<Options>> table, std::string_view name,
                    std::string_view text, Options& options) {
  for (const Parameter<Options>& row : table) {
    if (row.name != name) continue;
    return std::visit(
        [&](auto member) { return ParseInto(text, name, row.min, row.max, options.*member); },
        row.member);
  }
  std::vector<std::string_view> known;
  for (const Parameter<Options>& row : table) known.push_back(row.name);
  return UnknownParameter(name, known);
}

template <typename Options>
Status SetParameters(std::span<const Parameter<Options>> table, const ParameterTexts& texts,
                     Options& options) {
  for (const auto& [name, text] : texts) {
    POISE_RETURN_IF_ERROR(SetParameter(table, name, text, options));
  }
  return Status::Ok();
}

template <typename Options>
std::vector<ParameterDescription> DescribeParameters(std::span<const Parameter<Options>> table) {
  const Options defaults{};
  std::vector<ParameterDescription> out;
  for (const Parameter<Options>& row : table) {
    std::visit(
        [&](auto member) {
          out.push_back({std::string(row.name), std::string(TypeName(defaults.*member)),
                         std::string(row.unit), ParameterText(defaults.*member), row.min, row.max,
                         std::string(row.sentence)});
        },
        row.member);
  }
  return out;
}

}  // namespace poise
