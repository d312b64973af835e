// SPDX-License-Identifier: Apache-2.0
//
// ShopperDriver: lets the shoppers of a DemoShop visit a live shop, and keeps what a newcomer wants
// to watch: how often they click, what they discover, how near the slates are to the best there is.
//
// Place    apps/ and tests implement ShopClient -> [here]
// Units    Click rate: clicks / impressions. Discovery rate: positive interactions (favourite,
//          cart, purchase) in interests new to the shopper / explored impressions. Value share:
//          expected clicks of the slates shown / of the best slates of what is in the shop and not
//          yet bought, by the planted truth; 1 is an oracle.
// Errors   The client's, after as many visits as worked. A slate with an item that the shop does
//          not have: kInternal.
// Threads  One thread at a time.
// Cost     O(items) a visit, for the best slate.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/rng.h"
#include "worlds/demo_shop.h"

namespace poise {

struct ShopSlot {
  std::string item_id;
  bool explored = false;
};

struct ShopSlate {
  std::string decision_id;
  std::vector<ShopSlot> slots;
};

class ShopClient {
 public:
  virtual ~ShopClient() = default;
  virtual Result<ShopSlate> Recommend(const std::string& user_id, int slots) = 0;
  virtual Status SendEvents(std::span<const Event> events) = 0;
  virtual Status PutItem(const ItemRecord& item) = 0;
};

struct ShopperDriverOptions {
  std::uint64_t seed = 1;
  int slots = 10;
  // An arriving item is put into the shop after each so many visits; 0: none arrives.
  int visits_per_arrival = 50;
  // Shoppers are drawn from the first so many, so that each comes back; 0: all.
  int regular_count = 0;
};

struct ShopperTally {
  std::uint64_t visits = 0;
  std::uint64_t impressions = 0;
  std::uint64_t explored = 0;
  std::uint64_t clicks = 0;
  std::uint64_t purchases = 0;
  std::uint64_t discoveries = 0;
  std::uint64_t arrived_items = 0;
  double value = 0;       // expected clicks of the slates shown
  double best_value = 0;  // of the best slates
  double any_value = 0;   // of slates drawn blindly

  double ClickRate() const;
  double DiscoveryRate() const;
  double ValueShare() const;
  double BlindShare() const;
  void Add(const ShopperTally& other);
};

class ShopperDriver {
 public:
  // All must outlive it.
  ShopperDriver(const DemoShop& shop, ShopClient& client, const Clock& clock,
                ShopperDriverOptions options);

  // Lets `visits` shoppers in, one after another.
  Result<ShopperTally> Run(int visits);

  // Since the beginning.
  const ShopperTally& total() const { return total_; }
  // "visits 12,000  click rate 14.1 %  discoveries 312 (2.1 % of explored)  value 71 % of best"
  static std::string Line(const ShopperTally& tally);

 private:
  Status Visit(ShopperTally& tally);
  Status Arrive(ShopperTally& tally);
  std::vector<int> Candidates(int shopper) const;
  void Note(int shopper, const std::vector<Event>& events, ShopperTally& tally);

  const DemoShop& shop_;
  ShopClient& client_;
  const Clock& clock_;
  ShopperDriverOptions options_;
  Rng rng_;
  ShopperTally total_;
  int present_count_;                         // items that have arrived
  std::vector<std::vector<int>> bought_;      // by shopper, ascending
  std::vector<std::vector<int>> discovered_;  // by shopper: interests
};

}  // namespace poise
