// SPDX-License-Identifier: Apache-2.0
//
// What SegmentLog::Open does with the files it finds: follows the segments' links backwards, cuts
// the torn end off, refuses damage. Internal to storage/.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/env.h"
#include "storage/segment_log.h"

namespace poise {

struct SegmentFrameStart {
  std::uint64_t sequence = 0;
  std::uint64_t offset = 0;
};

struct Segment {
  // Fixed from the first frame on.
  std::uint64_t ordinal = 0;
  std::uint64_t salt = 0;
  std::uint64_t first_sequence = 0;
  std::string path;
  std::uint64_t allocated_bytes = 0;
  std::atomic<bool> is_dropped = false;

  // Guarded by the log's mutex.
  std::uint64_t end_sequence = 0;
  std::uint64_t end_bytes = 0;  // after the last durable frame
  std::int64_t first_micros = 0;
  std::int64_t last_micros = 0;
  std::vector<SegmentFrameStart> frame_starts;  // sparse; empty where nobody has walked the segment
  std::shared_ptr<File> file;                   // while it is being written

  void NoteTimes(std::int64_t first, std::int64_t last);
  void NoteFrame(std::uint64_t sequence, std::uint64_t offset);
};

struct RecoveredLog {
  std::vector<std::shared_ptr<Segment>> segments;  // oldest first, each with at least a frame
  // The last of `segments`, where appending goes on in it; otherwise null.
  std::shared_ptr<Segment> active;
  std::uint64_t next_sequence = 1;
  std::uint64_t next_ordinal = 1;
};

// Requires  the folder's lock is held.
Result<RecoveredLog> RecoverSegments(Env& env, const std::string& directory,
                                     const SegmentLog::Options& options, RecoveryReport& report);

// The refusal of a damaged file, with the way out.
Status DamagedSegment(const std::string& path, std::uint64_t offset, std::string_view what);

}  // namespace poise
