// SPDX-License-Identifier: Apache-2.0
#include "storage/fault_env.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <set>

#include "base/rng.h"

namespace poise {

namespace {

constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

struct Change {
  bool is_resize = false;
  std::uint64_t offset = 0;  // or the new size
  std::string bytes;
};

struct Node {
  std::string content;  // what a reader sees
  std::string durable;  // what a crash leaves for certain
  std::vector<Change> unsynced;
};

struct NameChange {
  std::string directory;
  std::string removed;  // path, or empty
  std::string added;    // path, or empty
  std::shared_ptr<Node> node;
};

using Names = std::map<std::string, std::shared_ptr<Node>>;

void Apply(std::string& bytes, const Change& change) {
  if (change.is_resize) {
    bytes.resize(change.offset);
    return;
  }
  const std::uint64_t end = change.offset + change.bytes.size();
  if (bytes.size() < end) bytes.resize(end);
  std::copy(change.bytes.begin(), change.bytes.end(),
            bytes.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void Apply(Names& names, const NameChange& change) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.node;
}

// Keeps, drops or tears each unsynced change. Blocks of one write may arrive in any order, and a
// block in part.
void ApplyByChance(Node& node, Rng& rng) {
  constexpr std::size_t kBlock = 512;
  for (const Change& change : node.unsynced) {
    const std::uint64_t choice = rng.Below(4);
    if (choice == 0) continue;
    if (choice == 1 || change.is_resize) {
      Apply(node.durable, change);
    } else if (choice == 2) {
      Apply(node.durable,
            {false, change.offset, change.bytes.substr(0, rng.Below(change.bytes.size() + 1))});
    } else {
      for (std::size_t at = 0; at < change.bytes.size(); at += kBlock) {
        if (rng.Bernoulli(0.5)) continue;
        Apply(node.durable, {false, change.offset + at, change.bytes.substr(at, kBlock)});
      }
    }
  }
  node.unsynced.clear();
}

struct Plan {
  FaultEnv::Fault fault;
  std::uint64_t after;
  std::uint64_t count;
};

}  // namespace

struct FaultEnv::State {
  explicit State(std::uint64_t seed) : rng(seed) {}

  std::mutex mutex;
  Rng rng;
  Names names;
  Names durable_names;
  std::vector<NameChange> unsynced_names;
  std::set<std::string> directories{".", "/"};
  std::set<std::string> locks;
  std::vector<Plan> plans;
  std::uint64_t capacity = kNever;
  std::uint64_t generation = 0;
  std::uint64_t operations_until_death = kNever;
  bool is_dead = false;
  std::uint64_t write_count = 0;
  std::uint64_t sync_count = 0;

  bool Strikes(Fault fault) {
    for (Plan& plan : plans) {
      if (plan.fault != fault || plan.count == 0) continue;
      if (plan.after > 0) {
        --plan.after;
        continue;
      }
      --plan.count;
      return true;
    }
    return false;
  }

  // Spends one operation. At the one that dies, and after it, false.
  bool Lives() {
    if (operations_until_death == kNever) return true;
    is_dead = operations_until_death == 0;
    if (!is_dead) --operations_until_death;
    return !is_dead;
  }

  std::uint64_t UsedBytes() const {
    std::uint64_t used = 0;
    for (const auto& [path, node] : names) used += node->content.size();
    return used;
  }

  bool HasRoom(const Node& node, std::uint64_t size) const {
    if (size <= node.content.size() || capacity == kNever) return true;
    return UsedBytes() + (size - node.content.size()) <= capacity;
  }

  void ChangeContent(Node& node, Change change) {
    Apply(node.content, change);
    node.unsynced.push_back(std::move(change));
  }

  void ChangeNames(NameChange change) {
    Apply(names, change);
    unsynced_names.push_back(std::move(change));
  }
};

namespace {

Status Dead(const std::string& path) { return Unavailable(path + ": the power is off"); }
Status NoSpace(const std::string& path) { return ResourceExhausted(path + ": injected: no space"); }

}  // namespace

// Names the private State for the classes below.
struct FaultEnvAccess {
  template <typename State>
  class FaultFile final : public File {
   public:
    FaultFile(std::shared_ptr<State> state, std::shared_ptr<Node> node, std::string path,
              bool is_writable)
        : state_(std::move(state)),
          node_(std::move(node)),
          path_(std::move(path)),
          generation_(state_->generation),
          is_writable_(is_writable) {}

