// SPDX-License-Identifier: Apache-2.0
#include "worlds/demo_shop.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <unordered_set>

#include "worlds/demo_words.h"

namespace poise {
namespace {

constexpr int kSectionsPerDepartment = 3;
constexpr double kBase = -3.2;
constexpr double kIndifference = -0.6;  // love of an interest that is not loved
constexpr double kChineseShare = 0.4;
constexpr std::int64_t kDayMicros = 86'400'000'000;

// One stream of chance for each thing made, so that more of one leaves the others as they were.
enum Stream : std::uint64_t { kItemStream = 1, kShopperStream = 2, kHistoryStream = 3 };

std::vector<std::string_view> Bars(std::string_view list) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t bar = list.find('|');
    words.push_back(list.substr(0, bar));
    if (bar == std::string_view::npos) return words;
    list.remove_prefix(bar + 1);
  }
}

double Sigma(double x) { return 1 / (1 + std::exp(-x)); }

template <typename T>
std::size_t Draw(const std::vector<T>& from, Rng& rng) {
  return static_cast<std::size_t>(rng.Below(from.size()));
}

// 27.43 -> 26.90: prices end as shops let them end.
double ShopPrice(double price) {
  if (price < 10) return std::floor(price * 2) / 2 + 0.45;
  if (price < 100) return std::floor(price) + 0.90;
  return std::floor(price / 5) * 5 + 4;
}

struct Names {
  std::string title;
  std::string description;
  std::string material;
  std::string size;
  double price = 0;
  bool is_chinese = false;
};

Names DrawNames(const DemoDepartment& department, const DemoSection& section, Rng& rng) {
  Names names;
  names.is_chinese = rng.Bernoulli(kChineseShare);
  const auto in = [&names](const Words& words) {
    return names.is_chinese ? words.chinese : words.english;
  };
  const auto adjectives = Bars(in(department.adjectives));
  const auto materials = Bars(in(section.materials));
  const auto nouns = Bars(in(section.nouns));
  const auto uses = Bars(in(department.uses));
  const auto sizes = Bars(section.sizes->values);
  const std::string_view adjective = adjectives[Draw(adjectives, rng)];
  const std::size_t material = Draw(materials, rng);
  const std::size_t noun = Draw(nouns, rng);
  const std::size_t size = Draw(sizes, rng);
  const std::string_view use = uses[Draw(uses, rng)];

  names.material = materials[material];
  names.size = in(section.sizes->format);
  names.size.replace(names.size.find("{}"), 2, sizes[size]);
  if (names.is_chinese) {
    names.title = fmt::format("{}{}{} {}", adjective, materials[material], nouns[noun], names.size);
    names.description = fmt::format("{}款{}，{}材质，{}。适合{}。", adjective, nouns[noun],
                                    materials[material], names.size, use);
  } else {
    names.title =
        fmt::format("{} {} {}, {}", adjective, materials[material], nouns[noun], names.size);
    std::string kind(nouns[noun]);
    std::transform(kind.begin(), kind.end(), kind.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    names.description = fmt::format("{} {} from our {} shelves: {}, {}. For {}.", adjective, kind,
                                    section.name.english, materials[material], names.size, use);
  }
  double typical = 0;
  const std::string_view price = Bars(section.prices)[noun];
  std::from_chars(price.data(), price.data() + price.size(), typical);
  const double relative_size =
      static_cast<double>(size) / static_cast<double>(sizes.size() - 1);  // 0 to 1
  names.price =
      typical * (0.75 + 0.6 * relative_size) * (0.8 + 0.1 * static_cast<double>(material));
  return names;
}

}  // namespace

DemoShop::DemoShop(DemoShopOptions options) : options_(options) {
  options_.item_count = std::max(options_.item_count, 1);
  options_.shopper_count = std::max(options_.shopper_count, 1);
  options_.arriving_share = std::clamp(options_.arriving_share, 0.0, 0.9);
  interest_count_ = static_cast<int>(DemoDepartments().size()) * kSectionsPerDepartment;
  starting_count_ =
      std::max(1, options_.item_count -
                      static_cast<int>(std::floor(options_.item_count * options_.arriving_share)));
  MakeItems();
  MakeShoppers();
}

