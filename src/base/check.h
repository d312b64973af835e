// SPDX-License-Identifier: Apache-2.0
//
// POISE_CHECK: a promise between parts of Poise. A broken one is a bug, never bad input, and ends
// the process at the broken line; on in release builds. POISE_DCHECK is for hot loops, off with
// NDEBUG.
#pragma once

namespace poise {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace poise

#define POISE_CHECK(condition) \
  ((condition) ? void(0) : ::poise::CheckFailed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define POISE_DCHECK(condition) void(0)
#else
#define POISE_DCHECK(condition) POISE_CHECK(condition)
#endif
