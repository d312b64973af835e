// SPDX-License-Identifier: Apache-2.0
#include "json/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace poise {
namespace {

using ::testing::HasSubstr;

JsonDocument MustParse(std::string_view text) {
  auto document = JsonDocument::Parse(text);
  EXPECT_TRUE(document.ok()) << text << ": " << document.status().ToString();
  return std::move(*document);
}

TEST(JsonReader, ReadsEveryType) {
  const JsonDocument document = MustParse(
      R"({"n":null,"t":true,"f":false,"i":-3,"u":18446744073709551615,"d":2.5,"w":4.0,"s":"xé",)"
      R"("a":[1,[2],{"x":3}],"o":{}})");
  const JsonValue root = document.root();
  EXPECT_TRUE(root["n"].IsNull());
  EXPECT_TRUE(*root["t"].GetBool());
  EXPECT_FALSE(*root["f"].GetBool());
  EXPECT_EQ(*root["i"].GetInt64(), -3);
  EXPECT_EQ(*root["i"].GetDouble(), -3.0);
  EXPECT_EQ(*root["u"].GetUint64(), 18446744073709551615U);
  EXPECT_EQ(*root["d"].GetDouble(), 2.5);
  EXPECT_EQ(*root["w"].GetInt64(), 4);
  EXPECT_EQ(*root["s"].GetString(), "xé");
  EXPECT_EQ(root["a"].GetArray()->size(), 3U);
  EXPECT_TRUE(root["nowhere"].IsNull());
  EXPECT_TRUE(root["s"]["deeper"].IsNull());
  std::vector<std::string> names;
  for (const JsonField field : *root.GetObject()) names.emplace_back(field.name);
  EXPECT_EQ(names.size(), 10U);
  EXPECT_EQ(names.back(), "o");
  EXPECT_TRUE(JsonValue().IsNull());
}

TEST(JsonReader, ErrorsNameThePathWhatWasExpectedAndWhatWasThere) {
  const JsonDocument document =
      MustParse(R"({"events":[{"value":1},{"value":2,"x":[0,{"y z":true}]},{"value":"three"}]})");
  const auto array = document.root()["events"].GetArray();
  std::vector<JsonValue> events;
  for (const JsonValue event : *array) events.push_back(event);
  EXPECT_EQ(events[2]["value"].GetDouble().status().message(),
            "events[2].value: expected a number, got string");
  EXPECT_EQ(events[2]["value"].AsRoot().Path(), "");
  EXPECT_EQ(events[2].AsRoot()["value"].GetDouble().status().message(),
            "value: expected a number, got string");
  JsonValue last;
  for (const JsonValue value : *events[1]["x"].GetArray()) last = value;
  EXPECT_EQ(last["y z"].Path(), R"(events[1].x[1]["y z"])");
  EXPECT_EQ(document.root().GetArray().status().message(), "expected an array, got object");
}

TEST(JsonReader, IntegersAreCheckedForRangeAndFraction) {
  const JsonDocument document =
      MustParse(R"({"f":3.5,"n":-1,"u":18446744073709551615,"e":1e20,"m":-9223372036854775808})");
  const JsonValue root = document.root();
  EXPECT_THAT(root["f"].GetInt64().status().message(),
              HasSubstr("f: expected an integer, got 3.5"));
  EXPECT_EQ(root["n"].GetUint64().status().message(), "n: must not be negative, got -1");
  EXPECT_THAT(root["u"].GetInt64().status().message(), HasSubstr("u: expected a signed 64-bit"));
  EXPECT_THAT(root["e"].GetInt64().status().message(), HasSubstr("e: expected an integer within"));
  EXPECT_EQ(*root["m"].GetInt64(), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(root["n"].GetInt64In(0, 200).status().message(),
            "n: must be between 0 and 200, got -1");
}

TEST(JsonReader, MalformedTextIsRefused) {
  for (const std::string_view bad : {"",
                                     " ",
                                     "{",
                                     "[1,]",
                                     "{\"a\":1,}",
                                     "{a:1}",
                                     "'x'",
                                     "nul",
                                     "NaN",
                                     "Infinity",
                                     "-",
                                     "01",
                                     "1.",
                                     "+1",
                                     "1e999",
                                     "-1e999",
                                     "123456789012345678901234567890",
                                     "\"\x01\"",
                                     "\"\\x\"",
                                     "\"\\ud800\"",
                                     "[1] 2",
                                     "{} {}",
                                     "\"\xff\"",
                                     "\"\xed\xa0\x80\"",
                                     "// c",
                                     "\"a",
                                     "\0"}) {
    const auto parsed = JsonDocument::Parse(bad);
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_FALSE(parsed.status().message().empty());
  }
}

TEST(JsonReader, NestingUpToTheLimitIsReadAndOneDeeperIsRefused) {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  JsonParser parser({.max_bytes = 1 << 20, .max_depth = 8});
  EXPECT_TRUE(parser.Parse(nested(7)).ok());
  EXPECT_THAT(parser.Parse(nested(9)).status().message(), HasSubstr("deeper than the limit of 8"));
  EXPECT_THAT(JsonDocument::Parse(nested(100'000)).status().message(), HasSubstr("limit of 64"));
  // After growing, the limit still holds.
  EXPECT_TRUE(parser.Parse("\"" + std::string(100'000, 'x') + "\"").ok());
  EXPECT_FALSE(parser.Parse(nested(9)).ok());
}

TEST(JsonReader, TextBeyondTheSizeLimitIsRefused) {
  JsonParser parser({.max_bytes = 10});
  EXPECT_TRUE(parser.Parse("[1,2,3,45]").ok());
  EXPECT_THAT(parser.Parse("[1,2,3,456]").status().message(), HasSubstr("limit of 10"));
}

TEST(JsonReader, AByteOrderMarkInFrontIsSkipped) {
  EXPECT_EQ(*MustParse("\xef\xbb\xbf{\"a\":1}").root()["a"].GetInt64(), 1);
}

TEST(JsonReader, AParserCanBeUsedAgainAfterAnError) {
  JsonParser parser;
  EXPECT_FALSE(parser.Parse("{").ok());
  const auto value = parser.Parse("[7]");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->ToJson(), "[7]");
}

TEST(JsonReader, ADocumentMayBeMoved) {
  JsonDocument first = MustParse(R"({"a":"x"})");
  const JsonDocument second = std::move(first);
  EXPECT_EQ(*second.root()["a"].GetString(), "x");
}

struct Read {
  std::string name = "default";
  int count = 5;
  double value = 0;
  std::vector<std::string> tags;
  Status status;
};

Read ReadObject(std::string_view text) {
  const JsonDocument document = MustParse(text);
  Read out;
  ObjectReader reader(document.root());
  reader.Required("name", out.name)
      .OptionalIn("count", 1, 200, out.count)
      .Optional("value", out.value)
      .Optional("tags", out.tags);
  out.status = reader.Finish();
  return out;
}

TEST(ObjectReader, TakesKnownFieldsInAnyOrderAndKeepsDefaults) {
  const Read read = ReadObject(R"({"tags":["p","q"],"value":1.5,"name":"x"})");
  EXPECT_TRUE(read.status.ok()) << read.status.ToString();
  EXPECT_EQ(read.name, "x");
  EXPECT_EQ(read.count, 5);
  EXPECT_EQ(read.value, 1.5);
  EXPECT_EQ(read.tags, (std::vector<std::string>{"p", "q"}));
}

TEST(ObjectReader, NullCountsAsAbsentForAnOptionalFieldOnly) {
  EXPECT_TRUE(ReadObject(R"({"name":"x","value":null,"tags":null})").status.ok());
  EXPECT_EQ(ReadObject(R"({"name":null})").status.message(), "name: must not be null");
  EXPECT_EQ(ReadObject("{}").status.message(), "name: is required");
}

TEST(ObjectReader, UnknownAndRepeatedFieldsAreNamed) {
  EXPECT_EQ(ReadObject(R"({"name":"x","nmae":1})").status.message(),
            "nmae: unknown field; known: name, count, value, tags");
  EXPECT_EQ(ReadObject(R"({"name":"x","name":"y"})").status.message(), "name: is given twice");
  EXPECT_EQ(ReadObject(R"({"name":"x","":1})").status.message(),
            R"([""]: unknown field; known: name, count, value, tags)");
}

TEST(ObjectReader, WrongTypesAndRangesAreNamed) {
  EXPECT_EQ(ReadObject(R"({"name":7})").status.message(), "name: expected a string, got number");
  EXPECT_EQ(ReadObject(R"({"name":"x","count":0})").status.message(),
            "count: must be between 1 and 200, got 0");
  EXPECT_EQ(ReadObject(R"({"name":"x","tags":["p",2]})").status.message(),
            "tags[1]: expected a string, got number");
  EXPECT_EQ(ReadObject("[1]").status.message(), "expected an object, got array");
}

TEST(ObjectReader, AnObjectWithTooManyFieldsIsRefused) {
  std::string text = "{\"name\":\"x\"";
  for (int i = 0; i < 64; ++i) text += ",\"f" + std::to_string(i) + "\":1";
  text += "}";
  EXPECT_EQ(ReadObject(text).status.message(), "has more than 64 fields");
}

TEST(ObjectReader, AVeryLongUnknownNameIsCutInTheMessage) {
  const Read read = ReadObject("{\"name\":\"x\",\"" + std::string(100'000, 'n') + "\":1}");
  EXPECT_LT(read.status.message().size(), 300U);
  EXPECT_THAT(read.status.message(), HasSubstr("unknown field"));
}

}  // namespace
}  // namespace poise
