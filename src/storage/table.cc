// SPDX-License-Identifier: Apache-2.0
#include "storage/table.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "base/check.h"

namespace poise {

namespace {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, CloseDatabase>;

Status SqliteError(const std::string& path, int code, sqlite3* database) {
  const std::string message = "tables " + path + ": " +
                              (database != nullptr ? sqlite3_errmsg(database) : "cannot be opened");
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ResourceExhausted(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(message);
    case SQLITE_NOMEM:
    case SQLITE_TOOBIG:
      return ResourceExhausted(message);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return FailedPrecondition(message);
    default:
      break;
  }
  // A full disk can also surface as a failed write of the change log.
  if (database != nullptr && sqlite3_system_errno(database) == ENOSPC) {
    return ResourceExhausted(message);
  }
  return Unavailable(message);
}

bool IsTableName(std::string_view name) {
  if (name.empty() || name.size() > 64 || name[0] < 'a' || name[0] > 'z') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// One connection with the statements it has prepared.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> Open(const std::string& path) {
    sqlite3* raw = nullptr;
    const int code = sqlite3_open_v2(
        path.c_str(), &raw,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
        nullptr);
    auto connection = std::make_unique<Connection>(path, Database(raw));
    if (code != SQLITE_OK) return SqliteError(path, code, raw);
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, 10'000);
    sqlite3_limit(raw, SQLITE_LIMIT_LENGTH, 2 * static_cast<int>(Tables::kMaxValueBytes));
    for (const char* pragma :
         {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA secure_delete=ON",
          "PRAGMA wal_autocheckpoint=0", "PRAGMA temp_store=MEMORY", "PRAGMA trusted_schema=OFF",
          "PRAGMA cell_size_check=ON"}) {
      POISE_RETURN_IF_ERROR(connection->Execute(pragma));
    }
    return connection;
  }

  Connection(std::string path, Database database)
      : path_(std::move(path)), database_(std::move(database)) {}
  ~Connection() { statements_.clear(); }

  sqlite3* database() { return database_.get(); }

  Status Execute(const char* sql) {
    const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
    return code == SQLITE_OK ? Status::Ok() : Error(code);
  }

  // Prepared once for this text; reset and unbound.
  Result<sqlite3_stmt*> Prepare(const std::string& sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
      sqlite3_stmt* raw = nullptr;
      const int code =
          sqlite3_prepare_v3(database_.get(), sql.c_str(), static_cast<int>(sql.size()) + 1,
                             SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
      if (code != SQLITE_OK) return Error(code);
      found = statements_.emplace(sql, Statement(raw)).first;
    }
    return found->second.get();
  }

  Status Error(int code) { return SqliteError(path_, code, database_.get()); }

 private:
  std::string path_;
  Database database_;
  std::map<std::string, Statement, std::less<>> statements_;
};

// Leaves a statement ready for the next use, whatever happened to this one.
class Run {
 public:
  explicit Run(sqlite3_stmt* statement) : statement_(statement) {}
  ~Run() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // The bytes must outlive this object. An empty value is stored as an empty blob, not as NULL.
  void Bind(int index, std::string_view bytes) {
    sqlite3_bind_blob64(statement_, index, bytes.empty() ? "" : bytes.data(), bytes.size(),
                        SQLITE_STATIC);
  }
  void Bind(int index, std::int64_t number) { sqlite3_bind_int64(statement_, index, number); }
  int Step() { return sqlite3_step(statement_); }
  std::string Bytes(int column) {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const int size = sqlite3_column_bytes(statement_, column);
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<std::size_t>(size));
  }
  std::int64_t Number(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_;
};

// A transaction that somebody waits for.
struct Waiting {
  std::span<const TableChange> changes;
  bool is_done = false;
  Status status;
};

}  // namespace

struct Tables::State {
  std::string path;
  std::vector<std::string> names;

  // Writing: whoever finds no leader leads, and takes the others' changes along.
  std::mutex queue_mutex;
  std::condition_variable queue_moves;
  std::deque<Waiting*> queue;
  bool has_leader = false;
  std::mutex writer_mutex;
  std::unique_ptr<Connection> writer;

  // Reading: a stack of idle connections. Erasure needs a moment without readers.
  mutable std::shared_mutex readers_gate;
  mutable std::mutex pool_mutex;
  mutable std::vector<std::unique_ptr<Connection>> pool;

  Status CheckTable(std::string_view table) const {
    if (std::find(names.begin(), names.end(), table) != names.end()) return Status::Ok();
    std::string known;
    for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
    return InvalidArgument("table: '" + std::string(table) + "' is unknown; known are: " + known);
  }

  Status CheckChange(const TableChange& change) const {
    POISE_RETURN_IF_ERROR(CheckTable(change.table));
    POISE_RETURN_IF_ERROR(CheckKey(change.key));
    if (change.value && change.value->size() > kMaxValueBytes) {
      return InvalidArgument("value: at most " + std::to_string(kMaxValueBytes) +
                             " bytes are allowed, it has " + std::to_string(change.value->size()));
    }
    return Status::Ok();
  }

