// SPDX-License-Identifier: Apache-2.0
// Every policy must keep the promises of policy/policy.h and policy/decide.h. The suite walks the
// registry, so a policy that can be configured cannot escape these tests.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "base/rng.h"
#include "evaluation/ips.h"
#include "policy/decide.h"
#include "policy/registry.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 7;

struct Pool {
  std::vector<Candidate> candidates;
  std::vector<float> means;
  std::vector<float> sds;

  std::size_t size() const { return candidates.size(); }
  void Add(std::uint32_t row, float mean, float sd) {
    candidates.push_back({.item = ItemRow{row}});
    means.push_back(mean);
    sds.push_back(sd);
  }
  std::vector<Belief> Beliefs() const {
    std::vector<Belief> beliefs;
    for (std::size_t i = 0; i < size(); ++i) beliefs.push_back({means[i], sds[i]});
    return beliefs;
  }
  Pool Without(ItemRow item) const {
    Pool rest;
    for (std::size_t i = 0; i < size(); ++i) {
      if (candidates[i].item != item) rest.Add(Index(candidates[i].item), means[i], sds[i]);
    }
    return rest;
  }
  std::size_t PlaceOf(ItemRow item) const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (candidates[i].item == item) return i;
    }
    return size();
  }
};

// Beliefs that every policy at its defaults spreads its mass over.
Pool Spread(std::size_t count, Rng& rng) {
  Pool pool;
  for (std::size_t i = 0; i < count; ++i) {
    pool.Add(static_cast<std::uint32_t>(100 + i), static_cast<float>(0.05 + 0.01 * rng.Uniform()),
             static_cast<float>(0.05 + 0.001 * rng.Uniform()));
  }
  return pool;
}

class PolicyContract : public testing::TestWithParam<const PolicyKind*> {
 protected:
  static std::unique_ptr<const Policy> Make(const ParameterTexts& parameters = {}) {
    auto policy = GetParam()->make(parameters);
    POISE_CHECK(policy.ok());
    return *std::move(policy);
  }
  // At default parameters, or with a floor where those leave choices without a chance.
  static std::unique_ptr<const Policy> MakeEvaluable() {
    return Make(GetParam()->is_evaluable ? ParameterTexts{} : ParameterTexts{{"floor", "0.2"}});
  }
  static std::vector<float> Distribution(const Policy& policy, const Pool& pool, int slot = 0) {
    std::vector<float> scores(pool.size());
    std::vector<float> probabilities(pool.size(), -1.0F);
    policy.Distribution({pool.candidates, pool.means, pool.sds, slot}, scores, probabilities);
    for (const float score : scores) EXPECT_TRUE(std::isfinite(score));
    return probabilities;
  }
  static Decision Decided(const Policy& policy, const Pool& pool, int slot_count,
                          std::uint64_t seed) {
    Decision decision;
    const std::vector<Belief> beliefs = pool.Beliefs();
    const Status status = Decide(policy, {pool.candidates, beliefs, slot_count, seed}, decision);
    EXPECT_TRUE(status.ok()) << status.message();
    return decision;
  }
  static void ExpectDistribution(const Policy& policy, const std::vector<float>& probabilities) {
    const double floor = policy.ExplorationMass() / static_cast<double>(probabilities.size());
    double sum = 0;
    for (const float probability : probabilities) {
      EXPECT_GE(probability, floor * (1 - 1e-6));
      EXPECT_LE(probability, 1 + 1e-6);
      sum += probability;
    }
    EXPECT_NEAR(sum, 1, 1e-5);
  }
};

TEST_P(PolicyContract, ProbabilitiesSumToOneAndHoldTheExplorationMass) {
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (const std::size_t count : {1U, 2U, 7U, 8U, 9U, 10U, 33U, 500U, 1001U}) {
    for (const auto& policy : {Make(), MakeEvaluable()}) {
      Pool pool;
      for (std::size_t i = 0; i < count; ++i) {
        pool.Add(static_cast<std::uint32_t>(i), static_cast<float>(0.2 * rng.Normal()),
                 static_cast<float>(0.1 * rng.Uniform()));
      }
      ExpectDistribution(*policy, Distribution(*policy, pool));
      ExpectDistribution(*policy, Distribution(*policy, Spread(count, rng), 9));
    }
  }
}

