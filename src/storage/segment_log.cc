// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "crypto/random.h"
#include "storage/segment_format.h"
#include "storage/segment_recovery.h"

namespace poise {

namespace format = segment_format;

namespace {

constexpr std::size_t kMaxFrameBodyBytes = 8 * 1024 * 1024;
constexpr std::size_t kBufferedEntryBytes = 1024 * 1024;
constexpr std::uint64_t kSmallestSegmentBytes = 1024 * 1024;

using SteadyTime = std::chrono::steady_clock::time_point;

// What waits to be written: a batch that somebody waits for, or buffered records.
struct Entry {
  std::string bytes;
  std::uint32_t record_count = 0;
  std::int64_t first_micros = 0;
  std::int64_t last_micros = 0;
  SegmentLog::Done done;  // empty: buffered
};

// What a reader needs of a segment, copied under the lock.
struct SegmentView {
  std::shared_ptr<Segment> segment;
  std::shared_ptr<File> file;
  std::uint64_t start_offset = 0;
  std::uint64_t start_sequence = 0;
  std::uint64_t end_bytes = 0;
  std::uint64_t end_sequence = 0;
};

// A new segment file that has a durable header and name and no link yet.
using Spare = std::shared_ptr<Segment>;

}  // namespace

Status LogBatch::Add(std::uint8_t kind, std::string_view payload) {
  if (payload.size() > kMaxPayloadBytes) {
    return InvalidArgument("record: " + std::to_string(payload.size()) + " bytes, at most " +
                           std::to_string(kMaxPayloadBytes) + " are allowed");
  }
  if (bytes_.size() + format::kRecordHeaderBytes + payload.size() > kMaxBatchBytes) {
    return InvalidArgument("batch: at most " + std::to_string(kMaxBatchBytes) +
                           " bytes are allowed");
  }
  format::AppendRecord(bytes_, kind, payload);
  ++record_count_;
  return Status::Ok();
}

void LogBatch::Clear() {
  bytes_.clear();
  record_count_ = 0;
}

struct SegmentLog::State {
  State(Env& environment, std::string folder, Options chosen)
      : env(environment), directory(std::move(folder)), options(chosen) {}

  Env& env;
  const std::string directory;
  const Options options;
  std::unique_ptr<FileLock> lock;

  mutable std::mutex mutex;
  std::condition_variable commit_wakes;

  // The queue.
  std::deque<Entry> queue;
  std::size_t queued_bytes = 0;     // in `queue` and in the group under way
  std::size_t waiting_entries = 0;  // with a `done`
  std::size_t wake_at = 0;          // the commit thread sleeps until so many wait; 0: it is awake
  bool has_buffered = false;
  SteadyTime buffered_deadline;
  bool is_stopping = false;
  Status buffered_failure;
  Counters counters;

  // The segments.
  std::vector<std::shared_ptr<Segment>> segments;
  std::uint64_t end_sequence = 1;

  // Preparing the next segment.
  std::condition_variable prepare_wakes;
  std::condition_variable prepared;
  Spare spare;
  bool is_spare_wanted = false;
  bool is_preparing = false;
  bool is_spare_urgent = false;  // the commit thread stands still until it is there
  Status prepare_failure;
  std::uint64_t spare_bytes = 0;  // the least it must hold
  std::uint64_t next_ordinal = 1;
  std::vector<std::shared_ptr<Segment>> to_trim;
  bool is_done_preparing = false;

  // Of the commit thread alone.
  std::shared_ptr<Segment> active;
  std::size_t last_group_entries = 0;

  std::mutex retention_mutex;

  std::thread commit_thread;
  std::thread prepare_thread;

  Status Enqueue(Entry entry);
  void Wake() {
    if (wake_at != 0 && (waiting_entries >= wake_at || is_stopping)) commit_wakes.notify_one();
  }

  void RunCommits();
  // Requires  the mutex is held.
  std::vector<Entry> TakeGroup();
  void CommitGroup(std::vector<Entry>& group);
  Result<std::uint64_t> WriteGroup(const std::vector<Entry>& group, std::uint64_t body_bytes);
  Status EnsureRoom(std::uint64_t frame_bytes);
  void AbandonActive();
  void CloseCleanly();

  void RunPreparations();
  Result<Spare> Prepare(std::uint64_t least_bytes);
  Result<Spare> PrepareFile(std::uint64_t ordinal, std::uint64_t size_bytes);
  Status FillWithZeros(File& file, std::uint64_t size_bytes);
  void Trim(Segment& segment);

