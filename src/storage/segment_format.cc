// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "storage/crc32c.h"
#include "storage/segment_log.h"

namespace poise::segment_format {

namespace {

constexpr std::string_view kMagic = "POISELOG";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kFrameMagic = 0x4d415246;  // "FRAM"
constexpr std::string_view kSuffix = ".log";
constexpr std::size_t kSearchBytes = 256 * 1024;
constexpr std::size_t kOrdinalDigits = 16;
// Far beyond any log's life, and far enough from overflow to add to.
constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 62;

// Ties a checksum to its place, so that neither a moved block nor a record that contains a copy of
// log bytes passes for one that was written there.
std::uint32_t PlaceSeed(std::uint64_t salt, std::uint64_t offset) {
  char bytes[16];
  std::memcpy(bytes, &salt, 8);
  std::memcpy(bytes + 8, &offset, 8);
  return Crc32c({bytes, sizeof bytes});
}

std::string Padded(std::string bytes, std::size_t size, std::uint32_t seed) {
  bytes.resize(size - 4, '\0');
  const std::uint32_t crc = Crc32c(bytes, seed);
  bytes.append(reinterpret_cast<const char*>(&crc), sizeof crc);
  return bytes;
}

bool HasGoodEnd(std::string_view bytes, std::uint32_t seed) {
  std::uint32_t crc;
  std::memcpy(&crc, bytes.data() + bytes.size() - 4, sizeof crc);
  return crc == Crc32c(bytes.substr(0, bytes.size() - 4), seed);
}

}  // namespace

std::string FileName(std::uint64_t ordinal) {
  const std::string digits = std::to_string(ordinal);
  std::string name(digits.size() < kOrdinalDigits ? kOrdinalDigits - digits.size() : 0, '0');
  return name + digits + std::string(kSuffix);
}

std::optional<std::uint64_t> OrdinalOf(std::string_view file_name) {
  if (file_name.size() < kOrdinalDigits + kSuffix.size() || !file_name.ends_with(kSuffix)) {
    return std::nullopt;
  }
  const std::string_view digits = file_name.substr(0, file_name.size() - kSuffix.size());
  std::uint64_t ordinal = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  if (error != std::errc() || end != digits.data() + digits.size() || ordinal == 0 ||
      FileName(ordinal) != file_name) {
    return std::nullopt;
  }
  return ordinal;
}

std::string EncodeHeader(const Header& header) {
  ByteWriter writer;
  writer.Raw(kMagic);
  writer.Fixed<std::uint32_t>(kVersion);
  writer.Fixed<std::uint32_t>(0);
  writer.Fixed<std::uint64_t>(header.ordinal);
  writer.Fixed<std::uint64_t>(header.salt);
  return Padded(writer.Take(), kHeaderBytes, 0);
}

Result<Header> DecodeHeader(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return DataLoss("segment header: truncated");
  bytes = bytes.substr(0, kHeaderBytes);
  ByteReader reader(bytes);
  if (reader.Raw(kMagic.size()) != kMagic) return DataLoss("segment header: not a segment");
  if (!HasGoodEnd(bytes, 0)) return DataLoss("segment header: wrong checksum");
  const auto version = reader.Fixed<std::uint32_t>();
  if (version != kVersion) {
    return Unimplemented("segment header: version " + std::to_string(version) +
                         " was written by a newer program; this one reads version " +
                         std::to_string(kVersion));
  }
  reader.Fixed<std::uint32_t>();
  Header header;
  header.ordinal = reader.Fixed<std::uint64_t>();
  header.salt = reader.Fixed<std::uint64_t>();
  return header;
}

std::string EncodeLink(const Link& link, std::uint64_t salt) {
  ByteWriter writer;
  writer.Fixed<std::uint64_t>(link.first_sequence);
  writer.Fixed<std::uint64_t>(link.previous_ordinal);
  writer.Fixed<std::uint64_t>(link.previous_end_bytes);
  writer.Fixed<std::int64_t>(link.previous_first_micros);
  writer.Fixed<std::int64_t>(link.previous_last_micros);
  return Padded(writer.Take(), kLinkBytes, PlaceSeed(salt, kHeaderBytes));
}

std::optional<Link> DecodeLink(std::string_view bytes, std::uint64_t salt) {
  if (bytes.size() < kLinkBytes) return std::nullopt;
  bytes = bytes.substr(0, kLinkBytes);
  if (!HasGoodEnd(bytes, PlaceSeed(salt, kHeaderBytes))) return std::nullopt;
  ByteReader reader(bytes);
  Link link;
  link.first_sequence = reader.Fixed<std::uint64_t>();
  link.previous_ordinal = reader.Fixed<std::uint64_t>();
  link.previous_end_bytes = reader.Fixed<std::uint64_t>();
  link.previous_first_micros = reader.Fixed<std::int64_t>();
  link.previous_last_micros = reader.Fixed<std::int64_t>();
  if (link.first_sequence == 0 || link.first_sequence > kMaxSequence) return std::nullopt;
  return link;
}

std::string EncodeFrameHeader(const FrameHeader& header, std::uint64_t salt, std::uint64_t offset) {
  ByteWriter writer;
  writer.Fixed<std::uint32_t>(0);
  writer.Fixed<std::uint32_t>(kFrameMagic);
  writer.Fixed<std::uint64_t>(header.first_sequence);
  writer.Fixed<std::uint32_t>(header.body_bytes);
  writer.Fixed<std::uint32_t>(header.record_count);
  writer.Fixed<std::int64_t>(header.first_micros);
  writer.Fixed<std::int64_t>(header.last_micros);
  std::string bytes = writer.Take();
  const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(4), PlaceSeed(salt, offset));
  std::memcpy(bytes.data(), &crc, sizeof crc);
  return bytes;
}