TEST_P(PolicyContract, EqualInputsGiveEqualEntriesWhateverTheItem) {
  const auto policy = Make();
  Pool pool;
  for (std::uint32_t i = 0; i < 40; ++i) {
    pool.Add(i * i, i % 4 == 0 ? 0.06F : 0.05F, i % 2 == 0 ? 0.04F : 0.03F);
  }
  const std::vector<float> probabilities = Distribution(*policy, pool);
  for (std::size_t i = 4; i < 40; ++i) EXPECT_EQ(probabilities[i], probabilities[i - 4]);
}

TEST_P(PolicyContract, ABetterMeanIsNeverLessLikely) {
  const auto policy = Make();
  Pool pool;
  for (std::uint32_t i = 0; i < 20; ++i) pool.Add(i, 0.05F + 0.001F * static_cast<float>(i), 0.02F);
  const std::vector<float> probabilities = Distribution(*policy, pool);
  EXPECT_TRUE(std::is_sorted(probabilities.begin(), probabilities.end()));
  EXPECT_GT(probabilities.back(), probabilities.front());
}

// The loop must be honest: what this policy logs lets us value another policy. No sampling and no
// tolerance to tune: all choices are enumerated, so the sum is the expectation itself.
TEST_P(PolicyContract, ItsPropensitiesValueAnotherPolicyWithoutBias) {
  const auto policy = MakeEvaluable();
  Pool pool;
  pool.Add(0, 0.051F, 0.05F);
  pool.Add(1, 0.059F, 0.05F);
  pool.Add(2, 0.054F, 0.05F);
  const std::vector<float> logging = Distribution(*policy, pool);
  const std::vector<float> target{0.2F, 0.3F, 0.5F};
  const std::vector<float> reward{0.0F, 1.0F, 0.5F};
  double expected_ips = 0;
  double true_value = 0;
  for (std::size_t a = 0; a < 3; ++a) {
    LoggedChoice logged;
    logged.item = pool.candidates[a].item;
    logged.propensity = logging[a];
    logged.reward = reward[a];
    const auto ips = EstimateIps({&logged, 1}, {&target[a], 1});
    ASSERT_TRUE(ips.ok()) << ips.status().message();
    expected_ips += static_cast<double>(logging[a]) * ips->mean;
    true_value += static_cast<double>(target[a]) * reward[a];
  }
  EXPECT_NEAR(expected_ips, true_value, 1e-6);
}

TEST_P(PolicyContract, SaysWhetherItsLogCanValueOthers) {
  Pool pool;
  pool.Add(0, 1.0F, 0);
  pool.Add(1, 0.0F, 0);
  const std::vector<float> probabilities = Distribution(*Make(), pool);
  EXPECT_EQ(probabilities[1] > 0, GetParam()->is_evaluable);
  EXPECT_EQ(Make()->ExplorationMass() > 0, GetParam()->is_evaluable);
}

TEST_P(PolicyContract, SlateNeverRepeatsAnItemAndLogsWhatItDrew) {
  Rng rng(kSeed);
  const auto policy = Make();
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Pool remaining = Spread(12, rng);
    const Decision decision = Decided(*policy, remaining, 12, seed);
    ASSERT_EQ(decision.slate.size(), 12U);
    std::set<ItemRow> items;
    for (std::size_t slot = 0; slot < 12; ++slot) {
      const Choice& choice = decision.slate[slot];
      EXPECT_TRUE(items.insert(choice.item).second);
      const std::size_t place = remaining.PlaceOf(choice.item);
      ASSERT_LT(place, remaining.size());
      const float stated = Distribution(*policy, remaining, static_cast<int>(slot))[place];
      EXPECT_NEAR(choice.propensity / stated, 1, 1e-4);
      EXPECT_GT(choice.propensity, 0);
      EXPECT_LE(choice.propensity, 1);
      const float best = *std::max_element(remaining.means.begin(), remaining.means.end());
      EXPECT_EQ(remaining.means[remaining.PlaceOf(choice.exploit_item)], best);
      EXPECT_EQ(choice.explored, remaining.means[place] < best);
      remaining = remaining.Without(choice.item);
    }
    EXPECT_EQ(decision.slate[11].propensity, 1) << "only one item is left";
  }
}

