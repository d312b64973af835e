// SPDX-License-Identifier: Apache-2.0
//
// Unpredictable bytes from the operating system's generator, for keys and nonces only: whatever
// must be replayable draws from Rng.
//
// Threads  All functions may be called concurrently, also in the child after a fork.
// Cost     RandomBytes: about .3 us a call. RandomNonceBytes: about 10 ns for 12 bytes, from a
//          buffer of the calling thread whose spent bytes are wiped.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "crypto/secret.h"

namespace poise {

inline constexpr std::size_t kKeyBytes = 32;

// Fills `out`. Ends the program if the operating system has no randomness to give: nothing sealed
// under a predictable key would be safe.
void RandomBytes(std::span<std::uint8_t> out);

// The same for short values that need not be secret, only never repeat.
void RandomNonceBytes(std::span<std::uint8_t> out);

// A fresh key of kKeyBytes.
std::string RandomKey();

}  // namespace poise
