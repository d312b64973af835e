// SPDX-License-Identifier: Apache-2.0
#include "policy/decide.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/rng.h"
#include "policy/registry.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 51;

struct Pool {
  std::vector<Candidate> candidates;
  std::vector<Belief> beliefs;

  DecideInput Input(std::uint64_t seed, int slot_count = 10) const {
    return {candidates, beliefs, slot_count, seed};
  }
};

Pool MakePool(std::size_t count, std::uint64_t seed = kSeed) {
  Rng rng(seed);
  Pool pool;
  for (std::size_t i = 0; i < count; ++i) {
    pool.candidates.push_back({.item = ItemRow{static_cast<std::uint32_t>(1000 + 7 * i)},
                               .relevance = static_cast<float>(rng.Uniform()),
                               .sources = static_cast<SourceMask>(1 + rng.Below(500)),
                               .anchor = static_cast<std::uint16_t>(rng.Below(20))});
    pool.beliefs.push_back(
        {static_cast<float>(0.1 * rng.Uniform()), static_cast<float>(0.05 * rng.Uniform())});
  }
  return pool;
}

std::unique_ptr<const Policy> Default() {
  auto policy = MakePolicy(kDefaultPolicy);
  POISE_CHECK(policy.ok());
  return *std::move(policy);
}

TEST(Decide, ReplaysBitForBitFromTheLoggedSeed) {
  const auto policy = Default();
  const Pool pool = MakePool(500);
  Decision decision;
  ASSERT_TRUE(Decide(*policy, pool.Input(DecisionSeed({7, 9})), decision).ok());
  EXPECT_EQ(decision.seed, DecisionSeed({7, 9}));
  EXPECT_TRUE(VerifyReplay(*policy, pool.Input(/*seed=*/0), decision).ok());
}

TEST(Decide, ReplayNoticesAnotherWorldAndAnotherLog) {
  const auto policy = Default();
  Pool pool = MakePool(100);
  Decision decision;
  ASSERT_TRUE(Decide(*policy, pool.Input(5), decision).ok());

  Decision forged = decision;
  forged.slate[3].propensity *= 0.999F;
  EXPECT_EQ(VerifyReplay(*policy, pool.Input(5), forged).code(), StatusCode::kDataLoss);
  forged = decision;
  forged.policy_parameters = "beta=2";
  EXPECT_EQ(VerifyReplay(*policy, pool.Input(5), forged).code(), StatusCode::kDataLoss);
  std::swap(pool.candidates[0], pool.candidates[1]);
  EXPECT_EQ(VerifyReplay(*policy, pool.Input(5), decision).code(), StatusCode::kDataLoss);
}

TEST(Decide, TheSlotsPropensityIsGivenTheSlotsBefore) {
  const auto policy = Default();
  const Pool pool = MakePool(40);
  Decision decision;
  ASSERT_TRUE(Decide(*policy, pool.Input(3, 40), decision).ok());
  ASSERT_EQ(decision.slate.size(), 40U);

  // The slow twin: asks the policy about what remains, in the candidates' own order.
  std::vector<Candidate> candidates = pool.candidates;
  std::vector<float> means;
  std::vector<float> sds;
  for (const Belief& belief : pool.beliefs) {
    means.push_back(belief.mean);
    sds.push_back(belief.sd);
  }
  for (const Choice& choice : decision.slate) {
    std::vector<float> scores(candidates.size());
    std::vector<float> probabilities(candidates.size());
    policy->Distribution({candidates, means, sds, 0}, scores, probabilities);
    const auto place = static_cast<std::size_t>(
        std::find_if(candidates.begin(), candidates.end(),
                     [&](const Candidate& c) { return c.item == choice.item; }) -
        candidates.begin());
    ASSERT_LT(place, candidates.size());
    EXPECT_NEAR(choice.propensity, probabilities[place], 1e-5F * probabilities[place] + 1e-9F);
    const float best = *std::max_element(means.begin(), means.end());
    EXPECT_EQ(choice.explored, means[place] < best);
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(place));
    means.erase(means.begin() + static_cast<std::ptrdiff_t>(place));
    sds.erase(sds.begin() + static_cast<std::ptrdiff_t>(place));
  }
  EXPECT_EQ(decision.slate.back().propensity, 1);
}