// Pearson's chi-square of what was drawn against the odds that were stated, cells with fewer than
// five expected pooled. The critical value is Wilson and Hilferty's at z = 4: 3e-5 false alarms.
void ExpectDrawnAsStated(const std::vector<double>& stated, const std::vector<int>& drawn) {
  const double total = std::accumulate(drawn.begin(), drawn.end(), 0.0);
  double statistic = 0;
  int cells = 0;
  double pooled_stated = 0;
  double pooled_drawn = 0;
  const auto add = [&](double expected, double observed) {
    statistic += (observed - expected) * (observed - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < stated.size(); ++i) {
    if (stated[i] * total < 5) {
      pooled_stated += stated[i] * total;
      pooled_drawn += drawn[i];
    } else {
      add(stated[i] * total, drawn[i]);
    }
  }
  if (pooled_stated >= 5) {
    add(pooled_stated, pooled_drawn);
  } else {
    // Too rare for chi-square: Poisson with this mean exceeds mean + 20 with chance below 1e-6.
    EXPECT_LE(pooled_drawn, pooled_stated + 20);
  }
  if (cells < 2) return;
  const double k = cells - 1;
  const double critical = k * std::pow(1 - 2 / (9 * k) + 4 * std::sqrt(2 / (9 * k)), 3);
  EXPECT_LT(statistic, critical) << cells << " cells";
}

TEST_P(PolicyContract, DrawsWithTheOddsItLogs) {
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  const auto policy = MakeEvaluable();
  const Pool pool = Spread(12, rng);
  const std::vector<float> first = Distribution(*policy, pool);
  constexpr int kDecisions = 20'000;
  std::vector<int> drawn_first(12);
  std::map<ItemRow, std::vector<int>> drawn_second;
  for (int i = 0; i < kDecisions; ++i) {
    const Decision decision =
        Decided(*policy, pool, 2, DecisionSeed({kSeed, static_cast<std::uint64_t>(i)}));
    ++drawn_first[pool.PlaceOf(decision.slate[0].item)];
    auto& second = drawn_second[decision.slate[0].item];
    second.resize(12);
    ++second[pool.PlaceOf(decision.slate[1].item)];
  }
  ExpectDrawnAsStated({first.begin(), first.end()}, drawn_first);
  for (const auto& [item, drawn] : drawn_second) {
    const Pool rest = pool.Without(item);
    const std::vector<float> stated = Distribution(*policy, rest, 1);
    std::vector<double> by_place(12);
    for (std::size_t i = 0; i < rest.size(); ++i) {
      by_place[pool.PlaceOf(rest.candidates[i].item)] = stated[i];
    }
    ExpectDrawnAsStated(by_place, drawn);
  }
}

// What one request logs when its eligible items are filtered before the sampler, and after it.
struct FilteredLog {
  std::vector<LoggedChoice> choices;
  std::vector<float> target;  // even over the eligible
  double variance = 0;        // summed over requests, of the importance weight
};

TEST_P(PolicyContract, TheMeanImportanceWeightIsOneWithFiltersOn) {
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  const auto policy = MakeEvaluable();
  const Pool all = Spread(30, rng);
  FilteredLog log;
  constexpr std::uint64_t kRequests = 8000;
  for (std::uint64_t request = 0; request < kRequests; ++request) {
    Pool eligible;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (rng.Bernoulli(0.7)) {
        eligible.Add(Index(all.candidates[i].item), all.means[i], all.sds[i]);
      }
    }
    if (eligible.size() == 0) continue;
    const Decision decision = Decided(*policy, eligible, 1, DecisionSeed({1, request}));
    const float even = 1.0F / static_cast<float>(eligible.size());
    LoggedChoice choice;
    choice.item = decision.slate[0].item;
    choice.propensity = decision.slate[0].propensity;
    log.choices.push_back(choice);
    log.target.push_back(even);
    for (const float p : Distribution(*policy, eligible)) {
      log.variance += static_cast<double>(even) * even / p;
    }
    log.variance -= 1;
  }
  const auto mean = MeanImportanceWeight(log.choices, log.target);
  ASSERT_TRUE(mean.ok());
  const auto count = static_cast<double>(log.choices.size());
  // Five standard errors: false alarm below 1e-6.
  EXPECT_NEAR(*mean, 1, 5 * std::sqrt(log.variance) / count);
}

// The mistake that the test above would find: sampling from all, then leaving out what may not be
// shown, with the odds from before.
TEST_P(PolicyContract, FilteringAfterTheSamplerIsCaughtByTheMeanImportanceWeight) {
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  const auto policy = MakeEvaluable();
  const Pool all = Spread(30, rng);
  FilteredLog log;
  for (std::uint64_t request = 0; request < 8000; ++request) {
    std::set<ItemRow> eligible;
    for (const Candidate& candidate : all.candidates) {
      if (rng.Bernoulli(0.7)) eligible.insert(candidate.item);
    }
    const Decision decision = Decided(*policy, all, 30, DecisionSeed({1, request}));
    for (const Choice& choice : decision.slate) {
      if (!eligible.contains(choice.item)) continue;
      LoggedChoice logged;
      logged.propensity = Distribution(*policy, all)[all.PlaceOf(choice.item)];
      log.choices.push_back(logged);
      log.target.push_back(1.0F / static_cast<float>(eligible.size()));
      break;
    }
  }
  const auto mean = MeanImportanceWeight(log.choices, log.target);
  ASSERT_TRUE(mean.ok());
  EXPECT_GT(std::fabs(*mean - 1), 0.2);
}

