// SPDX-License-Identifier: Apache-2.0
//
// DenseRow: a thread's scratch row of numbers, all zero at the start and again at the end.
//
// Scoring spreads a user's history over all items; clearing only what was touched keeps that as
// cheap as the history is short. The memory stays with the thread.
//
// Threads  One object, one thread; at most one object of a type lives at a time in a thread.
// Cost     Nothing but what is touched, and the first use's zeroing.
#pragma once

#include <cstdint>
#include <vector>

namespace poise {

template <typename T>
class DenseRow {
 public:
  explicit DenseRow(std::size_t size) : memory_(Memory()) {
    if (memory_.values.size() < size) memory_.values.resize(size, T{});
  }
  ~DenseRow() {
    for (const std::uint32_t index : memory_.touched) memory_.values[index] = T{};
    memory_.touched.clear();
  }
  DenseRow(const DenseRow&) = delete;
  DenseRow& operator=(const DenseRow&) = delete;

  T operator[](std::size_t index) const { return memory_.values[index]; }
  void Add(std::uint32_t index, T value) { Slot(index) += value; }
  void Set(std::uint32_t index, T value) { Slot(index) = value; }
  // Every index that was added to or set; one that was zero again in between may come twice.
  const std::vector<std::uint32_t>& touched() const { return memory_.touched; }

 private:
  struct Thread {
    std::vector<T> values;
    std::vector<std::uint32_t> touched;
  };
  static Thread& Memory() {
    thread_local Thread memory;
    return memory;
  }
  T& Slot(std::uint32_t index) {
    T& slot = memory_.values[index];
    if (slot == T{}) memory_.touched.push_back(index);
    return slot;
  }

  Thread& memory_;
};

}  // namespace poise
