// SPDX-License-Identifier: Apache-2.0
//
// What a decision costs against what it cannot do without: 500 candidates, 10 slots.
//
//   whole   beliefs from the posterior, the slate with its propensities, the bytes of the log row
//   limit   one copy of the candidates, one look at each item's state in memory, 10 x 500
//           exponentials at the kernel's throughput
//
// Both go over the sets of many users in turn, so candidates come from memory and not from the
// nearest cache. Rounds alternate; medians are printed.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "base/rng.h"
#include "policy/decide.h"
#include "policy/decision_codec.h"
#include "policy/kernels.h"
#include "policy/posterior.h"
#include "policy/registry.h"

namespace poise {
namespace {

constexpr std::size_t kUsers = 2000;
constexpr std::size_t kCandidates = 500;
constexpr int kSlots = 10;
constexpr std::uint32_t kItems = 100'000;
constexpr int kRounds = 9;

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

int Run() {
  Rng rng(1);
  std::vector<std::vector<Candidate>> users(kUsers);
  for (auto& candidates : users) {
    for (std::size_t i = 0; i < kCandidates; ++i) {
      candidates.push_back({.item = ItemRow{static_cast<std::uint32_t>(rng.Below(kItems))},
                            .relevance = static_cast<float>(rng.Uniform()),
                            .sources = 1});
    }
    const auto by_row = [](const Candidate& a, const Candidate& b) { return a.item < b.item; };
    const auto same_row = [](const Candidate& a, const Candidate& b) { return a.item == b.item; };
    std::sort(candidates.begin(), candidates.end(), by_row);
    candidates.erase(std::unique(candidates.begin(), candidates.end(), same_row), candidates.end());
    std::shuffle(candidates.begin(), candidates.end(), rng);
  }
  RewardPosterior posterior;
  const auto learn_start = Micros();
  constexpr int kLearned = 300'000;
  for (int i = 0; i < kLearned; ++i) {
    LoggedChoice choice;
    choice.item = ItemRow{static_cast<std::uint32_t>(rng.Below(kItems))};
    choice.propensity = 0.1F;
    choice.relevance = static_cast<float>(rng.Uniform());
    choice.reward = rng.Bernoulli(0.05) ? 1 : 0;
    if (!posterior.Learn(choice).ok()) return 1;
  }
  const double learn_us = MicrosSince(learn_start) / kLearned;
  const auto policy = MakePolicy(kDefaultPolicy);
  if (!policy.ok()) return 1;

  std::vector<Belief> beliefs(kCandidates);
  std::vector<float> scores(kCandidates);
  std::vector<float> exponentials(kCandidates);
  for (float& score : scores) score = static_cast<float>(-5 * rng.Uniform());
  std::vector<Candidate> copy(kCandidates);
  // 16 bytes an item, as the posterior holds them.
  std::vector<std::uint64_t> states(2 * static_cast<std::size_t>(kItems), 1);
  std::string bytes;
  std::uint64_t checksum = 0;
  std::vector<double> limit_us;
  std::vector<double> believe_us;
  std::vector<double> decide_us;
  std::vector<double> encode_us;
  std::size_t row_bytes = 0;
  std::vector<Decision> decisions(kUsers);
  for (int round = 0; round < kRounds; ++round) {
    auto start = Micros();
    for (const auto& candidates : users) {
      std::memcpy(copy.data(), candidates.data(), candidates.size() * sizeof(Candidate));
      for (const Candidate& each : copy) checksum += states[2 * Index(each.item)];
      for (int slot = 0; slot < kSlots; ++slot) {
        const float sum =
            BestKernels().scaled_exp(scores.data(), 0, 1, scores.size(), exponentials.data());
        checksum += static_cast<std::uint64_t>(sum);
      }
    }
    limit_us.push_back(MicrosSince(start) / kUsers);

    double believing = 0;
    double deciding = 0;
    for (std::size_t user = 0; user < kUsers; ++user) {
      const std::span<Belief> own(beliefs.data(), users[user].size());
      start = Micros();
      posterior.Believe(users[user], own);
      const double believed = MicrosSince(start);
      Decision& decision = decisions[user];
      decision.id = {0x018bcfe568000000 + user, static_cast<std::uint64_t>(round)};
      decision.placement = "home";
      decision.filters = "available,unbought";
      const Status status =
          Decide(**policy, {users[user], own, kSlots, DecisionSeed(decision.id)}, decision);
      deciding += MicrosSince(start) - believed;
      believing += believed;
      if (!status.ok()) return 1;
    }
    believe_us.push_back(believing / kUsers);
    decide_us.push_back(deciding / kUsers);

    start = Micros();
    for (const Decision& decision : decisions) {
      bytes.clear();
      EncodeDecision(decision, bytes);
      checksum += bytes.size();
    }
    encode_us.push_back(MicrosSince(start) / kUsers);
    row_bytes = bytes.size();
  }
  const double whole = Median(believe_us) + Median(decide_us) + Median(encode_us);
  fmt::print("500 candidates, 10 slots, {} users in turn (checksum {})\n", kUsers, checksum % 997);
  fmt::print("  limit    {:7.2f} us   copy, look up, exponentials\n", Median(limit_us));
  fmt::print("  believe  {:7.2f} us\n", Median(believe_us));
  fmt::print("  decide   {:7.2f} us\n", Median(decide_us));
  fmt::print("  encode   {:7.2f} us   {} bytes\n", Median(encode_us), row_bytes);
  fmt::print("  whole    {:7.2f} us   {:.2f} x the limit\n", whole, whole / Median(limit_us));
  fmt::print("  learn    {:7.2f} us   a choice\n", learn_us);
  return 0;
}

}  // namespace
}  // namespace poise

int main() { return poise::Run(); }