  static Status CheckKey(std::string_view key) {
    if (key.empty() || key.size() > kMaxKeyBytes) {
      return InvalidArgument("key: must be 1 to " + std::to_string(kMaxKeyBytes) + " bytes, is " +
                             std::to_string(key.size()));
    }
    return Status::Ok();
  }

  Status Write(std::span<const TableChange> changes);
  Status ApplyChange(const TableChange& change);
  Status CommitTogether(const std::vector<Waiting*>& group);

  // Runs `use` on a connection for reading.
  template <typename Use>
  auto Read(const Use& use) const -> decltype(use(std::declval<Connection&>())) {
    const std::shared_lock gate(readers_gate);
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard held(pool_mutex);
      if (!pool.empty()) {
        connection = std::move(pool.back());
        pool.pop_back();
      }
    }
    if (connection == nullptr) {
      auto opened = Connection::Open(path);
      if (!opened.ok()) return opened.status();
      connection = *std::move(opened);
      POISE_RETURN_IF_ERROR(connection->Execute("PRAGMA query_only=ON"));
    }
    auto result = use(*connection);
    const std::lock_guard held(pool_mutex);
    pool.push_back(std::move(connection));
    return result;
  }

  Status CheckpointTo(int mode);
};

Tables::Tables(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tables::~Tables() = default;

Result<std::unique_ptr<Tables>> Tables::Open(const std::string& path,
                                             std::vector<std::string> table_names) {
  for (const std::string& name : table_names) {
    if (!IsTableName(name)) {
      return InvalidArgument("table: '" + name +
                             "' is no name; use a-z, 0-9 and _, starting with a letter");
    }
  }
  auto state = std::make_unique<State>();
  state->path = path;
  state->names = std::move(table_names);
  POISE_ASSIGN_OR_RETURN(state->writer, Connection::Open(path));
  for (const std::string& name : state->names) {
    auto exists = state->writer->Prepare("SELECT 1 FROM sqlite_schema WHERE name='t_" + name + "'");
    if (!exists.ok()) return exists.status();
    {
      Run run(*exists);
      const int code = run.Step();
      if (code == SQLITE_ROW) continue;
      if (code != SQLITE_DONE) return state->writer->Error(code);
    }
    POISE_RETURN_IF_ERROR(state->writer->Execute(
        ("CREATE TABLE t_" + name + " (key BLOB PRIMARY KEY NOT NULL, value BLOB NOT NULL)")
            .c_str()));
  }
  return std::unique_ptr<Tables>(new Tables(std::move(state)));
}

// ---------------------------------------------------------------- writing

Status Tables::State::ApplyChange(const TableChange& change) {
  if (!change.value) {
    POISE_ASSIGN_OR_RETURN(sqlite3_stmt* const statement,
                           writer->Prepare("DELETE FROM t_" + change.table + " WHERE key=?1"));
    Run run(statement);
    run.Bind(1, change.key);
    const int code = run.Step();
    return code == SQLITE_DONE ? Status::Ok() : writer->Error(code);
  }
  POISE_ASSIGN_OR_RETURN(
      sqlite3_stmt* const statement,
      writer->Prepare("INSERT INTO t_" + change.table +
                      "(key,value) VALUES(?1,?2) ON CONFLICT(key) DO UPDATE SET value=?2"));
  Run run(statement);
  run.Bind(1, change.key);
  run.Bind(2, *change.value);
  const int code = run.Step();
  return code == SQLITE_DONE ? Status::Ok() : writer->Error(code);
}

Status Tables::State::CommitTogether(const std::vector<Waiting*>& group) {
  const std::lock_guard held(writer_mutex);
  const auto apply = [&]() -> Status {
    POISE_RETURN_IF_ERROR(writer->Execute("BEGIN IMMEDIATE"));
    for (const Waiting* waiting : group) {
      for (const TableChange& change : waiting->changes) {
        POISE_RETURN_IF_ERROR(ApplyChange(change));
      }
    }
    return writer->Execute("COMMIT");
  };
  Status status = apply();
  // Some errors have rolled the transaction back already.
  if (!status.ok() && sqlite3_get_autocommit(writer->database()) == 0) {
    static_cast<void>(writer->Execute("ROLLBACK"));
  }
  return status;
}

Status Tables::State::Write(std::span<const TableChange> changes) {
  for (const TableChange& change : changes) POISE_RETURN_IF_ERROR(CheckChange(change));
  if (changes.empty()) return Status::Ok();
  Waiting mine{.changes = changes, .is_done = false, .status = {}};
  std::unique_lock held(queue_mutex);
  queue.push_back(&mine);
  queue_moves.wait(held, [&] { return mine.is_done || !has_leader; });
  if (mine.is_done) return mine.status;

  has_leader = true;
  std::vector<Waiting*> group(queue.begin(), queue.end());
  queue.clear();
  held.unlock();
  const Status status = CommitTogether(group);
  held.lock();
  for (Waiting* waiting : group) {
    waiting->status = status;
    waiting->is_done = true;
  }
  has_leader = false;
  queue_moves.notify_all();
  return mine.status;
}

Status Tables::Put(std::string_view table, std::string_view key, std::string_view value) {
  const TableChange change{std::string(table), std::string(key), std::string(value)};
  return state_->Write({&change, 1});
}

Status Tables::Delete(std::string_view table, std::string_view key) {
  const TableChange change{std::string(table), std::string(key), std::nullopt};
  return state_->Write({&change, 1});
}

Status Tables::Apply(std::span<const TableChange> changes) { return state_->Write(changes); }

// ---------------------------------------------------------------- reading

Result<std::optional<std::string>> Tables::Get(std::string_view table, std::string_view key) const {
  POISE_RETURN_IF_ERROR(state_->CheckTable(table));
  POISE_RETURN_IF_ERROR(State::CheckKey(key));
  return state_->Read([&](Connection& connection) -> Result<std::optional<std::string>> {
    POISE_ASSIGN_OR_RETURN(
        sqlite3_stmt* const statement,
        connection.Prepare("SELECT value FROM t_" + std::string(table) + " WHERE key=?1"));
    Run run(statement);
    run.Bind(1, key);
    const int code = run.Step();
    if (code == SQLITE_ROW) return std::optional<std::string>(run.Bytes(0));
    if (code == SQLITE_DONE) return std::optional<std::string>();
    return connection.Error(code);
  });
}

Result<std::vector<TableRow>> Tables::Scan(std::string_view table, std::string_view start_key,
                                           std::size_t limit, std::string_view end_key) const {
  POISE_RETURN_IF_ERROR(state_->CheckTable(table));
  return state_->Read([&](Connection& connection) -> Result<std::vector<TableRow>> {
    const std::string upper = end_key.empty() ? "" : " AND key<?3";
    POISE_ASSIGN_OR_RETURN(sqlite3_stmt* const statement,
                           connection.Prepare("SELECT key,value FROM t_" + std::string(table) +
                                              " WHERE key>=?1" + upper + " ORDER BY key LIMIT ?2"));
    Run run(statement);
    run.Bind(1, start_key);
    constexpr std::size_t kMost = 1u << 30;
    run.Bind(2, static_cast<std::int64_t>(std::min(limit, kMost)));
    if (!end_key.empty()) run.Bind(3, end_key);
    std::vector<TableRow> rows;
    int code = run.Step();
    for (; code == SQLITE_ROW; code = run.Step()) rows.push_back({run.Bytes(0), run.Bytes(1)});
    if (code != SQLITE_DONE) return connection.Error(code);
    return rows;
  });
}

Result<std::uint64_t> Tables::Count(std::string_view table) const {
  POISE_RETURN_IF_ERROR(state_->CheckTable(table));
  return state_->Read([&](Connection& connection) -> Result<std::uint64_t> {
    POISE_ASSIGN_OR_RETURN(sqlite3_stmt* const statement,
                           connection.Prepare("SELECT count(*) FROM t_" + std::string(table)));
    Run run(statement);
    const int code = run.Step();
    if (code != SQLITE_ROW) return connection.Error(code);
    return static_cast<std::uint64_t>(run.Number(0));
  });
}

// ---------------------------------------------------------------- care

Status Tables::State::CheckpointTo(int mode) {
  int log_frames = 0;
  int moved_frames = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(writer->database(), nullptr, mode, &log_frames, &moved_frames);
  if (code != SQLITE_OK) return writer->Error(code);
  return Status::Ok();
}

Status Tables::Checkpoint() {
  // PASSIVE blocks nobody, so it runs on a connection of its own beside the writer.
  return state_->Read([&](Connection& connection) -> Status {
    POISE_RETURN_IF_ERROR(connection.Execute("PRAGMA query_only=OFF"));
    const int code = sqlite3_wal_checkpoint_v2(connection.database(), nullptr,
                                               SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    const Status status =
        code == SQLITE_OK || code == SQLITE_BUSY ? Status::Ok() : connection.Error(code);
    static_cast<void>(connection.Execute("PRAGMA query_only=ON"));
    return status;
  });
}

Status Tables::ErasePhysically() {
  const std::unique_lock gate(state_->readers_gate);
  const std::lock_guard held(state_->writer_mutex);
  return state_->CheckpointTo(SQLITE_CHECKPOINT_TRUNCATE);
}

std::uint64_t Tables::change_log_bytes() const {
  struct stat attributes {};
  if (stat((state_->path + "-wal").c_str(), &attributes) != 0) return 0;
  return static_cast<std::uint64_t>(attributes.st_size);
}

}  // namespace poise
