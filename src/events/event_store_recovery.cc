// SPDX-License-Identifier: Apache-2.0
//
// EventStore's snapshots and replay (docs/formats/events.md).
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "base/bytes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "catalog/catalog.h"
#include "crypto/seal.h"
#include "events/event_store_state.h"
#include "storage/env.h"
#include "storage/snapshot.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::string_view kSnapshotKind = "live-state";
constexpr std::uint32_t kSnapshotVersion = 1;
constexpr std::string_view kSnapshotRow = "live-state";
constexpr std::uint8_t kRowVersion = 1;
constexpr std::string_view kFilePrefix = "live-state.";
constexpr std::string_view kFileSuffix = ".snapshot";

constexpr std::size_t kOpenGrain = 128;
// From so many records on, all keys are read at once rather than one by one.
constexpr std::uint64_t kManyRecords = 50'000;

std::string FileName(std::uint64_t number) {
  return fmt::format("{}{}{}", kFilePrefix, number, kFileSuffix);
}

std::string ShardSection(std::size_t shard) { return fmt::format("store/live/{:03}", shard); }

// Which file is the snapshot, and the key it is sealed under.
struct SnapshotRow {
  std::uint64_t number = 0;
  SecretBytes key;
};

Result<SnapshotRow> ParseSnapshotRow(std::string_view bytes, std::string_view wrapping_key) {
  ByteReader in(bytes);
  const auto version = in.Fixed<std::uint8_t>();
  SnapshotRow row;
  row.number = in.Fixed<std::uint64_t>();
  const std::string_view wrapped = in.Text();
  if (!in.ok() || !in.IsAtEnd() || version != kRowVersion) {
    return DataLoss("snapshots: the row is damaged, or newer than this program");
  }
  POISE_ASSIGN_OR_RETURN(row.key, UnwrapKey(wrapping_key, wrapped, kSnapshotRow));
  return row;
}

// What a replayed record says, once it is opened.
struct OpenedRecord {
  RecordHead head;
  bool is_open = false;  // false: its key was destroyed
  std::string body;      // of a decision
  StoredEvent event;
  Interaction interaction;
  std::uint64_t hash = 0;
};

}  // namespace

void RecordChunk::Add(const LogRecord& record) {
  places_.push_back({record.position, bytes_.size(), record.payload.size(), record.kind});
  bytes_ += record.payload;
}

void RecordChunk::Clear() {
  bytes_.clear();
  places_.clear();
}

LogRecord RecordChunk::operator[](std::size_t i) const {
  const Place& place = places_[i];
  return {place.position, place.kind, std::string_view(bytes_).substr(place.begin, place.size)};
}

Status ScanChunks(const SegmentLog& log, LogPosition from,
                  const std::function<Status(const RecordChunk&)>& visit) {
  RecordChunk chunk;
  Status visited;
  const Status scanned = log.Scan(from, [&](const LogRecord& record) {
    chunk.Add(record);
    if (!chunk.IsFull()) return true;
    visited = visit(chunk);
    chunk.Clear();
    return visited.ok();
  });
  POISE_RETURN_IF_ERROR(scanned);
  POISE_RETURN_IF_ERROR(visited);
  if (chunk.size() > 0) POISE_RETURN_IF_ERROR(visit(chunk));
  return Status::Ok();
}

