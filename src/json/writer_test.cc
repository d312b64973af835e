// SPDX-License-Identifier: Apache-2.0
#include "json/writer.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "json/reader.h"

namespace poise {
namespace {

TEST(JsonWriter, WritesNestedValuesWithCommasWhereTheyBelong) {
  JsonWriter json;
  json.BeginObject()
      .Field("a", 1)
      .Field("b", "x")
      .Key("c")
      .BeginArray()
      .Value(true)
      .Null()
      .BeginObject()
      .EndObject()
      .BeginArray()
      .EndArray()
      .EndArray()
      .Field("d", std::vector<std::string>{"p", "q"})
      .Field("e", std::uint64_t{18446744073709551615U})
      .Field("f", std::int64_t{-9223372036854775807 - 1})
      .EndObject();
  EXPECT_EQ(json.text(),
            R"({"a":1,"b":"x","c":[true,null,{},[]],"d":["p","q"],"e":18446744073709551615,)"
            R"("f":-9223372036854775808})");
}

TEST(JsonWriter, PrettyStyleIndentsByTwoAndLeavesEmptyContainersOnOneLine) {
  JsonWriter json(JsonStyle::kPretty);
  json.BeginObject().Field("a", 1).Key("b").BeginArray().Value(2).EndArray();
  json.Key("c").BeginArray().EndArray().EndObject();
  EXPECT_EQ(json.text(), "{\n  \"a\": 1,\n  \"b\": [\n    2\n  ],\n  \"c\": []\n}");
}

TEST(JsonWriter, EscapesControlsQuotesAndBackslashesAndKeepsUtf8) {
  JsonWriter json;
  json.Value(std::string_view("\"\\\n\r\t\b\f\x01\x7f\0书é😀", 9 + 1 + 3 + 2 + 4));
  EXPECT_EQ(json.text(), "\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001\\u007f\\u0000书é😀\"");
}

TEST(JsonWriter, BytesThatAreNotUtf8BecomeTheReplacementCharacter) {
  for (const std::string bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xb9",
                                "\x80", "\xf0\x80\x80\x80"}) {
    JsonWriter json;
    json.Value("a" + bad + "b");
    const auto parsed = JsonDocument::Parse(json.text());
    ASSERT_TRUE(parsed.ok()) << json.text();
    const std::string text(*parsed->root().GetString());
    EXPECT_TRUE(text.starts_with("a\xef\xbf\xbd")) << text;
    EXPECT_TRUE(text.ends_with("b")) << text;
  }
}

TEST(JsonWriter, NumbersThatAreNotFiniteBecomeNull) {
  JsonWriter json;
  json.BeginArray();
  json.Value(std::numeric_limits<double>::quiet_NaN());
  json.Value(-std::numeric_limits<double>::infinity());
  json.Value(std::numeric_limits<float>::infinity()).EndArray();
  EXPECT_EQ(json.text(), "[null,null,null]");
}

TEST(JsonWriter, FloatsAreTheShortestThatReadBack) {
  JsonWriter json;
  json.BeginArray().Value(0.1).Value(0.1F).Value(1e300).Value(5e-324).Value(-0.0).EndArray();
  EXPECT_EQ(json.text(), "[0.1,0.1,1e+300,5e-324,-0]");
}

TEST(JsonWriter, EveryFiniteDoubleReadsBackBitForBit) {
  constexpr std::uint64_t kSeed = 20261124;
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    const auto number = std::bit_cast<double>(static_cast<std::uint64_t>(random()));
    if (!std::isfinite(number)) continue;
    JsonWriter json;
    json.Value(number);
    const auto parsed = JsonDocument::Parse(json.text());
    ASSERT_TRUE(parsed.ok()) << json.text() << ": " << parsed.status().ToString();
    ASSERT_EQ(*parsed->root().GetDouble(), number) << json.text();
  }
}

TEST(JsonWriter, AnyBytesGiveJsonAndUtf8ReadsBackTheSame) {
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE(kSeed);
  std::mt19937_64 random(kSeed);
  const std::vector<std::string> parts = {"a", "\"",   "\\", "\n", "书",
                                          "😀", "\x1f", "é",  "/",  "\x7f"};
  for (int i = 0; i < 5'000; ++i) {
    std::string utf8;
    std::string bytes;
    for (std::size_t n = random() % 40; n > 0; --n) {
      utf8 += parts[random() % parts.size()];
      bytes += static_cast<char>(random());
    }
    JsonWriter json;
    json.BeginObject().Field(bytes, utf8).Field("bytes", bytes).EndObject();
    const auto parsed = JsonDocument::Parse(json.text());
    ASSERT_TRUE(parsed.ok()) << json.text();
    EXPECT_EQ((*(*parsed->root().GetObject()).begin()).value.GetString().ok(), true);
    EXPECT_EQ(*(*(*parsed->root().GetObject()).begin()).value.GetString(), utf8);
    EXPECT_EQ(parsed->root().ToJson(), json.text());
  }
}

}  // namespace
}  // namespace poise
