// SPDX-License-Identifier: Apache-2.0
#include "storage/crc32c.h"

#include <nmmintrin.h>

#include <array>
#include <cstring>

namespace poise {

namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;
// Three streams of this many bytes hide the instruction's latency of three cycles.
constexpr std::size_t kLane = 1024;

using ShiftTable = std::array<std::array<std::uint32_t, 256>, 4>;

// x^n modulo the polynomial as a 32x32 matrix over GF(2), by squaring: what `size` zero bytes do to
// a checksum, spread over a table for each of its four bytes.
constexpr ShiftTable MakeShiftTable(std::size_t size) {
  std::array<std::uint32_t, 32> columns{};
  for (int bit = 0; bit < 32; ++bit) {
    std::uint32_t crc = 1u << bit;
    for (std::size_t i = 0; i < size; ++i) {
      for (int step = 0; step < 8; ++step) {
        crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
      }
    }
    columns[static_cast<std::size_t>(bit)] = crc;
  }
  ShiftTable table{};
  for (std::size_t byte = 0; byte < 4; ++byte) {
    for (std::size_t value = 0; value < 256; ++value) {
      std::uint32_t crc = 0;
      for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((value >> bit & 1) != 0) crc ^= columns[byte * 8 + bit];
      }
      table[byte][value] = crc;
    }
  }
  return table;
}

const ShiftTable kShift = MakeShiftTable(kLane);

std::uint32_t Shift(std::uint32_t crc) {
  return kShift[0][crc & 0xff] ^ kShift[1][crc >> 8 & 0xff] ^ kShift[2][crc >> 16 & 0xff] ^
         kShift[3][crc >> 24];
}

std::uint64_t Word(const char* bytes) {
  std::uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

}  // namespace

std::uint32_t Crc32c(std::string_view bytes, std::uint32_t crc) {
  const char* at = bytes.data();
  std::size_t rest = bytes.size();
  std::uint64_t state = ~crc;
  while (rest >= 3 * kLane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      state = _mm_crc32_u64(state, Word(at + i));
      second = _mm_crc32_u64(second, Word(at + kLane + i));
      third = _mm_crc32_u64(third, Word(at + 2 * kLane + i));
    }
    state = Shift(static_cast<std::uint32_t>(state)) ^ second;
    state = Shift(static_cast<std::uint32_t>(state)) ^ third;
    at += 3 * kLane;
    rest -= 3 * kLane;
  }
  for (; rest >= 8; at += 8, rest -= 8) state = _mm_crc32_u64(state, Word(at));
  for (; rest > 0; ++at, --rest) {
    state = _mm_crc32_u8(static_cast<std::uint32_t>(state), static_cast<unsigned char>(*at));
  }
  return ~static_cast<std::uint32_t>(state);
}

}  // namespace poise
