// SPDX-License-Identifier: Apache-2.0
//
// FaultEnv: a file system in memory that fails and crashes as told, for tests.
//
// It promises no more than POSIX does: an unsynced byte may be lost or kept, in any order and torn
// anywhere; a name may be lost until its folder was synced; what a failed sync covered may be lost
// even if a later sync succeeds.
//
// Threads  May be used concurrently.
// Source   The failed-sync model: Rebello et al., "Can Applications Recover from fsync Failures?",
//          USENIX ATC 2020 (ext4's behaviour: dirty pages are marked clean).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/env.h"

namespace poise {

class FaultEnv final : public Env {
 public:
  enum class Fault {
    kSyncFails,     // File::Sync gives an error
    kWriteFails,    // File::WriteAt gives an error, nothing written
    kWriteIsShort,  // File::WriteAt gives an error after writing a random part
    kNoSpace,       // File::WriteAt and Preallocate find the disk full
    kDirectorySyncFails,
  };

  // `seed` decides every choice.
  explicit FaultEnv(std::uint64_t seed);
  ~FaultEnv() override;

  // The `after`-th next call that the fault applies to fails (0: the very next), and the
  // `count - 1` after it.
  void Inject(Fault fault, std::uint64_t after, std::uint64_t count = 1);
  // Forgets what was injected.
  void Heal();
  // Bytes that files may take in all; by default no limit.
  void SetCapacity(std::uint64_t bytes);

  // The power fails: what was not synced is kept or lost by chance, files opened before answer
  // kUnavailable from now on, locks are released.
  void Crash();
  // After so many more writes and syncs everything fails until Crash() is called: the instant of
  // death, at which a process has requests under way.
  void DieAfter(std::uint64_t operations);

  // Calls so far, to know where to inject.
  std::uint64_t write_count() const;
  std::uint64_t sync_count() const;

  // Flips one bit of the file as it lies on disk.
  Status FlipBit(const std::string& path, std::uint64_t offset, int bit);

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
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace poise
