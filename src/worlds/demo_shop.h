// SPDX-License-Identifier: Apache-2.0
//
// DemoShop: a shop with believable goods and shoppers whose wishes are known, to watch Poise learn
// and to test that it does.
//
// The truth is planted, so what a recommender finds can be held against what there was to find.
// Each section of the shop is an interest. A shopper loves a few of them; some they have shopped
// before, and some they would love but have never met: history says nothing of those, only showing
// them can.
//
//   logit(u, i) = base + love[u, interest(i)] + taste_u . style_i + quality_i
//                 - |ln price_i - ln level(u, interest(i))| * price_care_u
//   P(click on i in slot j) = examination(j) * sigma(logit(u, i))
//   P(favourite, cart | click), P(purchase | cart): constants shifted by quality.
//
// Place    [here] -> tests, apps/ (poise demo)
// Units    Value of a slate: expected clicks. Price: the shop's currency. Slot: 0-based.
// Threads  Immutable once made; React() draws from the caller's Rng.
// Cost     Made in O(items + shoppers * interests); TrueClickProbability O(1).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "domain/event.h"
#include "domain/item.h"

namespace poise {

struct DemoShopOptions {
  std::uint64_t seed = 1;
  int item_count = 2000;
  int shopper_count = 5000;
  double arriving_share = 0.1;                              // of the items: not there at the start
  Timestamp start = Timestamp::FromSeconds(1'700'000'000);  // history ends here
};

class DemoShop {
 public:
  explicit DemoShop(DemoShopOptions options);

  const DemoShopOptions& options() const { return options_; }

  // The items that are there at the start, and after them those that arrive later, in their order.
  std::span<const ItemRecord> Items() const { return items_; }
  std::span<const ItemRecord> StartingItems() const {
    return Items().first(static_cast<std::size_t>(starting_count_));
  }
  std::span<const ItemRecord> ArrivingItems() const {
    return Items().subspan(static_cast<std::size_t>(starting_count_));
  }
  std::vector<UserRecord> Users() const;

  // What happened in the `days` before the start, in order of time; of interests that shoppers
  // know.
  std::vector<Event> History(int days) const;

  int item_count() const { return static_cast<int>(items_.size()); }
  int shopper_count() const { return static_cast<int>(shoppers_.size()); }
  int interest_count() const { return interest_count_; }
  int InterestOf(int item) const { return goods_[static_cast<std::size_t>(item)].interest; }
  std::string InterestName(int interest) const;
  // Loves it, whether or not they have met it.
  bool Loves(int shopper, int interest) const;
  // Has shopped it before the start.
  bool Knows(int shopper, int interest) const;

  std::string ShopperId(int shopper) const;
  // -1 if there is no such item.
  int ItemIndex(std::string_view id) const;

  // The truth.
  static double Examination(int slot);
  // Of a click once the slot is looked at.
  double Attraction(int shopper, int item) const;
  double TrueClickProbability(int shopper, int item, int slot) const {
    return Examination(slot) * Attraction(shopper, item);
  }
  double SlateValue(int shopper, std::span<const int> items) const;
  // The best slate among `candidates`, best first.
  std::vector<int> BestSlate(int shopper, std::span<const int> candidates, int slots) const;

  // What the shopper does with a slate: clicks and what follows from them, at `time`.
  std::vector<Event> React(int shopper, std::span<const int> slate, Timestamp time, Rng& rng) const;

 private:
  static constexpr std::size_t kStyles = 4;

  struct Good {
    int interest = 0;
    float quality = 0;
    float log_price = 0;
    std::array<float, kStyles> style{};
  };
  struct Person {
    std::array<float, kStyles> taste{};
    float price_care = 0;
    float price_level = 0;  // shifts what is the right price, in ln
  };

  void MakeItems();
  void MakeShoppers();
  void Follow(int shopper, int item, Timestamp time, Rng& rng, std::vector<Event>& out) const;
  Event EventOf(int shopper, int item, EventType type, Timestamp time) const;

  DemoShopOptions options_;
  int interest_count_ = 0;
  int starting_count_ = 0;
  std::vector<ItemRecord> items_;
  std::vector<Good> goods_;
  std::vector<std::vector<int>> goods_of_interest_;
  std::vector<float> log_price_of_interest_;
  std::vector<Person> shoppers_;
  std::vector<float> love_;     // [shopper_count, interest_count]
  std::vector<char> is_known_;  // [shopper_count, interest_count]
};

}  // namespace poise
