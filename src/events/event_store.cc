// SPDX-License-Identifier: Apache-2.0
#include "events/event_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <future>

#include "base/check.h"
#include "base/thread_pool.h"
#include "catalog/catalog.h"
#include "crypto/seal.h"
#include "events/event_store_state.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::size_t kOpenGrain = 256;
// How far a decision's own time may be from the time of the batch it was logged in.
constexpr std::chrono::seconds kDecisionSlack{60};

// A record of one event needs about this much.
constexpr std::size_t kTypicalRecordBytes = 96;

}  // namespace

EventStore::State::State(const Parts& store_parts, const Options& store_options)
    : parts(store_parts),
      options(store_options),
      idempotency_hasher(parts.master.Derive("idempotency").view(), "event"),
      nobody(0, parts.master.Derive("decisions-of-nobody").view()),
      snapshot_wrapping_key(parts.master.Derive("snapshot")) {
  Reset();
}

void EventStore::State::Reset() {
  live = std::make_unique<LiveState>(LiveState::Options{.history_length = options.history_length});
  window = std::make_unique<IdempotencyWindow>(options.idempotency_window);
  forgotten.clear();
  applied_end = std::max(LogPosition{1}, parts.log.begin());
  row_epoch = applied_end.value;
}

Result<std::unique_ptr<EventStore>> EventStore::Open(const Parts& parts, Options options) {
  if (options.history_length < 1 || options.history_length > LiveState::kMaxHistoryLength) {
    return InvalidArgument(fmt::format("history_length: must be in [1, {}], got {}",
                                       LiveState::kMaxHistoryLength, options.history_length));
  }
  if (options.snapshot_directory.empty()) {
    return InvalidArgument("snapshot_directory: must not be empty");
  }
  POISE_RETURN_IF_ERROR(parts.env.MakeDirectories(options.snapshot_directory));
  return std::unique_ptr<EventStore>(
      new EventStore(std::make_unique<State>(parts, std::move(options))));
}

EventStore::EventStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventStore::~EventStore() { state_->WaitForWork(); }

void EventStore::State::BeginWork() {
  const std::lock_guard lock(work_mutex);
  ++work_count;
}

void EventStore::State::EndWork() {
  // Notified under the lock: whoever waits may destroy this object right afterwards.
  const std::lock_guard lock(work_mutex);
  if (--work_count == 0) work_done.notify_all();
}

void EventStore::State::WaitForWork() {
  std::unique_lock lock(work_mutex);
  work_done.wait(lock, [&] { return work_count == 0; });
}

std::uint64_t EventStore::State::HashOf(const UserKey& user, std::uint32_t generation,
                                        std::string_view idempotency_key) const {
  // With the generation: who was forgotten and comes back starts anew.
  std::string text(user.view());
  text.append(reinterpret_cast<const char*>(&generation), sizeof generation);
  text += idempotency_key;
  const auto bytes = idempotency_hasher.Hash(text);
  std::uint64_t hash;
  std::memcpy(&hash, bytes.data(), sizeof hash);
  // Zero stands for none.
  return std::max<std::uint64_t>(hash, 1);
}

Result<std::optional<PersonKey>> EventStore::State::KeyOf(const RecordHead& head) const {
  if (head.generation == nobody.generation()) return std::optional<PersonKey>(nobody);
  POISE_ASSIGN_OR_RETURN(std::optional<PersonKey> key, parts.keys.Find(head.user));
  if (key && key->generation() != head.generation) key.reset();
  return key;
}

void EventStore::State::ApplyForgotten(const UserKey& user, std::uint32_t generation) {
  // A second marker of two concurrent calls must not touch who came back in between.
  if (!forgotten.insert({user, generation}).second) return;
  live->Forget(user);
  if (parts.listener != nullptr) parts.listener->OnForget(user);
}

void EventStore::State::Close(const std::shared_ptr<Batch>& batch) {
  if (batch->open_count.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    batch->done(std::move(batch->results));
  }
}

void EventStore::Append(std::span<const Event> events, Done done) {
  POISE_CHECK(state_->is_recovered);
  state_->Append(events, std::move(done));
}

