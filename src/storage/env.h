// SPDX-License-Identifier: Apache-2.0
//
// Env: the file system as storage sees it, behind an interface so that tests can crash it.
//
// Nothing here is durable before Sync() of the file and, for names, SyncDirectory() of the folder.
//
// Place    storage/, and whoever keeps files -> [here] -> the operating system, or FaultEnv
// Errors   kNotFound: no such file; kResourceExhausted: disk or quota full;
//          kFailedPrecondition: Lock() is held by somebody else; kUnavailable: any other failure,
//          with the path and the system's words.
// Threads  An Env may be used concurrently; a File too, for ranges that do not overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

class File {
 public:
  virtual ~File() = default;

  // Writes all parts one after the other from `offset` on, growing the file where needed. After an
  // error any part of the range may have been written.
  virtual Status WriteAt(std::uint64_t offset, std::span<const std::string_view> parts) = 0;
  Status WriteAt(std::uint64_t offset, std::string_view bytes) {
    return WriteAt(offset, std::span<const std::string_view>(&bytes, 1));
  }
  // Fills `out`; fewer bytes come back only at the end of the file.
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, std::span<char> out) const = 0;
  // Reserves disk space up to `size` and makes the file that long; new bytes read as zeros.
  virtual Status Preallocate(std::uint64_t size) = 0;
  virtual Status Truncate(std::uint64_t size) = 0;
  // Makes contents and length durable. After an error the unsynced bytes may be lost whatever a
  // later call says (the kernel forgets them), so nobody calls it twice for the same bytes.
  virtual Status Sync() = 0;
  virtual Result<std::uint64_t> Size() const = 0;
};

// A file's bytes as memory, read-only, until destruction.
class MappedFile {
 public:
  virtual ~MappedFile() = default;
  virtual std::string_view bytes() const = 0;
};

// Held until destruction.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode {
  kRead,          // must exist
  kReadWrite,     // must exist
  kCreate,        // read and write; must not exist (kFailedPrecondition)
  kCreateAlways,  // read and write; emptied if it exists
};

class Env {
 public:
  virtual ~Env() = default;

  virtual Result<std::unique_ptr<File>> Open(const std::string& path, OpenMode mode) = 0;
  virtual Result<std::unique_ptr<MappedFile>> Map(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  // Names (not paths) in the folder, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual bool Exists(const std::string& path) = 0;
  // Creates the folder and those above it; existing ones are no error.
  virtual Status MakeDirectories(const std::string& directory) = 0;
  virtual Status SyncDirectory(const std::string& directory) = 0;
  // Locks the file (created if absent) against other processes and other callers in this one.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
  // Bytes that can still be written to the file system of `path`.
  virtual Result<std::uint64_t> FreeBytes(const std::string& path) = 0;
};

// The operating system's file system.
class PosixEnv final : public Env {
 public:
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
};

// The whole file. Errors  kInvalidArgument: it is longer than `max_bytes`.
Result<std::string> ReadFile(Env& env, const std::string& path, std::uint64_t max_bytes);

// Replaces the file so that after a crash it holds the old bytes or the new, never a mixture.
Status WriteFileAtomically(Env& env, const std::string& path, std::string_view bytes);

// The folder part of a path: "a/b" gives "a", "b" gives ".".
std::string DirectoryOf(const std::string& path);

}  // namespace poise
