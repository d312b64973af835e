// SPDX-License-Identifier: Apache-2.0
//
// What Poise accepts as text from outside: well-formed UTF-8 of bounded length.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/status.h"

namespace poise {

// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

enum class TextLines {
  kOne,   // no control characters at all
  kMany,  // newlines and tabs are welcome
};

// Errors  kInvalidArgument naming `field`.
Status ValidateText(std::string_view text, std::size_t max_bytes, TextLines lines,
                    std::string_view field);

}  // namespace poise
