// SPDX-License-Identifier: Apache-2.0
#include "catalog/catalog.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/rng.h"
#include "catalog/person_keys.h"
#include "catalog/record_bytes.h"
#include "catalog/test_folder.h"
#include "storage/table.h"

namespace poise {
namespace {

class CatalogTest : public testing::Test {
 protected:
  CatalogTest() { Reopen(); }

  void Reopen() {
    catalog_.reset();
    keys_.reset();
    tables_.reset();
    auto tables = Tables::Open(folder_.File("tables"), CatalogTableNames());
    ASSERT_TRUE(tables.ok()) << tables.status().ToString();
    tables_ = *std::move(tables);
    auto master = MasterKey::FromHex(std::string(64, '7'));
    ASSERT_TRUE(master.ok());
    auto keys = PersonKeys::Open(*tables_, *master);
    ASSERT_TRUE(keys.ok());
    keys_ = *std::move(keys);
    auto catalog = Catalog::Open(*tables_, *keys_, clock_);
    ASSERT_TRUE(catalog.ok()) << catalog.status().ToString();
    catalog_ = *std::move(catalog);
  }

  static ItemRecord Lamp() {
    ItemRecord item;
    item.id = {"lamp-1"};
    item.title = "Desk lamp";
    item.description = "It bends.";
    item.categories = {"lighting", "office"};
    item.price = 29.5;
    item.attributes = {{"colour", std::string("green")},
                       {"tags", std::vector<std::string>{"led", "metal"}},
                       {"watts", 7.5},
                       {"dimmable", true}};
    item.created = Timestamp::FromSeconds(1'600'000'000);
    return item;
  }
  static ItemRecord Named(const std::string& id) {
    ItemRecord item;
    item.id = {id};
    item.title = "title of " + id;
    return item;
  }

  TestFolder folder_;
  ManualClock clock_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<PersonKeys> keys_;
  std::unique_ptr<Catalog> catalog_;
};

void ExpectEqual(const ItemRecord& a, const ItemRecord& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.title, b.title);
  EXPECT_EQ(a.description, b.description);
  EXPECT_EQ(a.categories, b.categories);
  EXPECT_EQ(a.price, b.price);
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.is_available, b.is_available);
  EXPECT_EQ(a.created, b.created);
}

TEST_F(CatalogTest, AnItemComesBackAsItWasToldAlsoAfterARestart) {
  ASSERT_TRUE(catalog_->UpsertItem(Lamp()).ok());
  ExpectEqual(*catalog_->GetItem({"lamp-1"}), Lamp());
  Reopen();
  ExpectEqual(*catalog_->GetItem({"lamp-1"}), Lamp());

  const auto view = catalog_->view();
  const auto row = view->Find("lamp-1");
  ASSERT_TRUE(row);
  EXPECT_EQ(view->Id(*row), "lamp-1");
  EXPECT_EQ(view->Title(*row), "Desk lamp");
  EXPECT_EQ(view->Price(*row), 29.5);
  EXPECT_EQ(view->CreatedSeconds(*row), 1'600'000'000U);
  EXPECT_TRUE(view->IsAvailable(*row));
  EXPECT_FALSE(view->IsUndescribed(*row));
  ASSERT_EQ(view->CategoriesOf(*row).size(), 2U);
  EXPECT_EQ(view->CategoryName(view->CategoriesOf(*row)[1]), "office");
  EXPECT_EQ(view->FindCategory("lighting"), view->CategoriesOf(*row)[0]);
  EXPECT_FALSE(view->FindCategory("garden"));
  EXPECT_FALSE(view->Find("lamp-2"));
}

TEST_F(CatalogTest, AViewStaysAsItWasWhileTheCatalogGoesOn) {
  ASSERT_TRUE(catalog_->UpsertItem(Lamp()).ok());
  const auto before = catalog_->view();
  ItemRecord changed = Lamp();
  changed.title = "Desk lamp, sold out";
  changed.is_available = false;
  changed.categories = {"attic"};
  ASSERT_TRUE(catalog_->UpsertItem(changed).ok());
  ASSERT_TRUE(catalog_->UpsertItem(Named("chair")).ok());
  const ItemRow row = *before->Find("lamp-1");
  EXPECT_EQ(before->Title(row), "Desk lamp");
  EXPECT_TRUE(before->IsAvailable(row));
  EXPECT_EQ(before->item_count(), 1U);
  EXPECT_FALSE(before->Find("chair"));
  EXPECT_FALSE(before->FindCategory("attic"));
  const auto after = catalog_->view();
  EXPECT_EQ(after->Title(row), "Desk lamp, sold out");
  EXPECT_FALSE(after->IsAvailable(row));
  EXPECT_TRUE(after->Exists(row));
  EXPECT_EQ(after->item_count(), 2U);
  EXPECT_GT(after->version(), before->version());
}

TEST_F(CatalogTest, ABadElementNamesItsFieldAndStopsNoOther) {
  ItemRecord negative = Named("b");
  negative.price = -1;
  const std::vector<ItemRecord> items = {Named("a"), negative, Named(""), Named("c")};
  const std::vector<Status> statuses = catalog_->UpsertItems(items);
  ASSERT_EQ(statuses.size(), 4U);
  EXPECT_TRUE(statuses[0].ok());
  EXPECT_NE(statuses[1].message().find("price"), std::string::npos);
  EXPECT_NE(statuses[2].message().find("itemId"), std::string::npos);
  EXPECT_TRUE(statuses[3].ok());
  EXPECT_EQ(catalog_->view()->item_count(), 2U);
  EXPECT_EQ(catalog_->GetItem({"b"}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(catalog_->GetItem({""}).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(CatalogTest, OfAnIdTwiceInABatchTheLaterStays) {
  ItemRecord later = Named("a");
  later.title = "later";
  const std::vector<ItemRecord> items = {Named("a"), later};
  for (const Status& status : catalog_->UpsertItems(items)) EXPECT_TRUE(status.ok());
  EXPECT_EQ(catalog_->GetItem({"a"})->title, "later");
  EXPECT_EQ(catalog_->view()->row_count(), 1U);
}

TEST_F(CatalogTest, AnUpsertWithoutATimeKeepsTheFirst) {
  ASSERT_TRUE(catalog_->UpsertItem(Named("a")).ok());
  const Timestamp first = clock_.Now();
  EXPECT_EQ(catalog_->GetItem({"a"})->created, first);
  clock_.Advance(std::chrono::hours(1));
  ASSERT_TRUE(catalog_->UpsertItem(Named("a")).ok());
  EXPECT_EQ(catalog_->GetItem({"a"})->created, first);
}

TEST_F(CatalogTest, ADeletedItemKeepsItsRowAndGetsItBack) {
  ASSERT_TRUE(catalog_->UpsertItem(Lamp()).ok());
  ASSERT_TRUE(catalog_->UpsertItem(Named("chair")).ok());
  const ItemRow row = *catalog_->view()->Find("lamp-1");
  ASSERT_TRUE(catalog_->DeleteItem({"lamp-1"}).ok());
  EXPECT_EQ(catalog_->DeleteItem({"lamp-1"}).code(), StatusCode::kNotFound);
  EXPECT_EQ(catalog_->DeleteItem({"nothing"}).code(), StatusCode::kNotFound);
  EXPECT_FALSE(catalog_->view()->Exists(row));
  EXPECT_FALSE(catalog_->view()->IsAvailable(row));
  EXPECT_EQ(catalog_->view()->Id(row), "lamp-1");
  EXPECT_EQ(catalog_->view()->item_count(), 1U);
  EXPECT_EQ(catalog_->GetItem({"lamp-1"}).status().code(), StatusCode::kNotFound);

  Reopen();
  EXPECT_FALSE(catalog_->view()->Exists(row));
  ASSERT_TRUE(catalog_->UpsertItem(Named("table")).ok());
  EXPECT_NE(*catalog_->view()->Find("table"), row);
  ASSERT_TRUE(catalog_->UpsertItem(Lamp()).ok());
  EXPECT_EQ(*catalog_->view()->Find("lamp-1"), row);
  EXPECT_TRUE(catalog_->view()->IsAvailable(row));
  EXPECT_EQ(catalog_->view()->item_count(), 3U);
}

TEST_F(CatalogTest, UnknownItemsOfEventsGetRowsThatLast) {
  const std::vector<ItemId> ids = {{"x"}, {"y"}, {"x"}};
  const auto rows = catalog_->EnsureRows(ids);
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ((*rows)[0], (*rows)[2]);
  EXPECT_NE((*rows)[0], (*rows)[1]);
  EXPECT_TRUE(catalog_->view()->IsAvailable((*rows)[0]));
  EXPECT_TRUE(catalog_->view()->IsUndescribed((*rows)[0]));
  Reopen();
  EXPECT_EQ(*catalog_->EnsureRows(ids), *rows);
  ASSERT_TRUE(catalog_->UpsertItem(Named("x")).ok());
  EXPECT_EQ(*catalog_->view()->Find("x"), (*rows)[0]);
  EXPECT_FALSE(catalog_->view()->IsUndescribed((*rows)[0]));
}

TEST_F(CatalogTest, ListingWalksAllItemsByIdOnceEach) {
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(catalog_->UpsertItem(Named("item" + std::to_string(i))).ok());
  }
  for (int i = 0; i < 25; i += 3) {
    ASSERT_TRUE(catalog_->DeleteItem({"item" + std::to_string(i)}).ok());
  }
  for (std::size_t limit : {1, 2, 7, 16, 100}) {
    std::vector<std::string> seen;
    std::string cursor;
    do {
      const auto page = catalog_->ListItems(cursor, limit);
      ASSERT_TRUE(page.ok()) << page.status().ToString();
      EXPECT_LE(page->items.size(), limit);
      for (const ItemRecord& item : page->items) seen.push_back(item.id.value);
      cursor = page->next_cursor;
    } while (!cursor.empty());
    EXPECT_EQ(seen.size(), 16U);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
  }
  for (const std::string_view cursor : {"zz", "abc", "ABCD"}) {
    EXPECT_EQ(catalog_->ListItems(cursor, 5).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(catalog_->ListItems("", 0).status().code(), StatusCode::kInvalidArgument);
}

TEST_F(CatalogTest, IdsOfEveryAllowedLengthWork) {
  const std::string longest(kMaxIdBytes, 'x');
  ASSERT_TRUE(catalog_->UpsertItem(Named("x")).ok());
  ItemRecord item;
  item.id = {longest};
  ASSERT_TRUE(catalog_->UpsertItem(item).ok());
  EXPECT_EQ(catalog_->GetItem({longest})->id.value, longest);
  const auto page = catalog_->ListItems("", 1);
  const auto next = catalog_->ListItems(page->next_cursor, 1);
  ASSERT_EQ(next->items.size(), 1U);
  EXPECT_EQ(next->items[0].id.value, longest);
  EXPECT_TRUE(next->next_cursor.empty());
  item.id.value += 'x';
  EXPECT_EQ(catalog_->UpsertItem(item).code(), StatusCode::kInvalidArgument);
}

// The slow obvious twin is a map of records.
TEST_F(CatalogTest, ManyRandomChangesGiveTheViewOfAMapAlsoAfterARestart) {
  constexpr std::uint64_t kSeed = 20261124;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::map<std::string, ItemRecord> twin;
  for (int step = 0; step < 60; ++step) {
    std::vector<ItemRecord> batch;
    for (int i = 0; i < 40; ++i) {
      ItemRecord item;
      item.id = {"item" + std::to_string(rng.Below(700))};
      item.title = std::string(rng.Below(60), static_cast<char>('a' + rng.Below(26)));
      item.price = static_cast<double>(rng.Below(1000));
      item.is_available = rng.Bernoulli(0.8);
      item.created = Timestamp::FromSeconds(1 + static_cast<std::int64_t>(rng.Below(1'000'000)));
      for (std::uint64_t c = rng.Below(4); c > 0; --c) {
        item.categories.push_back("category" + std::to_string(rng.Below(30)));
      }
      batch.push_back(item);
    }
    for (const Status& status : catalog_->UpsertItems(batch)) ASSERT_TRUE(status.ok());
    for (const ItemRecord& item : batch) twin.insert_or_assign(item.id.value, item);
    if (rng.Bernoulli(0.7)) {
      const std::string id = std::next(twin.begin(), rng.Below(twin.size()))->first;
      ASSERT_TRUE(catalog_->DeleteItem({id}).ok());
      twin.erase(id);
    }
  }
  for (int round = 0; round < 2; ++round) {
    const auto view = catalog_->view();
    EXPECT_EQ(view->item_count(), twin.size());
    std::size_t found = 0;
    for (std::uint32_t r = 0; r < view->row_count(); ++r) {
      const ItemRow row{r};
      const auto it = twin.find(view->Id(row));
      ASSERT_EQ(view->Exists(row), it != twin.end());
      EXPECT_EQ(*view->Find(view->Id(row)), row);
      if (it == twin.end()) continue;
      ++found;
      EXPECT_EQ(view->Title(row), it->second.title);
      EXPECT_EQ(view->Price(row), it->second.price);
      EXPECT_EQ(view->IsAvailable(row), it->second.is_available);
      std::vector<std::string> categories;
      for (const CategoryRow c : view->CategoriesOf(row)) {
        categories.push_back(view->CategoryName(c));
      }
      EXPECT_EQ(categories, it->second.categories);
    }
    EXPECT_EQ(found, twin.size());
    Reopen();
  }
}

TEST_F(CatalogTest, ConcurrentWritersOfTheSameItemsGiveEachOneRow) {
  constexpr int kThreads = 6;
  std::vector<std::vector<ItemRow>> rows(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        std::vector<ItemId> ids;
        for (int k = 0; k < 5; ++k)
          ids.push_back({"item" + std::to_string((i + k * (t + 1)) % 40)});
        if (t % 2 == 0) {
          const auto ensured = catalog_->EnsureRows(ids);
          ASSERT_TRUE(ensured.ok());
          for (std::size_t k = 0; k < ids.size(); ++k) {
            EXPECT_EQ(catalog_->view()->Id((*ensured)[k]), ids[k].value);
          }
        } else {
          std::vector<ItemRecord> items;
          for (const ItemId& id : ids) items.push_back(Named(id.value));
          for (const Status& status : catalog_->UpsertItems(items)) ASSERT_TRUE(status.ok());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(catalog_->view()->row_count(), 40U);
  EXPECT_EQ(catalog_->view()->item_count(), 40U);
  Reopen();
  EXPECT_EQ(catalog_->view()->row_count(), 40U);
}

TEST_F(CatalogTest, AProfileComesBackAndIsSealedAtRest) {
  UserRecord user;
  user.id = {"ann-of-the-green-gables"};
  user.attributes = {{"city", std::string("Charlottetown")}, {"age", 11.0}};
  user.created = Timestamp::FromSeconds(1'500'000'000);
  EXPECT_TRUE(catalog_->UpsertUsers(std::vector<UserRecord>{user})[0].ok());
  const auto found = catalog_->GetUser(user.id);
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_EQ(found->id, user.id);
  EXPECT_EQ(found->attributes, user.attributes);
  EXPECT_EQ(found->created, user.created);
  EXPECT_EQ(folder_.FileWith("Charlottetown"), "");
  EXPECT_EQ(folder_.FileWith("green-gables"), "");
  EXPECT_EQ(folder_.FileWith("city"), "");

  UserRecord again = user;
  again.attributes.clear();
  again.created = {};
  EXPECT_TRUE(catalog_->UpsertUsers(std::vector<UserRecord>{again})[0].ok());
  EXPECT_EQ(catalog_->GetUser(user.id)->created, user.created);
  EXPECT_TRUE(catalog_->GetUser(user.id)->attributes.empty());

  EXPECT_TRUE(catalog_->DeleteUser(user.id).ok());
  EXPECT_EQ(catalog_->GetUser(user.id).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(catalog_->DeleteUser(user.id).code(), StatusCode::kNotFound);
  EXPECT_TRUE(*keys_->Find(keys_->Pseudonym(user.id)));
}

TEST_F(CatalogTest, AProfileWhoseKeyWasDestroyedIsAsIfItNeverWas) {
  std::vector<UserRecord> users(3);
  for (int i = 0; i < 3; ++i) users[i].id = {"user" + std::to_string(i)};
  for (const Status& status : catalog_->UpsertUsers(users)) ASSERT_TRUE(status.ok());
  ASSERT_TRUE(*keys_->Destroy(keys_->Pseudonym(users[1].id)));
  EXPECT_EQ(catalog_->GetUser(users[1].id).status().code(), StatusCode::kNotFound);
  const auto page = catalog_->ListUsers("", 10);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->users.size(), 2U);
  // Back under a new key: the old row is still no profile.
  ASSERT_TRUE(keys_->Ensure(keys_->User(users[1].id)).ok());
  EXPECT_EQ(catalog_->GetUser(users[1].id).status().code(), StatusCode::kNotFound);
}

TEST_F(CatalogTest, ListingWalksAllProfilesOnceEach) {
  std::vector<UserRecord> users;
  for (int i = 0; i < 23; ++i) {
    users.push_back({});
    users.back().id = {"user" + std::to_string(i)};
  }
  users.push_back({});
  const std::vector<Status> statuses = catalog_->UpsertUsers(users);
  EXPECT_NE(statuses.back().message().find("userId"), std::string::npos);
  for (std::size_t limit : {1, 5, 23, 24}) {
    std::set<std::string> seen;
    std::string cursor;
    do {
      const auto page = catalog_->ListUsers(cursor, limit);
      ASSERT_TRUE(page.ok());
      for (const UserRecord& user : page->users) EXPECT_TRUE(seen.insert(user.id.value).second);
      cursor = page->next_cursor;
    } while (!cursor.empty());
    EXPECT_EQ(seen.size(), 23U);
  }
}

TEST_F(CatalogTest, TwoItemsWithOneRowAreRefused) {
  ASSERT_TRUE(catalog_->UpsertItem(Named("a")).ok());
  const auto bytes = tables_->Get(Catalog::kItemTable, "a");
  ASSERT_TRUE(tables_->Put(Catalog::kItemTable, "b", **bytes).ok());
  EXPECT_EQ(Catalog::Open(*tables_, *keys_, clock_).status().code(), StatusCode::kDataLoss);
}

TEST(RecordBytesTest, VersionOneItemsReadForever) {
  StoredItem item;
  item.row = ItemRow{258};
  item.record.title = "T";
  item.record.categories = {"c"};
  item.record.price = 1.5;
  item.record.created = {2};
  item.record.attributes = {{"n", 2.0}, {"w", std::string("x")}};
  const std::string golden(
      "\x01\x07\x02\x01\x00\x00"                        // version, flags, row
      "\x02\x00\x00\x00\x00\x00\x00\x00"                // created
      "\x00\x00\x00\x00\x00\x00\xf8\x3f"                // price
      "\x01T\x00\x01\x01"                               // title, description, category
      "c\x02\x01n\x02\x00\x00\x00\x00\x00\x00\x00\x40"  // attributes
      "\x01w\x00\x01x",
      45);
  EXPECT_EQ(EncodeStoredItem(item), golden);
  const auto read = DecodeStoredItem(golden);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->row, item.row);
  ExpectEqual(read->record, item.record);
}

TEST(RecordBytesTest, DamagedBytesNeverCrashAndNeverReadPastTheEnd) {
  StoredItem item;
  item.record.title = "title";
  item.record.categories = {"a", "b"};
  item.record.attributes = {{"n", 2.0}, {"w", std::vector<std::string>{"x", "y"}}};
  const std::string good = EncodeStoredItem(item);
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(DecodeStoredItem(good.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeStoredItem(good + "x").ok());
  constexpr std::uint64_t kSeed = 7;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good;
    for (std::uint64_t flips = 1 + rng.Below(4); flips > 0; --flips) {
      bad[rng.Below(bad.size())] = static_cast<char>(rng.Below(256));
    }
    (void)DecodeStoredItem(bad);
    (void)DecodeProfile(bad);
  }
  std::string newer = good;
  newer[0] = 9;
  EXPECT_NE(DecodeStoredItem(newer).status().message().find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace poise
