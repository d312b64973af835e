// SPDX-License-Identifier: Apache-2.0
#include "candidates/candidate_cache.h"

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace poise {
namespace {

// An entry, its place in the table and the shared_ptr's block, beside the set itself.
constexpr std::size_t kEntryBytes = 160;

}  // namespace

struct alignas(64) CandidateCache::Shard {
  struct Entry {
    UserKey user;
    Version version;
    std::shared_ptr<const CandidateSet> set;  // null: a free place
    std::size_t bytes = 0;
    bool was_used = false;  // since the hand last passed
  };

  mutable std::mutex mutex;
  std::unordered_map<UserKey, std::uint32_t, UserKeyHash> places;
  std::vector<Entry> entries;
  std::vector<std::uint32_t> free;
  std::size_t hand = 0;
  std::size_t bytes = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;

  // Returns what the entry held, to be freed outside the lock.
  std::shared_ptr<const CandidateSet> Remove(std::uint32_t place) {
    Entry& entry = entries[place];
    bytes -= entry.bytes;
    places.erase(entry.user);
    free.push_back(place);
    std::shared_ptr<const CandidateSet> held = std::move(entry.set);
    entry = Entry{};
    return held;
  }
};

CandidateCache::CandidateCache(std::size_t max_bytes)
    : max_shard_bytes_(max_bytes / kShardCount), shards_(new Shard[kShardCount]) {}
CandidateCache::~CandidateCache() = default;

CandidateCache::Shard& CandidateCache::ShardOf(const UserKey& user) const {
  // The table uses the first bytes, so the shard takes one of the last.
  return shards_[user.bytes[15] % kShardCount];
}

std::shared_ptr<const CandidateSet> CandidateCache::Find(const UserKey& user,
                                                         const Version& version) {
  Shard& shard = ShardOf(user);
  std::shared_ptr<const CandidateSet> dropped;
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.places.find(user);
  if (found == shard.places.end()) {
    ++shard.misses;
    return nullptr;
  }
  Shard::Entry& entry = shard.entries[found->second];
  if (entry.version != version) {
    ++shard.misses;
    dropped = shard.Remove(found->second);
    return nullptr;
  }
  ++shard.hits;
  entry.was_used = true;
  return entry.set;
}

void CandidateCache::Insert(const UserKey& user, const Version& version,
                            std::shared_ptr<const CandidateSet> set) {
  if (set == nullptr) return;
  const std::size_t bytes = set->size_bytes() + kEntryBytes;
  std::vector<std::shared_ptr<const CandidateSet>> dropped;
  Shard& shard = ShardOf(user);
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.places.find(user); found != shard.places.end()) {
    dropped.push_back(shard.Remove(found->second));
  }
  if (bytes > max_shard_bytes_) return;
  // Two rounds of the hand at most: the first takes the marks, the second the sets.
  while (shard.bytes + bytes > max_shard_bytes_) {
    const std::size_t place = shard.hand++ % shard.entries.size();
    Shard::Entry& entry = shard.entries[place];
    if (entry.set == nullptr) continue;
    if (entry.was_used) {
      entry.was_used = false;
      continue;
    }
    dropped.push_back(shard.Remove(static_cast<std::uint32_t>(place)));
  }
  if (shard.free.empty()) {
    shard.free.push_back(static_cast<std::uint32_t>(shard.entries.size()));
    shard.entries.emplace_back();
  }
  const std::uint32_t place = shard.free.back();
  shard.free.pop_back();
  shard.entries[place] = {user, version, std::move(set), bytes, /*was_used=*/false};
  shard.places.emplace(user, place);
  shard.bytes += bytes;
}

void CandidateCache::Forget(const UserKey& user) {
  Shard& shard = ShardOf(user);
  std::shared_ptr<const CandidateSet> dropped;
  const std::lock_guard lock(shard.mutex);
  if (const auto found = shard.places.find(user); found != shard.places.end()) {
    dropped = shard.Remove(found->second);
  }
}

bool CandidateCache::Remembers(const UserKey& user) const {
  const Shard& shard = ShardOf(user);
  const std::lock_guard lock(shard.mutex);
  return shard.places.contains(user);
}

void CandidateCache::Clear() {
  for (std::size_t s = 0; s < kShardCount; ++s) {
    std::vector<Shard::Entry> dropped;
    const std::lock_guard lock(shards_[s].mutex);
    dropped.swap(shards_[s].entries);
    shards_[s].places.clear();
    shards_[s].free.clear();
    shards_[s].hand = 0;
    shards_[s].bytes = 0;
  }
}

std::size_t CandidateCache::size_bytes() const {
  std::size_t bytes = 0;
  for (std::size_t s = 0; s < kShardCount; ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    bytes += shards_[s].bytes;
  }
  return bytes;
}

std::uint64_t CandidateCache::hit_count() const {
  std::uint64_t count = 0;
  for (std::size_t s = 0; s < kShardCount; ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    count += shards_[s].hits;
  }
  return count;
}

std::uint64_t CandidateCache::miss_count() const {
  std::uint64_t count = 0;
  for (std::size_t s = 0; s < kShardCount; ++s) {
    const std::lock_guard lock(shards_[s].mutex);
    count += shards_[s].misses;
  }
  return count;
}

}  // namespace poise
