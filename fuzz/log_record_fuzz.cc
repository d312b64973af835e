// SPDX-License-Identifier: Apache-2.0
//
// Opens a folder of segment files made of the input, reads everything, appends, and opens it again:
// nothing may crash, and what was appended must be there.
//
// The input: a byte of options (bit 0: salvage), then one file after another, each a 16-bit length
// and its bytes. Checksums are made right for half of the inputs (bit 1), or nothing behind them
// would ever be reached.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/log.h"
#include "storage/fault_env.h"
#include "storage/segment_format.h"
#include "storage/segment_log.h"

namespace {

using namespace poise;

constexpr char kFolder[] = "log";

void MakeChecksumsRight(std::string& bytes, std::uint64_t ordinal) {
  namespace format = segment_format;
  if (bytes.size() < format::kFirstFrameOffset) return;
  const std::uint64_t salt = 7;
  const std::string header = format::EncodeHeader({.ordinal = ordinal, .salt = salt});
  std::copy(header.begin(), header.end(), bytes.begin());
  format::Link link;
  static_assert(sizeof link == 40);
  std::memcpy(&link, bytes.data() + format::kHeaderBytes, sizeof link);
  const std::string encoded_link = format::EncodeLink(link, salt);
  std::copy(encoded_link.begin(), encoded_link.end(), bytes.begin() + format::kHeaderBytes);
  std::size_t at = format::kFirstFrameOffset;
  while (at + format::kFrameHeaderBytes <= bytes.size()) {
    format::FrameHeader frame;
    std::memcpy(&frame.first_sequence, bytes.data() + at + 8, 8);
    std::memcpy(&frame.body_bytes, bytes.data() + at + 16, 4);
    std::memcpy(&frame.record_count, bytes.data() + at + 20, 4);
    std::memcpy(&frame.first_micros, bytes.data() + at + 24, 8);
    std::memcpy(&frame.last_micros, bytes.data() + at + 32, 8);
    const std::string encoded = format::EncodeFrameHeader(frame, salt, at);
    std::copy(encoded.begin(), encoded.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
    if (format::FrameBytes(frame.body_bytes) > bytes.size() - at) break;
    at += format::FrameBytes(frame.body_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  SetLogLevel(LogLevel::kOff);
  std::string_view rest(reinterpret_cast<const char*>(input), size);
  if (rest.empty()) return 0;
  const auto choice = static_cast<unsigned char>(rest[0]);
  rest.remove_prefix(1);

  FaultEnv env(1);
  POISE_CHECK(env.MakeDirectories(kFolder).ok());
  for (std::uint64_t ordinal = 1; rest.size() >= 2 && ordinal < 20; ++ordinal) {
    const std::size_t wanted = static_cast<unsigned char>(rest[0]) +
                               std::size_t{256} * static_cast<unsigned char>(rest[1]);
    rest.remove_prefix(2);
    std::string bytes(rest.substr(0, wanted));
    rest.remove_prefix(bytes.size());
    if ((choice & 2) != 0) MakeChecksumsRight(bytes, ordinal);
    auto file =
        env.Open(std::string(kFolder) + "/" + segment_format::FileName(ordinal), OpenMode::kCreate);
    POISE_CHECK(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }

  SegmentLog::Options options;
  options.segment_bytes = 4096;
  options.reserve_bytes = 0;
  options.salvage = (choice & 1) != 0;
  RecoveryReport report;
  auto log = SegmentLog::Open(env, kFolder, options, &report);
  if (!log.ok()) return 0;
  std::uint64_t last = 0;
  static_cast<void>((*log)->Scan({}, [&](const LogRecord& record) {
    last = std::max(last, record.position.value);
    return true;
  }));
  LogBatch batch;
  POISE_CHECK(batch.Add(9, "appended").ok());
  const auto position = (*log)->Append(std::move(batch));
  // Positions near the end of their range leave no room for another one.
  if (!position.ok()) return 0;
  POISE_CHECK(position->value > last);
  log->reset();
  log = SegmentLog::Open(env, kFolder, options, &report);
  if (!log.ok()) return 0;
  const auto record = (*log)->Read(*position);
  POISE_CHECK(record.ok() && record->second == "appended");
  return 0;
}
