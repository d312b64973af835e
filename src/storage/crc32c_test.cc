// SPDX-License-Identifier: Apache-2.0
#include "storage/crc32c.h"

#include <gtest/gtest.h>

#include <string>

#include "base/rng.h"

namespace poise {
namespace {

std::uint32_t BitByBit(std::string_view bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, GivesTheValuesOfRfc3720) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

TEST(Crc32c, AgreesWithTheSlowTwinAtEveryLengthAndAlignment) {
  constexpr std::uint64_t kSeed = 20'241'124;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::string bytes(20'000, '\0');
  for (char& c : bytes) c = static_cast<char>(rng.Next());
  for (std::size_t size = 0; size < 200; ++size) {
    const std::string_view part = std::string_view(bytes).substr(size % 9, size);
    EXPECT_EQ(Crc32c(part), BitByBit(part)) << size;
  }
  for (int i = 0; i < 60; ++i) {
    const std::size_t from = rng.Below(64);
    const std::string_view part = std::string_view(bytes).substr(from, rng.Below(19'000));
    EXPECT_EQ(Crc32c(part), BitByBit(part)) << part.size();
  }
}

TEST(Crc32c, GoesOnWhereTheBytesBeforeStopped) {
  const std::string bytes(7'000, 'x');
  for (const std::size_t cut : {0u, 1u, 8u, 3'072u, 5'000u, 7'000u}) {
    const std::string_view all = bytes;
    EXPECT_EQ(Crc32c(all.substr(cut), Crc32c(all.substr(0, cut))), Crc32c(all));
  }
}

}  // namespace
}  // namespace poise