TEST_P(PolicyContract, ExtremeBeliefsStayWithinProbability) {
  const auto policy = Make();
  for (const float sd : {0.0F, 1e-30F, 1e6F}) {
    for (const float scale : {0.0F, 1e-30F, 1e6F, 1e17F}) {
      Pool pool;
      for (std::uint32_t i = 0; i < 50; ++i) {
        pool.Add(i, scale * (static_cast<float>(i) - 25) / 25, i % 3 == 0 ? 0 : sd);
      }
      ExpectDistribution(*policy, Distribution(*policy, pool));
      const Decision decision = Decided(*policy, pool, 50, 3);
      ASSERT_EQ(decision.slate.size(), 50U);
      for (const Choice& choice : decision.slate) {
        EXPECT_GT(choice.propensity, 0);
        EXPECT_LE(choice.propensity, 1);
      }
    }
  }
}

TEST_P(PolicyContract, BeliefsThatAreNoNumbersAreRefused) {
  Rng rng(kSeed);
  const auto policy = Make();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const bool is_mean : {true, false}) {
      Pool pool = Spread(20, rng);
      (is_mean ? pool.means : pool.sds)[11] = bad;
      const std::vector<Belief> beliefs = pool.Beliefs();
      Decision decision;
      const Status status = Decide(*policy, {pool.candidates, beliefs, 5, 1}, decision);
      EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
      EXPECT_THAT(status.message(), testing::HasSubstr("beliefs[11]"));
      EXPECT_TRUE(decision.slate.empty());
    }
  }
}

TEST_P(PolicyContract, OneCandidateIsCertainAndFewerThanSlotsMakeAShorterSlate) {
  Rng rng(kSeed);
  const auto policy = Make();
  const Decision one = Decided(*policy, Spread(1, rng), 10, 1);
  ASSERT_EQ(one.slate.size(), 1U);
  EXPECT_EQ(one.slate[0].propensity, 1);
  EXPECT_FALSE(one.slate[0].explored);
  EXPECT_EQ(Decided(*policy, Spread(4, rng), 10, 1).slate.size(), 4U);
  EXPECT_TRUE(Decided(*policy, Pool{}, 10, 1).slate.empty());
}

TEST_P(PolicyContract, ReplaysBitForBitFromTheLoggedSeed) {
  Rng rng(kSeed);
  const auto policy = Make();
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Pool pool = Spread(100 + seed, rng);
    const Decision decision = Decided(*policy, pool, 10, seed);
    const std::vector<Belief> beliefs = pool.Beliefs();
    const Status status = VerifyReplay(*policy, {pool.candidates, beliefs, 10, 0}, decision);
    EXPECT_TRUE(status.ok()) << status.message();
  }
}

TEST_P(PolicyContract, NamesItselfAndItsParametersAsTheRegistryDoes) {
  const auto policy = Make();
  EXPECT_EQ(policy->Name(), GetParam()->name);
  EXPECT_FALSE(GetParam()->sentence.empty());
  ParameterTexts defaults;
  std::string text;
  for (const ParameterDescription& row : GetParam()->describe()) {
    EXPECT_FALSE(row.sentence.empty()) << row.name;
    defaults.emplace_back(row.name, row.default_value);
    text += (text.empty() ? "" : " ") + row.name + "=" + row.default_value;
  }
  EXPECT_EQ(policy->Parameters(), text);
  EXPECT_EQ(Make(defaults)->Parameters(), text);
}

TEST_P(PolicyContract, RefusesParametersThatItDoesNotHave) {
  const auto unknown = GetParam()->make({{"gamma", "1"}});
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.status().message(), testing::HasSubstr("gamma"));
  for (const ParameterDescription& row : GetParam()->describe()) {
    const auto policy = GetParam()->make({{row.name, "1e30"}});
    ASSERT_FALSE(policy.ok()) << row.name;
    EXPECT_THAT(policy.status().message(), testing::HasSubstr(row.name));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, PolicyContract,
                         testing::ValuesIn(PolicyKinds().begin(), PolicyKinds().end()),
                         [](const auto& each) {
                           std::string name(each.param->name);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace poise
