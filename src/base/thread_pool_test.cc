// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace poise {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const std::size_t threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (const std::size_t count : {0, 1, 7, 1000}) {
      std::vector<int> hits(count);
      pool.ParallelFor(count, 3, [&](std::size_t begin, std::size_t end, std::size_t worker) {
        EXPECT_LT(worker, threads);
        for (std::size_t i = begin; i < end; ++i) ++hits[i];
      });
      EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), static_cast<int>(count));
    }
  }
}

TEST(ThreadPool, SeveralThreadsMayAskAtOnce) {
  ThreadPool pool(2);
  std::atomic<int> total{0};
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([&] {
        for (int round = 0; round < 50; ++round) {
          pool.ParallelFor(10, 1, [&](std::size_t, std::size_t, std::size_t) { ++total; });
        }
      });
    }
  }
  EXPECT_EQ(total, 4 * 50 * 10);
}

}  // namespace
}  // namespace poise