    Status WriteAt(std::uint64_t offset, std::span<const std::string_view> parts) override {
      const std::lock_guard lock(state_->mutex);
      if (!is_writable_) return Unavailable(path_ + ": opened for reading");
      if (generation_ != state_->generation) return Dead(path_);
      ++state_->write_count;
      std::string bytes;
      for (const std::string_view part : parts) bytes.append(part);
      const bool was_dead = state_->is_dead;
      const bool lives = state_->Lives();
      if (was_dead) return Dead(path_);
      if (!lives || state_->Strikes(FaultEnv::Fault::kWriteIsShort)) {
        bytes.resize(state_->rng.Below(bytes.size() + 1));
        state_->ChangeContent(*node_, {false, offset, std::move(bytes)});
        return lives ? Unavailable(path_ + ": injected: short write") : Dead(path_);
      }
      if (state_->Strikes(FaultEnv::Fault::kWriteFails)) {
        return Unavailable(path_ + ": injected: write failed");
      }
      if (state_->Strikes(FaultEnv::Fault::kNoSpace)) return NoSpace(path_);
      if (!state_->HasRoom(*node_, offset + bytes.size())) {
        const std::uint64_t room =
            state_->capacity - std::min(state_->capacity, state_->UsedBytes());
        const std::uint64_t until = node_->content.size() + room;
        bytes.resize(until > offset ? std::min<std::uint64_t>(bytes.size(), until - offset) : 0);
        if (!bytes.empty()) state_->ChangeContent(*node_, {false, offset, bytes});
        return NoSpace(path_);
      }
      state_->ChangeContent(*node_, {false, offset, std::move(bytes)});
      return Status::Ok();
    }

    Result<std::size_t> ReadAt(std::uint64_t offset, std::span<char> out) const override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ != state_->generation) return Dead(path_);
      const std::string& content = node_->content;
      if (offset >= content.size()) return std::size_t{0};
      return content.copy(out.data(), out.size(), offset);
    }

    Status Preallocate(std::uint64_t size) override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ != state_->generation) return Dead(path_);
      if (!state_->Lives()) return Dead(path_);
      if (state_->Strikes(FaultEnv::Fault::kNoSpace) || !state_->HasRoom(*node_, size)) {
        return NoSpace(path_);
      }
      if (size > node_->content.size()) state_->ChangeContent(*node_, {true, size, {}});
      return Status::Ok();
    }

    Status Truncate(std::uint64_t size) override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ != state_->generation) return Dead(path_);
      if (!state_->Lives()) return Dead(path_);
      state_->ChangeContent(*node_, {true, size, {}});
      return Status::Ok();
    }

    Status Sync() override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ != state_->generation) return Dead(path_);
      ++state_->sync_count;
      if (!state_->Lives()) return Dead(path_);
      if (state_->Strikes(FaultEnv::Fault::kSyncFails)) {
        ApplyByChance(*node_, state_->rng);
        return Unavailable(path_ + ": injected: sync failed");
      }
      for (const Change& change : node_->unsynced) Apply(node_->durable, change);
      node_->unsynced.clear();
      return Status::Ok();
    }

    Result<std::uint64_t> Size() const override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ != state_->generation) return Dead(path_);
      return static_cast<std::uint64_t>(node_->content.size());
    }

   private:
    std::shared_ptr<State> state_;
    std::shared_ptr<Node> node_;
    std::string path_;
    std::uint64_t generation_;
    bool is_writable_;
  };

  class FaultMappedFile final : public MappedFile {
   public:
    explicit FaultMappedFile(std::string_view bytes)
        : pages_((bytes.size() + sizeof(Page) - 1) / sizeof(Page)), size_(bytes.size()) {
      if (size_ > 0) std::memcpy(pages_.data(), bytes.data(), size_);
    }
    std::string_view bytes() const override {
      return {reinterpret_cast<const char*>(pages_.data()), size_};
    }

   private:
    // As aligned as a real map is.
    struct alignas(4096) Page {
      char bytes[4096];
    };
    std::vector<Page> pages_;
    std::size_t size_;
  };

  template <typename State>
  class FaultLock final : public FileLock {
   public:
    FaultLock(std::shared_ptr<State> state, std::string path)
        : state_(std::move(state)), path_(std::move(path)), generation_(state_->generation) {}
    ~FaultLock() override {
      const std::lock_guard lock(state_->mutex);
      if (generation_ == state_->generation) state_->locks.erase(path_);
    }

   private:
    std::shared_ptr<State> state_;
    std::string path_;
    std::uint64_t generation_;
  };
};

FaultEnv::FaultEnv(std::uint64_t seed) : state_(std::make_shared<State>(seed)) {}
FaultEnv::~FaultEnv() = default;

void FaultEnv::Inject(Fault fault, std::uint64_t after, std::uint64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->plans.push_back({fault, after, count});
}

void FaultEnv::Heal() {
  const std::lock_guard lock(state_->mutex);
  state_->plans.clear();
}

void FaultEnv::SetCapacity(std::uint64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->capacity = bytes;
}

