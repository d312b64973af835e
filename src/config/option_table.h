// SPDX-License-Identifier: Apache-2.0
//
// The table of options: one row declares an option once. Inside config/ only.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "config/configuration.h"

namespace poise {

template <typename T>
using OptionField = T& (*)(Configuration&);

struct OptionRow {
  std::string_view section;  // empty: at the top of the file
  std::string_view name;
  std::variant<OptionField<int>, OptionField<double>, OptionField<bool>, OptionField<std::string>,
               OptionField<std::vector<std::string>>, OptionField<ParameterTexts>>
      field;
  std::string_view unit;
  double min = 0;  // of numbers; a text's length is bounded by max
  double max = 0;
  std::string_view choices;  // of texts, separated by spaces; empty: any
  std::string_view sentence;
};

std::span<const OptionRow> OptionTable();

// "server.port", "--server-port", "POISE_SERVER_PORT"
std::string OptionKey(const OptionRow& row);
std::string OptionFlag(const OptionRow& row);
std::string OptionEnvironment(const OptionRow& row);

// Errors  kInvalidArgument naming `name`.
Status SetOption(const OptionRow& row, std::string_view name, std::string_view text,
                 Configuration& out);

}  // namespace poise
