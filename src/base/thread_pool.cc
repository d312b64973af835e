// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace poise {
namespace {

std::size_t AllowedProcessorCount() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace

struct ThreadPool::State {
  std::mutex call_mutex;  // one ParallelFor at a time
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable done;
  std::vector<std::jthread> threads;

  // Guarded by mutex, but next: the cursor of the job in hand.
  const std::function<void(std::size_t, std::size_t, std::size_t)>* body = nullptr;
  std::size_t count = 0;
  std::size_t grain = 1;
  std::size_t generation = 0;
  std::size_t busy_count = 0;
  bool is_stopping = false;
  std::atomic<std::size_t> next{0};

  void RunRanges(std::size_t worker) {
    for (;;) {
      const std::size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= count) return;
      (*body)(begin, std::min(begin + grain, count), worker);
    }
  }

  void Work(std::size_t worker) {
    std::size_t seen_generation = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      wake.wait(lock, [&] { return is_stopping || generation != seen_generation; });
      if (is_stopping) return;
      seen_generation = generation;
      lock.unlock();
      RunRanges(worker);
      lock.lock();
      if (--busy_count == 0) done.notify_one();
    }
  }
};

ThreadPool::ThreadPool(std::size_t thread_count)
    : thread_count_(thread_count == 0 ? AllowedProcessorCount() : thread_count),
      state_(std::make_unique<State>()) {
  for (std::size_t worker = 1; worker < thread_count_; ++worker) {
    state_->threads.emplace_back([this, worker] { state_->Work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->is_stopping = true;
  }
  state_->wake.notify_all();
}

void ThreadPool::ParallelFor(
    std::size_t count, std::size_t grain,
    const std::function<void(std::size_t, std::size_t, std::size_t)>& body) {
  POISE_CHECK(grain > 0);
  const std::lock_guard call_lock(state_->call_mutex);
  {
    const std::lock_guard lock(state_->mutex);
    state_->body = &body;
    state_->count = count;
    state_->grain = grain;
    state_->next = 0;
    state_->busy_count = state_->threads.size();
    ++state_->generation;
  }
  state_->wake.notify_all();
  state_->RunRanges(/*worker=*/0);
  std::unique_lock lock(state_->mutex);
  state_->done.wait(lock, [&] { return state_->busy_count == 0; });
}

}  // namespace poise
