// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_recovery.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "storage/segment_format.h"

namespace poise {

namespace format = segment_format;

void Segment::NoteTimes(std::int64_t first, std::int64_t last) {
  if (first == 0 && last == 0) return;
  first_micros = first_micros == 0 ? first : std::min(first_micros, first);
  last_micros = last_micros == 0 ? last : std::max(last_micros, last);
}

void Segment::NoteFrame(std::uint64_t sequence, std::uint64_t offset) {
  constexpr std::uint64_t kSpacing = 64 * 1024;
  if (frame_starts.empty() || offset >= frame_starts.back().offset + kSpacing) {
    frame_starts.push_back({sequence, offset});
  }
}

Status DamagedSegment(const std::string& path, std::uint64_t offset, std::string_view what) {
  return DataLoss(path + ": damaged at byte " + std::to_string(offset) + ": " + std::string(what) +
                  "; restore the file from a backup, or open the log with salvage to skip and "
                  "count what is damaged");
}

namespace {

// A segment file whose header is good.
struct Found {
  std::shared_ptr<Segment> segment;
  std::shared_ptr<File> file;
  std::uint64_t file_bytes = 0;
  std::optional<format::Link> link;  // none: nothing was ever acknowledged from it
};

class Recovery {
 public:
  Recovery(Env& env, const std::string& directory, const SegmentLog::Options& options,
           RecoveryReport& report)
      : env_(env), directory_(directory), options_(options), report_(report) {}

  Result<RecoveredLog> Run() {
    POISE_RETURN_IF_ERROR(FindFiles());
    POISE_RETURN_IF_ERROR(FollowLinks());
    POISE_RETURN_IF_ERROR(RecoverLast());
    if (options_.salvage) POISE_RETURN_IF_ERROR(CountDamage());
    for (const auto& segment : log_.segments) {
      report_.record_count += segment->end_sequence - segment->first_sequence;
    }
    report_.record_count -= std::min(report_.record_count, report_.damaged_records);
    report_.damaged_records += missing_records_;
    report_.segment_count = log_.segments.size();
    return std::move(log_);
  }

 private:
  void Say(const std::string& sentence) {
    if (!report_.detail.empty()) report_.detail += ' ';
    report_.detail += sentence + '.';
  }

  Status RemoveFile(const std::string& path) {
    POISE_RETURN_IF_ERROR(env_.Remove(path));
    return env_.SyncDirectory(directory_);
  }

  Status FindFiles() {
    POISE_ASSIGN_OR_RETURN(const auto names, env_.List(directory_));
    for (const std::string& name : names) {
      const auto ordinal = format::OrdinalOf(name);
      if (!ordinal) continue;
      log_.next_ordinal = std::max(log_.next_ordinal, *ordinal + 1);
      POISE_RETURN_IF_ERROR(FindFile(*ordinal, directory_ + "/" + name));
    }
    return Status::Ok();
  }