void DemoShop::MakeItems() {
  Rng rng(MixSeed(options_.seed, kItemStream));
  std::unordered_set<std::string> titles;
  const auto count = static_cast<std::size_t>(options_.item_count);
  items_.reserve(count);
  goods_.reserve(count);
  goods_of_interest_.resize(static_cast<std::size_t>(interest_count_));
  for (int index = 0; index < options_.item_count; ++index) {
    // The first round fills every section; then some sections are larger than others.
    const int interest = index < interest_count_
                             ? index
                             : static_cast<int>(interest_count_ * std::pow(rng.Uniform(), 1.3));
    const DemoDepartment& department =
        DemoDepartments()[static_cast<std::size_t>(interest / kSectionsPerDepartment)];
    const DemoSection& section = department.sections[interest % kSectionsPerDepartment];
    Names names;
    bool is_new = false;
    for (int attempt = 0; attempt < 20 && !is_new; ++attempt) {
      names = DrawNames(department, section, rng);
      is_new = titles.insert(names.title).second;
    }
    for (int edition = 2; !is_new; ++edition) {
      const std::string title =
          names.title + (names.is_chinese ? fmt::format(" {} 代", edition)
                                          : fmt::format(" (edition {})", edition));
      is_new = titles.insert(title).second;
      if (is_new) names.title = title;
    }

    ItemRecord item;
    item.id.value = fmt::format("item-{:05}", index);
    item.title = names.title;
    item.description = names.description;
    item.categories = {std::string(department.name.english),
                       fmt::format("{}/{}", department.name.english, section.name.english)};
    item.price = ShopPrice(names.price * std::exp(0.15 * rng.Normal()));
    item.attributes["material"] = names.material;
    item.attributes["size"] = names.size;
    item.attributes["language"] = std::string(names.is_chinese ? "zh" : "en");
    if (names.is_chinese) {
      item.attributes["department"] =
          fmt::format("{}/{}", department.name.chinese, section.name.chinese);
    }
    const bool is_arriving = index >= starting_count_;
    const auto age_days = static_cast<std::int64_t>(is_arriving ? 0 : 30 + rng.Below(700));
    item.created = Timestamp{options_.start.micros - age_days * kDayMicros};

    Good good;
    good.interest = interest;
    good.quality = static_cast<float>(0.7 * rng.Normal());
    good.log_price = static_cast<float>(std::log(item.price));
    for (float& s : good.style) s = static_cast<float>(rng.Normal());
    goods_of_interest_[static_cast<std::size_t>(interest)].push_back(index);
    items_.push_back(std::move(item));
    goods_.push_back(good);
  }
  for (const std::vector<int>& goods : goods_of_interest_) {
    double sum = 0;
    for (const int item : goods) sum += goods_[static_cast<std::size_t>(item)].log_price;
    log_price_of_interest_.push_back(
        goods.empty() ? 0 : static_cast<float>(sum / static_cast<double>(goods.size())));
  }
}

void DemoShop::MakeShoppers() {
  const auto shopper_count = static_cast<std::size_t>(options_.shopper_count);
  const auto interest_count = static_cast<std::size_t>(interest_count_);
  shoppers_.resize(shopper_count);
  love_.assign(shopper_count * interest_count, static_cast<float>(kIndifference));
  is_known_.assign(shopper_count * interest_count, 0);
  for (std::size_t shopper = 0; shopper < shopper_count; ++shopper) {
    Rng rng(MixSeed(MixSeed(options_.seed, kShopperStream), shopper));
    Person& person = shoppers_[shopper];
    for (float& t : person.taste) t = static_cast<float>(0.35 * rng.Normal());
    person.price_care = static_cast<float>(0.3 + 0.7 * rng.Uniform());
    person.price_level = static_cast<float>(0.35 * rng.Normal());
    // Interests come in pairs of neighbouring departments more often than by chance: what similar
    // people love is a hint at what this one would.
    const std::size_t loved = 3 + rng.Below(4);
    std::size_t interest = rng.Below(interest_count);
    for (std::size_t i = 0; i < loved; ++i) {
      const std::size_t at = shopper * interest_count + interest;
      if (love_[at] == static_cast<float>(kIndifference)) {
        love_[at] = static_cast<float>(2.2 + 1.2 * rng.Uniform());
        // The first is always known; of the others about two in five were never met.
        is_known_[at] = i == 0 || rng.Bernoulli(0.6) ? 1 : 0;
      }
      interest = rng.Bernoulli(0.6) ? (interest + 1 + rng.Below(4)) % interest_count
                                    : rng.Below(interest_count);
    }
  }
}

