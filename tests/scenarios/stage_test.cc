// SPDX-License-Identifier: Apache-2.0
//
// The runner itself: an expectation that does not hold fails, and says in which line.
#include "scenarios/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"

namespace poise {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class StageTest : public ::testing::Test {
 protected:
  StageTest() { SetLogLevel(LogLevel::kError); }
  ~StageTest() override {
    std::error_code ignored;
    for (const std::string& folder : folders_) std::filesystem::remove_all(folder, ignored);
  }

  // What playing the script says: "" when all went as expected.
  std::string Play(std::string_view text) {
    const auto lines = ParseScript(text);
    EXPECT_TRUE(lines.ok()) << lines.status().ToString();
    std::string folder = (std::filesystem::temp_directory_path() / "poise-stage-XXXXXX").string();
    EXPECT_NE(mkdtemp(folder.data()), nullptr);
    folders_.push_back(folder);
    return Stage(folder).Play(*lines).message();
  }

 private:
  std::vector<std::string> folders_;
};

constexpr std::string_view kShop =
    "item lamp category light\n"
    "item rug category home\n"
    "advance 1s\n"
    "recommend anna slots 2\n";

TEST_F(StageTest, ASoundScriptSaysNothing) {
  EXPECT_EQ(Play(std::string(kShop) + "expect slate contains lamp rug"), "");
}

TEST_F(StageTest, EachExpectationCanFailAndNamesItsLine) {
  for (const std::string_view expectation : {"expect slate contains chair",
                                             "expect slate lacks lamp",
                                             "expect slate is lamp",
                                             "expect slate starts chair",
                                             "expect slate size 3",
                                             "expect slate size > 2",
                                             "expect explored > 2",
                                             "expect every item of category light",
                                             "expect no item of category home",
                                             "expect shown lamp 0",
                                             "expect different items >= 3",
                                             "expect reason of lamp because_bought",
                                             "expect source of rug repeat",
                                             "expect source of chair popular",
                                             "expect text of lamp unicorn",
                                             "expect score of lamp > score of lamp",
                                             "expect state items 3",
                                             "expect state events > 0",
                                             "expect model popularity",
                                             "expect exported events 1",
                                             "expect exported user anna 1",
                                             "expect bytes hold unicorn",
                                             "expect bytes lack lamp",
                                             "expect error not_found",
                                             "expect event accepted",
                                             "expect list contains lamp",
                                             "expect degraded > 0",
                                             "expect forgotten known",
                                             "expect attribute colour red",
                                             "expect item title Lamp"}) {
    EXPECT_THAT(Play(std::string(kShop) + std::string(expectation)),
                AllOf(StartsWith("line 5: "), HasSubstr(expectation)))
        << expectation;
  }
}

TEST_F(StageTest, AnItemOutOfStockInTheSlateIsFound) {
  // The engine is told not to filter, so the expectation must notice.
  EXPECT_THAT(Play("config filters.unavailable false\n"
                   "item lamp unavailable\n"
                   "advance 1s\n"
                   "recommend anna slots 1\n"
                   "expect no unavailable item"),
              AllOf(StartsWith("line 5: "), HasSubstr("lamp")));
}

TEST_F(StageTest, AnErrorThatNobodyExpectsFailsTheScript) {
  EXPECT_THAT(Play("get item lamp\nitem rug"),
              AllOf(StartsWith("line 1: "), HasSubstr("not_found")));
  EXPECT_THAT(Play("item rug\nget item lamp"), StartsWith("line 2: "));
  EXPECT_EQ(Play("get item lamp\nexpect error not_found lamp"), "");
  EXPECT_THAT(Play("get item lamp\nexpect error invalid_argument"), StartsWith("line 2: "));
  EXPECT_THAT(Play("get item lamp\nexpect error not_found rug"), StartsWith("line 2: "));
}

TEST_F(StageTest, ADuplicateThatNobodyExpectsFailsTheScript) {
  const std::string twice =
      "event anna view lamp key a\nexpect event accepted\nevent anna view lamp key a\n";
  EXPECT_THAT(Play(twice + "train"), AllOf(StartsWith("line 3: "), HasSubstr("duplicate")));
  EXPECT_EQ(Play(twice + "expect event duplicate"), "");
}

TEST_F(StageTest, WordsThatNobodyUnderstandsAreNamed) {
  EXPECT_THAT(Play("dance"), AllOf(StartsWith("line 1: "), HasSubstr("recommend")));
  EXPECT_THAT(Play("train hard"), AllOf(StartsWith("line 1: "), HasSubstr("'hard'")));
  EXPECT_THAT(Play("item lamp colour red"), HasSubstr("'colour'"));
  EXPECT_THAT(Play("recommend anna slots many"), HasSubstr("'many'"));
  EXPECT_THAT(Play("advance 5"), HasSubstr("duration"));
  EXPECT_THAT(Play("expect joy"), HasSubstr("propensities"));
  EXPECT_THAT(Play("expect slate size"), HasSubstr("nothing was recommended"));
  EXPECT_THAT(Play("item lamp\nconfig policy.name greedy"), StartsWith("line 2: "));
  EXPECT_THAT(Play("config policy.nome greedy\nitem lamp"), HasSubstr("policy.nome"));
}

TEST_F(StageTest, ADecisionOnRecordIsHeldAgainstTheAnswer) {
  EXPECT_EQ(Play(std::string(kShop) + "settle\nget decision"), "");
  EXPECT_THAT(Play("get decision"), HasSubstr("nothing was recommended"));
}

}  // namespace
}  // namespace poise