void FaultEnv::Crash() {
  const std::lock_guard lock(state_->mutex);
  ++state_->generation;
  state_->locks.clear();
  state_->operations_until_death = kNever;
  state_->is_dead = false;
  // Each folder's changes of names arrive in order, up to some point.
  std::set<std::string> stopped;
  for (const NameChange& change : state_->unsynced_names) {
    if (stopped.contains(change.directory)) continue;
    if (state_->rng.Bernoulli(0.3)) {
      stopped.insert(change.directory);
      continue;
    }
    Apply(state_->durable_names, change);
  }
  state_->unsynced_names.clear();
  state_->names = state_->durable_names;
  std::set<Node*> seen;
  for (const auto& [path, node] : state_->names) {
    if (!seen.insert(node.get()).second) continue;
    ApplyByChance(*node, state_->rng);
    node->content = node->durable;
  }
}

void FaultEnv::DieAfter(std::uint64_t operations) {
  const std::lock_guard lock(state_->mutex);
  state_->operations_until_death = operations;
}

std::uint64_t FaultEnv::write_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->write_count;
}

std::uint64_t FaultEnv::sync_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->sync_count;
}

Status FaultEnv::FlipBit(const std::string& path, std::uint64_t offset, int bit) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->names.find(path);
  if (found == state_->names.end()) return NotFound(path + ": no such file");
  Node& node = *found->second;
  if (offset >= node.content.size()) return InvalidArgument("offset: past the end of " + path);
  node.content[offset] = static_cast<char>(node.content[offset] ^ (1 << bit));
  if (offset < node.durable.size()) {
    node.durable[offset] = static_cast<char>(node.durable[offset] ^ (1 << bit));
  }
  return Status::Ok();
}

Result<std::unique_ptr<File>> FaultEnv::Open(const std::string& path, OpenMode mode) {
  const std::lock_guard lock(state_->mutex);
  const bool creates = mode == OpenMode::kCreate || mode == OpenMode::kCreateAlways;
  if (state_->is_dead || (creates && !state_->Lives())) return Dead(path);
  const auto found = state_->names.find(path);
  std::shared_ptr<Node> node;
  if (found != state_->names.end()) {
    if (mode == OpenMode::kCreate) return FailedPrecondition(path + ": exists");
    node = found->second;
    if (mode == OpenMode::kCreateAlways) state_->ChangeContent(*node, {true, 0, {}});
  } else {
    if (!creates) return NotFound(path + ": no such file");
    if (!state_->directories.contains(DirectoryOf(path))) {
      return NotFound(path + ": no such folder");
    }
    node = std::make_shared<Node>();
    state_->ChangeNames({DirectoryOf(path), {}, path, node});
  }
  return std::unique_ptr<File>(std::make_unique<FaultEnvAccess::FaultFile<State>>(
      state_, std::move(node), path, mode != OpenMode::kRead));
}

Result<std::unique_ptr<MappedFile>> FaultEnv::Map(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->names.find(path);
  if (found == state_->names.end()) return NotFound(path + ": no such file");
  return std::unique_ptr<MappedFile>(
      std::make_unique<FaultEnvAccess::FaultMappedFile>(found->second->content));
}

Status FaultEnv::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->Lives()) return Dead(from);
  const auto found = state_->names.find(from);
  if (found == state_->names.end()) return NotFound(from + ": no such file");
  state_->ChangeNames({DirectoryOf(to), from, to, found->second});
  return Status::Ok();
}

Status FaultEnv::Remove(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->Lives()) return Dead(path);
  if (!state_->names.contains(path)) return NotFound(path + ": no such file");
  state_->ChangeNames({DirectoryOf(path), path, {}, nullptr});
  return Status::Ok();
}

Result<std::vector<std::string>> FaultEnv::List(const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->directories.contains(directory)) return NotFound(directory + ": no such folder");
  std::vector<std::string> names;
  for (const auto& [path, node] : state_->names) {
    if (DirectoryOf(path) == directory) names.push_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

bool FaultEnv::Exists(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  return state_->names.contains(path) || state_->directories.contains(path);
}

Status FaultEnv::MakeDirectories(const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  for (std::string at = directory; !state_->directories.contains(at); at = DirectoryOf(at)) {
    state_->directories.insert(at);
  }
  return Status::Ok();
}

Status FaultEnv::SyncDirectory(const std::string& directory) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->Lives()) return Dead(directory);
  if (state_->Strikes(Fault::kDirectorySyncFails)) {
    return Unavailable(directory + ": injected: sync failed");
  }
  std::erase_if(state_->unsynced_names, [&](const NameChange& change) {
    if (change.directory != directory) return false;
    Apply(state_->durable_names, change);
    return true;
  });
  return Status::Ok();
}

Result<std::unique_ptr<FileLock>> FaultEnv::Lock(const std::string& path) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->locks.insert(path).second) {
    return FailedPrecondition(path + ": is held by another process or store");
  }
  return std::unique_ptr<FileLock>(
      std::make_unique<FaultEnvAccess::FaultLock<State>>(state_, path));
}

Result<std::uint64_t> FaultEnv::FreeBytes(const std::string&) {
  const std::lock_guard lock(state_->mutex);
  if (state_->capacity == kNever) return std::uint64_t{1} << 40;
  return state_->capacity - std::min(state_->capacity, state_->UsedBytes());
}

}  // namespace poise
