// SPDX-License-Identifier: Apache-2.0
#include "feedback/joiner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <thread>

#include "base/rng.h"
#include "storage/fault_env.h"
#include "storage/snapshot.h"

namespace poise {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint64_t kSeed = 81;
const Timestamp kStart = Timestamp::FromSeconds(1'700'000'000);

UserKey User(std::uint8_t number) {
  UserKey key;
  key.bytes.fill(number);
  return key;
}

Decision Made(std::uint64_t id, std::uint8_t user, Timestamp time,
              std::vector<std::uint32_t> items) {
  Decision decision;
  decision.id = {id, id * 3};
  decision.user = User(user);
  decision.time = time;
  for (const std::uint32_t item : items) {
    Choice choice;
    choice.item = ItemRow{item};
    choice.propensity = 0.25F;
    choice.belief = {0.1F, 0.2F};
    choice.relevance = 0.5F;
    decision.slate.push_back(choice);
  }
  return decision;
}

class JoinerTest : public testing::Test {
 protected:
  std::vector<LoggedChoice> Event(std::uint8_t user, std::uint32_t item, EventType type,
                                  Timestamp time, std::optional<DecisionId> decision = {}) {
    std::vector<LoggedChoice> rows;
    joiner_.OnEvent(User(user), ItemRow{item}, type, time, decision, rows);
    return rows;
  }
  std::vector<LoggedChoice> Tick(Timestamp now) {
    std::vector<LoggedChoice> rows;
    joiner_.Tick(now, rows);
    return rows;
  }

  Joiner joiner_{JoinerOptions{}};
};

MATCHER_P3(Row, item, reward, is_correction, "") {
  return arg.item == ItemRow{static_cast<std::uint32_t>(item)} &&
         arg.reward == static_cast<float>(reward) && arg.is_correction == is_correction;
}

TEST_F(JoinerTest, AClickIsTheRewardOfItsChoiceAtOnce) {
  const Decision decision = Made(1, 1, kStart, {10, 11, 12});
  joiner_.OnDecision(decision);
  const auto rows = Event(1, 11, EventType::kClick, kStart + seconds(5));
  ASSERT_THAT(rows, ElementsAre(Row(11, 1, false)));
  EXPECT_EQ(rows[0].decision, decision.id);
  EXPECT_EQ(rows[0].user, User(1));
  EXPECT_EQ(rows[0].slot, 1);
  EXPECT_EQ(rows[0].propensity, 0.25F);
  EXPECT_EQ(rows[0].belief.sd, 0.2F);
  EXPECT_EQ(rows[0].relevance, 0.5F);
  EXPECT_EQ(rows[0].decided, kStart);
  EXPECT_EQ(rows[0].earlier_reward, 0);
}

TEST_F(JoinerTest, AnOutcomeThatHasNotComeYetIsNotAZero) {
  joiner_.OnDecision(Made(1, 1, kStart, {10, 11}));
  EXPECT_THAT(Tick(kStart + minutes(29)), IsEmpty());
  EXPECT_THAT(Tick(kStart + minutes(30)), ElementsAre(Row(10, 0, false), Row(11, 0, false)));
  EXPECT_THAT(Tick(kStart + minutes(31)), IsEmpty());
}

TEST_F(JoinerTest, AfterTheWindowOnlySlotsWithoutAnOutcomeAreZero) {
  joiner_.OnDecision(Made(1, 1, kStart, {10, 11}));
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart + minutes(1)), ElementsAre(Row(10, 1, false)));
  EXPECT_THAT(Tick(kStart + hours(1)), ElementsAre(Row(11, 0, false)));
}

TEST_F(JoinerTest, ADelayedPurchaseCorrectsTheZeroAndIsNoNewTrial) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_THAT(Tick(kStart + minutes(30)), ElementsAre(Row(10, 0, false)));
  const auto rows = Event(1, 10, EventType::kPurchase, kStart + hours(3));
  ASSERT_THAT(rows, ElementsAre(Row(10, 5, true)));
  EXPECT_EQ(rows[0].earlier_reward, 0);
}

TEST_F(JoinerTest, EachTypeCountsOnceAndRewardsAddUp) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart + seconds(1)), ElementsAre(Row(10, 1, false)));
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart + seconds(2)), IsEmpty());
  const auto rows = Event(1, 10, EventType::kPurchase, kStart + seconds(3));
  ASSERT_THAT(rows, ElementsAre(Row(10, 6, true)));
  EXPECT_EQ(rows[0].earlier_reward, 1);
  EXPECT_EQ(joiner_.counts().repeated, 1U);
  EXPECT_EQ(joiner_.counts().outcomes, 2U);
}

