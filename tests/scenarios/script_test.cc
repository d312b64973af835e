// SPDX-License-Identifier: Apache-2.0
#include "scenarios/script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace poise
