// SPDX-License-Identifier: Apache-2.0
#include "candidates/filters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "catalog/catalog_view_builder.h"
#include "catalog/name_store.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 97;

class FiltersTest : public testing::Test {
 protected:
  FiltersTest() { view_ = std::make_shared<CatalogView>(items_, categories_); }

  // Adds the next row.
  void Add(std::vector<std::string> categories, bool is_available = true,
           std::int64_t created_s = 1000) {
    ItemRecord item;
    item.id = {"item-" + std::to_string(next_row_)};
    item.categories = std::move(categories);
    item.is_available = is_available;
    item.created = Timestamp::FromSeconds(created_s);
    CatalogViewBuilder builder(*view_, categories_);
    builder.Set(ItemRow{next_row_++}, item, /*is_undescribed=*/false);
    view_ = builder.Build();
  }
  void Erase(std::uint32_t row) {
    CatalogViewBuilder builder(*view_, categories_);
    builder.Erase(ItemRow{row});
    view_ = builder.Build();
  }
  CategoryRow Category(std::string_view name) const { return *view_->FindCategory(name); }

  std::vector<std::uint32_t> Passing(const HardFilters& filters,
                                     std::vector<Interaction> history = {},
                                     std::uint32_t row_count = 6) const {
    std::vector<Candidate> candidates;
    for (std::uint32_t row = 0; row < row_count; ++row) {
      candidates.push_back({.item = ItemRow{row},
                            .sources = row == 0 ? Bit(Source::kRepeat) : Bit(Source::kPopular)});
    }
    std::vector<Candidate> out(3);
    FilterCandidates(candidates, filters, *view_, history, out);
    std::vector<std::uint32_t> rows;
    for (const Candidate& each : out) rows.push_back(Index(each.item));
    return rows;
  }

  std::shared_ptr<NameStore> items_ = std::make_shared<NameStore>();
  std::shared_ptr<NameStore> categories_ = std::make_shared<NameStore>();
  std::shared_ptr<const CatalogView> view_;
  std::uint32_t next_row_ = 0;
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(FiltersTest, OnlyWhatIsAvailablePasses) {
  Add({});
  Add({}, /*is_available=*/false);
  Add({});
  Erase(2);
  EXPECT_THAT(Passing({}), ElementsAre(0)) << "rows the catalog does not hold never pass";
  HardFilters filters;
  filters.only_available = false;
  EXPECT_THAT(Passing(filters), ElementsAre(0, 1)) << "a deleted item never passes";
}

TEST_F(FiltersTest, AnyAndAllCategories) {
  Add({"book"});
  Add({"book", "red"});
  Add({"lamp", "red"});
  Add({});
  HardFilters filters;
  filters.any_categories = {Category("book"), Category("lamp")};
  EXPECT_THAT(Passing(filters), ElementsAre(0, 1, 2));
  filters.all_categories = {Category("red")};
  EXPECT_THAT(Passing(filters), ElementsAre(1, 2));
  filters.all_categories = {Category("red"), Category("book")};
  EXPECT_THAT(Passing(filters), ElementsAre(1));
  filters.has_unknown_category = true;
  EXPECT_THAT(Passing(filters), IsEmpty());
}

TEST_F(FiltersTest, SeenBoughtAndExcluded) {
  for (int i = 0; i < 6; ++i) Add({});
  const std::vector<Interaction> history = {{ItemRow{0}, 50, 1, EventType::kPurchase},
                                            {ItemRow{1}, 60, 1, EventType::kPurchase},
                                            {ItemRow{2}, 70, 1, EventType::kView},
                                            {ItemRow{3}, 80, 1, EventType::kPurchase},
                                            {ItemRow{3}, 90, 1, EventType::kReturn}};
  HardFilters seen;
  seen.exclude_seen = true;
  EXPECT_THAT(Passing(seen, history), ElementsAre(4, 5));
  HardFilters bought;
  bought.exclude_bought = true;
  EXPECT_THAT(Passing(bought, history), ElementsAre(2, 3, 4, 5))
      << "what was returned is not owned";
  bought.keep_repeats = true;
  EXPECT_THAT(Passing(bought, history), ElementsAre(0, 2, 3, 4, 5));
  bought.keep_repeats = false;
  bought.bought_since_s = 55;
  EXPECT_THAT(Passing(bought, history), ElementsAre(0, 2, 3, 4, 5));
  HardFilters excluded;
  excluded.excluded = {ItemRow{5}, ItemRow{0}, ItemRow{77}};
  EXPECT_THAT(Passing(excluded, history), ElementsAre(1, 2, 3, 4));
}

TEST_F(FiltersTest, ItemsCreatedBeforeADateAreLeftOut) {
  Add({}, true, 100);
  Add({}, true, 200);
  HardFilters filters;
  filters.created_since_s = 150;
  EXPECT_THAT(Passing(filters), ElementsAre(1));
}

TEST_F(FiltersTest, TheNamesSayWhatApplied) {
  HardFilters filters;
  EXPECT_EQ(FilterNames(filters), "available");
  filters.exclude_seen = true;
  filters.exclude_bought = true;
  filters.excluded = {ItemRow{1}};
  EXPECT_EQ(FilterNames(filters), "available,unseen,unbought,not_excluded");
  filters.only_available = false;
  filters.exclude_seen = false;
  filters.excluded.clear();
  filters.keep_repeats = true;
  EXPECT_EQ(FilterNames(filters), "unbought_or_repeat");
  filters.exclude_bought = false;
  EXPECT_EQ(FilterNames(filters), "");
}

TEST_F(FiltersTest, AllowedRowsAdmitWhatTheFiltersWouldPass) {
  Rng rng(kSeed);
  const std::vector<std::string> names = {"a", "b", "c"};
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> categories;
    for (const std::string& name : names) {
      if (rng.Bernoulli(0.4)) categories.push_back(name);
    }
    Add(categories, rng.Bernoulli(0.8), static_cast<std::int64_t>(1 + rng.Below(1000)));
  }
  for (int trial = 0; trial < 30; ++trial) {
    HardFilters filters;
    filters.only_available = rng.Bernoulli(0.5);
    if (rng.Bernoulli(0.5)) filters.any_categories = {Category("a"), Category("b")};
    if (rng.Bernoulli(0.5)) filters.all_categories = {Category("c")};
    if (rng.Bernoulli(0.5)) filters.created_since_s = 400;
    filters.excluded = {ItemRow{static_cast<std::uint32_t>(rng.Below(300))}, ItemRow{5000}};
    const auto allowed = AllowedRows(filters, *view_);
    std::vector<std::uint32_t> admitted;
    for (std::uint32_t row = 0; row < 300; ++row) {
      if ((allowed[row / 64] >> (row % 64) & 1) != 0) admitted.push_back(row);
    }
    EXPECT_EQ(admitted, Passing(filters, {}, 300));
  }
  HardFilters unknown;
  unknown.has_unknown_category = true;
  EXPECT_TRUE(unknown.IsNarrow());
  for (const std::uint64_t word : AllowedRows(unknown, *view_)) EXPECT_EQ(word, 0U);
}

TEST_F(FiltersTest, AllowedRowsOfAnEmptyCatalogAdmitNothingRatherThanAll) {
  EXPECT_FALSE(AllowedRows({}, *view_).empty());
}

}  // namespace
}  // namespace poise