void EventStore::State::Append(std::span<const Event> events, Done done) {
  auto batch = std::make_shared<Batch>();
  batch->results.resize(events.size());
  batch->done = std::move(done);

  const auto reject = [&](std::size_t place, const Status& status) {
    batch->results[place] = {AppendResult::Outcome::kRejected, status};
  };
  const Timestamp now = parts.clock.Now();
  std::vector<std::size_t> places;
  std::vector<PersonRef> people;
  std::vector<const ItemId*> items;
  places.reserve(events.size());
  people.reserve(events.size());
  items.reserve(events.size());
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    if (const Status valid = ValidateEvent(event, now); !valid.ok()) {
      reject(i, valid);
      continue;
    }
    places.push_back(i);
    people.push_back(event.user.value.empty() ? parts.keys.Visitor(event.session)
                                              : parts.keys.User(event.user));
    items.push_back(&event.item);
  }
  if (places.empty()) return Close(batch);

  // Both are on disk before a record can name them.
  const auto person_keys = parts.keys.Ensure(people);
  const auto rows = person_keys.ok() ? parts.catalog.EnsureRows(items)
                                     : Result<std::vector<ItemRow>>(person_keys.status());
  if (!rows.ok()) {
    for (const std::size_t place : places) reject(place, rows.status());
    return Close(batch);
  }

  LogBatch records(now);
  Fill(batch, events, places, people, *person_keys, *rows, records);
  if (records.empty()) return Close(batch);

  BeginWork();
  const Status queued =
      parts.log.AppendAsync(std::move(records), [this, batch](Result<LogPosition> first) {
        OnCommit(batch, first);
        EndWork();
      });
  if (!queued.ok()) {
    Fail(batch, queued);
    Close(batch);
    EndWork();
  }
}

void EventStore::State::Fill(const std::shared_ptr<Batch>& batch, std::span<const Event> events,
                             const std::vector<std::size_t>& places,
                             const std::vector<PersonRef>& people,
                             const std::vector<PersonKey>& person_keys,
                             const std::vector<ItemRow>& rows, LogBatch& records) {
  batch->pending.reserve(places.size());
  records.Reserve(places.size() * kTypicalRecordBytes);
  std::string record;
  for (std::size_t k = 0; k < places.size(); ++k) {
    const std::size_t place = places[k];
    const Event& event = events[place];
    const PersonKey& key = person_keys[k];
    std::uint64_t hash = 0;
    if (!event.idempotency_key.empty()) {
      hash = HashOf(people[k].key, key.generation(), event.idempotency_key);
      // Counted before it can be called.
      batch->open_count.fetch_add(1, std::memory_order_relaxed);
      const auto claim = window->TryClaim(hash, [batch, place](const Status& first) {
        batch->results[place] = first.ok()
                                    ? AppendResult{AppendResult::Outcome::kDuplicate, Status::Ok()}
                                    : AppendResult{AppendResult::Outcome::kRejected, first};
        Close(batch);
      });
      if (claim == IdempotencyWindow::Claim::kPending) continue;
      batch->open_count.fetch_sub(1, std::memory_order_relaxed);
      if (claim == IdempotencyWindow::Claim::kStored) {
        batch->results[place].outcome = AppendResult::Outcome::kDuplicate;
        continue;
      }
    }
    EventPayload payload;
    payload.item = rows[k];
    payload.type = event.type;
    payload.custom_type = event.custom_type;
    payload.value = event.value;
    payload.quantity = event.quantity;
    payload.session = event.session;
    payload.idempotency_key = event.idempotency_key;
    payload.decision = event.decision;
    payload.time = event.time;

    record.clear();
    Status encoded = EncodeEventRecord(people[k].key, key, payload, options.sealing, record);
    if (encoded.ok()) encoded = records.Add(static_cast<std::uint8_t>(RecordKind::kEvent), record);
    if (!encoded.ok()) {
      batch->results[place] = {AppendResult::Outcome::kRejected, encoded};
      if (hash != 0) {
        for (const auto& waiter : window->Release(hash)) waiter(encoded);
      }
      continue;
    }
    Batch::Pending pending;
    pending.place = place;
    pending.user = people[k].key;
    pending.generation = key.generation();
    pending.hash = hash;
    pending.interaction = payload.AsInteraction();
    pending.event.user = people[k].key;
    pending.event.item = rows[k];
    pending.event.type = event.type;
    pending.event.value = event.value;
    pending.event.quantity = event.quantity;
    pending.event.decision = event.decision;
    pending.event.time = event.time;
    batch->pending.push_back(std::move(pending));
  }
}

