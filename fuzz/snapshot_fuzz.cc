// SPDX-License-Identifier: Apache-2.0
//
// Opens the input as a snapshot and reads all of it. Where the first byte is odd its checksums are
// made right first, or nothing behind them would ever be reached.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/check.h"
#include "storage/crc32c.h"
#include "storage/fault_env.h"
#include "storage/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace poise;
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(input) + 1, size - 1);
  if (input[0] % 2 == 1 && bytes.size() >= 64) {
    std::uint64_t directory_offset;
    std::memcpy(&directory_offset, bytes.data() + 16, sizeof directory_offset);
    if (directory_offset <= bytes.size()) {
      const std::uint64_t directory_bytes = bytes.size() - directory_offset;
      const std::uint64_t file_bytes = bytes.size();
      const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(directory_offset));
      std::memcpy(bytes.data() + 24, &directory_bytes, sizeof directory_bytes);
      std::memcpy(bytes.data() + 32, &file_bytes, sizeof file_bytes);
      std::memcpy(bytes.data() + 56, &crc, sizeof crc);
    }
    const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(0, 60));
    std::memcpy(bytes.data() + 60, &crc, sizeof crc);
  }
  FaultEnv env(1);
  {
    auto file = env.Open("snapshot", OpenMode::kCreate);
    POISE_CHECK(file.ok() && (*file)->WriteAt(0, bytes).ok());
  }
  for (const std::string& key : {std::string(), std::string(32, 'K')}) {
    for (const char* kind : {"k", "model:test"}) {
      auto reader = SnapshotReader::Open(env, "snapshot", kind, key);
      if (!reader.ok()) continue;
      for (const std::string& name : (*reader)->SectionNames()) {
        const auto section = (*reader)->Section(name);
        if (section.ok()) static_cast<void>(Crc32c(*section));
        static_cast<void>((*reader)->Array<double>(name));
      }
      static_cast<void>((*reader)->Verify());
    }
  }
  return 0;
}
