// SPDX-License-Identifier: Apache-2.0
#include "worlds/shopper_driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace poise {
namespace {

// Answers from the truth, or blindly.
class FakeShop final : public ShopClient {
 public:
  enum class Wisdom { kOracle, kBlind };
  FakeShop(const DemoShop& shop, Wisdom wisdom) : shop_(shop), wisdom_(wisdom), rng_(99) {
    items_.resize(shop.StartingItems().size());
    std::iota(items_.begin(), items_.end(), 0);
  }

  Result<ShopSlate> Recommend(const std::string& user_id, int slots) override {
    if (fails) return Unavailable("closed");
    ShopSlate slate;
    slate.decision_id = FormatDecisionId({1, ++decisions_});
    std::vector<int> picked;
    if (wisdom_ == Wisdom::kOracle) {
      picked = shop_.BestSlate(std::stoi(user_id.substr(8)), items_, slots);
    } else {
      for (int i = 0; i < slots; ++i) picked.push_back(items_[rng_.Below(items_.size())]);
    }
    for (const int item : picked) {
      slate.slots.push_back(
          {shop_.Items()[static_cast<std::size_t>(item)].id.value, wisdom_ == Wisdom::kBlind});
    }
    if (gives_unknown) slate.slots.push_back({"item-99999", false});
    return slate;
  }
  Status SendEvents(std::span<const Event> events) override {
    for (const Event& event : events) {
      EXPECT_TRUE(event.decision.has_value());
      EXPECT_EQ(event.decision->low, decisions_);
      events_.push_back(event);
    }
    return Status::Ok();
  }
  Status PutItem(const ItemRecord& item) override {
    items_.push_back(shop_.ItemIndex(item.id.value));
    return Status::Ok();
  }

  bool fails = false;
  bool gives_unknown = false;
  std::vector<Event> events_;
  std::vector<int> items_;

 private:
  const DemoShop& shop_;
  Wisdom wisdom_;
  Rng rng_;
  std::uint64_t decisions_ = 0;
};

const DemoShop& Shop() {
  static const DemoShop shop({.seed = 7, .item_count = 600, .shopper_count = 300});
  return shop;
}

ShopperTally Visit(FakeShop& client, int visits, ShopperDriverOptions options = {}) {
  const ManualClock clock;
  ShopperDriver driver(Shop(), client, clock, options);
  auto tally = driver.Run(visits);
  EXPECT_TRUE(tally.ok()) << tally.status().ToString();
  return tally.ok() ? *tally : ShopperTally{};
}

TEST(ShopperDriver, AnOracleReachesTheBestAndABlindShopIsFarFromIt) {
  FakeShop oracle(Shop(), FakeShop::Wisdom::kOracle);
  FakeShop blind(Shop(), FakeShop::Wisdom::kBlind);
  const ShopperTally best = Visit(oracle, 400);
  const ShopperTally worst = Visit(blind, 400);
  EXPECT_GT(best.ValueShare(), 0.95);
  EXPECT_LT(worst.ValueShare(), 0.35);
  EXPECT_NEAR(worst.ValueShare(), worst.BlindShare(), 0.05);
  EXPECT_GT(best.ClickRate(), 3 * worst.ClickRate());
  EXPECT_EQ(best.explored, 0U);
  EXPECT_EQ(worst.explored, worst.impressions);
  EXPECT_GT(worst.DiscoveryRate(), 0);
}

TEST(ShopperDriver, CountsWhatItSends) {
  FakeShop client(Shop(), FakeShop::Wisdom::kBlind);
  const ShopperTally tally = Visit(client, 300, {.seed = 4, .slots = 5, .visits_per_arrival = 100});
  EXPECT_EQ(tally.visits, 300U);
  EXPECT_EQ(tally.impressions, 1500U);
  EXPECT_EQ(tally.arrived_items, 2U);
  EXPECT_EQ(client.items_.size(), Shop().StartingItems().size() + 2);
  const auto count = [&](EventType type) {
    return std::count_if(client.events_.begin(), client.events_.end(),
                         [type](const Event& event) { return event.type == type; });
  };
  EXPECT_EQ(tally.clicks, static_cast<std::uint64_t>(count(EventType::kClick)));
  EXPECT_EQ(tally.purchases, static_cast<std::uint64_t>(count(EventType::kPurchase)));
}

TEST(ShopperDriver, TheSameSeedMakesTheSameVisits) {
  FakeShop first(Shop(), FakeShop::Wisdom::kBlind);
  FakeShop second(Shop(), FakeShop::Wisdom::kBlind);
  Visit(first, 100);
  Visit(second, 100);
  ASSERT_EQ(first.events_.size(), second.events_.size());
  for (std::size_t i = 0; i < first.events_.size(); ++i) {
    EXPECT_EQ(first.events_[i].item, second.events_[i].item);
  }
}

TEST(ShopperDriver, FailuresOfTheShopComeBackAndWhatWorkedIsCounted) {
  FakeShop client(Shop(), FakeShop::Wisdom::kBlind);
  const ManualClock clock;
  ShopperDriver driver(Shop(), client, clock, {});
  ASSERT_TRUE(driver.Run(3).ok());
  client.fails = true;
  EXPECT_EQ(driver.Run(3).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(driver.total().visits, 3U);
  client.fails = false;
  client.gives_unknown = true;
  EXPECT_EQ(driver.Run(1).status().code(), StatusCode::kInternal);
}

TEST(ShopperDriver, ALineSaysWhatANewcomerWatches) {
  ShopperTally tally;
  EXPECT_THAT(ShopperDriver::Line(tally), testing::HasSubstr("click rate 0.0 %"));
  tally.visits = 1200;
  tally.impressions = 1000;
  tally.clicks = 141;
  tally.value = 1;
  tally.best_value = 2;
  EXPECT_THAT(ShopperDriver::Line(tally),
              testing::AllOf(testing::HasSubstr("visits 1,200"), testing::HasSubstr("14.1 %"),
                             testing::HasSubstr("value 50 % of best")));
}

}  // namespace
}  // namespace poise
