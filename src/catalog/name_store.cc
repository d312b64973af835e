// SPDX-License-Identifier: Apache-2.0
#include "catalog/name_store.h"

#include <mutex>

#include "base/check.h"
#include "base/hash.h"

namespace poise {

std::optional<std::uint32_t> NameStore::FindLocked(std::string_view name) const {
  if (slots_.empty()) return std::nullopt;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = StableHash(name) & mask; slots_[slot] != kEmpty;
       slot = (slot + 1) & mask) {
    if (names_[slots_[slot]] == name) return slots_[slot];
  }
  return std::nullopt;
}

std::optional<std::uint32_t> NameStore::Find(std::string_view name) const {
  const std::shared_lock lock(mutex_);
  return FindLocked(name);
}

std::string_view NameStore::At(std::uint32_t number) const {
  const std::shared_lock lock(mutex_);
  POISE_CHECK(number < names_.size());
  return names_[number];
}

std::size_t NameStore::size() const {
  const std::shared_lock lock(mutex_);
  return names_.size();
}

void NameStore::Insert(std::uint32_t number) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = StableHash(names_[number]) & mask;
  while (slots_[slot] != kEmpty) slot = (slot + 1) & mask;
  slots_[slot] = number;
}

void NameStore::Grow() {
  std::vector<std::uint32_t> old = std::move(slots_);
  slots_.assign(old.empty() ? 64 : old.size() * 2, kEmpty);
  for (const std::uint32_t number : old) {
    if (number != kEmpty) Insert(number);
  }
}

void NameStore::PutLocked(std::uint32_t number, std::string_view name) {
  if (number >= names_.size()) names_.resize(std::size_t{number} + 1);
  names_[number] = name;
  if ((used_ + 1) * 3 > slots_.size() * 2) Grow();
  Insert(number);
  ++used_;
}

void NameStore::Put(std::uint32_t number, std::string_view name) {
  const std::unique_lock lock(mutex_);
  POISE_CHECK(!FindLocked(name));
  PutLocked(number, name);
}

std::uint32_t NameStore::Intern(std::string_view name) {
  if (const auto found = Find(name)) return *found;
  const std::unique_lock lock(mutex_);
  if (const auto found = FindLocked(name)) return *found;
  const auto number = static_cast<std::uint32_t>(names_.size());
  PutLocked(number, name);
  return number;
}

}  // namespace poise
