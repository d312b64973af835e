// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a segment file (docs/formats/segment-log.md): building and checking them.
//
// Internal to storage/. Nothing here trusts what it reads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "storage/env.h"

namespace poise::segment_format {

inline constexpr std::size_t kHeaderBytes = 64;
inline constexpr std::size_t kLinkBytes = 64;
inline constexpr std::size_t kFirstFrameOffset = kHeaderBytes + kLinkBytes;
inline constexpr std::size_t kFrameHeaderBytes = 40;
inline constexpr std::size_t kRecordHeaderBytes = 9;
inline constexpr std::size_t kFrameAlignment = 8;

std::string FileName(std::uint64_t ordinal);
std::optional<std::uint64_t> OrdinalOf(std::string_view file_name);

// Synced before the file can receive anything, so that it can be relied on afterwards.
struct Header {
  std::uint64_t ordinal = 0;
  std::uint64_t salt = 0;  // random: bytes that were not written at this place do not check out
};
std::string EncodeHeader(const Header& header);
// Errors  kDataLoss; kUnimplemented: a newer version.
Result<Header> DecodeHeader(std::string_view bytes);

// Written with the first frame: where the segment before this one ends.
struct Link {
  std::uint64_t first_sequence = 0;
  std::uint64_t previous_ordinal = 0;  // 0: there was none
  std::uint64_t previous_end_bytes = 0;
  std::int64_t previous_first_micros = 0;
  std::int64_t previous_last_micros = 0;
};
std::string EncodeLink(const Link& link, std::uint64_t salt);
std::optional<Link> DecodeLink(std::string_view bytes, std::uint64_t salt);

struct FrameHeader {
  std::uint64_t first_sequence = 0;
  std::uint32_t body_bytes = 0;
  std::uint32_t record_count = 0;
  std::int64_t first_micros = 0;
  std::int64_t last_micros = 0;
};
std::string EncodeFrameHeader(const FrameHeader& header, std::uint64_t salt, std::uint64_t offset);
std::optional<FrameHeader> DecodeFrameHeader(std::string_view bytes, std::uint64_t salt,
                                             std::uint64_t offset);
// With its header and the padding.
std::uint64_t FrameBytes(std::uint64_t body_bytes);

void AppendRecord(std::string& out, std::uint8_t kind, std::string_view payload);

struct Record {
  std::uint8_t kind = 0;
  std::string_view payload;
};
// Takes a record off the front of `body`; nothing if its checksum or size is wrong.
std::optional<Record> TakeRecord(std::string_view& body);
// Exactly `record_count` good records and nothing else.
bool IsBodyGood(std::string_view body, std::uint32_t record_count);

struct Frame {
  std::uint64_t offset = 0;
  FrameHeader header;
  std::string_view body;  // valid until the next call
  std::uint64_t end() const { return offset + FrameBytes(header.body_bytes); }
};

// Walks the frames of [offset, end) through a buffer.
class FrameReader {
 public:
  FrameReader(const File& file, std::uint64_t salt, std::uint64_t offset, std::uint64_t end)
      : file_(file), salt_(salt), offset_(offset), end_(end) {}

  // The frame at offset(), after which offset() is the next one; nothing where there is no frame
  // with a good header that fits. Bodies are not checked.
  Result<std::optional<Frame>> Next();
  std::uint64_t offset() const { return offset_; }
  void SkipTo(std::uint64_t offset) { offset_ = offset; }

 private:
  // `size` bytes from `offset` on, or fewer at the end.
  Result<std::string_view> Bytes(std::uint64_t offset, std::size_t size);

  const File& file_;
  std::uint64_t salt_;
  std::uint64_t offset_;
  std::uint64_t end_;
  std::vector<char> buffer_;
  std::uint64_t buffer_offset_ = 0;
  std::size_t buffer_bytes_ = 0;
};

// Where in [from, end) the next good frame header is; `from` must be a multiple of kFrameAlignment.
Result<std::optional<std::uint64_t>> FindFrame(const File& file, std::uint64_t salt,
                                               std::uint64_t from, std::uint64_t end);

// After the last byte of [from, end) that is not zero; `from` if there is none.
Result<std::uint64_t> NonzeroEnd(const File& file, std::uint64_t from, std::uint64_t end);

}  // namespace poise::segment_format
