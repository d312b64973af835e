// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

namespace poise {
namespace {

TEST(Bytes, ReadsBackWhatWasWritten) {
  ByteWriter writer;
  writer.Fixed<std::uint32_t>(0xdeadbeef);
  writer.Fixed(1.5F);
  for (const std::uint64_t value : {0ULL, 127ULL, 128ULL, 300ULL, ~0ULL}) writer.Varint(value);
  writer.Text("shop");

  ByteReader reader(writer.bytes());
  EXPECT_EQ(reader.Fixed<std::uint32_t>(), 0xdeadbeef);
  EXPECT_EQ(reader.Fixed<float>(), 1.5F);
  for (const std::uint64_t value : {0ULL, 127ULL, 128ULL, 300ULL, ~0ULL}) {
    EXPECT_EQ(reader.Varint(), value);
  }
  EXPECT_EQ(reader.Text(), "shop");
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.IsAtEnd());
}

TEST(Bytes, EveryTruncationIsNoticed) {
  ByteWriter writer;
  writer.Varint(300);
  writer.Fixed<std::uint64_t>(1);
  writer.Text("a longer text");
  const std::string whole = writer.Take();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    ByteReader reader(std::string_view(whole).substr(0, size));
    reader.Varint();
    reader.Fixed<std::uint64_t>();
    reader.Text();
    EXPECT_FALSE(reader.ok()) << size;
  }
}

TEST(Bytes, AVarintLongerThanSixtyFourBitsIsRefused) {
  ByteReader overlong(std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
  overlong.Varint();
  EXPECT_FALSE(overlong.ok());
}

}  // namespace
}  // namespace poise