// Ties broken by id favour old items for ever. Chi-square of 20 cells, false alarm 1e-4.
TEST(Decide, BreaksTiesByTheSeedAndNeverByIdOrPlace) {
  const auto policy = MakePolicy("greedy");
  ASSERT_TRUE(policy.ok());
  Pool pool = MakePool(20);
  for (Belief& belief : pool.beliefs) belief = {0.1F, 0.02F};
  std::map<ItemRow, int> first;
  std::map<ItemRow, int> exploit;
  int same = 0;
  constexpr int kTrials = 20'000;
  for (int trial = 0; trial < kTrials; ++trial) {
    Decision decision;
    ASSERT_TRUE(
        Decide(**policy, pool.Input(MixSeed(kSeed, static_cast<std::uint64_t>(trial)), 1), decision)
            .ok());
    EXPECT_FLOAT_EQ(decision.slate[0].propensity, 1.0F / 20);
    EXPECT_FALSE(decision.slate[0].explored);
    ++first[decision.slate[0].item];
    ++exploit[decision.slate[0].exploit_item];
    same += decision.slate[0].item == decision.slate[0].exploit_item ? 1 : 0;
  }
  const auto chi_square = [](const std::map<ItemRow, int>& counts) {
    double sum = 0;
    for (const auto& [item, count] : counts) sum += std::pow(count - kTrials / 20.0, 2);
    return sum / (kTrials / 20.0);
  };
  EXPECT_EQ(first.size(), 20U);
  EXPECT_LT(chi_square(first), 50.8);  // 19 degrees of freedom
  EXPECT_LT(chi_square(exploit), 50.8);
  // Independent draws agree once in twenty: sd of the share .0015.
  EXPECT_NEAR(static_cast<double>(same) / kTrials, 0.05, 0.006);
}

TEST(Decide, EveryDecisionHasItsOwnGenerator) {
  const auto policy = Default();
  const Pool pool = MakePool(200);
  std::set<std::vector<ItemRow>> slates;
  for (std::uint64_t low = 0; low < 50; ++low) {
    Decision decision;
    ASSERT_TRUE(Decide(*policy, pool.Input(DecisionSeed({1, low})), decision).ok());
    std::vector<ItemRow> rows;
    for (const Choice& choice : decision.slate) rows.push_back(choice.item);
    slates.insert(rows);
  }
  EXPECT_GT(slates.size(), 45U);
}

TEST(Decide, CarriesProvenanceAndRoundsToWhatTheLogHolds) {
  const auto policy = Default();
  const Pool pool = MakePool(30);
  Decision decision;
  ASSERT_TRUE(Decide(*policy, pool.Input(2), decision).ok());
  for (const Choice& choice : decision.slate) {
    const auto candidate = std::find_if(pool.candidates.begin(), pool.candidates.end(),
                                        [&](const Candidate& c) { return c.item == choice.item; });
    const Belief& belief =
        pool.beliefs[static_cast<std::size_t>(candidate - pool.candidates.begin())];
    EXPECT_EQ(choice.sources, candidate->sources);
    EXPECT_EQ(choice.anchor, candidate->anchor);
    EXPECT_EQ(choice.relevance, RoundForLog(candidate->relevance));
    EXPECT_EQ(choice.belief.mean, RoundForLog(belief.mean));
    EXPECT_EQ(choice.belief.sd, RoundForLog(belief.sd));
    EXPECT_NEAR(choice.belief.mean, belief.mean, belief.mean / 256);
  }
  EXPECT_EQ(decision.eligible_count, 30U);
  EXPECT_EQ(decision.eligible_hash, EligibleHash(pool.candidates));
  EXPECT_EQ(decision.policy, kDefaultPolicy);
  EXPECT_EQ(decision.policy_parameters, "beta=1 tau=0.1 tau_min=0.0001 explore=1 floor=0.001");
}

