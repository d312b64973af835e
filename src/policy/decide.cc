// SPDX-License-Identifier: Apache-2.0
#include "policy/decide.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/rng.h"
#include "policy/kernels.h"
#include "policy/softmax.h"

namespace poise {
namespace {

constexpr std::size_t kBlock = Kernels::kBlock;

// Beyond it sums of scores could leave the range of a float.
constexpr float kLargest = 1e18F;

// What remains to be chosen from. Kept by the thread: a decision allocates its slate only.
struct Remaining {
  std::vector<Candidate> candidates;
  std::vector<float> means;
  std::vector<float> sds;
  std::vector<float> scores;
  std::vector<float> probabilities;
  std::vector<float> block_sums;

  void Take(const DecideInput& input) {
    const std::size_t count = input.candidates.size();
    candidates.assign(input.candidates.begin(), input.candidates.end());
    means.resize(count);
    sds.resize(count);
    scores.resize(count);
    probabilities.resize(count);
    block_sums.resize((count + kBlock - 1) / kBlock);
    for (std::size_t i = 0; i < count; ++i) {
      means[i] = input.beliefs[i].mean;
      sds[i] = input.beliefs[i].sd;
    }
  }

  // The order of what remains means nothing, so the last takes the place.
  void Remove(std::size_t place) {
    candidates[place] = candidates.back();
    means[place] = means.back();
    sds[place] = sds.back();
    candidates.pop_back();
    means.pop_back();
    sds.pop_back();
  }
};

Status Validate(const DecideInput& input) {
  if (input.candidates.size() != input.beliefs.size()) {
    return InvalidArgument(fmt::format("beliefs: {} for {} candidates", input.beliefs.size(),
                                       input.candidates.size()));
  }
  if (input.slot_count < 0) {
    return InvalidArgument(fmt::format("slot_count: {} is negative", input.slot_count));
  }
  // NaN fails every comparison, so the test is for what is right.
  std::size_t good = 0;
  for (std::size_t i = 0; i < input.beliefs.size(); ++i) {
    const Belief& belief = input.beliefs[i];
    good += static_cast<std::size_t>(std::fabs(belief.mean) <= kLargest) &
            static_cast<std::size_t>(belief.sd >= 0) &
            static_cast<std::size_t>(belief.sd <= kLargest) &
            static_cast<std::size_t>(std::fabs(input.candidates[i].relevance) <= kLargest);
  }
  if (good == input.beliefs.size()) return Status::Ok();
  for (std::size_t i = 0; i < input.beliefs.size(); ++i) {
    const Belief& belief = input.beliefs[i];
    if (!(std::fabs(belief.mean) <= kLargest)) {
      return InvalidArgument(
          fmt::format("beliefs[{}].mean: {} is not a number within 1e18", i, belief.mean));
    }
    if (!(belief.sd >= 0 && belief.sd <= kLargest)) {
      return InvalidArgument(
          fmt::format("beliefs[{}].sd: {} is not a number in [0, 1e18]", i, belief.sd));
    }
    if (!(std::fabs(input.candidates[i].relevance) <= kLargest)) {
      return InvalidArgument(fmt::format("candidates[{}].relevance: {} is not a number within 1e18",
                                         i, input.candidates[i].relevance));
    }
  }
  return Internal("candidates: neither right nor wrong");
}

// The place that `point` in [0, total) falls on when the probabilities lie end to end.
std::size_t Locate(const Remaining& remaining, double point) {
  const std::size_t count = remaining.candidates.size();
  const std::size_t block_count = (count + kBlock - 1) / kBlock;
  std::size_t block = 0;
  for (; block + 1 < block_count; ++block) {
    if (point < remaining.block_sums[block]) break;
    point -= remaining.block_sums[block];
  }
  const std::size_t end = std::min(count, (block + 1) * kBlock);
  // Rounding may leave the point a hair behind the block's end: then it is its last possible entry.
  std::size_t last_possible = block * kBlock;
  for (std::size_t i = block * kBlock; i < end; ++i) {
    const float probability = remaining.probabilities[i];
    if (probability <= 0) continue;
    if (point < probability) return i;
    point -= probability;
    last_possible = i;
  }
  return last_possible;
}

// The place of the n-th value that equals `value`. Requires that there is one.
std::size_t PlaceOfNth(std::span<const float> values, float value, std::uint64_t n) {
  constexpr std::size_t kStep = 64;
  for (std::size_t begin = 0; begin < values.size(); begin += kStep) {
    const std::size_t size = std::min(kStep, values.size() - begin);
    const std::size_t count = BestKernels().count_equal(values.data() + begin, value, size);
    if (n >= count) {
      n -= count;
      continue;
    }
    for (std::size_t i = begin; i < begin + size; ++i) {
      if (values[i] == value && n-- == 0) return i;
    }
  }
  POISE_CHECK(false);
}

Status FillSlate(const Policy& policy, const DecideInput& input, Decision& decision) {
  thread_local Remaining remaining;
  remaining.Take(input);
  Rng rng(input.seed);
  const Kernels& kernels = BestKernels();
  const std::size_t slot_count =
      std::min(static_cast<std::size_t>(input.slot_count), input.candidates.size());
  decision.slate.reserve(slot_count);

  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const std::size_t count = remaining.candidates.size();
    const std::span<float> probabilities(remaining.probabilities.data(), count);
    const std::span<float> scores(remaining.scores.data(), count);
    policy.Distribution(
        {remaining.candidates, remaining.means, remaining.sds, static_cast<int>(slot)}, scores,
        probabilities);

    kernels.block_sums(probabilities.data(), count, remaining.block_sums.data());
    double total = 0;
    const std::size_t block_count = (count + kBlock - 1) / kBlock;
    for (std::size_t block = 0; block < block_count; ++block) total += remaining.block_sums[block];
    POISE_CHECK(total > 0.99 && total < 1.01);

    const float best = MaxOf(remaining.means);
    const std::size_t ties = kernels.count_equal(remaining.means.data(), best, count);
    const std::size_t exploit = PlaceOfNth(remaining.means, best, rng.Below(ties));
    const std::size_t place = Locate(remaining, rng.Uniform() * total);

    const Candidate& chosen = remaining.candidates[place];
    for (const Choice& earlier : decision.slate) {
      if (earlier.item == chosen.item) {
        return InvalidArgument(
            fmt::format("candidates: item row {} appears twice", Index(chosen.item)));
      }
    }
    decision.slate.push_back(
        {.item = chosen.item,
         .score = RoundForLog(scores[place]),
         .propensity =
             std::min(1.0F, static_cast<float>(static_cast<double>(probabilities[place]) / total)),
         .belief = {RoundForLog(remaining.means[place]), RoundForLog(remaining.sds[place])},
         .relevance = RoundForLog(chosen.relevance),
         .sources = chosen.sources,
         .anchor = chosen.anchor,
         .exploit_item = remaining.candidates[exploit].item,
         .explored = remaining.means[place] < best});
    remaining.Remove(place);
  }
  return Status::Ok();
}

bool AreSame(const Choice& a, const Choice& b) {
  return a.item == b.item && a.score == b.score && a.propensity == b.propensity &&
         a.belief.mean == b.belief.mean && a.belief.sd == b.belief.sd &&
         a.relevance == b.relevance && a.sources == b.sources && a.anchor == b.anchor &&
         a.exploit_item == b.exploit_item && a.explored == b.explored;
}

}  // namespace

