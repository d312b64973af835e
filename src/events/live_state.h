// SPDX-License-Identifier: Apache-2.0
//
// LiveState: the latest interactions of every user and the counters of every item, in memory, so
// that a request answers without touching a disk.
//
// It is a function of the log: applying the same records in the same order gives the same state,
// UserRows included. A user's history holds their N latest interactions by event time (equal times:
// later in the log is later), in whatever order they arrived: so an import of old events, in any
// order, does not push out what is recent.
//
// Place    EventStore (log order) -> [Apply] -> [Read] -> serve/, candidates/; -> snapshot
// Units    UserRow: order of first appearance in the log; a person who was forgotten and comes back
//          gets a new one. version: events of the user so far, evicted ones included.
// Threads  Apply(), Touch(), Forget(), DropBefore() and BeginCapture(): one thread at a time, in
//          log order. Everything else may run concurrently with them and with each other.
// Cost     Read(): under 1 us for 50 interactions. Memory: 8.4 bytes an interaction kept, rounded
//          up to blocks of ten, and some 65 a user; 32 an item.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/event.h"
#include "domain/ids.h"

namespace poise {

// An interaction in 8 bytes.
//
// Units  Ratings: half stars in [0, 15.5], rounded and clamped. Quantities: 1 to 16 exactly, then
//        in steps of about a quarter up to 384.
struct PackedInteraction {
  std::uint32_t item_type_value = 0;  // from the lowest bit: item 24, type 3, value 5
  std::uint32_t time_s = 0;

  // Requires  Index(interaction.item) < 2^24.
  static PackedInteraction Pack(const Interaction& interaction);
  Interaction Unpack() const;
};
static_assert(sizeof(PackedInteraction) == 8);

struct UserHistory {
  UserRow row{};
  std::uint32_t version = 0;
  std::uint32_t last_time_s = 0;
  // Into the caller's buffer, oldest first.
  std::span<const Interaction> interactions;
};

using ItemCounts = std::array<std::uint32_t, kEventTypeCount>;

class LiveState {
 public:
  static constexpr std::size_t kMaxHistoryLength = 2000;

  struct Options {
    std::size_t history_length = 50;  // 1 to kMaxHistoryLength
  };

  explicit LiveState(Options options);
  LiveState() : LiveState(Options{}) {}
  ~LiveState();
  LiveState(const LiveState&) = delete;
  LiveState& operator=(const LiveState&) = delete;

  UserRow Apply(const UserKey& user, const Interaction& interaction);
  // Gives the user a row without an interaction (an event that can no longer be read).
  UserRow Touch(const UserKey& user);
  // Removes the user; false if unknown. The row is not given to anybody else.
  bool Forget(const UserKey& user);
  // Removes the interactions before `time_s`.
  void DropBefore(std::uint32_t time_s);

  // No value: never seen, or forgotten. `buffer` grows to the history length once and is reused.
  std::optional<UserHistory> Read(const UserKey& user, std::vector<Interaction>& buffer) const;
  std::optional<UserRow> RowOf(const UserKey& user) const;
  bool Remembers(const UserKey& user) const { return RowOf(user).has_value(); }

  // Every user, shard by shard, each as of some moment during the call. `history` is valid during
  // the call of `visit`, which must not call back into this object.
  void ForEach(const std::function<void(const UserKey&, const UserHistory& history)>& visit) const;

  // Zeros for an item that nobody touched.
  ItemCounts CountsOf(ItemRow item) const;

  // One more than the highest row ever given.
  std::size_t user_row_count() const { return next_row_.load(std::memory_order_acquire); }
  // Users that are there now.
  std::size_t user_count() const { return user_count_.load(std::memory_order_relaxed); }
  std::uint64_t interaction_count() const {
    return interaction_count_.load(std::memory_order_relaxed);
  }
  std::size_t history_length() const { return history_length_; }

  // A consistent copy while applying goes on: BeginCapture() marks the moment, TakeShard() gives
  // each shard as it was then (a shard that changes first is copied first). One capture at a time.
  static constexpr std::size_t kShardCount = 256;
  void BeginCapture();
  std::string TakeShard(std::size_t shard);
  void EndCapture();
  // Rows, counters and what else is not in a shard; call it right after BeginCapture(), before
  // anything is applied.
  std::string CaptureTotals() const;

  // Restore into an empty state: totals first, then the shards, which may be restored
  // concurrently. A history longer than this
  // state's history_length keeps the latest. Errors  kDataLoss.
  Status RestoreShard(std::size_t shard, std::string_view bytes);
  Status RestoreTotals(std::string_view bytes);

 private:
  struct Shard;
  struct Counters;

  Shard& ShardOf(const UserKey& user) const;

  std::size_t history_length_;
  std::unique_ptr<Shard[]> shards_;
  std::unique_ptr<Counters> counters_;
  std::atomic<std::uint32_t> next_row_{0};
  std::atomic<std::size_t> user_count_{0};
  std::atomic<std::uint64_t> interaction_count_{0};
};

}  // namespace poise
