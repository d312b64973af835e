// SPDX-License-Identifier: Apache-2.0
#include "scenarios/script.h"

#include <fmt/format.h>

#include <charconv>
#include <map>
#include <optional>

namespace poise {
namespace {

using Variables = std::map<std::string, std::int64_t, std::less<>>;

Status Wrong(int number, std::string_view what) {
  return InvalidArgument(fmt::format("line {}: {}", number, what));
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void AppendUtf8(std::uint32_t code, std::string& out) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

// Reads what follows a backslash at text[at]; moves `at` behind it.
bool AppendEscape(std::string_view text, std::size_t& at, std::string& out) {
  const char c = text[at++];
  switch (c) {
    case 'n':
      out += '\n';
      return true;
    case 't':
      out += '\t';
      return true;
    case '"':
    case '\\':
    case '$':
      out += c;
      return true;
    case 'u': {
      const std::size_t close = text.find('}', at);
      if (at >= text.size() || text[at] != '{' || close == std::string_view::npos) return false;
      std::uint32_t code = 0;
      const auto [end, error] =
          std::from_chars(text.data() + at + 1, text.data() + close, code, 16);
      if (error != std::errc() || end != text.data() + close || code > 0x10FFFF) return false;
      AppendUtf8(code, out);
      at = close + 1;
      return true;
    }
    default:
      return false;
  }
}

// Reads the name behind a $ at text[at] and appends its value.
Status AppendVariable(std::string_view text, int number, const Variables& variables,
                      std::size_t& at, std::string& out) {
  const bool is_braced = at < text.size() && text[at] == '{';
  if (is_braced) ++at;
  const std::size_t begin = at;
  while (at < text.size() && IsNameCharacter(text[at])) ++at;
  const std::string_view name = text.substr(begin, at - begin);
  if (is_braced) {
    if (at >= text.size() || text[at] != '}') return Wrong(number, "'${' without its '}'");
    ++at;
  }
  const auto found = variables.find(name);
  if (found == variables.end()) {
    return Wrong(number, fmt::format("no loop around this line names '${}'", name));
  }
  out += fmt::format("{}", found->second);
  return Status::Ok();
}

Result<std::vector<std::string>> SplitWords(std::string_view text, int number,
                                            const Variables& variables) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (true) {
    while (at < text.size() && IsBlank(text[at])) ++at;
    if (at >= text.size() || text[at] == '#') return words;
    std::string word;
    bool is_quoted = false;
    while (at < text.size() && (is_quoted || !IsBlank(text[at]))) {
      const char c = text[at++];
      if (c == '"') {
        is_quoted = !is_quoted;
      } else if (c == '$') {
        POISE_RETURN_IF_ERROR(AppendVariable(text, number, variables, at, word));
      } else if (c == '\\' && is_quoted) {
        if (at >= text.size() || !AppendEscape(text, at, word)) {
          return Wrong(number, "expected \\\" \\\\ \\$ \\n \\t or \\u{...} after a backslash");
        }
      } else {
        word += c;
      }
    }
    if (is_quoted) return Wrong(number, "a quote that is not closed");
    words.push_back(std::move(word));
  }
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

struct Loop {
  std::string name;
  std::int64_t first = 0;
  std::int64_t last = 0;
};

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Loop> ParseLoop(const std::vector<std::string>& words, int number) {
  const Status shape = Wrong(number, "expected 'for NAME in FIRST..LAST'");
  if (words.size() != 4 || words[2] != "in" || words[1].empty()) return shape;
  const std::size_t dots = words[3].find("..");
  if (dots == std::string::npos) return shape;
  const auto first = ParseNumber(std::string_view(words[3]).substr(0, dots));
  const auto last = ParseNumber(std::string_view(words[3]).substr(dots + 2));
  if (!first || !last || *first > *last) return shape;
  return Loop{words[1], *first, *last};
}

class Unroller {
 public:
  explicit Unroller(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      source_.push_back(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    }
  }

  Result<std::vector<ScriptLine>> Run() {
    std::size_t at = 0;
    POISE_RETURN_IF_ERROR(Block(at, 0));
    return std::move(lines_);
  }

 private:
  // Appends the lines from `at` to the end of the file, or to the `end` of the loop opened in line
  // `opened`, and moves `at` behind it.
  Status Block(std::size_t& at, int opened) {
    for (; at < source_.size(); ++at) {
      const int number = static_cast<int>(at) + 1;
      POISE_ASSIGN_OR_RETURN(std::vector<std::string> words,
                             SplitWords(source_[at], number, variables_));
      if (words.empty()) continue;
      if (words[0] == "end" && words.size() == 1) {
        if (opened == 0) return Wrong(number, "'end' without a loop");
        ++at;
        return Status::Ok();
      }
      if (words[0] != "for") {
        if (lines_.size() >= kMaxScriptLines) return Wrong(number, "the loops give too many lines");
        lines_.push_back({number, std::move(words), std::string(Trim(source_[at]))});
        continue;
      }
      POISE_ASSIGN_OR_RETURN(const Loop loop, ParseLoop(words, number));
      if (variables_.contains(loop.name)) {
        return Wrong(number, fmt::format("'{}' names a loop around this one", loop.name));
      }
      const std::size_t body = at + 1;
      for (std::int64_t value = loop.first; value <= loop.last; ++value) {
        variables_[loop.name] = value;
        at = body;
        POISE_RETURN_IF_ERROR(Block(at, number));
      }
      variables_.erase(loop.name);
      --at;
    }
    if (opened != 0) return Wrong(opened, "a loop without its 'end'");
    return Status::Ok();
  }

  std::vector<std::string_view> source_;
  std::vector<ScriptLine> lines_;
  Variables variables_;
};

}  // namespace

Result<std::vector<ScriptLine>> ParseScript(std::string_view text) { return Unroller(text).Run(); }

}  // namespace poise
