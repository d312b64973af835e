// SPDX-License-Identifier: Apache-2.0
//
// Claims: keys that somebody is changing right now, so that two writers of one key take turns while
// writers of different keys share a transaction. Inside catalog/ only.
//
// A writer claims all its keys at once or waits, so writers cannot wait for each other in a circle.
//
// Threads  May be used concurrently.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

namespace poise {

template <typename Key, typename Hash = std::hash<Key>>
class Claims {
 public:
  // Holds its keys until destruction. Requires  keys without repetitions.
  class Hold {
   public:
    Hold(Claims& claims, std::vector<Key> keys) : claims_(claims), keys_(std::move(keys)) {
      std::unique_lock lock(claims_.mutex_);
      claims_.released_.wait(lock, [&] {
        return std::none_of(keys_.begin(), keys_.end(),
                            [&](const Key& key) { return claims_.held_.count(key) != 0; });
      });
      claims_.held_.insert(keys_.begin(), keys_.end());
    }
    ~Hold() {
      {
        const std::lock_guard lock(claims_.mutex_);
        for (const Key& key : keys_) claims_.held_.erase(key);
      }
      claims_.released_.notify_all();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    const std::vector<Key>& keys() const { return keys_; }

   private:
    Claims& claims_;
    std::vector<Key> keys_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::unordered_set<Key, Hash> held_;
};

}  // namespace poise
