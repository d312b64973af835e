// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

namespace poise {
namespace {

TEST(Timestamp, PrintsAndReadsRfc3339) {
  EXPECT_EQ(FormatTimestamp({0}), "1970-01-01T00:00:00Z");
  EXPECT_EQ(FormatTimestamp({1'659'832'006'500'000}), "2022-08-07T00:26:46.5Z");
  EXPECT_EQ(FormatTimestamp({-1}), "1969-12-31T23:59:59.999999Z");
  for (const char* text : {"2022-08-07T00:26:46.5Z", "2000-02-29T23:59:59Z", "0001-01-01T00:00:00Z",
                           "1969-12-31T23:59:59.999999Z"}) {
    const auto parsed = ParseTimestamp(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(FormatTimestamp(*parsed), text);
  }
}

TEST(Timestamp, ReadsOffsetsDatesAndUnixNumbers) {
  EXPECT_EQ(*ParseTimestamp("2022-08-07T02:26:46+02:00"), *ParseTimestamp("2022-08-07T00:26:46Z"));
  EXPECT_EQ(*ParseTimestamp("2022-08-06T19:26:46-05:00"), *ParseTimestamp("2022-08-07T00:26:46Z"));
  EXPECT_EQ(FormatTimestamp(*ParseTimestamp("2010-12-01 08:26")), "2010-12-01T08:26:00Z");
  EXPECT_EQ(FormatTimestamp(*ParseTimestamp("2010-12-01")), "2010-12-01T00:00:00Z");
  EXPECT_EQ(*ParseTimestamp("1659832006"), Timestamp::FromSeconds(1'659'832'006));
  EXPECT_EQ(*ParseTimestamp("1659832006000"), Timestamp::FromSeconds(1'659'832'006));
  EXPECT_EQ(*ParseTimestamp("1659832006000000"), Timestamp::FromSeconds(1'659'832'006));
}

TEST(Timestamp, RefusesWhatIsNoTime) {
  for (const char* text : {"", "yesterday", "2022-13-01", "2022-02-29", "2022-00-10", "2022-01-32",
                           "2022-01-01T24:00:00Z", "2022-01-01T00:60:00Z", "2022-01-01T00:00:00",
                           "2022-01-01T00:00:00.Z", "2022-01-01x", "2022-01-01T00:00:00+2:00",
                           "123456789012345678901", "-5"}) {
    if (std::string_view(text) == "2022-01-01T00:00:00") {
      EXPECT_TRUE(ParseTimestamp(text).ok()) << "without an offset it is UTC";
      continue;
    }
    EXPECT_EQ(ParseTimestamp(text).status().code(), StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace poise