std::vector<UserRecord> DemoShop::Users() const {
  constexpr std::string_view kCities[] = {"Hamburg", "Lyon",  "Leeds", "上海",
                                          "成都",    "Porto", "杭州"};
  std::vector<UserRecord> users;
  for (int shopper = 0; shopper < shopper_count(); ++shopper) {
    UserRecord user;
    user.id.value = ShopperId(shopper);
    user.attributes["city"] = std::string(
        kCities[MixSeed(options_.seed, static_cast<std::uint64_t>(shopper)) % std::size(kCities)]);
    user.created = Timestamp{options_.start.micros - 90 * kDayMicros};
    users.push_back(std::move(user));
  }
  return users;
}

std::string DemoShop::InterestName(int interest) const {
  const DemoDepartment& department =
      DemoDepartments()[static_cast<std::size_t>(interest / kSectionsPerDepartment)];
  return fmt::format("{}/{}", department.name.english,
                     department.sections[interest % kSectionsPerDepartment].name.english);
}

bool DemoShop::Loves(int shopper, int interest) const {
  return love_[static_cast<std::size_t>(shopper * interest_count_ + interest)] > 0;
}

bool DemoShop::Knows(int shopper, int interest) const {
  return is_known_[static_cast<std::size_t>(shopper * interest_count_ + interest)] != 0;
}

std::string DemoShop::ShopperId(int shopper) const { return fmt::format("shopper-{:05}", shopper); }

int DemoShop::ItemIndex(std::string_view id) const {
  constexpr std::string_view kPrefix = "item-";
  int index = -1;
  if (!id.starts_with(kPrefix)) return -1;
  id.remove_prefix(kPrefix.size());
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), index);
  const bool is_whole = error == std::errc{} && end == id.data() + id.size();
  return is_whole && index >= 0 && index < item_count() ? index : -1;
}

double DemoShop::Examination(int slot) { return 1 / (1 + 0.12 * slot); }

double DemoShop::Attraction(int shopper, int item) const {
  const Good& good = goods_[static_cast<std::size_t>(item)];
  const Person& person = shoppers_[static_cast<std::size_t>(shopper)];
  const auto interest = static_cast<std::size_t>(good.interest);
  double logit =
      kBase + good.quality + love_[static_cast<std::size_t>(shopper * interest_count_) + interest];
  for (std::size_t s = 0; s < kStyles; ++s) logit += person.taste[s] * good.style[s];
  const double right_price = log_price_of_interest_[interest] + person.price_level;
  logit -= person.price_care * std::abs(good.log_price - right_price);
  return Sigma(logit);
}

double DemoShop::SlateValue(int shopper, std::span<const int> items) const {
  double value = 0;
  for (std::size_t slot = 0; slot < items.size(); ++slot) {
    value += TrueClickProbability(shopper, items[slot], static_cast<int>(slot));
  }
  return value;
}