Status EventStore::State::SaveSnapshot(LogPosition at_least) {
  const std::lock_guard snapshot_lock(snapshot_mutex);
  // Somebody else's snapshot, made while this one waited, may do.
  if (at_least.value > 0 && snapshot_position >= at_least.value) return Status::Ok();

  SnapshotWriter writer;
  const LogPosition durable_end = parts.log.end();
  LogPosition position;
  std::string totals;
  {
    const std::lock_guard lock(apply_mutex);
    position = applied_end;
    {
      // Decisions alone do not move applied_end. With nothing under way, what was durable above is
      // applied.
      const std::lock_guard work_lock(work_mutex);
      if (work_count == 0) position = std::max(position, durable_end);
    }
    ByteWriter header;
    header.Fixed(position.value);
    header.Fixed(row_epoch);
    header.Varint(forgotten.size());
    for (const auto& [user, generation] : forgotten) {
      header.Raw(user.view());
      header.Fixed(generation);
    }
    writer.AddSection("store/header", header.bytes());
    live->BeginCapture();
    totals = live->CaptureTotals();
    if (hooks.save) hooks.save(writer);
  }
  writer.AddSection("store/totals", totals);
  for (std::size_t i = 0; i < LiveState::kShardCount; ++i) {
    writer.AddSection(ShardSection(i), live->TakeShard(i));
  }
  live->EndCapture();
  // May hold keys of records behind `position` too: they are in the log, so they are duplicates.
  writer.AddArray("store/window", window->Hashes());

  const SecretBytes key{RandomKey()};
  const std::uint64_t number = snapshot_number + 1;
  const std::string path = options.snapshot_directory + "/" + FileName(number);
  POISE_RETURN_IF_ERROR(
      writer.WriteTo(parts.env, path, kSnapshotKind, kSnapshotVersion, key.view()));
  POISE_ASSIGN_OR_RETURN(const std::string wrapped,
                         WrapKey(snapshot_wrapping_key.view(), key.view(), kSnapshotRow));
  ByteWriter row;
  row.Fixed(kRowVersion);
  row.Fixed(number);
  row.Text(wrapped);
  // From here on the new file is the snapshot, and the old one's key is gone.
  POISE_RETURN_IF_ERROR(parts.tables.Put(kSnapshotTable, kSnapshotRow, row.bytes()));
  const std::string old_path = options.snapshot_directory + "/" + FileName(snapshot_number);
  if (snapshot_number > 0 && parts.env.Exists(old_path)) {
    if (const Status removed = parts.env.Remove(old_path); !removed.ok()) {
      LogWarning("an old snapshot stays until the next start: " + removed.message());
    }
  }
  snapshot_number = number;
  snapshot_position = position.value;
  return Status::Ok();
}

Status EventStore::State::RestoreSections(ThreadPool& pool, const SnapshotReader& reader) {
  POISE_ASSIGN_OR_RETURN(const std::string_view header, reader.Section("store/header"));
  ByteReader in(header);
  const LogPosition position{in.Fixed<std::uint64_t>()};
  const auto epoch = in.Fixed<std::uint64_t>();
  const std::uint64_t forgotten_count = in.Varint();
  for (std::uint64_t i = 0; i < forgotten_count && in.ok(); ++i) {
    const std::string_view user = in.Raw(sizeof(UserKey));
    const auto generation = in.Fixed<std::uint32_t>();
    if (in.ok()) forgotten.insert({UserKey::FromBytes(user), generation});
  }
  if (!in.ok() || !in.IsAtEnd()) return DataLoss("snapshot: its header is damaged");

  POISE_ASSIGN_OR_RETURN(const std::string_view totals, reader.Section("store/totals"));
  POISE_RETURN_IF_ERROR(live->RestoreTotals(totals));
  std::vector<Status> statuses(LiveState::kShardCount);
  pool.ParallelFor(LiveState::kShardCount, 8, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      const auto bytes = reader.Section(ShardSection(i));
      statuses[i] = bytes.ok() ? live->RestoreShard(i, *bytes) : bytes.status();
    }
  });
  for (const Status& status : statuses) POISE_RETURN_IF_ERROR(status);
  POISE_ASSIGN_OR_RETURN(const auto hashes, reader.Array<std::uint64_t>("store/window"));
  for (const std::uint64_t hash : hashes) window->Remember(hash);
  if (hooks.load) POISE_RETURN_IF_ERROR(hooks.load(reader));
  applied_end = position;
  row_epoch = epoch;
  return Status::Ok();
}