TEST(Decide, TheEligibleHashKnowsTheOrder) {
  std::vector<Candidate> candidates = MakePool(3).candidates;
  const std::uint64_t hash = EligibleHash(candidates);
  std::swap(candidates[0], candidates[2]);
  EXPECT_NE(EligibleHash(candidates), hash);
  candidates.pop_back();
  EXPECT_NE(EligibleHash(candidates), hash);
}

TEST(Decide, RefusesWhatIsNotANumberAndNamesIt) {
  const auto policy = Default();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const auto refused = [&](auto spoil, const char* named) {
    Pool pool = MakePool(5);
    spoil(pool);
    Decision decision;
    decision.slate.resize(3);
    const Status status = Decide(*policy, pool.Input(1), decision);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << named;
    EXPECT_THAT(status.message(), testing::HasSubstr(named));
    EXPECT_TRUE(decision.slate.empty());
  };
  refused([&](Pool& p) { p.beliefs[3].mean = nan; }, "beliefs[3].mean");
  refused([&](Pool& p) { p.beliefs[0].mean = -infinity; }, "beliefs[0].mean");
  refused([&](Pool& p) { p.beliefs[4].sd = nan; }, "beliefs[4].sd");
  refused([&](Pool& p) { p.beliefs[1].sd = -1; }, "beliefs[1].sd");
  refused([&](Pool& p) { p.beliefs[1].sd = infinity; }, "beliefs[1].sd");
  refused([&](Pool& p) { p.candidates[2].relevance = nan; }, "candidates[2].relevance");
  refused([&](Pool& p) { p.beliefs.pop_back(); }, "beliefs");
  refused([&](Pool& p) { p.candidates[1].item = p.candidates[0].item; }, "twice");
}

TEST(Decide, NoCandidatesAndNoSlotsAreAnEmptySlate) {
  const auto policy = Default();
  const Pool pool = MakePool(5);
  Decision decision;
  ASSERT_TRUE(Decide(*policy, {{}, {}, 10, 1}, decision).ok());
  EXPECT_TRUE(decision.slate.empty());
  EXPECT_EQ(decision.eligible_count, 0U);
  ASSERT_TRUE(Decide(*policy, pool.Input(1, 0), decision).ok());
  EXPECT_TRUE(decision.slate.empty());
  EXPECT_EQ(Decide(*policy, pool.Input(1, -1), decision).code(), StatusCode::kInvalidArgument);
}

TEST(RoundForLog, KeepsEightSignificantBitsAndIsStable) {
  EXPECT_EQ(RoundForLog(0), 0);
  EXPECT_EQ(RoundForLog(1), 1);
  EXPECT_EQ(RoundForLog(-255), -255);
  EXPECT_EQ(RoundForLog(257), 256);  // half way: to even
  EXPECT_EQ(RoundForLog(259), 260);
  Rng rng(kSeed);
  for (int i = 0; i < 1000; ++i) {
    const auto value = static_cast<float>(rng.Normal());
    EXPECT_NEAR(RoundForLog(value), value, std::fabs(value) / 256);
    EXPECT_EQ(RoundForLog(RoundForLog(value)), RoundForLog(value));
  }
}

TEST(PolicyRegistry, UnknownNamesAndParametersListTheKnownOnes) {
  const auto policy = MakePolicy("ucb");
  ASSERT_FALSE(policy.ok());
  EXPECT_EQ(policy.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(policy.status().message(),
              testing::AllOf(testing::HasSubstr("ucb"), testing::HasSubstr("epsilon-greedy")));
  const auto parameter = MakePolicy(kDefaultPolicy, {{"gamma", "1"}});
  ASSERT_FALSE(parameter.ok());
  EXPECT_THAT(parameter.status().message(),
              testing::AllOf(testing::HasSubstr("gamma"), testing::HasSubstr("tau_min")));
}

}  // namespace
}  // namespace poise
