// SPDX-License-Identifier: Apache-2.0
//
// FrozenArray<T>: an immutable array of a model, made by training or lying in a mapped file.
//
// A model reads both the same way; the array keeps alive what it lies in.
//
// Threads  Immutable; copies share the memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "storage/snapshot.h"

namespace poise {

template <typename T>
class FrozenArray {
 public:
  FrozenArray() = default;
  explicit FrozenArray(std::vector<T> values) {
    auto owner = std::make_shared<const std::vector<T>>(std::move(values));
    values_ = *owner;
    owner_ = std::move(owner);
  }

  // The section `name`, of `count` values or of any number.
  //
  // Errors  kInvalidArgument: absent, or of another size.
  static Result<FrozenArray> FromSnapshot(std::shared_ptr<const SnapshotReader> snapshot,
                                          std::string_view name,
                                          std::size_t count = SnapshotReader::kAnyCount) {
    FrozenArray out;
    POISE_ASSIGN_OR_RETURN(out.values_, snapshot->template Array<T>(name, count));
    out.owner_ = std::move(snapshot);
    return out;
  }

  std::span<const T> span() const { return values_; }
  std::size_t size() const { return values_.size(); }
  const T& operator[](std::size_t index) const { return values_[index]; }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const T> values_;
};

// What a loader asks of a mapped sparse matrix before it trusts it: offsets that start at 0, never
// fall and end at `entry_count`; indices that are all below `bound`.
bool IsRowIndex(std::span<const std::uint64_t> row_begin, std::size_t entry_count);
bool AreBelow(std::span<const std::uint32_t> indices, std::size_t bound);

}  // namespace poise
