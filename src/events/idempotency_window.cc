// SPDX-License-Identifier: Apache-2.0
#include "events/idempotency_window.h"

#include <boost/unordered/unordered_flat_map.hpp>
#include <boost/unordered/unordered_flat_set.hpp>
#include <utility>

namespace poise {
namespace {

struct HashItself {
  using is_avalanching = void;
  std::size_t operator()(std::uint64_t hash) const { return hash; }
};

}  // namespace

struct IdempotencyWindow::Shard {
  mutable std::mutex mutex;
  boost::unordered_flat_set<std::uint64_t, HashItself> stored;
  std::vector<std::uint64_t> ring;  // what is stored, the oldest at `oldest` once it is full
  std::size_t oldest = 0;
  boost::unordered_flat_map<std::uint64_t, Waiters, HashItself> pending;

  void Store(std::uint64_t hash, std::size_t capacity) {
    if (!stored.insert(hash).second) return;
    if (ring.size() < capacity) {
      ring.push_back(hash);
      return;
    }
    stored.erase(std::exchange(ring[oldest], hash));
    oldest = (oldest + 1) % ring.size();
  }

  Waiters TakeWaiters(std::uint64_t hash) {
    const auto it = pending.find(hash);
    if (it == pending.end()) return {};
    Waiters waiters = std::move(it->second);
    pending.erase(it);
    return waiters;
  }
};

IdempotencyWindow::IdempotencyWindow(std::size_t capacity)
    : shard_capacity_((capacity + kShardCount - 1) / kShardCount),
      shards_(std::make_unique<Shard[]>(kShardCount)) {}

IdempotencyWindow::~IdempotencyWindow() = default;

IdempotencyWindow::Shard& IdempotencyWindow::ShardOf(std::uint64_t hash) const {
  // The tables inside use other bits.
  return shards_[(hash >> 20) % kShardCount];
}

IdempotencyWindow::Claim IdempotencyWindow::TryClaim(std::uint64_t hash, const Waiter& waiter) {
  Shard& shard = ShardOf(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard_capacity_ > 0 && shard.stored.contains(hash)) return Claim::kStored;
  const auto [it, is_new] = shard.pending.try_emplace(hash);
  if (is_new) return Claim::kNew;
  it->second.push_back(waiter);
  return Claim::kPending;
}

IdempotencyWindow::Waiters IdempotencyWindow::Commit(std::uint64_t hash) {
  Shard& shard = ShardOf(hash);
  const std::lock_guard lock(shard.mutex);
  if (shard_capacity_ > 0) shard.Store(hash, shard_capacity_);
  return shard.TakeWaiters(hash);
}

IdempotencyWindow::Waiters IdempotencyWindow::Release(std::uint64_t hash) {
  Shard& shard = ShardOf(hash);
  const std::lock_guard lock(shard.mutex);
  return shard.TakeWaiters(hash);
}

void IdempotencyWindow::Remember(std::uint64_t hash) {
  if (shard_capacity_ == 0) return;
  Shard& shard = ShardOf(hash);
  const std::lock_guard lock(shard.mutex);
  shard.Store(hash, shard_capacity_);
}

std::vector<std::uint64_t> IdempotencyWindow::Hashes() const {
  std::vector<std::uint64_t> hashes;
  for (std::size_t i = 0; i < kShardCount; ++i) {
    const Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    hashes.insert(hashes.end(), shard.ring.begin() + static_cast<std::ptrdiff_t>(shard.oldest),
                  shard.ring.end());
    hashes.insert(hashes.end(), shard.ring.begin(),
                  shard.ring.begin() + static_cast<std::ptrdiff_t>(shard.oldest));
  }
  return hashes;
}

}  // namespace poise
