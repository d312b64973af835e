// SPDX-License-Identifier: Apache-2.0
//
// Snapshot: a file of named sections, written once, whole or not at all, then mapped and read.
//
// Models and live state are saved this way because a mapped file serves at once: nothing is parsed
// before the first request. A snapshot can be sealed: then its sections are encrypted under a key
// of its own, and destroying that key erases it wherever copies of the file may lie.
//
// Place    models/, events/, policy/ -> [SnapshotWriter] -> file -> [SnapshotReader] -> the same
// Units    A section is bytes; arrays in it start at 64-byte boundaries of the file.
// Errors   kDataLoss: damaged header, checksum, truncated; kInvalidArgument: a section that is
// absent
//          or of another size than the reader wants, naming file and section;
//          kResourceExhausted: disk full (nothing of the file remains).
// Threads  A writer belongs to one thread; a reader is immutable.
// Cost     Open: reads the header and directory; checksums are verified on Verify() or, for sealed
//          snapshots, while decrypting. Unsealed sections are views into the map, never copied.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

class Env;  // storage/env.h

class SnapshotWriter {
 public:
  SnapshotWriter();
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // Copies `bytes` under `name`. Requires a name not used before in this writer.
  void AddSection(std::string_view name, std::string_view bytes);

  template <typename T>
  requires std::is_trivially_copyable_v<T>
  void AddArray(std::string_view name, std::span<const T> values) {
    AddSection(name, {reinterpret_cast<const char*>(values.data()), values.size_bytes()});
  }
  template <typename T>
  void AddArray(std::string_view name, const std::vector<T>& values) {
    AddArray(name, std::span<const T>(values));
  }

  // Writes all sections to `path` through a temporary name, fsyncs file and directory, renames.
  // `key`: 32 bytes to seal the sections with, or empty for none.
  // `kind` names what is inside ("model:ials", "live-state"), `kind_version` its format.
  Status WriteTo(Env& env, const std::string& path, std::string_view kind,
                 std::uint32_t kind_version, std::string_view key = {}) const;

 private:
  struct Section;
  std::vector<Section> sections_;
};

class SnapshotReader {
 public:
  // Errors  kNotFound, kDataLoss, kInvalidArgument (wrong kind, newer version, wrong key).
  static Result<std::shared_ptr<const SnapshotReader>> Open(Env& env, const std::string& path,
                                                            std::string_view kind,
                                                            std::string_view key = {});
  virtual ~SnapshotReader() = default;

  virtual std::uint32_t kind_version() const = 0;
  virtual std::vector<std::string> SectionNames() const = 0;
  virtual Result<std::string_view> Section(std::string_view name) const = 0;
  // Checks every section's checksum. Cost: reads the whole file.
  virtual Status Verify() const = 0;

  // The section as an array of `count` values, or of any number if count is kAnyCount.
  static constexpr std::size_t kAnyCount = static_cast<std::size_t>(-1);
  template <typename T>
  requires std::is_trivially_copyable_v<T> Result<std::span<const T>> Array(
      std::string_view name, std::size_t count = kAnyCount)
  const {
    auto bytes = Section(name);
    if (!bytes.ok()) return bytes.status();
    if (bytes->size() % sizeof(T) != 0 ||
        (count != kAnyCount && bytes->size() / sizeof(T) != count)) {
      return WrongSize(name, bytes->size());
    }
    return std::span<const T>(reinterpret_cast<const T*>(bytes->data()), bytes->size() / sizeof(T));
  }

 protected:
  virtual Status WrongSize(std::string_view name, std::size_t size_bytes) const = 0;
};

}  // namespace poise