  Status FindFile(std::uint64_t ordinal, const std::string& path) {
    POISE_ASSIGN_OR_RETURN(std::shared_ptr<File> file, env_.Open(path, OpenMode::kReadWrite));
    POISE_ASSIGN_OR_RETURN(const std::uint64_t file_bytes, file->Size());
    std::array<char, format::kFirstFrameOffset> start{};
    POISE_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, start));
    const std::string_view bytes(start.data(), got);
    const auto header = format::DecodeHeader(bytes);
    if (!header.ok() && header.status().code() == StatusCode::kUnimplemented) {
      return {StatusCode::kUnimplemented, path + ": " + header.status().message()};
    }
    if (!header.ok() || header->ordinal != ordinal) {
      // A crash while the file was made leaves nothing behind the header: it is synced first.
      POISE_ASSIGN_OR_RETURN(const std::uint64_t nonzero_end,
                             format::NonzeroEnd(*file, format::kHeaderBytes, file_bytes));
      if (nonzero_end <= format::kHeaderBytes) return RemoveFile(path);
      if (!options_.salvage) {
        return DamagedSegment(path, 0,
                              header.ok() ? "belongs to another place" : header.status().message());
      }
      report_.damaged_bytes += file_bytes;
      Say(path + " was left aside whole: its header is damaged");
      return Status::Ok();
    }
    Found found;
    found.segment = std::make_shared<Segment>();
    found.segment->ordinal = ordinal;
    found.segment->salt = header->salt;
    found.segment->path = path;
    found.segment->allocated_bytes = file_bytes;
    found.file = file;
    found.file_bytes = file_bytes;
    found.link = bytes.size() < format::kFirstFrameOffset
                     ? std::nullopt
                     : format::DecodeLink(bytes.substr(format::kHeaderBytes), header->salt);
    if (!found.link) {
      // Not used yet, or torn within its first frame; a second frame proves that the first was
      // acknowledged.
      format::FrameReader reader(*file, header->salt, format::kFirstFrameOffset, file_bytes);
      POISE_ASSIGN_OR_RETURN(const auto first, reader.Next());
      const std::uint64_t behind =
          first ? first->end() : format::kFirstFrameOffset + format::kFrameAlignment;
      POISE_ASSIGN_OR_RETURN(const auto second,
                             format::FindFrame(*file, header->salt, behind, file_bytes));
      const bool is_damaged = second.has_value();
      if (is_damaged && !options_.salvage) {
        return DamagedSegment(path, format::kHeaderBytes, "its link has a wrong checksum");
      }
      if (is_damaged) {
        report_.damaged_bytes += file_bytes;
        Say(path + " was left aside whole: its link is damaged");
        return Status::Ok();
      }
      POISE_ASSIGN_OR_RETURN(const std::uint64_t nonzero_end,
                             format::NonzeroEnd(*file, format::kHeaderBytes, file_bytes));
      report_.torn_bytes += nonzero_end - format::kHeaderBytes;
      return RemoveFile(path);
    }
    found.segment->first_sequence = found.link->first_sequence;
    found_.emplace(ordinal, std::move(found));
    return Status::Ok();
  }

  // From the newest segment back; what no link leads to was abandoned after a failed write.
  Status FollowLinks() {
    if (found_.empty()) return Status::Ok();
    auto at = std::prev(found_.end());
    std::vector<std::shared_ptr<Segment>> newest_first{at->second.segment};
    last_ = &at->second;
    while (at != found_.begin()) {
      const Found& later = at->second;
      const format::Link& link = *later.link;
      auto previous = found_.find(link.previous_ordinal);
      const bool is_missing = previous == found_.end();
      if (is_missing) {
        // Retention removes the oldest first, so nothing older may be left.
        auto older = std::prev(at);
        if (link.previous_ordinal != 0) {
          while (older != found_.begin() && older->first > link.previous_ordinal) --older;
        }
        const bool has_older = link.previous_ordinal != 0 && older->first < link.previous_ordinal;
        if (!has_older) break;
        const std::string missing = directory_ + "/" + format::FileName(link.previous_ordinal);
        if (!options_.salvage) return DamagedSegment(missing, 0, "the file is missing");
        Say(missing + " is missing");
        previous = older;
      }
      if (previous->first >= at->first) {
        return DamagedSegment(later.segment->path, format::kHeaderBytes, "its link leads forward");
      }
      POISE_RETURN_IF_ERROR(JoinTo(previous->second, later, is_missing));
      newest_first.push_back(previous->second.segment);
      at = previous;
    }
    log_.segments.assign(newest_first.rbegin(), newest_first.rend());
    for (const auto& [ordinal, found] : found_) {
      if (std::find(log_.segments.begin(), log_.segments.end(), found.segment) ==
          log_.segments.end()) {
        POISE_RETURN_IF_ERROR(RemoveFile(found.segment->path));
      }
    }
    return Status::Ok();
  }

