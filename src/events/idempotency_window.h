// SPDX-License-Identifier: Apache-2.0
//
// IdempotencyWindow: which events are in the log already, or on their way into it, by the hash of
// their idempotency key. Inside events/ only.
//
// Threads  All methods may be called concurrently. Waiters are returned, not called, so that no
//          lock is held over them.
// Cost     One lock of 64. Some 20 to 30 bytes a key remembered.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/result.h"

namespace poise {

class IdempotencyWindow {
 public:
  // Called with what became of the event that came first.
  using Waiter = std::function<void(const Status& first)>;
  using Waiters = std::vector<Waiter>;

  enum class Claim {
    kNew,      // the caller's: ends by Commit() or Release()
    kStored,   // is in the log
    kPending,  // somebody else's, the waiter will be called
  };

  // Remembers the latest `capacity` hashes at least.
  explicit IdempotencyWindow(std::size_t capacity);
  ~IdempotencyWindow();

  Claim TryClaim(std::uint64_t hash, const Waiter& waiter);
  // The claimed event is durable. Gives who waited for it.
  Waiters Commit(std::uint64_t hash);
  // The claimed event failed, and its key is free again.
  Waiters Release(std::uint64_t hash);

  // As if claimed and committed; again is no error.
  void Remember(std::uint64_t hash);

  // What is remembered, so that remembering it in this order gives the same window.
  std::vector<std::uint64_t> Hashes() const;

 private:
  static constexpr std::size_t kShardCount = 64;
  struct Shard;

  Shard& ShardOf(std::uint64_t hash) const;

  std::size_t shard_capacity_;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace poise
