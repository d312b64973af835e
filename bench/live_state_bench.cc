// SPDX-License-Identifier: Apache-2.0
//
// What live state costs: memory for a million users with fifty interactions each, beside the bare
// 8 bytes an interaction; applying; reading users at random. Times are CPU time of one
// thread.
//
// live_state_bench [users] [interactions a user]
#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "base/rng.h"
#include "events/live_state.h"

namespace poise {
namespace {

std::size_t ResidentBytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t total_pages = 0;
  std::size_t resident_pages = 0;
  in >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Of this thread: what others do on the machine is not measured.
double CpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

UserKey KeyOf(std::uint64_t number) {
  UserKey key;
  const std::uint64_t words[2] = {Mix64(number), Mix64(~number)};
  std::memcpy(key.bytes.data(), words, sizeof words);
  return key;
}

void Run(std::uint64_t user_count, std::uint32_t per_user) {
  const auto seconds_since = [](double start) { return CpuSeconds() - start; };
  const std::size_t before = ResidentBytes();
  LiveState live({.history_length = per_user});
  const double interactions = static_cast<double>(user_count) * per_user;
  auto start = CpuSeconds();
  // Everybody's history grows at the same time, as in a shop: the worst order for an allocator.
  for (std::uint32_t round = 0; round < per_user; ++round) {
    for (std::uint64_t user = 0; user < user_count; ++user) {
      const auto item = static_cast<std::uint32_t>(Mix64(user * per_user + round) % 100'000);
      live.Apply(KeyOf(user), {ItemRow{item}, 1'700'000'000 + round, 1, EventType::kView});
    }
  }
  const double apply_s = seconds_since(start);
  const auto held = static_cast<double>(ResidentBytes() - before);

  Rng rng(1);
  std::vector<Interaction> buffer;
  constexpr int kReads = 1'000'000;
  std::uint64_t sum = 0;
  start = CpuSeconds();
  for (int i = 0; i < kReads; ++i) {
    const auto history = live.Read(KeyOf(rng.Below(user_count)), buffer);
    sum += history->interactions.back().time_s;
  }
  const double read_s = seconds_since(start);

  start = CpuSeconds();
  live.BeginCapture();
  std::size_t captured = live.CaptureTotals().size();
  for (std::size_t i = 0; i < LiveState::kShardCount; ++i) captured += live.TakeShard(i).size();
  live.EndCapture();
  const double capture_s = seconds_since(start);

  fmt::print("users {}  interactions {:.0f}  (checksum {})\n", user_count, interactions, sum);
  fmt::print("memory     {:7.1f} MB   {:5.1f} bytes a user   {:.2f} of 8 bytes an interaction\n",
             held / 1e6, held / static_cast<double>(user_count), held / (interactions * 8));
  fmt::print("apply      {:7.2f} M/s\n", interactions / apply_s / 1e6);
  fmt::print("read       {:7.3f} us  random users\n", read_s / kReads * 1e6);
  fmt::print("capture    {:7.2f} s   {:.1f} MB\n", capture_s, static_cast<double>(captured) / 1e6);
}

}  // namespace
}  // namespace poise

int main(int argc, char** argv) {
  const std::uint64_t users = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const auto per_user =
      static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 50);
  if (users == 0 || per_user == 0 || per_user > poise::LiveState::kMaxHistoryLength) {
    fmt::print(stderr, "usage: live_state_bench [users] [interactions a user, 1 to {}]\n",
               poise::LiveState::kMaxHistoryLength);
    return 2;
  }
  poise::Run(users, per_user);
  return 0;
}
