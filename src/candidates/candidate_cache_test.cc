// SPDX-License-Identifier: Apache-2.0
#include "candidates/candidate_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/rng.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 95;

UserKey User(std::uint64_t number) {
  UserKey key;
  Rng rng(number + 1);
  for (std::uint8_t& byte : key.bytes) byte = static_cast<std::uint8_t>(rng.Next());
  return key;
}

std::shared_ptr<const CandidateSet> Set(std::size_t count, std::uint32_t first = 0) {
  auto set = std::make_shared<CandidateSet>();
  for (std::size_t i = 0; i < count; ++i) {
    set->candidates.push_back({.item = ItemRow{first + static_cast<std::uint32_t>(i)}});
  }
  set->candidates.shrink_to_fit();
  return set;
}

TEST(CandidateCache, FindsWhatWasPutForThatVersionOnly) {
  CandidateCache cache(1 << 20);
  const auto set = Set(10);
  cache.Insert(User(1), {1, 2, 3}, set);
  EXPECT_EQ(cache.Find(User(1), {1, 2, 3}), set);
  EXPECT_EQ(cache.Find(User(2), {1, 2, 3}), nullptr);
  EXPECT_EQ(cache.hit_count(), 1U);
  EXPECT_EQ(cache.miss_count(), 1U);
}

TEST(CandidateCache, AnyOtherVersionIsAMissAndDropsTheSet) {
  for (const CandidateCache::Version& other :
       {CandidateCache::Version{9, 2, 3}, {1, 9, 3}, {1, 2, 9}}) {
    CandidateCache cache(1 << 20);
    cache.Insert(User(1), {1, 2, 3}, Set(10));
    EXPECT_EQ(cache.Find(User(1), other), nullptr);
    EXPECT_FALSE(cache.Remembers(User(1)));
    EXPECT_EQ(cache.size_bytes(), 0U);
  }
}

TEST(CandidateCache, ReplacesAUsersSet) {
  CandidateCache cache(1 << 20);
  cache.Insert(User(1), {1, 1, 1}, Set(10));
  const std::size_t bytes = cache.size_bytes();
  const auto second = Set(10, 50);
  cache.Insert(User(1), {2, 1, 1}, second);
  EXPECT_EQ(cache.Find(User(1), {2, 1, 1}), second);
  EXPECT_EQ(cache.size_bytes(), bytes);
}

TEST(CandidateCache, NeverHoldsMoreBytesThanItMayAndKeepsWhatIsUsed) {
  constexpr std::size_t kMax = 4 << 20;
  CandidateCache cache(kMax);
  const UserKey hot = User(7'000'000);
  cache.Insert(hot, {1, 1, 1}, Set(100));
  for (std::uint64_t user = 0; user < 20'000; ++user) {
    cache.Insert(User(user), {1, 1, 1}, Set(100));
    ASSERT_NE(cache.Find(hot, {1, 1, 1}), nullptr) << user;
    if (user % 1000 == 0) {
      ASSERT_LE(cache.size_bytes(), kMax);
    }
  }
  EXPECT_GT(cache.size_bytes(), kMax / 2);
  EXPECT_NE(cache.Find(User(19'999), {1, 1, 1}), nullptr);
  EXPECT_EQ(cache.Find(User(0), {1, 1, 1}), nullptr);
}

TEST(CandidateCache, DoesNotKeepASetThatIsLargerThanAShard) {
  CandidateCache cache(64 * 1000);
  cache.Insert(User(1), {1, 1, 1}, Set(10));
  cache.Insert(User(1), {1, 1, 2}, Set(1000));
  EXPECT_FALSE(cache.Remembers(User(1)));
  CandidateCache none(0);
  none.Insert(User(1), {1, 1, 1}, Set(1));
  EXPECT_EQ(none.Find(User(1), {1, 1, 1}), nullptr);
}

TEST(CandidateCache, ForgetsAPersonAndClearsAll) {
  CandidateCache cache(1 << 20);
  cache.Insert(User(1), {1, 1, 1}, Set(10));
  cache.Insert(User(2), {1, 1, 1}, Set(10));
  cache.Forget(User(1));
  EXPECT_FALSE(cache.Remembers(User(1)));
  EXPECT_TRUE(cache.Remembers(User(2)));
  cache.Clear();
  EXPECT_FALSE(cache.Remembers(User(2)));
  EXPECT_EQ(cache.size_bytes(), 0U);
  cache.Insert(User(2), {1, 1, 1}, Set(10));
  EXPECT_TRUE(cache.Remembers(User(2)));
}

TEST(CandidateCache, ThreadsGetOnlySetsOfTheirUserAndVersion) {
  CandidateCache cache(300'000);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(MixSeed(kSeed, t));
      for (int i = 0; i < 5000; ++i) {
        const auto number = static_cast<std::uint32_t>(rng.Below(50));
        const std::uint64_t version = rng.Below(3);
        const auto found = cache.Find(User(number), {version, 0, 0});
        const auto first = static_cast<std::uint32_t>(number * 10 + version);
        if (found != nullptr && found->candidates[0].item != ItemRow{first}) ++wrong;
        if (found == nullptr) cache.Insert(User(number), {version, 0, 0}, Set(20, first));
        if (i % 100 == 0) cache.Forget(User(number));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_LE(cache.size_bytes(), 300'000U);
}

}  // namespace
}  // namespace poise
