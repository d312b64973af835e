// SPDX-License-Identifier: Apache-2.0
//
// Tables: named tables of key -> value bytes in one SQLite file, for documents, keys and manifests.
//
// Written in WAL mode with full syncs: what returned is on disk. Concurrent writers share one
// transaction and one sync. Readers have connections of their own and never wait for a writer.
//
// Place    catalog/, events/, http/ -> [here] -> one file (docs/formats/tables.md)
// Units    Keys and values are bytes; keys are ordered as unsigned bytes, 1 to kMaxKeyBytes long.
// Errors   kResourceExhausted: disk full (reads go on, later writes work once there is space);
//          kInvalidArgument: an unknown table (the known ones are named), an empty or long key;
//          kDataLoss: the file is damaged; kUnavailable: other I/O failures.
//          A key that is absent is not an error.
// Threads  All methods may be called concurrently.
// Cost     Get: some 5 us. Put: one sync, shared with concurrent ones. The log of changes grows
// until
//          Checkpoint(), which belongs in a background thread: it stalls nobody there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace poise {

struct TableRow {
  std::string key;
  std::string value;
};

// One change in a transaction; without a value it deletes.
struct TableChange {
  std::string table;
  std::string key;
  std::optional<std::string> value;
};

class Tables {
 public:
  static constexpr std::size_t kMaxKeyBytes = 8192;
  static constexpr std::size_t kMaxValueBytes = 64 * 1024 * 1024;

  // Opens or creates the file with (at least) these tables; names of [a-z0-9_], starting with a
  // letter. Recovers what a crash left.
  static Result<std::unique_ptr<Tables>> Open(const std::string& path,
                                              std::vector<std::string> table_names);
  ~Tables();
  Tables(const Tables&) = delete;
  Tables& operator=(const Tables&) = delete;

  Status Put(std::string_view table, std::string_view key, std::string_view value);
  Status Delete(std::string_view table, std::string_view key);
  // All changes or none, in order; durable when it returns.
  Status Apply(std::span<const TableChange> changes);

  Result<std::optional<std::string>> Get(std::string_view table, std::string_view key) const;
  // At most `limit` rows with key >= start_key (and < end_key, if that is not empty), in order. The
  // page after this one starts at the last key with a zero byte appended.
  Result<std::vector<TableRow>> Scan(std::string_view table, std::string_view start_key,
                                     std::size_t limit, std::string_view end_key = {}) const;
  Result<std::uint64_t> Count(std::string_view table) const;

  // Moves committed changes from the change log into the file.
  Status Checkpoint();

  // Returns when no deleted or overwritten value is left in the file or in its change log.
  // Errors  kUnavailable: it could not be done now.
  Status ErasePhysically();

  // Bytes waiting for Checkpoint().
  std::uint64_t change_log_bytes() const;

 private:
  struct State;
  explicit Tables(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace poise