std::uint64_t DecisionSeed(const DecisionId& id) { return MixSeed(id.high, id.low); }

std::uint64_t EligibleHash(std::span<const Candidate> candidates) {
  // Position is mixed in, so the terms are independent and need not wait for each other.
  __extension__ using Wide = unsigned __int128;
  std::uint64_t hash = Mix64(candidates.size());
  std::uint64_t place = 0;
  for (const Candidate& candidate : candidates) {
    const Wide product = static_cast<Wide>(Index(candidate.item) ^ 0x9e3779b97f4a7c15) *
                         (place++ * 2 + 0xd1342543de82ef95);
    hash += static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  return hash;
}

float RoundForLog(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7f800000U) == 0x7f800000U) return value;
  bits += 0x7fffU + ((bits >> 16) & 1U);
  return std::bit_cast<float>(bits & 0xffff0000U);
}

Status Decide(const Policy& policy, const DecideInput& input, Decision& decision) {
  decision.slate.clear();
  POISE_RETURN_IF_ERROR(Validate(input));
  decision.policy = policy.Name();
  decision.policy_parameters = policy.Parameters();
  decision.seed = input.seed;
  decision.eligible_count = static_cast<std::uint32_t>(input.candidates.size());
  decision.eligible_hash = EligibleHash(input.candidates);
  Status status = FillSlate(policy, input, decision);
  if (!status.ok()) decision.slate.clear();
  return status;
}

Status VerifyReplay(const Policy& policy, const DecideInput& input, const Decision& logged) {
  if (policy.Name() != logged.policy || policy.Parameters() != logged.policy_parameters) {
    return DataLoss(fmt::format("policy: logged {} ({}), replayed {} ({})", logged.policy,
                                logged.policy_parameters, policy.Name(), policy.Parameters()));
  }
  DecideInput again = input;
  again.seed = logged.seed;
  Decision replayed;
  POISE_RETURN_IF_ERROR(Decide(policy, again, replayed));
  if (replayed.eligible_count != logged.eligible_count ||
      replayed.eligible_hash != logged.eligible_hash) {
    return DataLoss("eligible candidates: not those that were logged");
  }
  if (replayed.slate.size() != logged.slate.size()) {
    return DataLoss(fmt::format("slate: logged {} slots, replayed {}", logged.slate.size(),
                                replayed.slate.size()));
  }
  for (std::size_t slot = 0; slot < logged.slate.size(); ++slot) {
    if (!AreSame(replayed.slate[slot], logged.slate[slot])) {
      return DataLoss(fmt::format("slate[{}]: not what was logged", slot));
    }
  }
  return Status::Ok();
}

}  // namespace poise
