// SPDX-License-Identifier: Apache-2.0
#include "events/live_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <thread>

#include "base/rng.h"

namespace poise {
namespace {

UserKey Key(std::uint64_t number) {
  UserKey key;
  const std::uint64_t low = Mix64(number);
  const std::uint64_t high = Mix64(low ^ 0x5bd1e995);
  std::memcpy(key.bytes.data(), &low, sizeof low);
  std::memcpy(key.bytes.data() + sizeof low, &high, sizeof high);
  return key;
}

Interaction View(std::uint32_t item, std::uint32_t time_s) {
  return {ItemRow{item}, time_s, 1, EventType::kView};
}

std::vector<std::pair<std::uint32_t, std::uint32_t>> ItemsAndTimes(
    std::span<const Interaction> interactions) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> out;
  for (const Interaction& one : interactions) out.emplace_back(Index(one.item), one.time_s);
  return out;
}

struct User {
  std::uint32_t row = 0;
  std::uint32_t version = 0;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> history;
  bool operator==(const User&) const = default;
};
using Everyone = std::map<UserKey, User>;

Everyone ReadAll(const LiveState& live) {
  Everyone all;
  live.ForEach([&](const UserKey& key, const UserHistory& history) {
    EXPECT_TRUE(all.emplace(key, User{Index(history.row), history.version,
                                      ItemsAndTimes(history.interactions)})
                    .second);
  });
  return all;
}

// The slow obvious twin: a list per user, sorted by time, cut at the front.
class Twin {
 public:
  explicit Twin(std::size_t limit) : limit_(limit) {}

  void Apply(const UserKey& key, const Interaction& one) {
    User& user = Touch(key);
    ++user.version;
    const auto place =
        std::upper_bound(user.history.begin(), user.history.end(), one.time_s,
                         [](std::uint32_t t, const auto& entry) { return t < entry.second; });
    user.history.insert(place, {Index(one.item), one.time_s});
    if (user.history.size() > limit_) user.history.erase(user.history.begin());
  }
  User& Touch(const UserKey& key) {
    const auto [it, is_new] = everyone_.try_emplace(key);
    if (is_new) it->second.row = next_row_++;
    return it->second;
  }
  void Forget(const UserKey& key) { everyone_.erase(key); }
  void DropBefore(std::uint32_t time_s) {
    for (auto& [key, user] : everyone_) {
      std::erase_if(user.history, [&](const auto& entry) { return entry.second < time_s; });
    }
  }
  const Everyone& everyone() const { return everyone_; }

