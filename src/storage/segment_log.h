// SPDX-License-Identifier: Apache-2.0
//
// SegmentLog: an append-only log of records in segment files, with group commit.
//
// While one group is being synced the next one queues, so concurrent appenders share syncs. A group
// is written as one frame, and the next frame only after the sync of this one: so a bad frame with
// a good one behind it is damage, and a bad frame at the end is a torn write that nobody was
// promised.
//
// Place    events/, serve/ -> [Append] -> segments (docs/formats/segment-log.md) -> [Scan] ->
//          features/, feedback/
// Units    A position counts records from 1, without gaps, across segments and restarts; the
//          default LogPosition is before every record. Times are the caller's, in microseconds.
// Errors   kResourceExhausted: queue or disk full, try again later, nothing acknowledged is lost;
//          kUnavailable: write or sync failed, so the batch was not acknowledged (in a crash right
//          then it may still turn up; after any later acknowledged append it never does);
//          kDataLoss: damage inside the log, naming file and offset; kFailedPrecondition: the
//          folder is open elsewhere; kInvalidArgument: a record or batch over its limit.
// Threads  All methods may be called concurrently. `done` runs on the commit thread: it must be
//          short and must not call Append() or Flush().
// Cost     One sync a group. A record takes 9 bytes beside its payload, a group some 44.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "storage/env.h"

namespace poise {

struct LogPosition {
  std::uint64_t value = 0;

  auto operator<=>(const LogPosition&) const = default;
};

struct LogRecord {
  LogPosition position;
  std::uint8_t kind = 0;
  std::string_view payload;  // valid during the callback
};

struct RecoveryReport {
  std::uint64_t record_count = 0;     // in the log now
  std::uint64_t segment_count = 0;    // with records
  std::uint64_t torn_bytes = 0;       // cut off the end: never acknowledged
  std::uint64_t damaged_bytes = 0;    // skipped by salvage
  std::uint64_t damaged_records = 0;  // lost by salvage, where they can be counted
  std::string detail;                 // sentences for the operator; empty when all was clean
};

struct SegmentSummary {
  std::string file_name;
  LogPosition first;  // of its first record
  LogPosition end;    // after its last durable record
  std::uint64_t size_bytes = 0;
  // Of its batches that carried a time; both zero where none did.
  Timestamp first_time;
  Timestamp last_time;
};

// Records, encoded one after the other, that are appended together or not at all.
class LogBatch {
 public:
  static constexpr std::size_t kMaxPayloadBytes = 16 * 1024 * 1024;
  static constexpr std::size_t kMaxBatchBytes = 64 * 1024 * 1024;

  // `time`: when it happened, for SegmentSummary; zero for none.
  explicit LogBatch(Timestamp time = {}) : time_(time) {}

  // Errors  kInvalidArgument: payload or batch over its limit (the batch is as it was).
  Status Add(std::uint8_t kind, std::string_view payload);
  void Reserve(std::size_t size_bytes) { bytes_.reserve(size_bytes); }
  void Clear();

  std::uint32_t record_count() const { return record_count_; }
  std::size_t size_bytes() const { return bytes_.size(); }
  bool empty() const { return record_count_ == 0; }

 private:
  friend class SegmentLog;

  std::string bytes_;
  std::uint32_t record_count_ = 0;
  Timestamp time_;
};

class SegmentLog {
 public:
  struct Options {
    std::uint64_t segment_bytes = 64 * 1024 * 1024;
    // The most a group waits for more appenders, when the last one had several.
    std::chrono::microseconds max_commit_delay{200};
    std::chrono::milliseconds buffered_commit_delay{20};
    std::size_t max_queue_bytes = 64 * 1024 * 1024;
    // Disk space that new segments leave free, so that a full disk still lets tables be cleaned up.
    std::uint64_t reserve_bytes = 8 * 1024 * 1024;
    bool fsync = true;     // false only to measure what durability costs
    bool salvage = false;  // skip damaged frames and count them instead of refusing
  };
  struct Counters {
    std::uint64_t group_count = 0;
    std::uint64_t record_count = 0;
    std::uint64_t written_bytes = 0;
    std::uint64_t failed_group_count = 0;
    std::uint64_t lost_buffered_record_count = 0;
    std::uint64_t queued_bytes = 0;
    std::chrono::nanoseconds last_sync{0};
  };
  using Done = std::function<void(Result<LogPosition> first)>;

  // Creates the folder if absent; cuts off a torn tail and says so in `report` (may be null).
  static Result<std::unique_ptr<SegmentLog>> Open(Env& env, std::string directory, Options options,
                                                  RecoveryReport* report);
  // Makes everything queued durable.
  ~SegmentLog();
  SegmentLog(const SegmentLog&) = delete;
  SegmentLog& operator=(const SegmentLog&) = delete;

  // Queues the batch; `done` gets the position of its first record when it is durable, or why it is
  // not. On an error returned here `done` is not called.
  Status AppendAsync(LogBatch batch, Done done);

  // Returns when durable.
  Result<LogPosition> Append(LogBatch batch);

  // Durable within buffered_commit_delay or with the next group, whichever is first; returns at
  // once. A failure is counted, logged, and given by the next Flush().
  Status AppendBuffered(std::uint8_t kind, std::string_view payload, Timestamp time = {});

  // Returns when everything queued before is durable; or the first failure of a buffered record
  // since the last Flush().
  Status Flush();

  // The position after the last durable record: what the next record will have at the least.
  LogPosition end() const;
  // The oldest record's position; end() when there is none.
  LogPosition begin() const;

  // Calls `visit` for the records in [from, end() at the call) in order; false stops.
  // Errors  kDataLoss, after the records before the damage (unless options.salvage).
  Status Scan(LogPosition from, const std::function<bool(const LogRecord&)>& visit) const;

  // One record: its kind and payload. Errors  kNotFound, kDataLoss.
  // Cost  reads at most some 64 KiB where the segment was written or recovered by this process, up
  // to a segment otherwise.
  Result<std::pair<std::uint8_t, std::string>> Read(LogPosition position) const;

  // Oldest first; the one being written is last.
  std::vector<SegmentSummary> Segments() const;

  // Removes the segments whose records all lie before `position`; never the one being written.
  Status DropSegmentsBefore(LogPosition position);

  Counters counters() const;

 private:
  struct State;
  explicit SegmentLog(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace poise
