// SPDX-License-Identifier: Apache-2.0
//
// Script: the lines of a scenario file, split into words, with its loops unrolled.
//
// Place    tests/scenarios/*.poise -> [here] -> Stage
// Errors   kInvalidArgument beginning with the line's number: an open quote, a loop that does not
//          close, a name that no loop gave, more than kMaxScriptLines lines.
// Threads  Values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

inline constexpr std::size_t kMaxScriptLines = 200'000;

struct ScriptLine {
  int number = 0;  // 1-based, in the file
  std::vector<std::string> words;
  // The words again, as they stand in the file, for messages.
  std::string text;
};

// Words are separated by blanks; "a b" is one word, with \" \\ \n \t and \u{1F600} inside; # begins
// a comment. Loops nest:
//
//   for n in 1..30
//     event user-$n view item-$n      # $n or ${n}
//   end
Result<std::vector<ScriptLine>> ParseScript(std::string_view text);

}  // namespace poise