void EventStore::State::Fail(const std::shared_ptr<Batch>& batch, const Status& status) {
  IdempotencyWindow::Waiters waiters;
  for (const Batch::Pending& pending : batch->pending) {
    batch->results[pending.place] = {AppendResult::Outcome::kRejected, status};
    if (pending.hash == 0) continue;
    for (auto& waiter : window->Release(pending.hash)) waiters.push_back(std::move(waiter));
  }
  for (const auto& waiter : waiters) waiter(status);
}

void EventStore::State::OnCommit(const std::shared_ptr<Batch>& batch,
                                 const Result<LogPosition>& first) {
  if (!first.ok()) {
    Fail(batch, first.status());
    return Close(batch);
  }
  IdempotencyWindow::Waiters waiters;
  {
    const std::lock_guard lock(apply_mutex);
    LogPosition position = *first;
    POISE_CHECK(position >= applied_end);
    for (Batch::Pending& pending : batch->pending) {
      pending.event.position = position;
      ++position.value;
      // Under the lock, so that a snapshot at this position knows the key.
      if (pending.hash != 0) {
        for (auto& waiter : window->Commit(pending.hash)) waiters.push_back(std::move(waiter));
      }
      // The person was forgotten while this was on its way.
      if (IsForgotten(pending.user, pending.generation)) continue;
      pending.event.row = live->Apply(pending.user, pending.interaction);
      if (parts.listener != nullptr) parts.listener->OnEvent(pending.event);
    }
    applied_end = position;
  }
  for (const auto& waiter : waiters) waiter(Status::Ok());
  Close(batch);
}

std::vector<AppendResult> EventStore::AppendAndWait(std::span<const Event> events) {
  std::promise<std::vector<AppendResult>> promise;
  Append(events, [&](std::vector<AppendResult> results) { promise.set_value(std::move(results)); });
  return promise.get_future().get();
}

Status EventStore::AppendDecision(const std::optional<PersonRef>& person, const DecisionId& id,
                                  std::string_view payload) {
  POISE_CHECK(state_->is_recovered);
  PersonKey key = state_->nobody;
  UserKey user;
  if (person) {
    POISE_ASSIGN_OR_RETURN(key, state_->parts.keys.Ensure(*person));
    user = person->key;
  }
  std::string record;
  POISE_RETURN_IF_ERROR(
      EncodeDecisionRecord(user, key, id, payload, state_->options.sealing, record));
  POISE_RETURN_IF_ERROR(state_->parts.log.AppendBuffered(
      static_cast<std::uint8_t>(RecordKind::kDecision), record, Timestamp{id.millis() * 1000}));
  ++state_->buffered_count;
  return Status::Ok();
}

Result<StoredDecision> EventStore::FindDecision(const DecisionId& id) const {
  const Status not_found =
      NotFound(fmt::format("decisionId: no decision {}", FormatDecisionId(id)));
  const Timestamp decided{id.millis() * 1000};
  if (const std::uint64_t buffered = state_->buffered_count; buffered > state_->flushed_count) {
    // A failure is the appender's affair: what could not be kept is not found.
    (void)state_->parts.log.Flush();
    std::uint64_t flushed = state_->flushed_count;
    while (flushed < buffered && !state_->flushed_count.compare_exchange_weak(flushed, buffered)) {
    }
  }

  for (const SegmentSummary& segment : state_->parts.log.Segments()) {
    const bool has_times = segment.last_time.micros != 0;
    if (has_times && (decided < segment.first_time - kDecisionSlack ||
                      decided > segment.last_time + kDecisionSlack)) {
      continue;
    }
    StoredDecision found;
    std::string bytes;
    Status broken;
    const Status scanned = state_->parts.log.Scan(segment.first, [&](const LogRecord& record) {
      if (record.position >= segment.end) return false;
      if (record.kind != static_cast<std::uint8_t>(RecordKind::kDecision)) return true;
      const auto head = DecodeRecordHead(record.kind, record.payload);
      if (!head.ok()) broken = head.status();
      if (!head.ok() || head->decision != id) return head.ok();
      bytes = record.payload;
      found.position = record.position;
      return false;
    });
    POISE_RETURN_IF_ERROR(scanned);
    POISE_RETURN_IF_ERROR(broken);
    if (bytes.empty()) continue;
    POISE_ASSIGN_OR_RETURN(
        const RecordHead head,
        DecodeRecordHead(static_cast<std::uint8_t>(RecordKind::kDecision), bytes));
    POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, state_->KeyOf(head));
    if (!key) return not_found;
    std::string scratch;
    POISE_ASSIGN_OR_RETURN(const std::string_view body, OpenRecordBody(head, *key, scratch));
    found.user = head.user;
    found.id = id;
    found.payload = body;
    return found;
  }
  return not_found;
}

