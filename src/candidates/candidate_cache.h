// SPDX-License-Identifier: Apache-2.0
//
// CandidateCache: the candidate sets of the users who came lately, bounded in bytes.
//
// Candidates are kept, decisions never: a slate served twice from a cache would be one trial
// counted as two.
//
// Place    serve/ -> [CandidateCache] <- candidates/retriever.h
// Threads  All methods may run concurrently; 64 shards, each with its own lock.
// Cost     A hit: one lock, one probe, one reference count; about 200 ns. When full the sets not
//          used since the hand last passed go first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "candidates/retriever.h"
#include "domain/ids.h"

namespace poise {

class CandidateCache {
 public:
  // What a set was made from; another value of any is a miss, and the old set is dropped.
  struct Version {
    std::uint64_t user = 0;       // how much of the user's history was known
    std::uint64_t epoch = 0;      // of models and shared lists
    std::uint64_t placement = 0;  // hash of placement and whatever narrowed the retrieval
    bool operator==(const Version&) const = default;
  };

  explicit CandidateCache(std::size_t max_bytes);
  ~CandidateCache();
  CandidateCache(const CandidateCache&) = delete;
  CandidateCache& operator=(const CandidateCache&) = delete;

  // Null: a miss.
  std::shared_ptr<const CandidateSet> Find(const UserKey& user, const Version& version);
  // One set a user: another placement replaces it. A set larger than a shard is not kept.
  void Insert(const UserKey& user, const Version& version, std::shared_ptr<const CandidateSet> set);

  void Forget(const UserKey& user);
  bool Remembers(const UserKey& user) const;
  void Clear();

  std::size_t size_bytes() const;
  std::uint64_t hit_count() const;
  std::uint64_t miss_count() const;

 private:
  struct Shard;
  static constexpr std::size_t kShardCount = 64;
  Shard& ShardOf(const UserKey& user) const;

  std::size_t max_shard_bytes_;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace poise