std::vector<int> DemoShop::BestSlate(int shopper, std::span<const int> candidates,
                                     int slots) const {
  std::vector<std::pair<double, int>> scored;
  scored.reserve(candidates.size());
  for (const int item : candidates) scored.emplace_back(-Attraction(shopper, item), item);
  const std::size_t count = std::min(scored.size(), static_cast<std::size_t>(std::max(slots, 0)));
  std::partial_sort(scored.begin(), scored.begin() + static_cast<std::ptrdiff_t>(count),
                    scored.end());
  std::vector<int> slate;
  for (std::size_t i = 0; i < count; ++i) slate.push_back(scored[i].second);
  return slate;
}

Event DemoShop::EventOf(int shopper, int item, EventType type, Timestamp time) const {
  Event event;
  event.user.value = ShopperId(shopper);
  event.item = items_[static_cast<std::size_t>(item)].id;
  event.type = type;
  event.time = time;
  if (type == EventType::kPurchase) event.value = items_[static_cast<std::size_t>(item)].price;
  return event;
}

// What follows a click.
void DemoShop::Follow(int shopper, int item, Timestamp time, Rng& rng,
                      std::vector<Event>& out) const {
  const double shift = 0.5 * goods_[static_cast<std::size_t>(item)].quality;
  if (rng.Bernoulli(Sigma(-1.8 + shift))) {
    out.push_back(EventOf(shopper, item, EventType::kFavourite, time + std::chrono::seconds(1)));
  }
  if (!rng.Bernoulli(Sigma(-1.2 + shift))) return;
  out.push_back(EventOf(shopper, item, EventType::kCart, time + std::chrono::seconds(2)));
  if (!rng.Bernoulli(Sigma(-0.2 + shift))) return;
  out.push_back(EventOf(shopper, item, EventType::kPurchase, time + std::chrono::seconds(3)));
}

std::vector<Event> DemoShop::React(int shopper, std::span<const int> slate, Timestamp time,
                                   Rng& rng) const {
  std::vector<Event> events;
  for (std::size_t slot = 0; slot < slate.size(); ++slot) {
    if (!rng.Bernoulli(TrueClickProbability(shopper, slate[slot], static_cast<int>(slot))))
      continue;
    events.push_back(EventOf(shopper, slate[slot], EventType::kClick, time));
    Follow(shopper, slate[slot], time, rng, events);
  }
  return events;
}

std::vector<Event> DemoShop::History(int days) const {
  constexpr double kVisitsPerDay = 0.25;
  constexpr int kLooks = 6;
  std::vector<Event> events;
  for (int shopper = 0; shopper < shopper_count(); ++shopper) {
    Rng rng(MixSeed(MixSeed(options_.seed, kHistoryStream), static_cast<std::uint64_t>(shopper)));
    std::vector<int> known;
    for (int interest = 0; interest < interest_count_; ++interest) {
      const bool has_goods = !goods_of_interest_[static_cast<std::size_t>(interest)].empty();
      if (has_goods && Knows(shopper, interest)) known.push_back(interest);
    }
    if (known.empty()) continue;
    double day = rng.Exponential(kVisitsPerDay);
    for (; day < days; day += rng.Exponential(kVisitsPerDay)) {
      auto time = Timestamp{options_.start.micros - days * kDayMicros +
                            static_cast<std::int64_t>(day * static_cast<double>(kDayMicros))};
      const int interest = known[Draw(known, rng)];
      const std::vector<int>& goods = goods_of_interest_[static_cast<std::size_t>(interest)];
      for (int look = 0; look < kLooks && time < options_.start; ++look) {
        const int item = goods[Draw(goods, rng)];
        time = time + std::chrono::seconds(5 + rng.Below(40));
        if (item >= starting_count_ || !rng.Bernoulli(Attraction(shopper, item))) continue;
        if (time + std::chrono::seconds(10) >= options_.start) break;
        events.push_back(EventOf(shopper, item, EventType::kView, time));
        Follow(shopper, item, time + std::chrono::seconds(4), rng, events);
      }
    }
  }
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) { return a.time < b.time; });
  for (std::size_t i = 0; i < events.size(); ++i) {
    events[i].idempotency_key = fmt::format("demo-{}-{}", options_.seed, i);
  }
  return events;
}

}  // namespace poise