Status EventStore::State::LoadSnapshot(ThreadPool& pool, ReplayReport& report) {
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                         parts.tables.Get(kSnapshotTable, kSnapshotRow));
  std::string current;
  if (bytes) {
    auto row = ParseSnapshotRow(*bytes, snapshot_wrapping_key.view());
    Status loaded = row.status();
    if (row.ok()) {
      snapshot_number = row->number;
      current = FileName(row->number);
      const auto reader = SnapshotReader::Open(
          parts.env, options.snapshot_directory + "/" + current, kSnapshotKind, row->key.view());
      loaded = reader.ok() ? RestoreSections(pool, **reader) : reader.status();
    }
    if (loaded.ok()) {
      report.had_snapshot = true;
      report.snapshot_position = applied_end;
      snapshot_position = applied_end.value;
    } else {
      // It only saves time: the log has everything, unless retention shortened it.
      Reset();
      if (hooks.reset) hooks.reset();
      report.detail += fmt::format(
          "The snapshot could not be used ({}); the log is replayed from "
          "its start. ",
          loaded.message());
    }
  }
  // Files that no row names: of a save that did not finish, or replaced but not yet removed.
  POISE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                         parts.env.List(options.snapshot_directory));
  for (const std::string& name : names) {
    if (name.starts_with(kFilePrefix) && name != current) {
      POISE_RETURN_IF_ERROR(parts.env.Remove(options.snapshot_directory + "/" + name));
    }
  }
  return Status::Ok();
}

Status EventStore::State::Replay(ThreadPool& pool, ReplayReport& report) {
  const LogPosition end = parts.log.end();
  if (applied_end > end) {
    return DataLoss(fmt::format(
        "the log ends at record {}, but the snapshot stands for {}: acknowledged events are "
        "missing; put the log's files back, or remove {}/{} to go on without them",
        end.value, applied_end.value, options.snapshot_directory, FileName(snapshot_number)));
  }
  boost::unordered_flat_map<UserKey, PersonKey, UserKeyHash> keys;
  const bool has_many = end.value - applied_end.value > kManyRecords;
  if (has_many) {
    POISE_RETURN_IF_ERROR(parts.keys.ForEachKey(
        [&](const UserKey& user, const PersonKey& key) { keys.emplace(user, key); }));
  }
  const auto key_of = [&](const RecordHead& head) -> Result<std::optional<PersonKey>> {
    if (!has_many || head.generation == nobody.generation()) return KeyOf(head);
    const auto found = keys.find(head.user);
    if (found == keys.end() || found->second.generation() != head.generation) {
      return std::optional<PersonKey>();
    }
    return std::optional<PersonKey>(found->second);
  };

  std::vector<OpenedRecord> opened(RecordChunk::kMaxRecords);
  std::vector<std::string> scratch(pool.thread_count());
  const auto open = [&](const LogRecord& record, OpenedRecord& out, std::string& buffer) -> Status {
    POISE_ASSIGN_OR_RETURN(out.head, DecodeRecordHead(record.kind, record.payload));
    out.is_open = false;
    out.hash = 0;
    if (out.head.kind == RecordKind::kForgotten) return Status::Ok();
    POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, key_of(out.head));
    if (!key) return Status::Ok();
    POISE_ASSIGN_OR_RETURN(const std::string_view body, OpenRecordBody(out.head, *key, buffer));
    out.is_open = true;
    if (out.head.kind == RecordKind::kDecision) {
      out.body = body;
      return Status::Ok();
    }
    POISE_ASSIGN_OR_RETURN(const EventPayload payload, DecodeEventBody(body));
    out.interaction = payload.AsInteraction();
    out.event = StoredEvent{};
    out.event.user = out.head.user;
    out.event.item = payload.item;
    out.event.type = payload.type;
    out.event.value = payload.value;
    out.event.quantity = payload.quantity;
    out.event.decision = payload.decision;
    out.event.time = payload.time;
    out.event.position = record.position;
    if (!payload.idempotency_key.empty()) {
      out.hash = HashOf(out.head.user, out.head.generation, payload.idempotency_key);
    }
    return Status::Ok();
  };
  const auto apply = [&](const OpenedRecord& record, LogPosition position) {
    const UserKey& user = record.head.user;
    switch (record.head.kind) {
      case RecordKind::kForgotten:
        ApplyForgotten(user, record.head.generation);
        replayed_markers.emplace_back(user, record.head.generation);
        break;
      case RecordKind::kDecision:
        if (!record.is_open) {
          ++report.forgotten_record_count;
          break;
        }
        ++report.decision_count;
        if (parts.listener != nullptr) {
          parts.listener->OnDecision({user, record.head.decision, record.body, position});
        }
        break;
      case RecordKind::kEvent: {
        if (IsForgotten(user, record.head.generation)) {
          ++report.forgotten_record_count;
          break;
        }
        if (!record.is_open) {
          // It had a row when it could be read, so it has one now, until its marker comes.
          live->Touch(user);
          ++report.forgotten_record_count;
          break;
        }
        ++report.event_count;
        if (record.hash != 0) window->Remember(record.hash);
        StoredEvent event = record.event;
        event.row = live->Apply(user, record.interaction);
        if (parts.listener != nullptr) parts.listener->OnEvent(event);
        break;
      }
    }
  };

  const Status scanned =
      ScanChunks(parts.log, applied_end, [&](const RecordChunk& chunk) -> Status {
        if (opened.size() < chunk.size()) opened.resize(chunk.size());
        std::mutex failure_mutex;
        Status failure;
        pool.ParallelFor(chunk.size(), kOpenGrain,
                         [&](std::size_t begin, std::size_t end_of_range, std::size_t worker) {
                           for (std::size_t i = begin; i < end_of_range; ++i) {
                             const Status status = open(chunk[i], opened[i], scratch[worker]);
                             if (status.ok()) continue;
                             const std::lock_guard lock(failure_mutex);
                             failure = Status(status.code(), fmt::format("log record {}: {}",
                                                                         chunk[i].position.value,
                                                                         status.message()));
                           }
                         });
        POISE_RETURN_IF_ERROR(failure);
        const std::lock_guard lock(apply_mutex);
        for (std::size_t i = 0; i < chunk.size(); ++i) apply(opened[i], chunk[i].position);
        return Status::Ok();
      });
  POISE_RETURN_IF_ERROR(scanned);
  const std::lock_guard lock(apply_mutex);
  applied_end = std::max(applied_end, end);
  return Status::Ok();
}

