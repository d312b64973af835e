// SPDX-License-Identifier: Apache-2.0
//
// Crc32c: the Castagnoli checksum that guards every file.
//
// Cost     Three interleaved streams of the SSE4.2 instruction, which the baseline (x86-64-v2) has.
// Source   RFC 3720, appendix B.4 has the test vectors.
#pragma once

#include <cstdint>
#include <string_view>

namespace poise {

// The checksum of `bytes`; `crc` is that of the bytes before them.
std::uint32_t Crc32c(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace poise