const LiveState& EventStore::live() const { return *state_->live; }

Status EventStore::ScanInteractions(
    ThreadPool& pool, const std::function<void(std::span<const UserInteraction>)>& sink) const {
  struct Person {
    PersonKey key;
    UserRow row{};
  };
  boost::unordered_flat_map<UserKey, Person, UserKeyHash> people;
  POISE_RETURN_IF_ERROR(
      state_->parts.keys.ForEachKey([&](const UserKey& user, const PersonKey& key) {
        if (const auto row = state_->live->RowOf(user)) people.emplace(user, Person{key, *row});
      }));

  std::vector<UserInteraction> interactions;
  std::vector<char> is_there;
  std::vector<std::string> scratch(pool.thread_count());
  return ScanChunks(state_->parts.log, LogPosition{}, [&](const RecordChunk& chunk) {
    interactions.resize(chunk.size());
    is_there.assign(chunk.size(), 0);
    std::mutex failure_mutex;
    Status failure;
    const auto open = [&](std::size_t i, std::string& buffer) -> Status {
      const LogRecord record = chunk[i];
      if (record.kind != static_cast<std::uint8_t>(RecordKind::kEvent)) return Status::Ok();
      POISE_ASSIGN_OR_RETURN(const RecordHead head, DecodeRecordHead(record.kind, record.payload));
      const auto person = people.find(head.user);
      if (person == people.end() || person->second.key.generation() != head.generation) {
        return Status::Ok();
      }
      POISE_ASSIGN_OR_RETURN(const std::string_view body,
                             OpenRecordBody(head, person->second.key, buffer));
      POISE_ASSIGN_OR_RETURN(const EventPayload payload, DecodeEventBody(body));
      interactions[i] = {person->second.row, payload.AsInteraction()};
      is_there[i] = 1;
      return Status::Ok();
    };
    pool.ParallelFor(
        chunk.size(), kOpenGrain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
          for (std::size_t i = begin; i < end; ++i) {
            const Status opened = open(i, scratch[worker]);
            if (opened.ok()) continue;
            const std::lock_guard lock(failure_mutex);
            failure = Status(opened.code(), fmt::format("log record {}: {}",
                                                        chunk[i].position.value, opened.message()));
          }
        });
    POISE_RETURN_IF_ERROR(failure);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (is_there[i]) interactions[kept++] = interactions[i];
    }
    sink({interactions.data(), kept});
    return Status::Ok();
  });
}

Status EventStore::ExportEvents(const std::function<Status(const Event&)>& visit) const {
  struct Person {
    PersonKey key;
    OriginalId id;
  };
  boost::unordered_flat_map<UserKey, Person, UserKeyHash> people;
  POISE_RETURN_IF_ERROR(state_->parts.keys.ForEach(
      [&](const UserKey& user, const PersonKey& key, const OriginalId& id) {
        people.emplace(user, Person{key, id});
        return Status::Ok();
      }));
  std::string scratch;
  std::shared_ptr<const CatalogView> view = state_->parts.catalog.view();
  return ScanChunks(state_->parts.log, LogPosition{}, [&](const RecordChunk& chunk) -> Status {
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      const LogRecord record = chunk[i];
      if (record.kind != static_cast<std::uint8_t>(RecordKind::kEvent)) continue;
      POISE_ASSIGN_OR_RETURN(const RecordHead head, DecodeRecordHead(record.kind, record.payload));
      const auto person = people.find(head.user);
      if (person == people.end() || person->second.key.generation() != head.generation) continue;
      POISE_ASSIGN_OR_RETURN(const std::string_view body,
                             OpenRecordBody(head, person->second.key, scratch));
      POISE_ASSIGN_OR_RETURN(const EventPayload payload, DecodeEventBody(body));
      if (Index(payload.item) >= view->row_count()) view = state_->parts.catalog.view();
      if (Index(payload.item) >= view->row_count()) {
        return DataLoss(fmt::format("log record {}: names item row {}, which the catalog lacks",
                                    record.position.value, Index(payload.item)));
      }
      Event event;
      const OriginalId& id = person->second.id;
      if (id.kind == PersonKind::kUser) event.user.value = id.id;
      event.session = payload.session;
      event.item.value = view->Id(payload.item);
      event.type = payload.type;
      event.custom_type = payload.custom_type;
      event.value = payload.value;
      event.quantity = payload.quantity;
      event.idempotency_key = payload.idempotency_key;
      event.decision = payload.decision;
      event.time = payload.time;
      POISE_RETURN_IF_ERROR(visit(event));
    }
    return Status::Ok();
  });
}

