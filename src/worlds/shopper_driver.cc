// SPDX-License-Identifier: Apache-2.0
#include "worlds/shopper_driver.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/progress.h"

namespace poise {
namespace {

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

bool IsPositive(EventType type) {
  return type == EventType::kFavourite || type == EventType::kCart || type == EventType::kPurchase;
}

}  // namespace

double ShopperTally::ClickRate() const {
  return Ratio(static_cast<double>(clicks), static_cast<double>(impressions));
}
double ShopperTally::DiscoveryRate() const {
  return Ratio(static_cast<double>(discoveries), static_cast<double>(explored));
}
double ShopperTally::ValueShare() const { return Ratio(value, best_value); }
double ShopperTally::BlindShare() const { return Ratio(any_value, best_value); }

void ShopperTally::Add(const ShopperTally& other) {
  visits += other.visits;
  impressions += other.impressions;
  explored += other.explored;
  clicks += other.clicks;
  purchases += other.purchases;
  discoveries += other.discoveries;
  arrived_items += other.arrived_items;
  value += other.value;
  best_value += other.best_value;
  any_value += other.any_value;
}

ShopperDriver::ShopperDriver(const DemoShop& shop, ShopClient& client, const Clock& clock,
                             ShopperDriverOptions options)
    : shop_(shop),
      client_(client),
      clock_(clock),
      options_(options),
      rng_(options.seed),
      present_count_(static_cast<int>(shop.StartingItems().size())),
      bought_(static_cast<std::size_t>(shop.shopper_count())),
      discovered_(static_cast<std::size_t>(shop.shopper_count())) {}

Result<ShopperTally> ShopperDriver::Run(int visits) {
  ShopperTally tally;
  Status status;
  for (int i = 0; i < visits && status.ok(); ++i) status = Visit(tally);
  total_.Add(tally);
  if (!status.ok()) return status;
  return tally;
}

std::vector<int> ShopperDriver::Candidates(int shopper) const {
  const std::vector<int>& bought = bought_[static_cast<std::size_t>(shopper)];
  std::vector<int> candidates;
  candidates.reserve(static_cast<std::size_t>(present_count_));
  for (int item = 0; item < present_count_; ++item) {
    if (!std::binary_search(bought.begin(), bought.end(), item)) candidates.push_back(item);
  }
  return candidates;
}

Status ShopperDriver::Arrive(ShopperTally& tally) {
  if (options_.visits_per_arrival <= 0 || present_count_ >= shop_.item_count()) {
    return Status::Ok();
  }
  const auto visit = static_cast<std::int64_t>(total_.visits + tally.visits);
  if (visit == 0 || visit % options_.visits_per_arrival != 0) return Status::Ok();
  ItemRecord item = shop_.Items()[static_cast<std::size_t>(present_count_)];
  item.created = clock_.Now();
  POISE_RETURN_IF_ERROR(client_.PutItem(item));
  ++present_count_;
  ++tally.arrived_items;
  return Status::Ok();
}

Status ShopperDriver::Visit(ShopperTally& tally) {
  POISE_RETURN_IF_ERROR(Arrive(tally));
  const int regulars = options_.regular_count > 0
                           ? std::min(options_.regular_count, shop_.shopper_count())
                           : shop_.shopper_count();
  const auto shopper = static_cast<int>(rng_.Below(static_cast<std::uint64_t>(regulars)));
  POISE_ASSIGN_OR_RETURN(const ShopSlate answer,
                         client_.Recommend(shop_.ShopperId(shopper), options_.slots));
  std::vector<int> slate;
  std::uint64_t explored = 0;
  for (const ShopSlot& slot : answer.slots) {
    const int item = shop_.ItemIndex(slot.item_id);
    if (item < 0 || item >= present_count_) {
      return Internal(
          fmt::format("the slate holds \"{}\", which is not in the demo shop", slot.item_id));
    }
    slate.push_back(item);
    explored += slot.explored ? 1 : 0;
  }

  const std::vector<int> candidates = Candidates(shopper);
  const auto slots = static_cast<int>(slate.size());
  std::vector<int> blind;
  for (int slot = 0; slot < slots && !candidates.empty(); ++slot) {
    blind.push_back(candidates[rng_.Below(candidates.size())]);
  }
  std::vector<Event> events = shop_.React(shopper, slate, clock_.Now(), rng_);
  if (!answer.decision_id.empty()) {
    POISE_ASSIGN_OR_RETURN(const DecisionId decision, ParseDecisionId(answer.decision_id));
    for (Event& event : events) event.decision = decision;
  }
  if (!events.empty()) POISE_RETURN_IF_ERROR(client_.SendEvents(events));

  ++tally.visits;
  tally.impressions += slate.size();
  tally.explored += explored;
  tally.value += shop_.SlateValue(shopper, slate);
  tally.best_value += shop_.SlateValue(shopper, shop_.BestSlate(shopper, candidates, slots));
  tally.any_value += shop_.SlateValue(shopper, blind);
  Note(shopper, events, tally);
  return Status::Ok();
}

void ShopperDriver::Note(int shopper, const std::vector<Event>& events, ShopperTally& tally) {
  std::vector<int>& discovered = discovered_[static_cast<std::size_t>(shopper)];
  std::vector<int>& bought = bought_[static_cast<std::size_t>(shopper)];
  for (const Event& event : events) {
    const int item = shop_.ItemIndex(event.item.value);
    const int interest = shop_.InterestOf(item);
    if (event.type == EventType::kClick) ++tally.clicks;
    if (event.type == EventType::kPurchase) {
      ++tally.purchases;
      const auto place = std::lower_bound(bought.begin(), bought.end(), item);
      if (place == bought.end() || *place != item) bought.insert(place, item);
    }
    if (!IsPositive(event.type) || shop_.Knows(shopper, interest)) continue;
    if (std::find(discovered.begin(), discovered.end(), interest) != discovered.end()) continue;
    discovered.push_back(interest);
    ++tally.discoveries;
  }
}

std::string ShopperDriver::Line(const ShopperTally& tally) {
  return fmt::format(
      "visits {}  click rate {:.1f} %  purchases {}  discoveries {} ({:.2f} % of explored)  value "
      "{:.0f} % of best (blind {:.0f} %)",
      WithThousands(tally.visits), 100 * tally.ClickRate(), WithThousands(tally.purchases),
      WithThousands(tally.discoveries), 100 * tally.DiscoveryRate(), 100 * tally.ValueShare(),
      100 * tally.BlindShare());
}

}  // namespace poise
