// SPDX-License-Identifier: Apache-2.0
#include "scenarios/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/words.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> WordsOf(std::string_view text) {
  const auto lines = ParseScript(text);
  EXPECT_TRUE(lines.ok()) << lines.status().ToString();
  if (!lines.ok() || lines->size() != 1) return {"not one line"};
  return lines->front().words;
}

std::string ErrorOf(std::string_view text) {
  const auto lines = ParseScript(text);
  EXPECT_FALSE(lines.ok());
  return lines.ok() ? "" : lines.status().message();
}

TEST(Script, SplitsWordsAtBlanksAndKeepsQuotedOnesWhole) {
  EXPECT_THAT(WordsOf("item lamp \t title \"Brass lamp\" price 39\r\n"),
              ElementsAre("item", "lamp", "title", "Brass lamp", "price", "39"));
}

TEST(Script, AQuoteMayOpenInsideAWordAndMayHoldNothing) {
  EXPECT_THAT(WordsOf("item user-\"a b\"c \"\""), ElementsAre("item", "user-a bc", ""));
}

TEST(Script, EscapesWorkInsideQuotesOnly) {
  EXPECT_THAT(WordsOf(R"(say "a\"b\\c\n\t\$x" d\e)"), ElementsAre("say", "a\"b\\c\n\t$x", "d\\e"));
  EXPECT_THAT(WordsOf(R"(say "\u{41}\u{e9}\u{8336}\u{1F600}")"), ElementsAre("say", "Aé茶😀"));
}

TEST(Script, ACommentBeginsAtAWordsStart) {
  EXPECT_THAT(WordsOf("# all of it\nevent a#1 view b # rest \"open\n\n"),
              ElementsAre("event", "a#1", "view", "b"));
}

TEST(Script, NumbersLinesAsTheFileDoes) {
  const auto lines = ParseScript("\n# note\ntrain\n\nrestart");
  ASSERT_TRUE(lines.ok());
  ASSERT_EQ(lines->size(), 2U);
  EXPECT_EQ((*lines)[0].number, 3);
  EXPECT_EQ((*lines)[1].number, 5);
  EXPECT_EQ((*lines)[1].text, "restart");
}

TEST(Script, ALoopRepeatsItsLinesWithTheNumberPutIn) {
  const auto lines = ParseScript("for n in 9..11\n  item i$n title \"No ${n}0\"\nend\ntrain");
  ASSERT_TRUE(lines.ok());
  ASSERT_EQ(lines->size(), 4U);
  EXPECT_THAT((*lines)[0].words, ElementsAre("item", "i9", "title", "No 90"));
  EXPECT_THAT((*lines)[2].words, ElementsAre("item", "i11", "title", "No 110"));
  EXPECT_EQ((*lines)[2].number, 2);
  EXPECT_THAT((*lines)[3].words, ElementsAre("train"));
}

TEST(Script, LoopsNest) {
  const auto lines =
      ParseScript("for u in 1..2\nfor i in -1..1\nevent u$u view i$i\nend\ntrain\nend");
  ASSERT_TRUE(lines.ok());
  ASSERT_EQ(lines->size(), 8U);
  EXPECT_THAT((*lines)[5].words, ElementsAre("event", "u2", "view", "i0"));
  EXPECT_THAT((*lines)[7].words, ElementsAre("train"));
}

TEST(Script, NothingIsAScriptOfNoLines) {
  for (const char* text : {"", "\n\n", "  # only words about it"}) {
    const auto lines = ParseScript(text);
    ASSERT_TRUE(lines.ok());
    EXPECT_THAT(*lines, IsEmpty());
  }
}