TEST_F(JoinerTest, AReturnTakesBackWhatItsPurchaseGave) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  joiner_.OnDecision(Made(2, 1, kStart + seconds(9), {10}));
  EXPECT_THAT(Event(1, 10, EventType::kPurchase, kStart + seconds(5)),
              ElementsAre(Row(10, 5, false)));
  // The later decision showed the item too, but sold nothing.
  const auto rows = Event(1, 10, EventType::kReturn, kStart + hours(2));
  ASSERT_THAT(rows, ElementsAre(Row(10, 0, true)));
  EXPECT_EQ(rows[0].earlier_reward, 5);
  EXPECT_EQ(rows[0].decision.high, 1U);
  EXPECT_THAT(Event(1, 10, EventType::kReturn, kStart + hours(3)), IsEmpty());
}

TEST_F(JoinerTest, WithoutANameTheUsersLatestDecisionThatShowedTheItemCounts) {
  joiner_.OnDecision(Made(1, 1, kStart, {10, 11}));
  joiner_.OnDecision(Made(2, 1, kStart + minutes(1), {10}));
  joiner_.OnDecision(Made(3, 2, kStart + minutes(2), {10, 11}));
  joiner_.OnDecision(Made(4, 1, kStart + minutes(9), {10, 11}));
  const auto ten = Event(1, 10, EventType::kClick, kStart + minutes(5));
  ASSERT_EQ(ten.size(), 1U);
  EXPECT_EQ(ten[0].decision.high, 2U);
  const auto eleven = Event(1, 11, EventType::kClick, kStart + minutes(5));
  ASSERT_EQ(eleven.size(), 1U);
  EXPECT_EQ(eleven[0].decision.high, 1U);
}

TEST_F(JoinerTest, ANamedDecisionIsTheOneThatCounts) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  joiner_.OnDecision(Made(2, 1, kStart + seconds(1), {10}));
  const auto rows = Event(1, 10, EventType::kClick, kStart + seconds(5), DecisionId{1, 3});
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].decision.high, 1U);
}

TEST_F(JoinerTest, WhatCannotBeJoinedIsCountedAndPassedOver) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_THAT(Event(1, 99, EventType::kClick, kStart), IsEmpty());
  EXPECT_THAT(Event(7, 10, EventType::kClick, kStart), IsEmpty());
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart + hours(25)), IsEmpty());
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart - seconds(1)), IsEmpty());
  EXPECT_EQ(joiner_.counts().unmatched, 4U);
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart, DecisionId{5, 5}), IsEmpty());
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart + hours(25), DecisionId{1, 3}), IsEmpty());
  EXPECT_EQ(joiner_.counts().unknown_decision, 2U);
  EXPECT_THAT(Event(1, 99, EventType::kClick, kStart, DecisionId{1, 3}), IsEmpty());
  EXPECT_EQ(joiner_.counts().not_shown, 1U);
  EXPECT_THAT(Event(1, 10, EventType::kView, kStart), IsEmpty());
  EXPECT_EQ(joiner_.counts().outcomes, 0U);
}

TEST_F(JoinerTest, AnOutcomeALittleBeforeItsDecisionIsAClockALotIsAMistake) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart - minutes(5), DecisionId{1, 3}), IsEmpty());
  EXPECT_EQ(joiner_.counts().before_decision, 1U);
  EXPECT_EQ(Event(1, 10, EventType::kClick, kStart - seconds(30), DecisionId{1, 3}).size(), 1U);
}

TEST_F(JoinerTest, TheSameDecisionToldTwiceIsOneTrial) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_EQ(joiner_.counts().duplicate_decisions, 1U);
  EXPECT_EQ(Tick(kStart + hours(1)).size(), 1U);
}

TEST_F(JoinerTest, LetsGoOfADecisionAfterItsAttributionWindow) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  EXPECT_EQ(Tick(kStart + hours(24)).size(), 1U);
  EXPECT_EQ(joiner_.pending_count(), 1U);
  Tick(kStart + hours(24) + seconds(1));
  EXPECT_EQ(joiner_.pending_count(), 0U);
  EXPECT_FALSE(joiner_.Remembers(User(1)));
}