  std::vector<SegmentView> ViewsFrom(std::uint64_t sequence) const;
  // Calls visit(record) for records >= from; sets `stopped` when it says false.
  Status ScanSegment(const SegmentView& view, std::uint64_t from,
                     const std::function<bool(const LogRecord&)>& visit, bool& stopped) const;
};

// ---------------------------------------------------------------- queue

Status SegmentLog::State::Enqueue(Entry entry) {
  const std::lock_guard held(mutex);
  if (queued_bytes > 0 && queued_bytes + entry.bytes.size() > options.max_queue_bytes) {
    return ResourceExhausted("log queue: full with " + std::to_string(queued_bytes) +
                             " bytes, try again later");
  }
  queued_bytes += entry.bytes.size();
  ++waiting_entries;
  queue.push_back(std::move(entry));
  Wake();
  return Status::Ok();
}

Status SegmentLog::AppendAsync(LogBatch batch, Done done) {
  POISE_CHECK(done != nullptr);
  if (batch.empty()) return InvalidArgument("batch: has no records");
  return state_->Enqueue({std::move(batch.bytes_), batch.record_count_, batch.time_.micros,
                          batch.time_.micros, std::move(done)});
}

Result<LogPosition> SegmentLog::Append(LogBatch batch) {
  std::promise<Result<LogPosition>> promise;
  auto future = promise.get_future();
  POISE_RETURN_IF_ERROR(AppendAsync(
      std::move(batch), [&](Result<LogPosition> first) { promise.set_value(std::move(first)); }));
  return future.get();
}

Status SegmentLog::AppendBuffered(std::uint8_t kind, std::string_view payload, Timestamp time) {
  if (payload.size() > LogBatch::kMaxPayloadBytes) {
    return InvalidArgument("record: " + std::to_string(payload.size()) + " bytes, at most " +
                           std::to_string(LogBatch::kMaxPayloadBytes) + " are allowed");
  }
  // The checksum is computed outside of the lock.
  thread_local std::string encoded;
  encoded.clear();
  format::AppendRecord(encoded, kind, payload);

  State& state = *state_;
  const std::lock_guard held(state.mutex);
  if (state.queued_bytes > 0 &&
      state.queued_bytes + encoded.size() > state.options.max_queue_bytes) {
    return ResourceExhausted("log queue: full with " + std::to_string(state.queued_bytes) +
                             " bytes, try again later");
  }
  state.queued_bytes += encoded.size();
  const bool has_open_entry = !state.queue.empty() && state.queue.back().done == nullptr &&
                              state.queue.back().bytes.size() < kBufferedEntryBytes;
  if (!has_open_entry) state.queue.emplace_back();
  Entry& entry = state.queue.back();
  entry.bytes.append(encoded);
  ++entry.record_count;
  if (time.micros != 0) {
    entry.first_micros =
        entry.first_micros == 0 ? time.micros : std::min(entry.first_micros, time.micros);
    entry.last_micros =
        entry.last_micros == 0 ? time.micros : std::max(entry.last_micros, time.micros);
  }
  if (!state.has_buffered) {
    state.has_buffered = true;
    state.buffered_deadline =
        std::chrono::steady_clock::now() + state.options.buffered_commit_delay;
    if (state.wake_at != 0) state.commit_wakes.notify_one();
  }
  return Status::Ok();
}

Status SegmentLog::Flush() {
  std::promise<Status> promise;
  auto future = promise.get_future();
  Entry marker;
  marker.done = [&](Result<LogPosition> first) {
    promise.set_value(first.ok() ? Status::Ok() : first.status());
  };
  POISE_RETURN_IF_ERROR(state_->Enqueue(std::move(marker)));
  const Status status = future.get();
  const std::lock_guard held(state_->mutex);
  const Status buffered_failure = std::exchange(state_->buffered_failure, Status::Ok());
  return buffered_failure.ok() ? status : buffered_failure;
}

// ---------------------------------------------------------------- commit

void SegmentLog::State::RunCommits() {
  std::unique_lock held(mutex);
  while (true) {
    while (!is_stopping && waiting_entries == 0) {
      wake_at = 1;
      if (has_buffered) {
        if (commit_wakes.wait_until(held, buffered_deadline) == std::cv_status::timeout) break;
      } else {
        commit_wakes.wait(held);
      }
    }
    wake_at = 0;
    if (queue.empty()) {
      if (is_stopping) break;
      continue;
    }
    // Those whose batches were just acknowledged are about to come with the next ones.
    if (!is_stopping && last_group_entries > 1 && waiting_entries < last_group_entries) {
      const auto deadline =
          std::chrono::steady_clock::now() +
          std::min<std::chrono::nanoseconds>(options.max_commit_delay, counters.last_sync / 2);
      wake_at = last_group_entries;
      commit_wakes.wait_until(held, deadline,
                              [&] { return is_stopping || waiting_entries >= last_group_entries; });
      wake_at = 0;
    }
    std::vector<Entry> group = TakeGroup();
    held.unlock();
    CommitGroup(group);
    held.lock();
  }
  held.unlock();
  CloseCleanly();
}

std::vector<Entry> SegmentLog::State::TakeGroup() {
  std::vector<Entry> group;
  std::size_t body_bytes = 0;
  std::size_t taken_waiting = 0;
  while (!queue.empty() &&
         (group.empty() || body_bytes + queue.front().bytes.size() <= kMaxFrameBodyBytes)) {
    body_bytes += queue.front().bytes.size();
    if (queue.front().done != nullptr) ++taken_waiting;
    group.push_back(std::move(queue.front()));
    queue.pop_front();
  }
  waiting_entries -= taken_waiting;
  last_group_entries = taken_waiting;
  if (queue.empty()) has_buffered = false;
  return group;
}

void SegmentLog::State::CommitGroup(std::vector<Entry>& group) {
  std::uint64_t body_bytes = 0;
  std::uint64_t record_count = 0;
  std::uint64_t buffered_count = 0;
  for (const Entry& entry : group) {
    body_bytes += entry.bytes.size();
    record_count += entry.record_count;
    if (entry.done == nullptr) buffered_count += entry.record_count;
  }
  Result<std::uint64_t> first = end_sequence;
  if (record_count > 0) first = WriteGroup(group, body_bytes);
  {
    const std::lock_guard held(mutex);
    queued_bytes -= body_bytes;
    if (!first.ok()) {
      ++counters.failed_group_count;
      counters.lost_buffered_record_count += buffered_count;
      if (buffered_count > 0 && buffered_failure.ok()) buffered_failure = first.status();
    } else if (record_count > 0) {
      ++counters.group_count;
      counters.record_count += record_count;
    }
  }
  if (!first.ok() && buffered_count > 0) {
    LogError("log " + directory + ": " + std::to_string(buffered_count) +
             " buffered records could not be written: " + first.status().message());
  }
  std::uint64_t sequence = first.ok() ? *first : 0;
  for (Entry& entry : group) {
    if (entry.done != nullptr) {
      entry.done(first.ok() ? Result<LogPosition>(LogPosition{sequence}) : first.status());
    }
    sequence += entry.record_count;
  }
}

Result<std::uint64_t> SegmentLog::State::WriteGroup(const std::vector<Entry>& group,
                                                    std::uint64_t body_bytes) {
  const std::uint64_t frame_bytes = format::FrameBytes(body_bytes);
  POISE_RETURN_IF_ERROR(EnsureRoom(frame_bytes));
  Segment& segment = *active;
  const std::uint64_t first_sequence = end_sequence;
  const bool is_first_frame = segment.end_bytes == format::kFirstFrameOffset;

  format::FrameHeader header{.first_sequence = first_sequence,
                             .body_bytes = static_cast<std::uint32_t>(body_bytes)};
  Segment times;
  for (const Entry& entry : group) {
    header.record_count += entry.record_count;
    times.NoteTimes(entry.first_micros, entry.last_micros);
  }
  header.first_micros = times.first_micros;
  header.last_micros = times.last_micros;

  std::string start;
  std::uint64_t offset = segment.end_bytes;
  if (is_first_frame) {
    format::Link link{.first_sequence = first_sequence};
    const std::lock_guard held(mutex);
    if (!segments.empty()) {
      const Segment& previous = *segments.back();
      link.previous_ordinal = previous.ordinal;
      link.previous_end_bytes = previous.end_bytes;
      link.previous_first_micros = previous.first_micros;
      link.previous_last_micros = previous.last_micros;
    }
    start = format::EncodeLink(link, segment.salt);
    offset = format::kHeaderBytes;
  }
  start += format::EncodeFrameHeader(header, segment.salt, segment.end_bytes);
  const std::string padding(frame_bytes - format::kFrameHeaderBytes - body_bytes, '\0');
  std::vector<std::string_view> parts{start};
  parts.reserve(group.size() + 2);
  for (const Entry& entry : group) {
    if (!entry.bytes.empty()) parts.push_back(entry.bytes);
  }
  if (!padding.empty()) parts.push_back(padding);

  Status status = segment.file->WriteAt(offset, parts);
  const auto sync_start = std::chrono::steady_clock::now();
  if (status.ok() && options.fsync) status = segment.file->Sync();
  if (!status.ok()) {
    AbandonActive();
    LogError("log " + directory + ": a group of " + std::to_string(header.record_count) +
             " records failed: " + status.message());
    return status;
  }

  const std::lock_guard held(mutex);
  counters.last_sync = std::chrono::steady_clock::now() - sync_start;
  counters.written_bytes += frame_bytes;
  if (is_first_frame) {
    segment.first_sequence = first_sequence;
    if (!segments.empty()) {
      to_trim.push_back(segments.back());
      prepare_wakes.notify_one();
    }
    segments.push_back(active);
  }
  segment.NoteFrame(first_sequence, segment.end_bytes);
  segment.NoteTimes(header.first_micros, header.last_micros);
  segment.end_bytes += frame_bytes;
  segment.end_sequence = first_sequence + header.record_count;
  end_sequence = segment.end_sequence;
  if (spare == nullptr && !is_spare_wanted && segment.end_bytes > segment.allocated_bytes / 2) {
    is_spare_wanted = true;
    spare_bytes = 0;
    prepare_wakes.notify_one();
  }
  return first_sequence;
}

Status SegmentLog::State::EnsureRoom(std::uint64_t frame_bytes) {
  if (active != nullptr && active->end_bytes + frame_bytes <= active->allocated_bytes) {
    return Status::Ok();
  }
  const std::uint64_t least_bytes = format::kFirstFrameOffset + frame_bytes;
  std::unique_lock held(mutex);
  Spare too_small;
  if (spare != nullptr && spare->allocated_bytes < least_bytes) too_small = std::move(spare);
  if (too_small != nullptr) {
    held.unlock();
    static_cast<void>(env.Remove(too_small->path));
    held.lock();
  }
  if (spare == nullptr) {
    is_spare_urgent = true;
    prepared.wait(held, [&] { return !is_preparing; });
    if (spare == nullptr || spare->allocated_bytes < least_bytes) {
      if (spare != nullptr) static_cast<void>(env.Remove(std::exchange(spare, nullptr)->path));
      is_spare_wanted = true;
      spare_bytes = least_bytes;
      prepare_failure = Status::Ok();
      prepare_wakes.notify_one();
      prepared.wait(held, [&] { return spare != nullptr || !prepare_failure.ok(); });
    }
    is_spare_urgent = false;
    if (spare == nullptr) return prepare_failure;
  }
  if (active != nullptr && active->end_bytes == format::kFirstFrameOffset) {
    // Too small for the very first frame, so it is in no list.
    static_cast<void>(env.Remove(active->path));
  }
  active = std::exchange(spare, nullptr);
  return Status::Ok();
}

// After a failed write or sync nobody knows what the file holds behind its last durable frame, so
// nothing is written to it again. The cut is for tidiness; what counts is the next segment's link.
void SegmentLog::State::AbandonActive() {
  Segment& segment = *active;
  if (segment.end_bytes == format::kFirstFrameOffset) {
    static_cast<void>(env.Remove(segment.path));
    static_cast<void>(env.SyncDirectory(directory));
  } else {
    if (segment.file->Truncate(segment.end_bytes).ok()) static_cast<void>(segment.file->Sync());
    const std::lock_guard held(mutex);
    segment.allocated_bytes = segment.end_bytes;
    segment.file.reset();
  }
  active.reset();
}

// An empty frame behind the last one: after it, a damaged last frame cannot be taken for a torn
// one.
void SegmentLog::State::CloseCleanly() {
  if (active == nullptr || active->end_bytes == format::kFirstFrameOffset ||
      counters.group_count == 0 ||
      active->end_bytes + format::kFrameHeaderBytes > active->allocated_bytes) {
    return;
  }
  const format::FrameHeader header{.first_sequence = end_sequence};
  const std::string frame = format::EncodeFrameHeader(header, active->salt, active->end_bytes);
  if (!active->file->WriteAt(active->end_bytes, frame).ok() || !active->file->Sync().ok()) {
    AbandonActive();
  }
}

// ---------------------------------------------------------------- segments to come

void SegmentLog::State::RunPreparations() {
  std::unique_lock held(mutex);
  while (true) {
    prepare_wakes.wait(held,
                       [&] { return is_done_preparing || is_spare_wanted || !to_trim.empty(); });
    if (is_spare_wanted) {
      is_preparing = true;
      const std::uint64_t least_bytes = spare_bytes;
      held.unlock();
      auto made = Prepare(least_bytes);
      held.lock();
      is_preparing = false;
      is_spare_wanted = false;
      if (made.ok()) {
        spare = *std::move(made);
      } else {
        prepare_failure = made.status();
      }
      prepared.notify_all();
    } else if (!to_trim.empty()) {
      const std::shared_ptr<Segment> segment = to_trim.back();
      to_trim.pop_back();
      held.unlock();
      Trim(*segment);
      held.lock();
    } else {
      break;
    }
  }
  if (spare != nullptr) static_cast<void>(env.Remove(spare->path));
}

void SegmentLog::State::Trim(Segment& segment) {
  std::shared_ptr<File> file;
  std::uint64_t end_bytes = 0;
  {
    const std::lock_guard held(mutex);
    file = std::exchange(segment.file, nullptr);
    end_bytes = segment.end_bytes;
  }
  if (file == nullptr) return;
  // The next segment's link says where this one ends; only disk space depends on the cut.
  if (file->Truncate(end_bytes).ok()) {
    const std::lock_guard held(mutex);
    segment.allocated_bytes = end_bytes;
  }
}

Result<Spare> SegmentLog::State::Prepare(std::uint64_t least_bytes) {
  const std::uint64_t smallest =
      std::max(least_bytes, std::min(kSmallestSegmentBytes, options.segment_bytes));
  std::uint64_t size = std::max(options.segment_bytes, least_bytes);
  while (true) {
    POISE_ASSIGN_OR_RETURN(const std::uint64_t free_bytes, env.FreeBytes(directory));
    Result<Spare> made =
        ResourceExhausted(directory + ": the disk is full: " + std::to_string(free_bytes) +
                          " bytes are free, of which " + std::to_string(options.reserve_bytes) +
                          " are kept in reserve");
    if (free_bytes >= size + options.reserve_bytes) {
      std::uint64_t ordinal = 0;
      {
        const std::lock_guard held(mutex);
        ordinal = next_ordinal++;
      }
      made = PrepareFile(ordinal, size);
      if (!made.ok()) {
        static_cast<void>(env.Remove(directory + "/" + format::FileName(ordinal)));
      }
    }
    if (made.ok() || made.status().code() != StatusCode::kResourceExhausted || size == smallest) {
      return made;
    }
    size = std::max(smallest, size / 2);
  }
}

Result<Spare> SegmentLog::State::PrepareFile(std::uint64_t ordinal, std::uint64_t size_bytes) {
  auto segment = std::make_shared<Segment>();
  segment->ordinal = ordinal;
  segment->path = directory + "/" + format::FileName(ordinal);
  segment->allocated_bytes = size_bytes;
  segment->end_bytes = format::kFirstFrameOffset;
  std::array<std::uint8_t, sizeof segment->salt> salt;
  RandomBytes(salt);
  std::copy(salt.begin(), salt.end(), reinterpret_cast<std::uint8_t*>(&segment->salt));
  POISE_ASSIGN_OR_RETURN(segment->file, env.Open(segment->path, OpenMode::kCreate));
  POISE_RETURN_IF_ERROR(segment->file->Preallocate(size_bytes));
  POISE_RETURN_IF_ERROR(
      segment->file->WriteAt(0, format::EncodeHeader({.ordinal = ordinal, .salt = segment->salt})));
  POISE_RETURN_IF_ERROR(FillWithZeros(*segment->file, size_bytes));
  POISE_RETURN_IF_ERROR(segment->file->Sync());
  POISE_RETURN_IF_ERROR(env.SyncDirectory(directory));
  return segment;
}

// Space that was only reserved costs a change of metadata at its first write, which a later sync
// would wait for; written space does not. Left undone where somebody waits already.
Status SegmentLog::State::FillWithZeros(File& file, std::uint64_t size_bytes) {
  constexpr std::size_t kStep = 256 * 1024;
  const std::string zeros(std::min<std::uint64_t>(kStep, size_bytes), '\0');
  for (std::uint64_t at = 4096; at + zeros.size() <= size_bytes; at += zeros.size()) {
    {
      const std::lock_guard held(mutex);
      if (is_spare_urgent || is_stopping) return Status::Ok();
    }
    POISE_RETURN_IF_ERROR(file.WriteAt(at, zeros));
    POISE_RETURN_IF_ERROR(file.Sync());
  }
  return Status::Ok();
}

// ---------------------------------------------------------------- reading

std::vector<SegmentView> SegmentLog::State::ViewsFrom(std::uint64_t sequence) const {
  std::vector<SegmentView> views;
  const std::lock_guard held(mutex);
  for (const auto& segment : segments) {
    if (segment->end_sequence <= sequence) continue;
    SegmentView view{segment,
                     segment->file,
                     format::kFirstFrameOffset,
                     segment->first_sequence,
                     segment->end_bytes,
                     segment->end_sequence};
    const auto& starts = segment->frame_starts;
    auto after = std::upper_bound(starts.begin(), starts.end(), sequence,
                                  [](std::uint64_t wanted, const SegmentFrameStart& start) {
                                    return wanted < start.sequence;
                                  });
    if (after != starts.begin()) {
      --after;
      view.start_offset = after->offset;
      view.start_sequence = after->sequence;
    }
    views.push_back(std::move(view));
  }
  return views;
}

Status SegmentLog::State::ScanSegment(const SegmentView& view, std::uint64_t from,
                                      const std::function<bool(const LogRecord&)>& visit,
                                      bool& stopped) const {
  const Segment& segment = *view.segment;
  std::shared_ptr<File> file = view.file;
  if (file == nullptr) {
    auto opened = env.Open(segment.path, OpenMode::kRead);
    // Retention may have taken the segment since the scan began.
    if (!opened.ok() && segment.is_dropped.load()) return Status::Ok();
    if (!opened.ok()) return opened.status();
    file = *std::move(opened);
  }
  format::FrameReader reader(*file, segment.salt, view.start_offset, view.end_bytes);
  std::uint64_t expected = view.start_sequence;
  while (reader.offset() < view.end_bytes && expected < view.end_sequence) {
    const std::uint64_t offset = reader.offset();
    POISE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
    if (!frame || (!options.salvage && frame->header.first_sequence != expected)) {
      if (!options.salvage) {
        return DamagedSegment(segment.path, offset, "a frame has a wrong checksum");
      }
      POISE_ASSIGN_OR_RETURN(
          const auto next,
          format::FindFrame(*file, segment.salt, offset + format::kFrameAlignment, view.end_bytes));
      if (!next) return Status::Ok();
      reader.SkipTo(*next);
      continue;
    }
    const std::uint64_t after = frame->header.first_sequence + frame->header.record_count;
    // Only salvage comes here with a frame out of line: it belongs to what is damaged.
    if (frame->header.first_sequence < expected || after > view.end_sequence) continue;
    expected = after;
    if (expected <= from) continue;
    std::string_view body = frame->body;
    for (std::uint32_t i = 0; i < frame->header.record_count; ++i) {
      const auto record = format::TakeRecord(body);
      if (!record) {
        if (options.salvage) break;
        return DamagedSegment(segment.path,
                              offset + format::kFrameHeaderBytes + frame->body.size() - body.size(),
                              "a record has a wrong checksum");
      }
      const std::uint64_t sequence = frame->header.first_sequence + i;
      if (sequence < from) continue;
      if (!visit({{sequence}, record->kind, record->payload})) {
        stopped = true;
        return Status::Ok();
      }
    }
  }
  if (expected < view.end_sequence && !options.salvage) {
    return DamagedSegment(segment.path, reader.offset(), "records are missing at its end");
  }
  return Status::Ok();
}

Status SegmentLog::Scan(LogPosition from,
                        const std::function<bool(const LogRecord&)>& visit) const {
  bool stopped = false;
  for (const SegmentView& view : state_->ViewsFrom(from.value)) {
    POISE_RETURN_IF_ERROR(state_->ScanSegment(view, from.value, visit, stopped));
    if (stopped) break;
  }
  return Status::Ok();
}

Result<std::pair<std::uint8_t, std::string>> SegmentLog::Read(LogPosition position) const {
  std::optional<std::pair<std::uint8_t, std::string>> found;
  POISE_RETURN_IF_ERROR(Scan(position, [&](const LogRecord& record) {
    if (record.position == position) found.emplace(record.kind, record.payload);
    return false;
  }));
  if (!found) return NotFound("position " + std::to_string(position.value) + ": not in the log");
  return *std::move(found);
}

LogPosition SegmentLog::end() const {
  const std::lock_guard held(state_->mutex);
  return {state_->end_sequence};
}

LogPosition SegmentLog::begin() const {
  const std::lock_guard held(state_->mutex);
  return {state_->segments.empty() ? state_->end_sequence
                                   : state_->segments.front()->first_sequence};
}

std::vector<SegmentSummary> SegmentLog::Segments() const {
  std::vector<SegmentSummary> summaries;
  const std::lock_guard held(state_->mutex);
  for (const auto& segment : state_->segments) {
    summaries.push_back({.file_name = format::FileName(segment->ordinal),
                         .first = {segment->first_sequence},
                         .end = {segment->end_sequence},
                         .size_bytes = segment->end_bytes,
                         .first_time = {segment->first_micros},
                         .last_time = {segment->last_micros}});
  }
  return summaries;
}

Status SegmentLog::DropSegmentsBefore(LogPosition position) {
  State& state = *state_;
  const std::lock_guard one_at_a_time(state.retention_mutex);
  while (true) {
    std::shared_ptr<Segment> oldest;
    {
      const std::lock_guard held(state.mutex);
      // The last one stays: it says where the positions go on.
      if (state.segments.size() < 2) return Status::Ok();
      oldest = state.segments.front();
      if (oldest->end_sequence > position.value) return Status::Ok();
    }
    oldest->is_dropped.store(true);
    POISE_RETURN_IF_ERROR(state.env.Remove(oldest->path));
    {
      const std::lock_guard held(state.mutex);
      state.segments.erase(state.segments.begin());
    }
    // Each name by itself, so that no crash can leave a gap between segments.
    POISE_RETURN_IF_ERROR(state.env.SyncDirectory(state.directory));
  }
}

SegmentLog::Counters SegmentLog::counters() const {
  const std::lock_guard held(state_->mutex);
  Counters counters = state_->counters;
  counters.queued_bytes = state_->queued_bytes;
  return counters;
}

// ---------------------------------------------------------------- opening and closing

Result<std::unique_ptr<SegmentLog>> SegmentLog::Open(Env& env, std::string directory,
                                                     Options options, RecoveryReport* report) {
  if (options.segment_bytes < 1024) {
    return InvalidArgument("segment_bytes: must be at least 1024, is " +
                           std::to_string(options.segment_bytes));
  }
  RecoveryReport unused;
  if (report == nullptr) report = &unused;
  *report = {};
  POISE_RETURN_IF_ERROR(env.MakeDirectories(directory));
  auto state = std::make_unique<State>(env, directory, options);
  POISE_ASSIGN_OR_RETURN(state->lock, env.Lock(directory + "/LOCK"));
  POISE_ASSIGN_OR_RETURN(RecoveredLog recovered, RecoverSegments(env, directory, options, *report));
  state->segments = std::move(recovered.segments);
  state->active = std::move(recovered.active);
  state->end_sequence = recovered.next_sequence;
  state->next_ordinal = recovered.next_ordinal;
  State* running = state.get();
  std::unique_ptr<SegmentLog> log(new SegmentLog(std::move(state)));
  running->commit_thread = std::thread([running] { running->RunCommits(); });
  running->prepare_thread = std::thread([running] { running->RunPreparations(); });
  return log;
}

SegmentLog::SegmentLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

SegmentLog::~SegmentLog() {
  {
    const std::lock_guard held(state_->mutex);
    state_->is_stopping = true;
    state_->commit_wakes.notify_all();
  }
  if (state_->commit_thread.joinable()) state_->commit_thread.join();
  {
    // Only now: the commit thread may have needed a segment to the last.
    const std::lock_guard held(state_->mutex);
    state_->is_done_preparing = true;
    state_->prepare_wakes.notify_all();
  }
  if (state_->prepare_thread.joinable()) state_->prepare_thread.join();
}

}  // namespace poise
