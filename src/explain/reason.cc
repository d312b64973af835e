// SPDX-License-Identifier: Apache-2.0
#include "explain/reason.h"

#include <fmt/format.h>

#include <array>

namespace poise {
namespace {

struct Phrase {
  std::string_view code;
  std::string_view english;
  std::string_view chinese;
};

// What the user did with the anchor. Both sentences take its title.
struct AnchorPhrase {
  EventType type;
  std::string_view code;
  std::string_view english;
  std::string_view chinese;
};

constexpr AnchorPhrase kAnchorPhrases[] = {
    {EventType::kView, "because_viewed", "because you looked at {}", "因为您看过{}"},
    {EventType::kClick, "because_clicked", "because you looked at {}", "因为您看过{}"},
    {EventType::kFavourite, "because_liked", "because you liked {}", "因为您收藏了{}"},
    {EventType::kCart, "because_in_cart", "because you put {} in your cart",
     "因为您把{}加入了购物车"},
    {EventType::kPurchase, "because_bought", "because you bought {}", "因为您买过{}"},
    {EventType::kRating, "because_rated", "because you rated {}", "因为您评价过{}"},
    {EventType::kReturn, "because_bought", "because you bought {}", "因为您买过{}"},
    {EventType::kCustom, "because_of_activity", "because of what you did with {}",
     "因为您关注过{}"}};

struct SourcePhrase {
  Source source;
  Phrase phrase;
};

// The most personal first: the first that proposed the item gives the reason.
constexpr SourcePhrase kExploitPhrases[] = {
    {Source::kRepeat, {"buy_again", "because you bought it before", "因为您以前买过它"}},
    {Source::kSimilar,
     {"similar_to_history", "similar to what you looked at", "与您关注过的商品相似"}},
    {Source::kPersonal, {"matches_taste", "matches what you did so far", "符合您的喜好"}},
    {Source::kTrending, {"trending", "popular now", "正在流行"}},
    {Source::kPopular, {"popular", "liked by many", "深受大家喜爱"}},
    {Source::kGiven, {"given", "from the list that was asked about", "来自所给的列表"}}};

// Of an explored choice: which source it came from. {} takes the odds.
constexpr SourcePhrase kExplorePhrases[] = {
    {Source::kFresh,
     {"explore_fresh", "new here: shown to learn whether you like it, odds {}",
      "新品：想了解您是否喜欢，概率{}"}},
    {Source::kUncertain,
     {"explore_uncertain", "little known yet: shown to learn whether you like it, odds {}",
      "了解尚少：想了解您是否喜欢，概率{}"}},
    {Source::kRandom,
     {"explore_random", "picked by chance to learn whether you like it, odds {}",
      "随机挑选：想了解您是否喜欢，概率{}"}}};
constexpr Phrase kExploreOther = {"explore", "shown to learn whether you like it, odds {}",
                                  "想了解您是否喜欢，概率{}"};

constexpr Phrase kUnknown = {"eligible", "it could be shown here", "符合展示条件"};

// "7 %", "0.4 %", "below 0.1 %": as exact as a person reads.
std::string Odds(float propensity) {
  const double percent = 100.0 * static_cast<double>(propensity);
  if (!(percent >= 0.1)) return "below 0.1 %";
  return percent < 9.95 ? fmt::format("{:.1f} %", percent) : fmt::format("{:.0f} %", percent);
}

std::string OddsInChinese(float propensity) {
  const std::string odds = Odds(propensity);
  return odds.starts_with("below") ? "低于0.1 %" : odds;
}

Reason WithOdds(const Phrase& phrase, float propensity) {
  return {std::string(phrase.code), fmt::format(fmt::runtime(phrase.english), Odds(propensity)),
          fmt::format(fmt::runtime(phrase.chinese), OddsInChinese(propensity))};
}

Reason Plain(const Phrase& phrase) {
  return {std::string(phrase.code), std::string(phrase.english), std::string(phrase.chinese)};
}

}  // namespace

Reason ExplainChoice(const Choice& choice, const ReasonContext& context) {
  if (choice.explored) {
    for (const SourcePhrase& row : kExplorePhrases) {
      if ((choice.sources & Bit(row.source)) != 0) return WithOdds(row.phrase, choice.propensity);
    }
    return WithOdds(kExploreOther, choice.propensity);
  }
  for (const SourcePhrase& row : kExploitPhrases) {
    if ((choice.sources & Bit(row.source)) == 0) continue;
    if (row.source == Source::kSimilar && choice.anchor != 0 && !context.anchor_title.empty()) {
      for (const AnchorPhrase& anchor : kAnchorPhrases) {
        if (anchor.type != context.anchor_type) continue;
        return {std::string(anchor.code),
                fmt::format(fmt::runtime(anchor.english), context.anchor_title),
                fmt::format(fmt::runtime(anchor.chinese), context.anchor_title)};
      }
    }
    return Plain(row.phrase);
  }
  for (const SourcePhrase& row : kExplorePhrases) {
    if ((choice.sources & Bit(row.source)) != 0) return WithOdds(row.phrase, choice.propensity);
  }
  return Plain(kUnknown);
}

}  // namespace poise