Result<ForgetResult> EventStore::Forget(const UserKey& user) {
  POISE_CHECK(state_->is_recovered);
  ForgetResult result;
  result.forgotten = state_->parts.clock.Now();
  POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, state_->parts.keys.Find(user));
  // Without a key nothing that is kept can be read, so there is nothing to forget.
  if (!key) return result;
  result.was_known = true;

  std::string record;
  EncodeForgottenRecord(user, key->generation(), result.forgotten, record);
  LogBatch marker(result.forgotten);
  POISE_RETURN_IF_ERROR(marker.Add(static_cast<std::uint8_t>(RecordKind::kForgotten), record));
  std::promise<Result<LogPosition>> marked;
  state_->BeginWork();
  const Status queued = state_->parts.log.AppendAsync(
      std::move(marker),
      [this, &marked, user, generation = key->generation()](const Result<LogPosition>& position) {
        if (position.ok()) {
          const std::lock_guard lock(state_->apply_mutex);
          state_->ApplyForgotten(user, generation);
          state_->applied_end = LogPosition{position->value + 1};
        }
        State* const state = state_.get();
        marked.set_value(position);
        state->EndWork();
      });
  if (!queued.ok()) {
    state_->EndWork();
    return queued;
  }
  POISE_ASSIGN_OR_RETURN(const LogPosition position, marked.get_future().get());

  // The marker stands: should the process die from here on, recovery does the rest.
  POISE_RETURN_IF_ERROR(state_->parts.catalog.EraseUser(user));
  POISE_RETURN_IF_ERROR(state_->SaveSnapshot(LogPosition{position.value + 1}));
  POISE_ASSIGN_OR_RETURN(const bool destroyed, state_->parts.keys.Destroy(user, key->generation()));
  // Otherwise somebody else destroyed it, before the snapshot's old key was overwritten.
  if (!destroyed) POISE_RETURN_IF_ERROR(state_->parts.tables.ErasePhysically());
  return result;
}

Result<bool> EventStore::Remembers(const UserKey& user) const {
  if (state_->live->Remembers(user)) return true;
  POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, state_->parts.keys.Find(user));
  return key.has_value();
}

Status EventStore::SaveSnapshot() {
  POISE_CHECK(state_->is_recovered);
  return state_->SaveSnapshot(LogPosition{});
}

LogPosition EventStore::snapshot_position() const { return {state_->snapshot_position.load()}; }

Status EventStore::ApplyRetention(Timestamp received) {
  POISE_CHECK(state_->is_recovered);
  {
    const std::lock_guard lock(state_->apply_mutex);
    const std::int64_t seconds =
        std::clamp<std::int64_t>(received.seconds(), 0, std::numeric_limits<std::uint32_t>::max());
    state_->live->DropBefore(static_cast<std::uint32_t>(seconds));
  }
  LogPosition keep_from = state_->parts.log.begin();
  for (const SegmentSummary& segment : state_->parts.log.Segments()) {
    // A segment without times says nothing about its age, and stays.
    if (segment.last_time.micros == 0 || segment.last_time >= received) break;
    keep_from = segment.end;
  }
  if (keep_from <= state_->parts.log.begin()) return Status::Ok();
  POISE_RETURN_IF_ERROR(state_->SaveSnapshot(keep_from));
  return state_->parts.log.DropSegmentsBefore(std::min(keep_from, snapshot_position()));
}

Status EventStore::Settle() {
  POISE_RETURN_IF_ERROR(state_->parts.log.Flush());
  state_->WaitForWork();
  return Status::Ok();
}

std::uint64_t EventStore::row_epoch() const {
  const std::lock_guard lock(state_->apply_mutex);
  return state_->row_epoch;
}

std::uint64_t EventStore::event_count() const { return state_->live->interaction_count(); }

}  // namespace poise
