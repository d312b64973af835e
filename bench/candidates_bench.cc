// SPDX-License-Identifier: Apache-2.0
//
// What candidates cost: the exact search against one read of its bytes, and a cached set's hit.
//
//   search  the 200 largest inner products among 100,000 vectors of 64 dimensions
//   limit   reading the 7-bit copy once (a sum of its bytes), and the same search in fp32
//
// Rounds alternate; medians are printed.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "ann/exact_index.h"
#include "base/rng.h"
#include "candidates/candidate_cache.h"
#include "math/top_k.h"
#include "math/vector.h"

namespace poise {
namespace {

constexpr std::size_t kRows = 100'000;
constexpr std::size_t kDim = 64;
constexpr std::size_t kCount = 200;
constexpr int kRounds = 41;
constexpr std::uint64_t kUsers = 20'000;

// Time on the processor, not on the wall: the machine may be shared.
double Micros() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}
double MicrosSince(double start) { return Micros() - start; }

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

int RunSearch() {
  Rng rng(1);
  std::vector<float> vectors(kRows * kDim);
  for (float& value : vectors) value = static_cast<float>(rng.Normal());
  const auto index = ExactIndex::Build(vectors, kDim);
  if (!index.ok()) return 1;
  std::vector<std::uint64_t> bytes(kRows * kDim / sizeof(std::uint64_t), 3);
  std::vector<float> query(kDim);
  std::vector<float> scores(kRows);
  std::vector<ScoredIndex> found;
  std::vector<ScoredIndex> best;
  std::vector<double> read_us;
  std::vector<double> slow_us;
  std::vector<double> search_us;
  std::uint64_t checksum = 0;
  std::size_t agreed = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (float& value : query) value = static_cast<float>(rng.Normal());
    auto start = Micros();
    for (const std::uint64_t word : bytes) checksum += word;
    read_us.push_back(MicrosSince(start));
    start = Micros();
    for (std::size_t row = 0; row < kRows; ++row) {
      scores[row] = Dot(query, {vectors.data() + row * kDim, kDim});
    }
    TopK(scores, kCount, best);
    slow_us.push_back(MicrosSince(start));
    start = Micros();
    if (!index->Search(query, kCount, found).ok()) return 1;
    search_us.push_back(MicrosSince(start));
    for (std::size_t i = 0; i < kCount; ++i) agreed += found[i].index == best[i].index ? 1 : 0;
  }
  fmt::print("top {} of {} x {} (checksum {})\n", kCount, kRows, kDim, checksum % 997);
  fmt::print("  read     {:8.1f} us   one pass over as many bytes\n", Median(read_us));
  fmt::print("  fp32     {:8.1f} us   every inner product\n", Median(slow_us));
  fmt::print("  search   {:8.1f} us   {:.2f} x the read, {:.2f} x fp32, same rows {:.4f}\n",
             Median(search_us), Median(search_us) / Median(read_us),
             Median(search_us) / Median(slow_us),
             static_cast<double>(agreed) / (kRounds * static_cast<double>(kCount)));
  return 0;
}

void RunCache() {
  Rng rng(2);
  CandidateCache cache(std::size_t{1} << 30);
  std::vector<UserKey> users(kUsers);
  for (UserKey& user : users) {
    const std::uint64_t words[2] = {rng.Next(), rng.Next()};
    std::memcpy(user.bytes.data(), words, sizeof words);
    auto set = std::make_shared<CandidateSet>();
    set->candidates.resize(500);
    cache.Insert(user, {1, 1, 1}, std::move(set));
  }
  std::vector<double> hit_ns;
  std::uint64_t checksum = 0;
  for (int round = 0; round < kRounds; ++round) {
    const auto start = Micros();
    for (const UserKey& user : users) {
      const auto set = cache.Find(user, {1, 1, 1});
      checksum += set == nullptr ? 0 : set->candidates.size();
    }
    hit_ns.push_back(1000 * MicrosSince(start) / kUsers);
  }
  fmt::print("candidate cache, {} users in turn (checksum {})\n", kUsers, checksum % 997);
  fmt::print("  hit      {:8.1f} ns\n", Median(hit_ns));
}

}  // namespace
}  // namespace poise

int main() {
  const int failed = poise::RunSearch();
  poise::RunCache();
  return failed;
}
