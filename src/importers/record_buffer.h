// SPDX-License-Identifier: Apache-2.0
//
// RecordBuffer: a window on a ByteSource that slides over whole records.
//
// A record is seen in one piece, so that fields are views and nothing is copied; the window grows
// to the longest record, and no further than its bound.
//
// Cost     Holds at most max_bytes + 16: the 16 zeros behind end() may be read by vector loads.
#pragma once

#include <cstdint>
#include <vector>

#include "importers/byte_source.h"

namespace poise {

class RecordBuffer {
 public:
  RecordBuffer(ByteSource& source, std::size_t max_bytes) : source_(source), max_(max_bytes) {}

  char* begin() { return bytes_.data() + begin_; }
  char* end() { return bytes_.data() + end_; }
  std::size_t size() const { return end_ - begin_; }
  // Of begin() in the source.
  std::uint64_t offset() const { return offset_; }

  // The source has nothing behind end().
  bool IsComplete() const { return is_complete_; }
  // The window has reached its bound.
  bool IsFull() const { return size() >= max_; }

  // Reads more behind end(); invalidates pointers. Does nothing when complete or full.
  Status Fill();
  // Moves begin() on. Requires count <= size().
  void Consume(std::size_t count) {
    begin_ += count;
    offset_ += count;
  }
  Status Seek(std::uint64_t offset);

 private:
  static constexpr std::size_t kSlack = 16;
  static constexpr std::size_t kChunk = 256 * 1024;

  ByteSource& source_;
  std::size_t max_;
  std::vector<char> bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;
  bool is_complete_ = false;
};

}  // namespace poise