TEST(Script, SaysInWhichLineWhatIsWrong) {
  EXPECT_THAT(ErrorOf("train\nitem \"lamp"), AllOf(StartsWith("line 2:"), HasSubstr("quote")));
  EXPECT_THAT(ErrorOf("item \"a\\q\""), AllOf(StartsWith("line 1:"), HasSubstr("backslash")));
  EXPECT_THAT(ErrorOf("item \"\\u{110000}\""), HasSubstr("backslash"));
  EXPECT_THAT(ErrorOf("item \"a\\"), HasSubstr("backslash"));
  EXPECT_THAT(ErrorOf("\nitem $n"), AllOf(StartsWith("line 2:"), HasSubstr("$n")));
  EXPECT_THAT(ErrorOf("for n in 1..2\nitem ${n\nend"), StartsWith("line 2:"));
  EXPECT_THAT(ErrorOf("train\nfor n in 1..2\ntrain"),
              AllOf(StartsWith("line 2:"), HasSubstr("without its 'end'")));
  EXPECT_THAT(ErrorOf("train\nend"), AllOf(StartsWith("line 2:"), HasSubstr("'end'")));
  EXPECT_THAT(ErrorOf("for n in 1..1\nfor n in 1..1\nend\nend"), StartsWith("line 2:"));
  for (const char* loop : {"for", "for n in 1", "for n in 2..1", "for n of 1..2", "for n in a..b",
                           "for n in 1..99999999999999999999"}) {
    EXPECT_THAT(ErrorOf(loop), HasSubstr("FIRST..LAST")) << loop;
  }
  EXPECT_THAT(ErrorOf("for n in 1..1000\nfor m in 1..1000\ntrain\nend\nend"),
              HasSubstr("too many"));
}

TEST(Words, ABoundComparesAsItIsWritten) {
  struct Case {
    std::vector<std::string> words;
    double below, at, above;  // does it hold for 2, 3 and 4?
  };
  for (const auto& [words, below, at, above] : std::vector<Case>{{{">=", "3"}, 0, 1, 1},
                                                                 {{"<=", "3"}, 1, 1, 0},
                                                                 {{">", "3"}, 0, 0, 1},
                                                                 {{"<", "3"}, 1, 0, 0},
                                                                 {{"=", "3"}, 0, 1, 0},
                                                                 {{"3"}, 0, 1, 0}}) {
    WordReader reader(words);
    const auto bound = reader.ReadBound();
    ASSERT_TRUE(bound.ok()) << words[0];
    EXPECT_EQ(bound->Holds(2), below == 1) << words[0];
    EXPECT_EQ(bound->Holds(3), at == 1) << words[0];
    EXPECT_EQ(bound->Holds(4), above == 1) << words[0];
  }
  const std::vector<std::string> many = {">=", "many"};
  WordReader reader(many);
  EXPECT_THAT(reader.ReadBound().status().message(), HasSubstr("'many'"));
}

TEST(Words, DurationsHaveAUnit) {
  const std::vector<std::string> words = {"250ms", "90s", "1.5m", "2h", "1d", "5"};
  WordReader reader(words);
  for (const std::int64_t micros :
       {250'000LL, 90'000'000LL, 90'000'000LL, 7'200'000'000LL, 86'400'000'000LL}) {
    const auto duration = reader.Duration();
    ASSERT_TRUE(duration.ok());
    EXPECT_EQ(duration->count(), micros);
  }
  EXPECT_THAT(reader.Duration().status().message(), HasSubstr("'5'"));
}

TEST(Words, WhatIsLeftOverIsNamed) {
  const std::vector<std::string> words = {"slots", "5", "more"};
  WordReader reader(words);
  EXPECT_FALSE(reader.Take("times"));
  EXPECT_TRUE(reader.Take("slots"));
  EXPECT_EQ(*reader.Integer("how many"), 5);
  EXPECT_THAT(reader.Finish().message(), HasSubstr("'more'"));
  EXPECT_EQ(*reader.Word("the rest"), "more");
  EXPECT_TRUE(reader.Finish().ok());
  EXPECT_THAT(reader.Word("another").status().message(), HasSubstr("another"));
}

}  // namespace
}  // namespace poise
