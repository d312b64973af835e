// SPDX-License-Identifier: Apache-2.0
#include "config/configuration.h"

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <sstream>

#include "config/option_table.h"

namespace poise {
namespace {

constexpr std::string_view kVariablePrefix = "POISE_";
constexpr std::size_t kMaxFileBytes = 1 << 20;

// Variables that other parts of the product read.
constexpr std::string_view kOtherVariables[] = {"POISE_CONFIG", "POISE_MASTER_KEY"};

std::string QuotedToml(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

// A number that TOML reads back as a float.
std::string FloatText(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

bool IsBareKey(std::string_view key) {
  return !key.empty() && key.find_first_not_of(
                             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
                             std::string_view::npos;
}

std::string DottedKey(std::string_view dotted) {
  std::string out;
  while (true) {
    const std::size_t dot = std::min(dotted.find('.'), dotted.size());
    const std::string_view part = dotted.substr(0, dot);
    out += IsBareKey(part) ? std::string(part) : QuotedToml(part);
    if (dot == dotted.size()) return out;
    out += '.';
    dotted.remove_prefix(dot + 1);
  }
}

std::string TomlText(int value) { return std::to_string(value); }
std::string TomlText(double value) { return FloatText(value); }
std::string TomlText(bool value) { return value ? "true" : "false"; }
std::string TomlText(const std::string& value) { return QuotedToml(value); }
std::string TomlText(const std::vector<std::string>& words) {
  std::string out = "[";
  for (const std::string& word : words) {
    if (out.size() > 1) out += ", ";
    out += QuotedToml(word);
  }
  return out + "]";
}
std::string TomlText(const ParameterTexts& pairs) {
  std::string out;
  for (const auto& [name, value] : pairs) {
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", DottedKey(name), QuotedToml(value));
  }
  return out.empty() ? "{}" : "{ " + out + " }";
}

std::string_view FieldType(const int&) { return "integer"; }
std::string_view FieldType(const double&) { return "number"; }
std::string_view FieldType(const bool&) { return "flag"; }
std::string_view FieldType(const std::string&) { return "text"; }
std::string_view FieldType(const std::vector<std::string>&) { return "list"; }
std::string_view FieldType(const ParameterTexts&) { return "pairs"; }

std::string_view Expected(std::string_view type) {
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  if (type == "flag") return "true or false";
  if (type == "text") return "a text in quotes";
  if (type == "list") return "a list of texts";
  return "a table of names and values";
}

std::string TypeOf(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

class FileReader {
 public:
  FileReader(std::string_view name, LoadedConfiguration& out) : name_(name), out_(out) {}

  Status Read(const toml::table& root) { return ReadTable(root, ""); }

 private:
  std::string Where(const toml::source_region& region) const {
    return fmt::format("{}:{}:{}", name_, region.begin.line, region.begin.column);
  }

  Status ReadTable(const toml::table& table, std::string_view section) {
    for (const auto& [key, node] : table) {
      const std::size_t row = Find(section, key.str());
      if (row < OptionTable().size()) {
        POISE_RETURN_IF_ERROR(ReadNode(row, node));
        out_.origins[row] = OptionOrigin::kFile;
      } else if (section.empty() && IsSection(key.str())) {
        if (!node.is_table()) {
          return InvalidArgument(fmt::format("{}: {}: expected a table [{}], got {}",
                                             Where(node.source()), key.str(), key.str(),
                                             TypeOf(node)));
        }
        POISE_RETURN_IF_ERROR(ReadTable(*node.as_table(), key.str()));
      } else {
        return Unknown(section, key);
      }
    }
    return Status::Ok();
  }

  static std::size_t Find(std::string_view section, std::string_view name) {
    const auto rows = OptionTable();
    std::size_t at = 0;
    while (at < rows.size() && (rows[at].section != section || rows[at].name != name)) ++at;
    return at;
  }

  static bool IsSection(std::string_view name) {
    for (const OptionRow& row : OptionTable()) {
      if (!name.empty() && row.section == name) return true;
    }
    return false;
  }

  Status Unknown(std::string_view section, const toml::key& key) const {
    std::vector<std::string> known;
    for (const OptionRow& row : OptionTable()) {
      if (row.section == section) known.emplace_back(row.name);
      if (section.empty() && !row.section.empty()) {
        const std::string header = fmt::format("[{}]", row.section);
        if (known.empty() || known.back() != header) known.push_back(header);
      }
    }
    return InvalidArgument(fmt::format(
        "{}: unknown key \"{}\"{}; known: {}", Where(key.source()), key.str(),
        section.empty() ? "" : fmt::format(" in [{}]", section), fmt::join(known, ", ")));
  }

  Status ReadNode(std::size_t at, const toml::node& node) {
    const OptionRow& row = OptionTable()[at];
    const std::string name = fmt::format("{}: {}", Where(node.source()), OptionKey(row));
    return std::visit(
        [&](auto field) -> Status {
          auto& value = field(out_.values);
          const std::string_view type = FieldType(value);
          std::string text;
          if (!ToText(node, value, text)) {
            return InvalidArgument(
                fmt::format("{}: expected {}, got {}", name, Expected(type), TypeOf(node)));
          }
          using T = std::remove_reference_t<decltype(value)>;
          if constexpr (std::is_same_v<T, ParameterTexts>) {
            value.clear();
            return Flatten(*node.as_table(), "", name, value);
          } else {
            return SetOption(row, name, text, out_.values);
          }
        },
        row.field);
  }

  static bool ToText(const toml::node& node, const int&, std::string& text) {
    const auto value = node.value_exact<std::int64_t>();
    if (value) text = std::to_string(*value);
    return value.has_value();
  }
  static bool ToText(const toml::node& node, const double&, std::string& text) {
    if (!node.is_number()) return false;
    text = fmt::format("{}", node.value_or<double>(0));
    return true;
  }
  static bool ToText(const toml::node& node, const bool&, std::string& text) {
    const auto value = node.value_exact<bool>();
    if (value) text = *value ? "true" : "false";
    return value.has_value();
  }
  static bool ToText(const toml::node& node, const std::string&, std::string& text) {
    const auto value = node.value_exact<std::string>();
    if (value) text = *value;
    return value.has_value();
  }
  static bool ToText(const toml::node& node, const std::vector<std::string>&, std::string& text) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return false;
    for (const toml::node& element : *array) {
      const auto word = element.value_exact<std::string>();
      if (!word) return false;
      if (&element != &array->front()) text += ',';
      text += *word;
    }
    return true;
  }
  static bool ToText(const toml::node& node, const ParameterTexts&, std::string&) {
    return node.is_table();
  }

  // {ials = {dim = 64}} is ials.dim = 64.
  Status Flatten(const toml::table& table, const std::string& prefix, const std::string& name,
                 ParameterTexts& out) {
    for (const auto& [key, node] : table) {
      const std::string dotted = prefix + std::string(key.str());
      if (const toml::table* inner = node.as_table()) {
        POISE_RETURN_IF_ERROR(Flatten(*inner, dotted + ".", name, out));
      } else if (const auto text = node.value_exact<std::string>()) {
        out.emplace_back(dotted, *text);
      } else if (const auto flag = node.value_exact<bool>()) {
        out.emplace_back(dotted, *flag ? "true" : "false");
      } else if (const auto whole = node.value_exact<std::int64_t>()) {
        out.emplace_back(dotted, std::to_string(*whole));
      } else if (const auto number = node.value_exact<double>()) {
        out.emplace_back(dotted, fmt::format("{}", *number));
      } else {
        return InvalidArgument(fmt::format("{}: {}: expected a text, a number or a flag, got {}",
                                           name, dotted, TypeOf(node)));
      }
    }
    return Status::Ok();
  }

  std::string_view name_;
  LoadedConfiguration& out_;
};

Status ReadToml(std::string_view toml, std::string_view name, LoadedConfiguration& out) {
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return InvalidArgument(fmt::format("{}:{}:{}: {}", name, error.source().begin.line,
                                       error.source().begin.column, error.description()));
  }
  return FileReader(name, out).Read(parsed.table());
}

Status ReadFile(const std::string& path, LoadedConfiguration& out) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return NotFound(fmt::format("{}: cannot read the configuration file", path));
  std::string text(kMaxFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return Unavailable(fmt::format("{}: reading failed", path));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kMaxFileBytes) {
    return InvalidArgument(
        fmt::format("{}: larger than {} bytes, hardly a configuration", path, kMaxFileBytes));
  }
  return ReadToml(text, path, out);
}

void ReadEnvironmentNames(const ConfigurationSources& sources, LoadedConfiguration& out) {
  for (const auto& [name, text] : sources.environment) {
    if (name.rfind(kVariablePrefix, 0) != 0) continue;
    bool is_known = false;
    for (const std::string_view other : kOtherVariables) is_known = is_known || name == other;
    for (const OptionRow& row : OptionTable()) {
      is_known = is_known || OptionEnvironment(row) == name;
    }
    if (!is_known) {
      out.warnings.push_back(fmt::format("environment variable {} is no option of Poise", name));
    }
  }
}

Status ReadEnvironment(const ConfigurationSources& sources, LoadedConfiguration& out) {
  const auto rows = OptionTable();
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const std::string variable = OptionEnvironment(rows[at]);
    for (const auto& [name, text] : sources.environment) {
      if (name != variable) continue;
      POISE_RETURN_IF_ERROR(SetOption(rows[at], "environment variable " + name, text, out.values));
      out.origins[at] = OptionOrigin::kEnvironment;
    }
  }
  ReadEnvironmentNames(sources, out);
  return Status::Ok();
}

Status ReadFlags(const ConfigurationSources& sources, LoadedConfiguration& out) {
  const auto rows = OptionTable();
  for (const auto& [name, text] : sources.flags) {
    std::size_t at = 0;
    while (at < rows.size() && OptionKey(rows[at]) != name && OptionFlag(rows[at]) != name) ++at;
    if (at == rows.size()) {
      std::vector<std::string> known;
      for (const OptionRow& row : rows) known.push_back(OptionFlag(row));
      return InvalidArgument(
          fmt::format("{}: unknown option; known: {}", name, fmt::join(known, ", ")));
    }
    POISE_RETURN_IF_ERROR(SetOption(rows[at], OptionFlag(rows[at]), text, out.values));
    out.origins[at] = OptionOrigin::kFlag;
  }
  return Status::Ok();
}

LoadedConfiguration Defaults() {
  LoadedConfiguration out;
  out.origins.assign(OptionTable().size(), OptionOrigin::kDefault);
  return out;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  std::istringstream in{std::string(text)};
  std::copy(std::istream_iterator<std::string>(in), {}, std::back_inserter(words));
  return words;
}

std::string RangeText(const OptionDescription& option) {
  if (!option.choices.empty()) return fmt::format("{}", fmt::join(option.choices, ", "));
  if (option.type != "integer" && option.type != "number") return option.type;
  return fmt::format("{}{:.15g} to {:.15g}{}", option.type == "integer" ? "whole, " : "",
                     option.min, option.max, option.unit.empty() ? "" : " " + option.unit);
}

}  // namespace

std::string_view OptionOriginName(OptionOrigin origin) {
  constexpr std::string_view kNames[] = {"default", "file", "environment", "flag"};
  return kNames[static_cast<std::size_t>(origin)];
}

std::vector<OptionDescription> DescribeOptions() {
  Configuration defaults;
  std::vector<OptionDescription> out;
  for (const OptionRow& row : OptionTable()) {
    std::visit(
        [&](auto field) {
          const auto& value = field(defaults);
          out.push_back({OptionKey(row), OptionFlag(row), OptionEnvironment(row),
                         std::string(FieldType(value)), std::string(row.unit), TomlText(value),
                         row.min, row.max, Words(row.choices), std::string(row.sentence)});
        },
        row.field);
  }
  return out;
}

Result<LoadedConfiguration> LoadConfiguration(const ConfigurationSources& sources) {
  LoadedConfiguration out = Defaults();
  if (!sources.file.empty()) POISE_RETURN_IF_ERROR(ReadFile(sources.file, out));
  POISE_RETURN_IF_ERROR(ReadEnvironment(sources, out));
  POISE_RETURN_IF_ERROR(ReadFlags(sources, out));
  return out;
}

Result<LoadedConfiguration> ParseConfiguration(std::string_view toml, std::string_view name) {
  LoadedConfiguration out = Defaults();
  POISE_RETURN_IF_ERROR(ReadToml(toml, name, out));
  return out;
}

std::string Describe(const LoadedConfiguration& configuration) {
  Configuration values = configuration.values;
  std::string out;
  std::string_view section;
  const auto rows = OptionTable();
  for (std::size_t at = 0; at < rows.size(); ++at) {
    if (rows[at].section != section) {
      section = rows[at].section;
      out += fmt::format("\n[{}]\n", section);
    }
    const std::string text =
        std::visit([&](auto field) { return TomlText(field(values)); }, rows[at].field);
    out += fmt::format("{} = {}  # {}\n", rows[at].name, text,
                       OptionOriginName(configuration.origins[at]));
  }
  return out;
}

std::string ConfigurationReference() {
  std::string out =
      "# Configuration\n"
      "\n"
      "Every option is a key in a TOML file (`--config FILE` or `POISE_CONFIG`), a flag and an\n"
      "environment variable. A flag beats the environment, the environment beats the file, the\n"
      "file beats the default. An unknown key is an error that names the line and the known keys.\n"
      "A list is written `a,b` in a flag or a variable; pairs are written `name=value,...` there\n"
      "and as a table in the file.\n";
  std::string section = "?";
  for (const OptionDescription& option : DescribeOptions()) {
    const std::size_t dot = option.key.find('.');
    const std::string own = dot == std::string::npos ? "" : option.key.substr(0, dot);
    if (own != section) {
      section = own;
      out += fmt::format("\n## {}\n\n", own.empty() ? "At the top of the file" : "[" + own + "]");
      out += "| key | default | values | meaning | flag, variable |\n|---|---|---|---|---|\n";
    }
    out += fmt::format("| `{}` | `{}` | {} | {} | `{}` `{}` |\n",
                       dot == std::string::npos ? option.key : option.key.substr(dot + 1),
                       option.default_value, RangeText(option), option.sentence, option.flag,
                       option.environment);
  }
  return out;
}

}  // namespace poise
