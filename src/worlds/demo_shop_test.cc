// SPDX-License-Identifier: Apache-2.0
#include "worlds/demo_shop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "domain/text.h"

namespace poise {
namespace {

const DemoShop& Shop() {
  static const DemoShop shop({.seed = 7, .item_count = 2000, .shopper_count = 400});
  return shop;
}

TEST(DemoShop, NoTwoItemsShareATitleAndAllAreValid) {
  std::set<std::string> titles;
  std::set<std::string> departments;
  for (const ItemRecord& item : Shop().Items()) {
    EXPECT_TRUE(ValidateItem(item).ok()) << item.title;
    EXPECT_TRUE(titles.insert(item.title).second) << item.title;
    EXPECT_GT(item.price, 0) << item.title;
    EXPECT_FALSE(item.description.empty());
    ASSERT_EQ(item.categories.size(), 2U);
    EXPECT_EQ(item.categories[1].rfind(item.categories[0] + "/", 0), 0U);
    departments.insert(item.categories[0]);
  }
  EXPECT_GE(departments.size(), 12U);
}

TEST(DemoShop, TitlesComeInEnglishAndChinese) {
  std::size_t chinese = 0;
  for (const ItemRecord& item : Shop().Items()) {
    const bool has_chinese = std::any_of(item.title.begin(), item.title.end(), [](char c) {
      return static_cast<unsigned char>(c) >= 0x80;
    });
    EXPECT_EQ(has_chinese, std::get<std::string>(item.attributes.at("language")) == "zh")
        << item.title;
    chinese += has_chinese ? 1 : 0;
  }
  EXPECT_GT(chinese, 600U);
  EXPECT_LT(chinese, 1000U);
}

TEST(DemoShop, TitlesStayUniqueWhenTheWordsRunOut) {
  const DemoShop shop({.seed = 3, .item_count = 60'000, .shopper_count = 1});
  std::set<std::string_view> titles;
  for (const ItemRecord& item : shop.Items()) titles.insert(item.title);
  EXPECT_EQ(titles.size(), 60'000U);
}

TEST(DemoShop, TheSameSeedMakesTheSameShopAndAnotherMakesAnother) {
  const DemoShopOptions options{.seed = 7, .item_count = 300, .shopper_count = 50};
  const DemoShop first(options);
  const DemoShop second(options);
  DemoShopOptions other = options;
  other.seed = 8;
  const DemoShop third(other);
  const auto a = first.History(10);
  const auto b = second.History(10);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].item, b[i].item);
    ASSERT_EQ(a[i].time, b[i].time);
  }
  int differing = 0;
  for (int i = 0; i < 300; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(first.Items()[at].title, second.Items()[at].title);
    differing += first.Items()[at].title != third.Items()[at].title ? 1 : 0;
  }
  EXPECT_GT(differing, 250);
}

TEST(DemoShop, HistoryIsValidInOrderBeforeTheStartAndOnlyOfInterestsThatShoppersKnow) {
  const std::vector<Event> history = Shop().History(30);
  ASSERT_GT(history.size(), 1000U);
  std::set<std::string> keys;
  Timestamp last{};
  for (const Event& event : history) {
    ASSERT_TRUE(ValidateEvent(event, Shop().options().start).ok());
    EXPECT_GE(event.time, last);
    last = event.time;
    EXPECT_LT(event.time, Shop().options().start);
    EXPECT_TRUE(keys.insert(event.idempotency_key).second);
    const int item = Shop().ItemIndex(event.item.value);
    ASSERT_GE(item, 0);
    ASSERT_LT(item, static_cast<int>(Shop().StartingItems().size()));
    const int shopper = std::stoi(event.user.value.substr(8));
    EXPECT_TRUE(Shop().Knows(shopper, Shop().InterestOf(item)));
  }
}

TEST(DemoShop, EveryShopperKnowsSomethingAndManyWouldLoveWhatTheyHaveNotMet) {
  int hidden = 0;
  for (int shopper = 0; shopper < Shop().shopper_count(); ++shopper) {
    int known = 0;
    for (int interest = 0; interest < Shop().interest_count(); ++interest) {
      if (Shop().Knows(shopper, interest)) {
        ++known;
        EXPECT_TRUE(Shop().Loves(shopper, interest));
      } else if (Shop().Loves(shopper, interest)) {
        ++hidden;
      }
    }
    EXPECT_GE(known, 1);
  }
  EXPECT_GT(hidden, Shop().shopper_count());
}

TEST(DemoShop, ArrivingItemsFollowTheStartingOnes) {
  EXPECT_EQ(Shop().StartingItems().size(), 1800U);
  EXPECT_EQ(Shop().ArrivingItems().size(), 200U);
  EXPECT_EQ(Shop().ItemIndex(Shop().ArrivingItems()[0].id.value), 1800);
  for (const char* id : {"", "item-", "item-x", "item-99999999999", "item--1", "shopper-00001"}) {
    EXPECT_EQ(Shop().ItemIndex(id), -1) << id;
  }
}

TEST(DemoShop, TheBestSlateIsNoWorseThanAnyOther) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (int round = 0; round < 50; ++round) {
    const auto shopper = static_cast<int>(rng.Below(400));
    std::vector<int> few;
    for (int i = 0; i < 5; ++i) few.push_back(static_cast<int>(rng.Below(2000)));
    std::sort(few.begin(), few.end());
    few.erase(std::unique(few.begin(), few.end()), few.end());
    const auto best = Shop().BestSlate(shopper, few, 3);
    double most = 0;
    do {
      most = std::max(most, Shop().SlateValue(shopper, std::span(few).first(best.size())));
    } while (std::next_permutation(few.begin(), few.end()));
    EXPECT_NEAR(Shop().SlateValue(shopper, best), most, 1e-12);
  }
}

TEST(DemoShop, ShoppersClickAsOftenAsTheTruthSays) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  std::vector<int> all(static_cast<std::size_t>(Shop().item_count()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  const auto slate = Shop().BestSlate(3, all, 10);
  std::vector<double> clicks(slate.size(), 0);
  constexpr int kVisits = 20'000;
  for (int visit = 0; visit < kVisits; ++visit) {
    for (const Event& event : Shop().React(3, slate, Timestamp::FromSeconds(1), rng)) {
      if (event.type != EventType::kClick) continue;
      const auto slot = std::find(slate.begin(), slate.end(), Shop().ItemIndex(event.item.value));
      clicks[static_cast<std::size_t>(slot - slate.begin())] += 1;
    }
  }
  // Ten normal deviates beyond 4.5 standard errors: a false alarm in 15,000 seeds.
  for (std::size_t slot = 0; slot < slate.size(); ++slot) {
    const double p = Shop().TrueClickProbability(3, slate[slot], static_cast<int>(slot));
    EXPECT_GT(p, 0);
    EXPECT_LT(p, 1);
    EXPECT_NEAR(clicks[slot] / kVisits, p, 4.5 * std::sqrt(p * (1 - p) / kVisits)) << slot;
  }
}

TEST(DemoShop, ATinyShopWorksToo) {
  const DemoShop shop({.seed = 1, .item_count = 1, .shopper_count = 1, .arriving_share = 0.9});
  EXPECT_EQ(shop.Items().size(), 1U);
  EXPECT_EQ(shop.StartingItems().size(), 1U);
  const auto history = shop.History(30);
  for (const Event& event : history) EXPECT_EQ(event.item, shop.Items()[0].id);
  EXPECT_EQ(shop.Users().size(), 1U);
}

}  // namespace
}  // namespace poise