 private:
  std::size_t limit_;
  std::uint32_t next_row_ = 0;
  Everyone everyone_;
};

TEST(PackedInteractionTest, ItemTypeAndTimeComeBackExactly) {
  for (const std::uint32_t item : {0U, 1U, 65'535U, (1U << 24) - 1}) {
    for (std::size_t type = 0; type < kEventTypeCount; ++type) {
      for (const std::uint32_t time_s : {0U, 1'700'000'000U, 0xffffffffU}) {
        const Interaction one{ItemRow{item}, time_s, 2, static_cast<EventType>(type)};
        const Interaction back = PackedInteraction::Pack(one).Unpack();
        EXPECT_EQ(back.item, one.item);
        EXPECT_EQ(back.type, one.type);
        EXPECT_EQ(back.time_s, time_s);
        EXPECT_EQ(back.value, 2);
      }
    }
  }
}

float PackedValue(EventType type, float value) {
  return PackedInteraction::Pack({ItemRow{3}, 0, value, type}).Unpack().value;
}

TEST(PackedInteractionTest, RatingsAreHalfStarsUpToFifteenAndAHalf) {
  for (int half = 0; half <= 31; ++half) {
    EXPECT_EQ(PackedValue(EventType::kRating, half * 0.5F), half * 0.5F);
  }
  EXPECT_EQ(PackedValue(EventType::kRating, 100), 15.5F);
  EXPECT_EQ(PackedValue(EventType::kRating, -3), 0);
  EXPECT_EQ(PackedValue(EventType::kRating, 3.7F), 3.5F);
}

TEST(PackedInteractionTest, QuantitiesAreExactToSixteenAndNearBeyond) {
  for (int quantity = 1; quantity <= 16; ++quantity) {
    EXPECT_EQ(PackedValue(EventType::kPurchase, static_cast<float>(quantity)), quantity);
  }
  float previous = 16;
  for (int quantity = 17; quantity <= 384; ++quantity) {
    const float packed = PackedValue(EventType::kPurchase, static_cast<float>(quantity));
    EXPECT_GE(packed, previous);
    EXPECT_LE(std::abs(packed / static_cast<float>(quantity) - 1), 0.16F) << quantity;
    previous = packed;
  }
  EXPECT_EQ(PackedValue(EventType::kPurchase, 4e9F), 384);
  EXPECT_EQ(PackedValue(EventType::kPurchase, 0), 1);
}

TEST(LiveStateTest, RowsFollowTheOrderOfFirstAppearance) {
  LiveState live;
  EXPECT_EQ(live.Apply(Key(7), View(1, 10)), UserRow{0});
  EXPECT_EQ(live.Touch(Key(8)), UserRow{1});
  EXPECT_EQ(live.Apply(Key(9), View(1, 10)), UserRow{2});
  EXPECT_EQ(live.Apply(Key(7), View(2, 11)), UserRow{0});
  EXPECT_EQ(live.user_row_count(), 3U);
  EXPECT_EQ(live.RowOf(Key(8)), UserRow{1});
  EXPECT_FALSE(live.RowOf(Key(1)));
  std::vector<Interaction> buffer;
  EXPECT_FALSE(live.Read(Key(1), buffer));
  EXPECT_EQ(live.Read(Key(8), buffer)->interactions.size(), 0U);
}

TEST(LiveStateTest, APersonWhoComesBackGetsANewRowAndNoHistory) {
  LiveState live;
  live.Apply(Key(1), View(5, 10));
  EXPECT_TRUE(live.Forget(Key(1)));
  EXPECT_FALSE(live.Forget(Key(1)));
  EXPECT_FALSE(live.Remembers(Key(1)));
  EXPECT_EQ(live.user_count(), 0U);
  EXPECT_EQ(live.Apply(Key(1), View(6, 11)), UserRow{1});
  std::vector<Interaction> buffer;
  const auto history = live.Read(Key(1), buffer);
  ASSERT_TRUE(history);
  EXPECT_EQ(history->version, 1U);
  EXPECT_EQ(ItemsAndTimes(history->interactions),
            (std::vector<std::pair<std::uint32_t, std::uint32_t>>{{6, 11}}));
}

TEST(LiveStateTest, HistoriesOfEveryLengthMatchTheTwin) {
  for (const std::size_t limit : {1, 2, 9, 10, 11, 15, 20, 50, 57}) {
    LiveState live({.history_length = limit});
    Twin twin(limit);
    for (std::uint32_t i = 0; i < 130; ++i) {
      live.Apply(Key(1), View(i, i));
      twin.Apply(Key(1), View(i, i));
      ASSERT_EQ(ReadAll(live), twin.everyone()) << limit << " " << i;
    }
  }
}

TEST(LiveStateTest, RandomRecordsMatchTheTwinAlsoLateForgottenAndDropped) {
  constexpr std::uint64_t kSeed = 42;
  SCOPED_TRACE(kSeed);
  for (const std::size_t limit : {3, 10, 25, 50}) {
    Rng rng(kSeed + limit);
    LiveState live({.history_length = limit});
    Twin twin(limit);
    std::uint32_t now = 1000;
    for (int i = 0; i < 6000; ++i) {
      now += static_cast<std::uint32_t>(rng.Below(3));
      const UserKey key = Key(rng.Below(20));
      const std::uint64_t dice = rng.Below(1000);
      if (dice < 6) {
        live.Forget(key);
        twin.Forget(key);
      } else if (dice < 8) {
        live.DropBefore(now - 400);
        twin.DropBefore(now - 400);
      } else if (dice < 20) {
        EXPECT_EQ(Index(live.Touch(key)), twin.Touch(key).row);
      } else {
        // A third comes late, some very late.
        const auto late = static_cast<std::uint32_t>(
            rng.Bernoulli(0.33) ? rng.Below(rng.Bernoulli(0.2) ? 1000 : 50) : 0);
        const Interaction one = View(static_cast<std::uint32_t>(rng.Below(500)), now - late);
        live.Apply(key, one);
        twin.Apply(key, one);
      }
      if (i % 97 == 0) {
        ASSERT_EQ(ReadAll(live), twin.everyone()) << "limit " << limit << " step " << i;
      }
    }
    ASSERT_EQ(ReadAll(live), twin.everyone()) << limit;
    EXPECT_EQ(live.user_count(), twin.everyone().size());
  }
}

TEST(LiveStateTest, ReadGivesWhatForEachGives) {
  LiveState live;
  for (std::uint32_t i = 0; i < 300; ++i) live.Apply(Key(i % 7), View(i, 1000 + i % 11));
  std::vector<Interaction> buffer;
  live.ForEach([&](const UserKey& key, const UserHistory& history) {
    std::vector<Interaction> own;
    const auto read = live.Read(key, own);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->row, history.row);
    EXPECT_EQ(read->version, history.version);
    EXPECT_EQ(read->last_time_s, history.last_time_s);
    EXPECT_EQ(ItemsAndTimes(read->interactions), ItemsAndTimes(history.interactions));
  });
}

TEST(LiveStateTest, ItemsCountEventsByType) {
  LiveState live;
  live.Apply(Key(1), View(9'000, 1));
  live.Apply(Key(2), View(9'000, 1));
  live.Apply(Key(2), {ItemRow{9'000}, 2, 1, EventType::kPurchase});
  const ItemCounts counts = live.CountsOf(ItemRow{9'000});
  EXPECT_EQ(counts[static_cast<int>(EventType::kView)], 2U);
  EXPECT_EQ(counts[static_cast<int>(EventType::kPurchase)], 1U);
  EXPECT_EQ(live.CountsOf(ItemRow{1}), ItemCounts{});
  EXPECT_EQ(live.CountsOf(ItemRow{0xffffffff}), ItemCounts{});
  EXPECT_EQ(live.interaction_count(), 3U);
}

Status Restore(LiveState& into, const std::string& totals, const std::vector<std::string>& shards) {
  POISE_RETURN_IF_ERROR(into.RestoreTotals(totals));
  for (std::size_t i = 0; i < shards.size(); ++i) {
    POISE_RETURN_IF_ERROR(into.RestoreShard(i, shards[i]));
  }
  return Status::Ok();
}

TEST(LiveStateTest, ACaptureIsTheStateAtItsBeginWhateverIsAppliedMeanwhile) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  LiveState live({.history_length = 20});
  const auto apply_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      live.Apply(Key(rng.Below(800)), View(static_cast<std::uint32_t>(rng.Below(300)),
                                           static_cast<std::uint32_t>(1000 + rng.Below(500))));
    }
  };
  apply_some(8000);
  const Everyone before = ReadAll(live);
  const ItemCounts counts_before = live.CountsOf(ItemRow{17});
  live.BeginCapture();
  const std::string totals = live.CaptureTotals();
  std::vector<std::string> shards;
  for (std::size_t i = 0; i < LiveState::kShardCount; ++i) {
    apply_some(20);
    live.Forget(Key(rng.Below(800)));
    shards.push_back(live.TakeShard(i));
  }
  live.EndCapture();
  EXPECT_NE(ReadAll(live), before);

  LiveState restored({.history_length = 20});
  const Status status = Restore(restored, totals, shards);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(ReadAll(restored), before);
  EXPECT_EQ(restored.CountsOf(ItemRow{17}), counts_before);
  EXPECT_EQ(restored.user_count(), before.size());
  EXPECT_EQ(restored.Touch(Key(999'999)), UserRow{static_cast<std::uint32_t>(before.size())});

  LiveState shorter({.history_length = 5});
  ASSERT_TRUE(Restore(shorter, totals, shards).ok());
  for (const auto& [key, user] : ReadAll(shorter)) {
    const auto& full = before.at(key).history;
    const std::size_t kept = std::min<std::size_t>(5, full.size());
    EXPECT_TRUE(
        std::equal(user.history.begin(), user.history.end(), full.end() - kept, full.end()));
  }
}

TEST(LiveStateTest, DamagedCapturesAreRefused) {
  LiveState live;
  for (std::uint32_t i = 0; i < 500; ++i) live.Apply(Key(i % 3), View(i, i));
  live.BeginCapture();
  const std::string totals = live.CaptureTotals();
  std::vector<std::string> shards;
  for (std::size_t i = 0; i < LiveState::kShardCount; ++i) shards.push_back(live.TakeShard(i));
  live.EndCapture();
  for (std::size_t size = 0; size < totals.size(); size += 5) {
    LiveState into;
    EXPECT_FALSE(into.RestoreTotals(std::string_view(totals).substr(0, size)).ok());
  }
  const std::size_t shard = Key(1).bytes[15];
  for (std::size_t size = 0; size < shards[shard].size(); ++size) {
    LiveState into;
    ASSERT_TRUE(into.RestoreTotals(totals).ok());
    EXPECT_FALSE(into.RestoreShard(shard, std::string_view(shards[shard]).substr(0, size)).ok());
  }
  LiveState wrong_shard;
  ASSERT_TRUE(wrong_shard.RestoreTotals(totals).ok());
  EXPECT_FALSE(wrong_shard.RestoreShard((shard + 1) % 256, shards[shard]).ok());
  LiveState no_rows;
  EXPECT_FALSE(no_rows.RestoreShard(shard, shards[shard]).ok());
}

TEST(LiveStateTest, ReadersBesideTheWriterSeeWholeHistories) {
  LiveState live({.history_length = 30});
  std::atomic<bool> stop{false};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&, t] {
      Rng rng(100 + t);
      std::vector<Interaction> buffer;
      while (!stop) {
        const UserKey key = Key(rng.Below(50));
        const auto history = live.Read(key, buffer);
        if (!history) continue;
        EXPECT_LE(history->interactions.size(), 30U);
        // The writer gives every user items 0, 1, 2, ... at rising times.
        for (std::size_t i = 1; i < history->interactions.size(); ++i) {
          EXPECT_EQ(Index(history->interactions[i].item),
                    Index(history->interactions[i - 1].item) + 1);
        }
        if (!history->interactions.empty()) {
          EXPECT_EQ(Index(history->interactions.back().item) + 1, history->version);
        }
        (void)live.CountsOf(ItemRow{3});
      }
    });
  }
  for (std::uint32_t i = 0; i < 20'000; ++i) live.Apply(Key(i % 50), View(i / 50, i));
  stop = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace poise
