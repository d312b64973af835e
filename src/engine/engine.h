// SPDX-License-Identifier: Apache-2.0
//
// Engine: the whole recommender in one process, without a door.
//
// The only room that knows all rooms: it wires them, runs what must run in the background, and
// publishes snapshots. http/ and apps/ translate to and from it and decide nothing.
//
// Place    http/, apps/, tests/scenarios -> [Engine] -> every room
// Errors   kInvalidArgument names the field as it stands in JSON (userId, events[3].value);
//          kNotFound; kFailedPrecondition (directory in use, nothing to train on);
//          kResourceExhausted (queue or disk full: message starts with "queue full" or "disk
//          full").
// Threads  Every method may be called from any thread.
// Cost     Recommend(): some 25 us with a warm candidate set, no lock held over anything slow.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/configuration.h"
#include "domain/event.h"
#include "domain/item.h"
#include "serve/request.h"

namespace poise {

class Env;
class MetricsRegistry;
class Progress;
class Tables;

// Tables beside the engine's own, for the doors.
inline constexpr std::string_view kKeysTable = "api_keys";
inline constexpr std::string_view kImportsTable = "imports";

// Every table of a data directory.
std::vector<std::string> EngineTableNames();

// What became of one event of a batch.
struct EventResult {
  enum class Outcome { kAccepted, kDuplicate, kRejected };
  Outcome outcome = Outcome::kAccepted;
  Status status;  // why, when rejected
};

template <typename T>
struct Page {
  std::vector<T> rows;
  std::string next_cursor;  // empty: no more
};

struct ForgetReceipt {
  std::string user_pseudonym;  // hexadecimal; what the audit trail may keep
  Timestamp forgotten;
  bool was_known = false;
  std::string
      model_erasure;  // when models stop holding what they learned: "at the next publication"
};

struct ModelDescription {
  std::string name;
  std::uint64_t version = 0;  // of the publication it belongs to
  Timestamp trained;
  double train_seconds = 0;
  std::uint64_t interaction_count = 0;
  bool is_serving = false;
};

struct DecisionRecord {
  Decision decision;
  std::vector<ItemId> items;          // of the slate, slot by slot
  std::vector<ItemId> exploit_items;  // what pure exploitation would have shown
};

struct EngineState {
  bool is_ready = false;
  std::string not_ready_because;
  std::uint64_t item_count = 0;
  std::uint64_t user_count = 0;
  std::uint64_t event_count = 0;
  std::uint64_t decision_count = 0;  // since start
  std::uint64_t model_version = 0;
  Timestamp model_trained;
  bool is_training = false;
  std::string recovery;  // what opening found: records replayed, bytes cut off
};

// One row of an export, in the order items, users, events.
struct ExportSink {
  std::function<Status(const ItemRecord&)> on_item;
  std::function<Status(const UserRecord&)> on_user;
  std::function<Status(const Event&)> on_event;
};

class Engine {
 public:
  // Opens or creates the data directory and recovers what is on disk. Starts no thread of its own
  // beyond the log's: StartBackground() does.
  //
  // Errors  kFailedPrecondition if another process has it open; kDataLoss with a way out.
  static Result<std::unique_ptr<Engine>> Open(const Configuration& configuration, Env& env,
                                              const Clock& clock, MetricsRegistry& metrics);
  virtual ~Engine() = default;

  // Catalog. A batch answers element by element, in order.
  virtual std::vector<Status> UpsertItems(std::span<const ItemRecord> items) = 0;
  virtual Result<ItemRecord> GetItem(const ItemId& id) = 0;
  virtual Status DeleteItem(const ItemId& id) = 0;
  virtual Result<Page<ItemRecord>> ListItems(std::string_view cursor, int limit) = 0;
  virtual std::vector<Status> UpsertUsers(std::span<const UserRecord> users) = 0;
  virtual Result<UserRecord> GetUser(const UserId& id) = 0;
  // Deletes the profile; the events stay. Forget() is what erases a person.
  virtual Status DeleteUser(const UserId& id) = 0;
  virtual Result<Page<UserRecord>> ListUsers(std::string_view cursor, int limit) = 0;

  // Calls `done` with one result an event, once all accepted ones are on disk; from any thread.
  // Waits itself for a write when a person or an item is new: not for a thread that must not block.
  // When the queue is full every event is rejected with kResourceExhausted.
  virtual void RecordEvents(std::vector<Event> events,
                            std::function<void(std::vector<EventResult>)> done) = 0;
  std::vector<EventResult> RecordEventsAndWait(std::vector<Event> events);

  virtual Result<RecommendResponse> Recommend(const RecommendRequest& request) = 0;
  virtual Result<RecommendResponse> Rerank(const RerankRequest& request) = 0;
  virtual Result<std::vector<ScoredItem>> Similar(const ItemId& item, int limit) = 0;
  virtual Result<std::vector<ScoredItem>> Popular(std::string_view category, int limit) = 0;
  virtual Result<std::vector<ScoredItem>> Trending(std::string_view category, int limit) = 0;
  virtual Result<DecisionRecord> FindDecision(const DecisionId& id) = 0;

  virtual Result<ForgetReceipt> Forget(const UserId& id) = 0;

  // Trains every configured model on all events and publishes them together; waits.
  virtual Result<std::vector<ModelDescription>> Train(Progress* progress) = 0;
  // Asks for the same in the background. Errors  kFailedPrecondition when one is under way.
  virtual Status RequestTraining() = 0;
  // Serves the publication before this one again.
  virtual Status RollBack() = 0;
  virtual std::vector<ModelDescription> Models() = 0;

  virtual EngineState State() = 0;
  virtual Status Export(const ExportSink& sink) = 0;

  // Documents beside the catalog that a door keeps: API keys.
  virtual Tables& tables() = 0;

  // What is due by the clock: outcome windows, shared lists, training schedule, snapshots. The
  // background thread calls it; a simulation calls it itself after moving its clock.
  virtual Status Tick() = 0;
  virtual void StartBackground() = 0;
  // Waits until every event acknowledged so far has reached posteriors and live state.
  virtual Status Settle() = 0;
  // Saves state so that the next start is fast; stops the background. Idempotent.
  virtual Status Close() = 0;
};

}  // namespace poise