  Status JoinTo(Found& earlier, const Found& later, bool has_gap) {
    Segment& segment = *earlier.segment;
    const format::Link& link = *later.link;
    if (segment.first_sequence > link.first_sequence) {
      return DamagedSegment(segment.path, format::kHeaderBytes, "its positions overlap the next");
    }
    if (has_gap) {
      segment.end_bytes = earlier.file_bytes;
      POISE_ASSIGN_OR_RETURN(const std::uint64_t walked_end, EndByWalking(earlier));
      segment.end_sequence = std::min(walked_end, link.first_sequence);
      missing_records_ += link.first_sequence - std::min(link.first_sequence, segment.end_sequence);
      return Status::Ok();
    }
    segment.end_sequence = link.first_sequence;
    segment.end_bytes = link.previous_end_bytes;
    segment.first_micros = link.previous_first_micros;
    segment.last_micros = link.previous_last_micros;
    if (segment.end_bytes < format::kFirstFrameOffset || segment.end_bytes > earlier.file_bytes) {
      if (!options_.salvage) {
        return DamagedSegment(
            segment.path, earlier.file_bytes,
            "the file must be at least " + std::to_string(segment.end_bytes) + " bytes long");
      }
      Say(segment.path + " is too short");
      segment.end_bytes = earlier.file_bytes;
    }
    return Status::Ok();
  }

  Result<std::uint64_t> EndByWalking(const Found& found) {
    format::FrameReader reader(*found.file, found.segment->salt, format::kFirstFrameOffset,
                               found.file_bytes);
    std::uint64_t end = found.segment->first_sequence;
    while (true) {
      POISE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
      if (!frame) {
        POISE_ASSIGN_OR_RETURN(
            const auto next,
            format::FindFrame(*found.file, found.segment->salt,
                              reader.offset() + format::kFrameAlignment, found.file_bytes));
        if (!next) return end;
        reader.SkipTo(*next);
        continue;
      }
      end = std::max(end, frame->header.first_sequence + frame->header.record_count);
    }
  }

  // Nothing says where the last segment ends: its frames are read.
  Status RecoverLast() {
    if (last_ == nullptr) return Status::Ok();
    Segment& segment = *last_->segment;
    const File& file = *last_->file;
    const std::uint64_t file_bytes = last_->file_bytes;
    format::FrameReader reader(file, segment.salt, format::kFirstFrameOffset, file_bytes);
    std::uint64_t expected = segment.first_sequence;
    std::uint64_t good_end = format::kFirstFrameOffset;
    bool has_frame = false;
    while (true) {
      const std::uint64_t offset = reader.offset();
      POISE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
      const bool is_good = frame && frame->header.first_sequence == expected &&
                           format::IsBodyGood(frame->body, frame->header.record_count);
      if (is_good) {
        segment.NoteFrame(expected, offset);
        segment.NoteTimes(frame->header.first_micros, frame->header.last_micros);
        expected += frame->header.record_count;
        good_end = frame->end();
        has_frame = true;
        continue;
      }
      const std::uint64_t behind = frame ? frame->end() : offset + format::kFrameAlignment;
      POISE_ASSIGN_OR_RETURN(const auto following,
                             format::FindFrame(file, segment.salt, behind, file_bytes));
      if (!following) {
        POISE_RETURN_IF_ERROR(EndLast(good_end, expected, has_frame));
        return Status::Ok();
      }
      if (!options_.salvage) {
        return DamagedSegment(segment.path, offset,
                              "a frame has a wrong checksum, and good frames follow it");
      }
      // Scan() will skip the same bytes; here only the end matters.
      reader.SkipTo(*following);
      POISE_ASSIGN_OR_RETURN(const auto next, reader.Next());
      if (next) expected = std::max(expected, next->header.first_sequence);
      reader.SkipTo(*following);
    }
  }

