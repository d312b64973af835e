// SPDX-License-Identifier: Apache-2.0
#include "explain/reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poise {
namespace {

Choice From(SourceMask sources) {
  Choice choice;
  choice.propensity = 0.07F;
  choice.sources = sources;
  return choice;
}

TEST(ExplainChoice, NamesTheHistoryItemAndWhatWasDoneWithIt) {
  Choice choice = From(Bit(Source::kSimilar) | Bit(Source::kPopular));
  choice.anchor = 3;
  Reason reason = ExplainChoice(choice, {"Blue Mug", EventType::kPurchase});
  EXPECT_EQ(reason.code, "because_bought");
  EXPECT_EQ(reason.english, "because you bought Blue Mug");
  EXPECT_EQ(reason.chinese, "因为您买过Blue Mug");
  reason = ExplainChoice(choice, {"Blue Mug", EventType::kFavourite});
  EXPECT_EQ(reason.english, "because you liked Blue Mug");
}

TEST(ExplainChoice, SaysLessAndNothingElseWhenTheAnchorIsGone) {
  Choice choice = From(Bit(Source::kSimilar));
  choice.anchor = 3;
  EXPECT_EQ(ExplainChoice(choice, {}).code, "similar_to_history");
  choice.anchor = 0;
  EXPECT_EQ(ExplainChoice(choice, {"Blue Mug", EventType::kView}).code, "similar_to_history");
}

TEST(ExplainChoice, ATitleWithBracesIsATitle) {
  Choice choice = From(Bit(Source::kSimilar));
  choice.anchor = 1;
  EXPECT_EQ(ExplainChoice(choice, {"{0} {} {{x", EventType::kView}).english,
            "because you looked at {0} {} {{x");
}

TEST(ExplainChoice, TellsWhatWasExploredAndAtWhatOdds) {
  Choice choice = From(Bit(Source::kFresh) | Bit(Source::kPopular));
  choice.explored = true;
  const Reason reason = ExplainChoice(choice, {});
  EXPECT_EQ(reason.code, "explore_fresh");
  EXPECT_EQ(reason.english, "new here: shown to learn whether you like it, odds 7.0 %");
  EXPECT_EQ(reason.chinese, "新品：想了解您是否喜欢，概率7.0 %");
}

TEST(ExplainChoice, AnExploredChoiceOfAnExploitSourceIsStillExplored) {
  Choice choice = From(Bit(Source::kPersonal));
  choice.explored = true;
  choice.propensity = 0.42F;
  EXPECT_EQ(ExplainChoice(choice, {}).english, "shown to learn whether you like it, odds 42 %");
  choice.propensity = 1e-5F;
  EXPECT_THAT(ExplainChoice(choice, {}).english, testing::HasSubstr("below 0.1 %"));
}

TEST(ExplainChoice, EverySourceAloneHasItsOwnReason) {
  std::vector<std::string> codes;
  for (std::size_t source = 0; source < kSourceCount; ++source) {
    const Reason reason = ExplainChoice(From(Bit(static_cast<Source>(source))), {});
    EXPECT_FALSE(reason.english.empty());
    EXPECT_FALSE(reason.chinese.empty());
    codes.push_back(reason.code);
  }
  EXPECT_THAT(codes, testing::ElementsAre("matches_taste", "similar_to_history", "buy_again",
                                          "trending", "popular", "explore_fresh",
                                          "explore_uncertain", "explore_random", "given"));
  EXPECT_EQ(ExplainChoice(From(0), {}).code, "eligible");
}

}  // namespace
}  // namespace poise