// A marker without its consequences: the process died between the two.
Status EventStore::State::FinishForgetting() {
  if (replayed_markers.empty()) return Status::Ok();
  for (const auto& [user, generation] : replayed_markers) {
    POISE_ASSIGN_OR_RETURN(const std::optional<PersonKey> key, parts.keys.Find(user));
    // With another generation they came back since, and what they have now stays.
    if (!key || key->generation() == generation) {
      POISE_RETURN_IF_ERROR(parts.catalog.EraseUser(user));
    }
    POISE_RETURN_IF_ERROR(parts.keys.Destroy(user, generation).status());
  }
  replayed_markers.clear();
  POISE_RETURN_IF_ERROR(SaveSnapshot(LogPosition{}));
  return parts.tables.ErasePhysically();
}

Result<ReplayReport> EventStore::Recover(ThreadPool& pool, SnapshotHooks hooks) {
  POISE_CHECK(!state_->is_recovered);
  state_->hooks = std::move(hooks);
  ReplayReport report;
  POISE_RETURN_IF_ERROR(state_->LoadSnapshot(pool, report));
  if (!report.had_snapshot && state_->parts.log.begin() > LogPosition{1}) {
    report.detail += "Events older than the log's first segment are not in the live state. ";
  }
  POISE_RETURN_IF_ERROR(state_->Replay(pool, report));
  POISE_RETURN_IF_ERROR(state_->FinishForgetting());
  state_->is_recovered = true;
  return report;
}

}  // namespace poise
