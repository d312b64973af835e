// SPDX-License-Identifier: Apache-2.0
//
// ThreadPool: a fixed number of threads for work that a caller waits for.
//
// The split of ParallelFor() depends only on (count, grain), never on the number of threads or on
// timing, so a body that writes only its own range gives the same bytes every time.
//
// Threads  ParallelFor may be called from several threads at once; it must not be called from
// inside
//          a body.
// Cost     One wake-up a call; a body of fewer than some 20 us is not worth it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace poise {

class ThreadPool {
 public:
  // thread_count threads in all, the calling thread counted: 1 runs everything in the caller.
  // 0 means one for each processor that this process may run on.
  explicit ThreadPool(std::size_t thread_count);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::size_t thread_count() const { return thread_count_; }

  // Calls body(begin, end, worker) for consecutive ranges of at most `grain` that cover [0, count).
  // `worker` is in [0, thread_count()), and no two bodies run with the same one at the same time:
  // it names scratch memory. Returns when all are done.
  void ParallelFor(
      std::size_t count, std::size_t grain,
      const std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>& body);

 private:
  struct State;
  std::size_t thread_count_;
  std::unique_ptr<State> state_;
};

}  // namespace poise
