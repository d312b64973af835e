// SPDX-License-Identifier: Apache-2.0
//
// EventStore: what happened and what was decided: append, deduplicate, order, read back.
//
// The log is the truth: an event is acknowledged after it is on disk, and reaches the live state
// and the listener in log order; so a replay gives the same state, rows included. Snapshots only
// make starting fast.
//
// Place    http/, importers/ -> [Append] -> segment log -> LiveState, EventListener (feedback/);
//          serve/ -> [AppendDecision]; the log -> [ScanInteractions] -> models/
// Units    Times are the events' own except where `received` is said.
// Errors   kInvalidArgument naming the field; kResourceExhausted: queue or disk full;
//          kUnavailable: a write failed, nothing of it was kept; kDataLoss: damage, or a wrong key.
// Threads  All methods may be called concurrently, except Recover(), which comes first.
// Cost     Append(): some 1.5 us an event in the caller, one sync a group; a table transaction when
//          people or items are new. Memory: LiveState, and 18 bytes an idempotency key kept.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/person_keys.h"
#include "domain/event.h"
#include "events/live_state.h"
#include "events/record_codec.h"
#include "storage/segment_log.h"

namespace poise {

class Catalog;         // catalog/catalog.h
class Env;             // storage/env.h
class SnapshotReader;  // storage/snapshot.h
class SnapshotWriter;  // storage/snapshot.h
class Tables;          // storage/table.h
class ThreadPool;      // base/thread_pool.h

// An event as it stands in the log.
struct StoredEvent {
  UserKey user;
  UserRow row{};
  ItemRow item{};
  EventType type = EventType::kView;
  double value = 0;
  std::uint32_t quantity = 1;
  std::optional<DecisionId> decision;
  Timestamp time;
  LogPosition position;
};

struct StoredDecision {
  UserKey user;  // all zeros: nobody was named
  DecisionId id;
  std::string payload;
  LogPosition position;
};

// Hears what is in the log, in its order.
//
// Threads  One call at a time; events on the log's commit thread: be short, and don't call the
//          store's blocking methods.
class EventListener {
 public:
  virtual ~EventListener() = default;
  // Once for every event, when it is durable and in the live state, before it is acknowledged.
  virtual void OnEvent(const StoredEvent& event) = 0;
  // While recovering only: whoever decides knows its decisions already. May repeat decisions that a
  // snapshot's section already holds.
  virtual void OnDecision(const StoredDecision& decision) = 0;
  // The person is out of the live state: drop what is kept under this pseudonym.
  virtual void OnForget(const UserKey& user) = 0;
};

// Sections that others keep in the store's snapshot, consistent with it.
struct SnapshotHooks {
  // Runs while nothing is applied: copy and return. Names starting with "store/" are taken.
  std::function<void(SnapshotWriter&)> save;
  // Called once by Recover() where there is a snapshot, before the first record is replayed. An
  // error makes Recover() go back to replaying the whole log, after calling `reset`.
  std::function<Status(const SnapshotReader&)> load;
  std::function<void()> reset;
};

// What became of one event of a batch.
struct AppendResult {
  enum class Outcome { kAccepted, kDuplicate, kRejected };
  Outcome outcome = Outcome::kAccepted;
  Status status;  // why, when rejected
};

struct ReplayReport {
  bool had_snapshot = false;
  LogPosition snapshot_position;
  std::uint64_t event_count = 0;  // replayed after the snapshot
  std::uint64_t decision_count = 0;
  std::uint64_t forgotten_record_count = 0;  // sealed under keys that were destroyed
  std::string detail;                        // sentences for the operator; empty when all is well
};

struct UserInteraction {
  UserRow user{};
  Interaction interaction;
};

struct ForgetResult {
  bool was_known = false;
  Timestamp forgotten;
};

class EventStore {
 public:
  struct Options {
    std::string snapshot_directory;  // created if absent
    std::size_t history_length = 50;
    std::size_t idempotency_window = std::size_t{1} << 22;  // keys remembered
    Sealing sealing = Sealing::kSealed;
  };

  static constexpr std::string_view kSnapshotTable = "snapshots";
  // The tables it needs, for Tables::Open().
  static std::vector<std::string> TableNames() { return {std::string(kSnapshotTable)}; }

  // What it is made of; all outlive it.
  struct Parts {
    Env& env;
    SegmentLog& log;
    Tables& tables;
    Catalog& catalog;
    PersonKeys& keys;
    const MasterKey& master;
    const Clock& clock;
    EventListener* listener = nullptr;  // may be null
  };

  // Errors  kInvalidArgument: an option out of range.
  static Result<std::unique_ptr<EventStore>> Open(const Parts& parts, Options options);
  // Waits for what is under way.
  ~EventStore();
  EventStore(const EventStore&) = delete;
  EventStore& operator=(const EventStore&) = delete;

  // Loads the snapshot and replays the log behind it. Requires  called once, before all else.
  //
  // Errors  kDataLoss: a record that should open does not, or the log ends before the snapshot.
  Result<ReplayReport> Recover(ThreadPool& pool, SnapshotHooks hooks);

  using Done = std::function<void(std::vector<AppendResult>)>;
  // Calls `done` once, with a result for each event in order: on the commit thread when they are
  // durable, or in the caller when there is nothing to wait for.
  // Two equal idempotency keys of one user: the later answers kDuplicate, and not before the
  // earlier is durable; if the earlier fails the later fails with it and the key is free again.
  void Append(std::span<const Event> events, Done done);
  std::vector<AppendResult> AppendAndWait(std::span<const Event> events);

  // Durable within the log's buffered_commit_delay; returns at once, unless the person is new.
  // `person`: none where nobody is named. The payload comes from policy/, and is not looked into.
  // Requires  the listener's side knows the decision before this is called.
  Status AppendDecision(const std::optional<PersonRef>& person, const DecisionId& id,
                        std::string_view payload);

  // Errors  kNotFound: unknown, forgotten, or dropped by retention.
  // Cost  reads the segments of that time.
  Result<StoredDecision> FindDecision(const DecisionId& id) const;

  const LiveState& live() const;

  // Every readable event of people who are not forgotten, in log order, a few thousand at a time;
  // opened in parallel.
  // Cost  10 M events in some 3 s on two threads.
  Status ScanInteractions(ThreadPool& pool,
                          const std::function<void(std::span<const UserInteraction>)>& sink) const;

  // Every readable event as the caller told it, original ids restored, in log order.
  // An error from `visit` ends the walk.
  Status ExportEvents(const std::function<Status(const Event&)>& visit) const;

  // Erases the person: a marker goes into the log, live state and listener drop them, the snapshot
  // is rewritten without them under a new key, profile and person key are destroyed. When it
  // returns, no byte on disk tells who they were or what they did.
  Result<ForgetResult> Forget(const UserKey& user);
  // True if anything is kept that could be read under this pseudonym.
  Result<bool> Remembers(const UserKey& user) const;

  // Saves live state, idempotency window, counters and the hooks' sections, as of one log position,
  // while appending goes on. One at a time.
  Status SaveSnapshot();
  // The position that the last snapshot stands for.
  LogPosition snapshot_position() const;

  // Drops events before `received`, by whole segments, and out of the live state.
  Status ApplyRetention(Timestamp received);

  // Returns when everything appended before is durable, applied and acknowledged.
  Status Settle();

  // The log position from which rows were counted: 1 for the whole log. Models that name UserRows
  // of another epoch are not of this state.
  std::uint64_t row_epoch() const;
  std::uint64_t event_count() const;  // in the live state's life, evicted ones included

 private:
  struct State;
  explicit EventStore(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace poise
