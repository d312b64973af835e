// SPDX-License-Identifier: Apache-2.0
//
// NameStore: names with the number each has for ever, found by either. Inside catalog/ only.
//
// Threads  All methods may be called concurrently.
// Cost     A lookup: one shared lock and some three cache misses. 36 to 44 bytes a name beside its
//          text.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace poise {

class NameStore {
 public:
  std::optional<std::uint32_t> Find(std::string_view name) const;
  // Requires  a number that has a name. The view stays valid as long as the store.
  std::string_view At(std::uint32_t number) const;
  // One more than the highest number with a name.
  std::size_t size() const;

  // Requires  neither the name nor the number is taken.
  void Put(std::uint32_t number, std::string_view name);
  // The number of the name, given now if it has none.
  std::uint32_t Intern(std::string_view name);

 private:
  static constexpr std::uint32_t kEmpty = 0xffffffff;

  std::optional<std::uint32_t> FindLocked(std::string_view name) const;
  void PutLocked(std::uint32_t number, std::string_view name);
  void Grow();
  void Insert(std::uint32_t number);

  mutable std::shared_mutex mutex_;
  std::deque<std::string> names_;     // by number; never moved, never changed once set
  std::vector<std::uint32_t> slots_;  // open addressing, linear probing
  std::size_t used_ = 0;
};

}  // namespace poise
