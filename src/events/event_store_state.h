// SPDX-License-Identifier: Apache-2.0
//
// EventStore::State: what the files of EventStore share. Inside events/ only.
#pragma once

#include <atomic>
#include <boost/unordered/unordered_flat_map.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "crypto/keyed_hash.h"
#include "crypto/secret.h"
#include "events/event_store.h"
#include "events/idempotency_window.h"

namespace poise {

// Records copied out of the log, to be opened in parallel.
class RecordChunk {
 public:
  static constexpr std::size_t kMaxRecords = 8192;
  static constexpr std::size_t kMaxBytes = 8 * 1024 * 1024;

  void Add(const LogRecord& record);
  void Clear();
  bool IsFull() const { return places_.size() >= kMaxRecords || bytes_.size() >= kMaxBytes; }
  std::size_t size() const { return places_.size(); }
  LogRecord operator[](std::size_t i) const;

 private:
  struct Place {
    LogPosition position;
    std::size_t begin = 0;
    std::size_t size = 0;
    std::uint8_t kind = 0;
  };
  std::string bytes_;
  std::vector<Place> places_;
};

// Calls `visit` with the records in [from, end of the log) by chunks.
Status ScanChunks(const SegmentLog& log, LogPosition from,
                  const std::function<Status(const RecordChunk&)>& visit);

struct EventStore::State {
  State(const Parts& store_parts, const Options& store_options);

  // Of one Append(): alive until every event of it has its result.
  struct Batch {
    struct Pending {
      std::size_t place = 0;  // in results
      UserKey user;
      std::uint32_t generation = 0;
      std::uint64_t hash = 0;  // of the idempotency key, zero for none
      StoredEvent event;
      Interaction interaction;
    };
    std::vector<AppendResult> results;
    std::vector<Pending> pending;
    // Results still to come, and one for the batch's own append.
    std::atomic<std::size_t> open_count{1};
    Done done;
  };

  void Append(std::span<const Event> events, Done done);
  // Encodes what is valid and not a duplicate.
  void Fill(const std::shared_ptr<Batch>& batch, std::span<const Event> events,
            const std::vector<std::size_t>& places, const std::vector<PersonRef>& people,
            const std::vector<PersonKey>& person_keys, const std::vector<ItemRow>& rows,
            LogBatch& records);
  void OnCommit(const std::shared_ptr<Batch>& batch, const Result<LogPosition>& first);
  void Fail(const std::shared_ptr<Batch>& batch, const Status& status);
  // One of the results is there; the last one makes `done` run.
  static void Close(const std::shared_ptr<Batch>& batch);

  void BeginWork();
  void EndWork();
  void WaitForWork();

  std::uint64_t HashOf(const UserKey& user, std::uint32_t generation,
                       std::string_view idempotency_key) const;
  // The key of the record if it can still be opened.
  Result<std::optional<PersonKey>> KeyOf(const RecordHead& head) const;

  // The person is out of everything in memory. Requires  apply_mutex.
  void ApplyForgotten(const UserKey& user, std::uint32_t generation);
  bool IsForgotten(const UserKey& user, std::uint32_t generation) const {
    return !forgotten.empty() && forgotten.count({user, generation}) != 0;
  }

  Status SaveSnapshot(LogPosition at_least);
  Status LoadSnapshot(ThreadPool& pool, ReplayReport& report);
  Status RestoreSections(ThreadPool& pool, const SnapshotReader& reader);
  Status Replay(ThreadPool& pool, ReplayReport& report);
  Status FinishForgetting();
  void Reset();

  Parts parts;
  Options options;
  SnapshotHooks hooks;
  KeyedHasher idempotency_hasher;
  PersonKey nobody;  // seals decisions about nobody in particular
  SecretBytes snapshot_wrapping_key;
  std::unique_ptr<LiveState> live;
  std::unique_ptr<IdempotencyWindow> window;
  std::atomic<bool> is_recovered{false};

  // Held while records are applied, in log order; guards the next three, and who calls the
  // listener.
  mutable std::mutex apply_mutex;
  LogPosition applied_end{1};
  std::uint64_t row_epoch = 1;
  std::set<std::pair<UserKey, std::uint32_t>> forgotten;  // with the generation of the key
  std::vector<std::pair<UserKey, std::uint32_t>> replayed_markers;

  std::mutex snapshot_mutex;  // one snapshot at a time; guards the next one
  std::uint64_t snapshot_number = 0;
  std::atomic<std::uint64_t> snapshot_position{0};

  // Decisions handed to the log, and how many of them a flush has seen: whoever looks one up that
  // may still be buffered flushes first.
  std::atomic<std::uint64_t> buffered_count{0};
  std::atomic<std::uint64_t> flushed_count{0};

  std::mutex work_mutex;
  std::condition_variable work_done;
  std::size_t work_count = 0;
};

}  // namespace poise
