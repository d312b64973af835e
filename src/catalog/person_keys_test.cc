// SPDX-License-Identifier: Apache-2.0
#include "catalog/person_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "catalog/catalog.h"
#include "catalog/test_folder.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::string_view kMasterHex =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

MasterKey Master(std::string_view hex = kMasterHex) {
  auto master = MasterKey::FromHex(hex);
  POISE_CHECK(master.ok());
  return *std::move(master);
}

class PersonKeysTest : public testing::Test {
 protected:
  PersonKeysTest() { Reopen(); }

  void Reopen(PersonKeys::Options options = {}) {
    keys_.reset();
    tables_.reset();
    auto tables = Tables::Open(folder_.File("tables"), CatalogTableNames());
    ASSERT_TRUE(tables.ok()) << tables.status().ToString();
    tables_ = *std::move(tables);
    auto keys = PersonKeys::Open(*tables_, Master(), options);
    ASSERT_TRUE(keys.ok()) << keys.status().ToString();
    keys_ = *std::move(keys);
  }

  PersonKey EnsureUser(const std::string& id) {
    const UserId user{id};
    auto key = keys_->Ensure(keys_->User(user));
    POISE_CHECK(key.ok());
    return *key;
  }

  TestFolder folder_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<PersonKeys> keys_;
};

TEST_F(PersonKeysTest, AUserAndAVisitorOfTheSameNameAreDifferentPeople) {
  EXPECT_EQ(keys_->Pseudonym({"ann"}), keys_->Pseudonym({"ann"}));
  EXPECT_NE(keys_->Pseudonym({"ann"}), keys_->VisitorPseudonym("ann"));
  EXPECT_NE(keys_->Pseudonym({"ann"}), keys_->Pseudonym({"bob"}));
}

TEST_F(PersonKeysTest, AKeyStaysTheSameAcrossCallsAndRestarts) {
  const PersonKey first = EnsureUser("ann");
  EXPECT_EQ(EnsureUser("ann").view(), first.view());
  Reopen();
  EXPECT_EQ(EnsureUser("ann").view(), first.view());
  EXPECT_EQ(EnsureUser("ann").generation(), first.generation());
  EXPECT_NE(EnsureUser("bob").view(), first.view());
  EXPECT_EQ(*keys_->Count(), 2U);
}

TEST_F(PersonKeysTest, ABatchWithRepetitionsAnswersInOrder) {
  const UserId ann{"ann"};
  const UserId bob{"bob"};
  const std::vector<PersonRef> people = {keys_->User(bob), keys_->User(ann), keys_->User(bob),
                                         keys_->Visitor("ann")};
  const auto made = keys_->Ensure(people);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  ASSERT_EQ(made->size(), 4U);
  EXPECT_EQ((*made)[0].view(), (*made)[2].view());
  EXPECT_NE((*made)[0].view(), (*made)[1].view());
  EXPECT_NE((*made)[1].view(), (*made)[3].view());
  EXPECT_EQ(*keys_->Count(), 3U);
}

TEST_F(PersonKeysTest, TheOriginalIdComesBackAndStandsNowhereInTheClear) {
  EnsureUser("ann-of-the-green-gables");
  ASSERT_TRUE(keys_->Ensure(keys_->Visitor("visitor-session-4711")).ok());
  const auto user = keys_->FindOriginalId(keys_->Pseudonym({"ann-of-the-green-gables"}));
  ASSERT_TRUE(user.ok() && *user);
  EXPECT_EQ((*user)->id, "ann-of-the-green-gables");
  EXPECT_EQ((*user)->kind, PersonKind::kUser);
  const auto visitor = keys_->FindOriginalId(keys_->VisitorPseudonym("visitor-session-4711"));
  ASSERT_TRUE(visitor.ok() && *visitor);
  EXPECT_EQ((*visitor)->id, "visitor-session-4711");
  EXPECT_EQ((*visitor)->kind, PersonKind::kVisitor);
  EXPECT_EQ(folder_.FileWith("green-gables"), "");
  EXPECT_EQ(folder_.FileWith("4711"), "");
}