  Status EndLast(std::uint64_t good_end, std::uint64_t next_sequence, bool has_frame) {
    Found& last = *last_;
    Segment& segment = *last.segment;
    POISE_ASSIGN_OR_RETURN(const std::uint64_t nonzero_end,
                           format::NonzeroEnd(*last.file, good_end, last.file_bytes));
    const bool is_clean = nonzero_end <= good_end;
    log_.next_sequence = next_sequence;
    if (!is_clean) {
      report_.torn_bytes += nonzero_end - good_end;
      Say(segment.path + ": " + std::to_string(nonzero_end - good_end) +
          " bytes of an unfinished write were cut off");
    }
    if (!has_frame) {
      // The link of this segment knows where the one before ends; make that last before it goes.
      if (log_.segments.size() > 1) {
        Segment& previous = *log_.segments[log_.segments.size() - 2];
        POISE_ASSIGN_OR_RETURN(auto file, env_.Open(previous.path, OpenMode::kReadWrite));
        POISE_RETURN_IF_ERROR(file->Truncate(previous.end_bytes));
        POISE_RETURN_IF_ERROR(file->Sync());
        previous.allocated_bytes = previous.end_bytes;
      }
      POISE_RETURN_IF_ERROR(RemoveFile(segment.path));
      log_.segments.pop_back();
      return Status::Ok();
    }
    segment.end_bytes = good_end;
    segment.end_sequence = next_sequence;
    if (!is_clean) {
      POISE_RETURN_IF_ERROR(last.file->Truncate(good_end));
      segment.allocated_bytes = good_end;
    }
    // A process that was killed may have written what it had not synced yet; from now on it counts.
    POISE_RETURN_IF_ERROR(last.file->Sync());
    if (is_clean && last.file_bytes > good_end) {
      segment.file = last.file;
      log_.active = last.segment;
    }
    return Status::Ok();
  }

  Status CountDamage() {
    for (const auto& segment : log_.segments) {
      POISE_ASSIGN_OR_RETURN(auto file, env_.Open(segment->path, OpenMode::kRead));
      format::FrameReader reader(*file, segment->salt, format::kFirstFrameOffset,
                                 segment->end_bytes);
      std::uint64_t good_count = 0;
      while (reader.offset() < segment->end_bytes) {
        const std::uint64_t offset = reader.offset();
        POISE_ASSIGN_OR_RETURN(const auto frame, reader.Next());
        if (frame) {
          std::string_view body = frame->body;
          std::uint32_t good_here = 0;
          while (good_here < frame->header.record_count && format::TakeRecord(body)) ++good_here;
          good_count += good_here;
          if (good_here < frame->header.record_count) report_.damaged_bytes += body.size();
          continue;
        }
        POISE_ASSIGN_OR_RETURN(const auto found, format::FindFrame(*file, segment->salt,
                                                                   offset + format::kFrameAlignment,
                                                                   segment->end_bytes));
        const std::uint64_t next = found.value_or(segment->end_bytes);
        report_.damaged_bytes += next - offset;
        reader.SkipTo(next);
      }
      const std::uint64_t record_count = segment->end_sequence - segment->first_sequence;
      if (good_count < record_count) {
        report_.damaged_records += record_count - good_count;
        Say(segment->path + ": " + std::to_string(record_count - good_count) +
            " damaged records are skipped");
      }
    }
    return Status::Ok();
  }

  Env& env_;
  const std::string& directory_;
  const SegmentLog::Options& options_;
  RecoveryReport& report_;
  std::map<std::uint64_t, Found> found_;
  Found* last_ = nullptr;
  std::uint64_t missing_records_ = 0;  // in segment files that are gone
  RecoveredLog log_;
};

}  // namespace

Result<RecoveredLog> RecoverSegments(Env& env, const std::string& directory,
                                     const SegmentLog::Options& options, RecoveryReport& report) {
  return Recovery(env, directory, options, report).Run();
}

}  // namespace poise