std::optional<FrameHeader> DecodeFrameHeader(std::string_view bytes, std::uint64_t salt,
                                             std::uint64_t offset) {
  if (bytes.size() < kFrameHeaderBytes) return std::nullopt;
  bytes = bytes.substr(0, kFrameHeaderBytes);
  ByteReader reader(bytes);
  const auto crc = reader.Fixed<std::uint32_t>();
  if (reader.Fixed<std::uint32_t>() != kFrameMagic) return std::nullopt;
  if (crc != Crc32c(bytes.substr(4), PlaceSeed(salt, offset))) return std::nullopt;
  FrameHeader header;
  header.first_sequence = reader.Fixed<std::uint64_t>();
  header.body_bytes = reader.Fixed<std::uint32_t>();
  header.record_count = reader.Fixed<std::uint32_t>();
  header.first_micros = reader.Fixed<std::int64_t>();
  header.last_micros = reader.Fixed<std::int64_t>();
  if (header.first_sequence == 0 || header.first_sequence > kMaxSequence ||
      header.record_count * std::uint64_t{kRecordHeaderBytes} > header.body_bytes) {
    return std::nullopt;
  }
  return header;
}

std::uint64_t FrameBytes(std::uint64_t body_bytes) {
  return (kFrameHeaderBytes + body_bytes + kFrameAlignment - 1) / kFrameAlignment * kFrameAlignment;
}

void AppendRecord(std::string& out, std::uint8_t kind, std::string_view payload) {
  char header[kRecordHeaderBytes];
  const auto size = static_cast<std::uint32_t>(payload.size());
  header[4] = static_cast<char>(kind);
  std::memcpy(header + 5, &size, sizeof size);
  const std::uint32_t crc = Crc32c(payload, Crc32c({header + 4, kRecordHeaderBytes - 4}));
  std::memcpy(header, &crc, sizeof crc);
  out.append(header, sizeof header);
  out.append(payload);
}

std::optional<Record> TakeRecord(std::string_view& body) {
  if (body.size() < kRecordHeaderBytes) return std::nullopt;
  std::uint32_t crc;
  std::uint32_t size;
  std::memcpy(&crc, body.data(), sizeof crc);
  std::memcpy(&size, body.data() + 5, sizeof size);
  if (size > LogBatch::kMaxPayloadBytes || size > body.size() - kRecordHeaderBytes) {
    return std::nullopt;
  }
  if (crc != Crc32c(body.substr(4, kRecordHeaderBytes - 4 + size))) return std::nullopt;
  const Record record{static_cast<std::uint8_t>(body[4]), body.substr(kRecordHeaderBytes, size)};
  body.remove_prefix(kRecordHeaderBytes + size);
  return record;
}