TEST_F(PersonKeysTest, ADestroyedKeyIsInNoFileAndWhoComesBackGetsAnother) {
  const PersonKey before = EnsureUser("ann");
  const UserKey ann = keys_->Pseudonym({"ann"});
  const auto row = tables_->Get(PersonKeys::kTable, ann.view());
  ASSERT_TRUE(row.ok() && *row);
  ASSERT_NE(folder_.FileWith(**row), "");
  const auto destroyed = keys_->Destroy(ann);
  ASSERT_TRUE(destroyed.ok()) << destroyed.status().ToString();
  EXPECT_TRUE(*destroyed);
  EXPECT_FALSE(*keys_->Find(ann));
  EXPECT_FALSE(*keys_->FindOriginalId(ann));
  EXPECT_EQ(folder_.FileWith(**row), "");
  EXPECT_EQ(folder_.FileWith(ann.view()), "");
  EXPECT_FALSE(*keys_->Destroy(ann));

  const PersonKey after = EnsureUser("ann");
  EXPECT_NE(after.generation(), before.generation());
  EXPECT_NE(after.view(), before.view());
}

TEST_F(PersonKeysTest, DestroyOfAnOlderGenerationLeavesTheNewOne) {
  const PersonKey key = EnsureUser("ann");
  const UserKey ann = keys_->Pseudonym({"ann"});
  EXPECT_FALSE(*keys_->Destroy(ann, key.generation() + 1));
  EXPECT_TRUE(*keys_->Find(ann));
  EXPECT_TRUE(*keys_->Destroy(ann, key.generation()));
  EXPECT_FALSE(*keys_->Find(ann));
}

TEST_F(PersonKeysTest, AnotherMasterKeyIsRefusedWithTheReason) {
  EnsureUser("ann");
  const auto other = PersonKeys::Open(
      *tables_, Master("ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"));
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(other.status().message().find("master key"), std::string::npos);
}

TEST_F(PersonKeysTest, ADamagedRowIsDataLossNotAForgottenPerson) {
  EnsureUser("ann");
  const UserKey ann = keys_->Pseudonym({"ann"});
  std::string row = **tables_->Get(PersonKeys::kTable, ann.view());
  for (std::size_t size = 0; size < row.size(); ++size) {
    ASSERT_TRUE(tables_->Put(PersonKeys::kTable, ann.view(), row.substr(0, size)).ok());
    const auto fresh = PersonKeys::Open(*tables_, Master());
    if (!fresh.ok()) continue;
    EXPECT_FALSE((*fresh)->FindOriginalId(ann).ok()) << size;
  }
}

TEST_F(PersonKeysTest, ASmallCacheForgetsNothingThatMatters) {
  Reopen({.cached_key_count = 1});
  std::vector<PersonKey> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(EnsureUser("user" + std::to_string(i)));
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(EnsureUser("user" + std::to_string(i)).view(), keys[i].view());
  }
}

TEST_F(PersonKeysTest, ForEachVisitsEveryoneOnce) {
  std::set<std::string> ids;
  std::vector<PersonRef> people;
  std::vector<UserId> users;
  for (int i = 0; i < 5000; ++i) users.push_back({"user" + std::to_string(i)});
  for (const UserId& user : users) people.push_back(keys_->User(user));
  ASSERT_TRUE(keys_->Ensure(people).ok());
  const Status walked =
      keys_->ForEach([&](const UserKey& user, const PersonKey&, const OriginalId& id) {
        EXPECT_EQ(keys_->Pseudonym({id.id}), user);
        EXPECT_TRUE(ids.insert(id.id).second);
        return Status::Ok();
      });
  EXPECT_TRUE(walked.ok()) << walked.ToString();
  EXPECT_EQ(ids.size(), 5000U);
  std::size_t count = 0;
  EXPECT_TRUE(keys_->ForEachKey([&](const UserKey&, const PersonKey&) { ++count; }).ok());
  EXPECT_EQ(count, 5000U);
}

TEST_F(PersonKeysTest, ConcurrentFirstMeetingsAgreeOnOneKey) {
  constexpr int kThreads = 8;
  constexpr int kPeople = 20;
  std::vector<std::vector<PersonKey>> seen(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      // Each thread meets them in another order.
      for (int i = 0; i < kPeople; ++i) {
        const UserId user{"user" + std::to_string((i * 7 + t * 3) % kPeople)};
        const auto key = keys_->Ensure(keys_->User(user));
        ASSERT_TRUE(key.ok());
        seen[t].push_back(*key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kPeople; ++i) {
      const PersonKey now = EnsureUser("user" + std::to_string((i * 7 + t * 3) % kPeople));
      EXPECT_EQ(seen[t][i].view(), now.view());
    }
  }
  EXPECT_EQ(*keys_->Count(), static_cast<std::uint64_t>(kPeople));
}

}  // namespace
}  // namespace poise
