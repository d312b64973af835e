// SPDX-License-Identifier: Apache-2.0
//
// SwitchedDisk: the operating system's file system with two switches, full and failing.
//
// Place    Stage -> [here] -> PosixEnv
// Threads  May be used concurrently.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "storage/env.h"

namespace poise {

class SwitchedDisk final : public Env {
 public:
  // While full, whatever would take more space answers kResourceExhausted.
  std::atomic<bool> is_full{false};
  // While failing, Sync() answers kUnavailable.
  std::atomic<bool> is_sync_failing{false};

  Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) override;
  Result<std::unique_ptr<MappedFile>> Map(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& directory) override;
  bool Exists(const std::string& path) override;
  Status MakeDirectories(const std::string& directory) override;
  Status SyncDirectory(const std::string& directory) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;
  Result<std::uint64_t> FreeBytes(const std::string& path) override;

 private:
  PosixEnv disk_;
};

}  // namespace poise