bool IsBodyGood(std::string_view body, std::uint32_t record_count) {
  for (std::uint32_t i = 0; i < record_count; ++i) {
    if (!TakeRecord(body)) return false;
  }
  return body.empty();
}

Result<std::string_view> FrameReader::Bytes(std::uint64_t offset, std::size_t size) {
  constexpr std::size_t kChunk = 256 * 1024;
  size = std::min<std::uint64_t>(size, offset < end_ ? end_ - offset : 0);
  const bool is_buffered =
      offset >= buffer_offset_ && offset + size <= buffer_offset_ + buffer_bytes_;
  if (!is_buffered) {
    const std::size_t wanted =
        std::min<std::uint64_t>(std::max(size, kChunk), offset < end_ ? end_ - offset : 0);
    if (buffer_.size() < wanted) buffer_.resize(wanted);
    buffer_offset_ = offset;
    buffer_bytes_ = 0;
    POISE_ASSIGN_OR_RETURN(buffer_bytes_, file_.ReadAt(offset, std::span(buffer_).first(wanted)));
    size = std::min(size, buffer_bytes_);
  }
  return std::string_view(buffer_.data() + (offset - buffer_offset_), size);
}

Result<std::optional<Frame>> FrameReader::Next() {
  POISE_ASSIGN_OR_RETURN(std::string_view bytes, Bytes(offset_, kFrameHeaderBytes));
  const auto header = DecodeFrameHeader(bytes, salt_, offset_);
  if (!header) return std::optional<Frame>();
  const std::uint64_t size = kFrameHeaderBytes + std::uint64_t{header->body_bytes};
  if (size > end_ - offset_) return std::optional<Frame>();
  POISE_ASSIGN_OR_RETURN(bytes, Bytes(offset_, size));
  if (bytes.size() < size) return std::optional<Frame>();
  const Frame frame{offset_, *header, bytes.substr(kFrameHeaderBytes)};
  offset_ = frame.end();
  return std::optional<Frame>(frame);
}

Result<std::optional<std::uint64_t>> FindFrame(const File& file, std::uint64_t salt,
                                               std::uint64_t from, std::uint64_t end) {
  std::vector<char> buffer(std::min<std::uint64_t>(kSearchBytes, end > from ? end - from : 0));
  // A header may begin in one piece and end in the next, so the pieces overlap.
  constexpr std::uint64_t kStep = kSearchBytes - kFrameHeaderBytes;
  static_assert(kStep % kFrameAlignment == 0);
  for (std::uint64_t at = from; at < end; at += kStep) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - at);
    POISE_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(at, std::span(buffer).first(wanted)));
    const std::string_view bytes(buffer.data(), got);
    for (std::size_t i = 0; i + kFrameHeaderBytes <= got; i += kFrameAlignment) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + i, sizeof word);
      if (word != 0 && DecodeFrameHeader(bytes.substr(i), salt, at + i))
        return std::optional(at + i);
    }
    if (got < wanted) break;
  }
  return std::optional<std::uint64_t>();
}

Result<std::uint64_t> NonzeroEnd(const File& file, std::uint64_t from, std::uint64_t end) {
  std::vector<char> buffer(std::min<std::uint64_t>(kSearchBytes, end > from ? end - from : 0));
  std::uint64_t nonzero_end = from;
  for (std::uint64_t at = from; at < end; at += buffer.size()) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), end - at);
    POISE_ASSIGN_OR_RETURN(const std::size_t got, file.ReadAt(at, std::span(buffer).first(wanted)));
    std::size_t size = got;
    for (std::uint64_t word = 0; size >= 8; size -= 8) {
      std::memcpy(&word, buffer.data() + size - 8, sizeof word);
      if (word != 0) break;
    }
    while (size > 0 && buffer[size - 1] == 0) --size;
    if (size > 0) nonzero_end = at + size;
    if (got < wanted) break;
  }
  return nonzero_end;
}

}  // namespace poise::segment_format