TEST(Joiner, HoldsNoMoreThanItMayAndCountsWhatItDrops) {
  JoinerOptions options;
  options.max_decisions = 3;
  Joiner joiner(options);
  for (std::uint64_t id = 1; id <= 5; ++id) {
    joiner.OnDecision(Made(id, static_cast<std::uint8_t>(id), kStart, {10}));
  }
  EXPECT_EQ(joiner.pending_count(), 3U);
  EXPECT_EQ(joiner.counts().dropped, 2U);
  EXPECT_FALSE(joiner.Remembers(User(1)));
  std::vector<LoggedChoice> rows;
  joiner.Tick(kStart + hours(1), rows);
  EXPECT_EQ(rows.size(), 3U) << "what was dropped is unknown, not zero";
}

TEST_F(JoinerTest, ForgetsAPersonAtOnce) {
  joiner_.OnDecision(Made(1, 1, kStart, {10}));
  joiner_.OnDecision(Made(2, 2, kStart, {10}));
  joiner_.OnDecision(Made(3, 1, kStart, {11}));
  ASSERT_TRUE(joiner_.Remembers(User(1)));
  joiner_.Forget(User(1));
  EXPECT_FALSE(joiner_.Remembers(User(1)));
  EXPECT_TRUE(joiner_.Remembers(User(2)));
  EXPECT_THAT(Event(1, 11, EventType::kClick, kStart), IsEmpty());
  EXPECT_THAT(Event(1, 10, EventType::kClick, kStart, DecisionId{1, 3}), IsEmpty());
  const auto rows = Tick(kStart + hours(1));
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].user, User(2));

  FaultEnv env(kSeed);
  SnapshotWriter writer;
  joiner_.Save(writer);
  ASSERT_TRUE(env.MakeDirectories("/s").ok());
  ASSERT_TRUE(writer.WriteTo(env, "/s/a", "test", 1).ok());
  const auto reader = SnapshotReader::Open(env, "/s/a", "test");
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->Section("joiner")->find(User(1).view()), std::string_view::npos);
}

// The slow twin keeps every decision for ever and searches them all.
class SlowJoiner {
 public:
  struct Slot {
    ItemRow item;
    float reward = 0;
    unsigned outcomes = 0;
    bool is_told = false;
  };
  struct Entry {
    Decision decision;
    std::vector<Slot> slots;
  };
  void OnDecision(const Decision& decision) {
    Entry entry{decision, {}};
    for (const Choice& choice : decision.slate) entry.slots.push_back({choice.item});
    entries_.push_back(entry);
  }
  void OnEvent(const UserKey& user, ItemRow item, EventType type, Timestamp time,
               std::vector<LoggedChoice>& rows) {
    const float weight = JoinerOptions{}.reward_by_type[static_cast<std::size_t>(type)];
    if (weight == 0) return;
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
      if (entry->decision.user != user || entry->decision.time > time ||
          time - entry->decision.time > hours(24)) {
        continue;
      }
      for (Slot& slot : entry->slots) {
        if (slot.item != item) continue;
        const unsigned bit = 1U << static_cast<unsigned>(type);
        if ((slot.outcomes & bit) != 0) return;
        slot.outcomes |= bit;
        slot.reward += weight;
        Tell(*entry, slot, rows);
        return;
      }
    }
  }
  void Tick(Timestamp now, std::vector<LoggedChoice>& rows) {
    for (Entry& entry : entries_) {
      if (now - entry.decision.time < minutes(30)) continue;
      for (Slot& slot : entry.slots) {
        if (!slot.is_told) Tell(entry, slot, rows);
      }
    }
  }

 private:
  static void Tell(const Entry& entry, Slot& slot, std::vector<LoggedChoice>& rows) {
    LoggedChoice row;
    row.decision = entry.decision.id;
    row.item = slot.item;
    row.reward = slot.reward;
    row.is_correction = slot.is_told;
    rows.push_back(row);
    slot.is_told = true;
  }
  std::vector<Entry> entries_;
};

void ExpectSameRows(const std::vector<LoggedChoice>& a, const std::vector<LoggedChoice>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].decision, b[i].decision);
    EXPECT_EQ(a[i].item, b[i].item);
    EXPECT_EQ(a[i].reward, b[i].reward);
    EXPECT_EQ(a[i].is_correction, b[i].is_correction);
  }
}

