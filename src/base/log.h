// SPDX-License-Identifier: Apache-2.0
//
// Log lines for the operator: one a fact, never a user's id.
//
// Threads  All functions may be called concurrently.
#pragma once

#include <string_view>

namespace poise {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void SetLogLevel(LogLevel level);

void LogDebug(std::string_view message);
void LogInfo(std::string_view message);
void LogWarning(std::string_view message);
void LogError(std::string_view message);

}  // namespace poise