TEST(Joiner, JoinsLikeItsSlowTwinAlsoAcrossRestarts) {
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  FaultEnv env(kSeed);
  ASSERT_TRUE(env.MakeDirectories("/s").ok());
  auto joiner = std::make_unique<Joiner>(JoinerOptions{});
  SlowJoiner slow;
  std::vector<LoggedChoice> rows;
  std::vector<LoggedChoice> expected;
  Timestamp now = kStart;
  for (std::uint64_t step = 1; step <= 6000; ++step) {
    now = now + seconds(rng.Below(60));
    const auto user = static_cast<std::uint8_t>(rng.Below(20));
    const std::uint64_t kind = rng.Below(10);
    if (kind < 3) {
      std::vector<std::uint32_t> items;
      const auto first = static_cast<std::uint32_t>(rng.Below(15));
      for (std::uint32_t i = 0; i < 1 + rng.Below(5); ++i) items.push_back(first + i);
      const Decision decision = Made(step, user, now, items);
      joiner->OnDecision(decision);
      slow.OnDecision(decision);
    } else if (kind < 9) {
      const ItemRow item{static_cast<std::uint32_t>(rng.Below(20))};
      const auto type = static_cast<EventType>(rng.Below(5));
      const Timestamp time = now - seconds(rng.Below(200));
      joiner->OnEvent(User(user), item, type, time, std::nullopt, rows);
      slow.OnEvent(User(user), item, type, time, expected);
    } else {
      joiner->Tick(now, rows);
      slow.Tick(now, expected);
    }
    if (step % 1000 != 0) continue;
    SnapshotWriter writer;
    joiner->Save(writer);
    ASSERT_TRUE(writer.WriteTo(env, "/s/joiner", "test", 1).ok());
    const auto reader = SnapshotReader::Open(env, "/s/joiner", "test");
    ASSERT_TRUE(reader.ok());
    joiner = std::make_unique<Joiner>(JoinerOptions{});
    ASSERT_TRUE(joiner->Load(**reader).ok());
  }
  ASSERT_GT(rows.size(), 1000U);
  ExpectSameRows(rows, expected);
  // Every choice is one trial, however often it is spoken of.
  std::map<std::pair<std::uint64_t, ItemRow>, int> trials;
  for (const LoggedChoice& row : rows) {
    if (!row.is_correction) ++trials[{row.decision.high, row.item}];
  }
  for (const auto& [choice, count] : trials) EXPECT_EQ(count, 1);
}

TEST(Joiner, RefusesADamagedSectionAndKeepsWhatItHad) {
  FaultEnv env(kSeed);
  ASSERT_TRUE(env.MakeDirectories("/s").ok());
  Joiner source{JoinerOptions{}};
  source.OnDecision(Made(1, 1, kStart, {10, 11}));
  source.OnDecision(Made(2, 2, kStart, {12}));
  SnapshotWriter writer;
  source.Save(writer);
  ASSERT_TRUE(writer.WriteTo(env, "/s/good", "test", 1).ok());
  const auto good = SnapshotReader::Open(env, "/s/good", "test");
  ASSERT_TRUE(good.ok());
  const std::string bytes(*(*good)->Section("joiner"));

  Joiner joiner{JoinerOptions{}};
  joiner.OnDecision(Made(9, 9, kStart, {1}));
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    SnapshotWriter cut;
    cut.AddSection("joiner", size == bytes.size() ? bytes + "x" : bytes.substr(0, size));
    ASSERT_TRUE(cut.WriteTo(env, "/s/bad", "test", 1).ok());
    const auto reader = SnapshotReader::Open(env, "/s/bad", "test");
    ASSERT_TRUE(reader.ok());
    EXPECT_FALSE(joiner.Load(**reader).ok()) << size;
    EXPECT_TRUE(joiner.Remembers(User(9)));
  }
  ASSERT_TRUE(joiner.Load(**good).ok());
  EXPECT_FALSE(joiner.Remembers(User(9)));
  EXPECT_TRUE(joiner.Remembers(User(2)));
}

TEST(Joiner, ManyThreadsLoseNoOutcome) {
  Joiner joiner{JoinerOptions{}};
  constexpr int kEach = 500;
  std::vector<std::vector<LoggedChoice>> rows(4);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::uint64_t i = 0; i < kEach; ++i) {
        const std::uint64_t id = 1 + t * kEach + i;
        joiner.OnDecision(Made(id, static_cast<std::uint8_t>(t), kStart, {1, 2}));
        joiner.OnEvent(User(static_cast<std::uint8_t>(t)), ItemRow{1}, EventType::kClick, kStart,
                       DecisionId{id, id * 3}, rows[t]);
        joiner.Tick(kStart + minutes(5), rows[t]);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& each : rows) EXPECT_EQ(each.size(), static_cast<std::size_t>(kEach));
  EXPECT_EQ(joiner.counts().outcomes, 4U * kEach);
}

}  // namespace
}  // namespace poise
