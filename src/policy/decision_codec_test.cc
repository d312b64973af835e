// SPDX-License-Identifier: Apache-2.0
#include "policy/decision_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "base/rng.h"
#include "policy/decide.h"
#include "policy/registry.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 61;

std::string Hex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

DecisionId IdAt(std::int64_t millis) {
  return {static_cast<std::uint64_t>(millis) << 16 | 0xabcd, 0x1122334455667788};
}

Decision Decided(std::size_t candidate_count, int slot_count) {
  Rng rng(kSeed);
  std::vector<Candidate> candidates;
  std::vector<Belief> beliefs;
  for (std::size_t i = 0; i < candidate_count; ++i) {
    candidates.push_back({.item = ItemRow{static_cast<std::uint32_t>(i * 199)},
                          .relevance = static_cast<float>(rng.Uniform()),
                          .sources = static_cast<SourceMask>(1 + rng.Below(255)),
                          .anchor = static_cast<std::uint16_t>(rng.Below(30))});
    beliefs.push_back({static_cast<float>(0.1 * rng.Uniform()), 0.03F});
  }
  Decision decision;
  decision.id = IdAt(1'700'000'000'123);
  decision.user.bytes[3] = 9;
  decision.placement = "home";
  decision.time = {1'700'000'000'123'456};
  decision.model_version = 12;
  decision.filters = "available,unbought";
  const auto policy = MakePolicy(kDefaultPolicy);
  POISE_CHECK(policy.ok());
  POISE_CHECK(
      Decide(**policy, {candidates, beliefs, slot_count, DecisionSeed(decision.id)}, decision)
          .ok());
  return decision;
}

void ExpectEqual(const Decision& a, const Decision& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.user, b.user);
  EXPECT_EQ(a.placement, b.placement);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.policy, b.policy);
  EXPECT_EQ(a.policy_parameters, b.policy_parameters);
  EXPECT_EQ(a.model_version, b.model_version);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.eligible_count, b.eligible_count);
  EXPECT_EQ(a.eligible_hash, b.eligible_hash);
  EXPECT_EQ(a.filters, b.filters);
  ASSERT_EQ(a.slate.size(), b.slate.size());
  for (std::size_t i = 0; i < a.slate.size(); ++i) {
    EXPECT_EQ(a.slate[i].item, b.slate[i].item);
    EXPECT_EQ(a.slate[i].score, b.slate[i].score);
    EXPECT_EQ(a.slate[i].propensity, b.slate[i].propensity);
    EXPECT_EQ(a.slate[i].belief.mean, b.slate[i].belief.mean);
    EXPECT_EQ(a.slate[i].belief.sd, b.slate[i].belief.sd);
    EXPECT_EQ(a.slate[i].relevance, b.slate[i].relevance);
    EXPECT_EQ(a.slate[i].sources, b.slate[i].sources);
    EXPECT_EQ(a.slate[i].anchor, b.slate[i].anchor);
    EXPECT_EQ(a.slate[i].exploit_item, b.slate[i].exploit_item);
    EXPECT_EQ(a.slate[i].explored, b.slate[i].explored);
  }
  ASSERT_EQ(a.degraded.size(), b.degraded.size());
  for (std::size_t i = 0; i < a.degraded.size(); ++i) {
    EXPECT_EQ(a.degraded[i].stage, b.degraded[i].stage);
    EXPECT_EQ(a.degraded[i].reason, b.degraded[i].reason);
  }
}

std::string Encoded(const Decision& decision) {
  std::string bytes;
  EncodeDecision(decision, bytes);
  return bytes;
}

TEST(DecisionCodec, WhatDecideWroteComesBackBitForBit) {
  const Decision decision = Decided(500, 10);
  const std::string bytes = Encoded(decision);
  EXPECT_LE(bytes.size(), 350U);
  const auto decoded = DecodeDecision(decision.id, decision.user, bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  ExpectEqual(*decoded, decision);
}

TEST(DecisionCodec, KeepsASeedThatIsNotTheIdsAndWhatWasDegraded) {
  Decision decision = Decided(3, 10);
  decision.seed = 77;
  decision.degraded = {{"candidates.personal", "deadline"}, {"", ""}};
  decision.time = {-5};
  const auto decoded = DecodeDecision(decision.id, decision.user, Encoded(decision));
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  ExpectEqual(*decoded, decision);
}

TEST(DecisionCodec, ExtremesComeBack) {
  Decision decision;
  decision.id = {std::numeric_limits<std::uint64_t>::max(),
                 std::numeric_limits<std::uint64_t>::max()};
  decision.time = {std::numeric_limits<std::int64_t>::min()};
  decision.model_version = std::numeric_limits<std::uint64_t>::max();
  decision.eligible_count = std::numeric_limits<std::uint32_t>::max();
  decision.slate.push_back({.item = ItemRow{0xffffffff},
                            .score = -1,
                            .propensity = 1e-30F,
                            .belief = {RoundForLog(-1e20F), RoundForLog(1e-38F)},
                            .relevance = -0.0F,
                            .sources = 0xffff,
                            .anchor = 0xffff,
                            .exploit_item = ItemRow{0},
                            .explored = true});
  const auto decoded = DecodeDecision(decision.id, decision.user, Encoded(decision));
  ASSERT_TRUE(decoded.ok()) << decoded.status().message();
  ExpectEqual(*decoded, decision);
}

TEST(DecisionCodec, AppendsToWhatIsThere) {
  const Decision decision = Decided(3, 2);
  std::string bytes = "before";
  EncodeDecision(decision, bytes);
  EXPECT_EQ(bytes, "before" + Encoded(decision));
}

// These bytes are version 1, for ever: docs/formats/decision.md.
TEST(DecisionCodec, VersionOneIsTheseBytes) {
  Decision decision;
  decision.id = {0x018bcfe568000000, 2};
  decision.placement = "home";
  decision.time = {decision.id.millis() * 1000 + 5};
  decision.policy = "greedy";
  decision.policy_parameters = "floor=0";
  decision.model_version = 3;
  decision.seed = 0x1122334455667788;
  decision.eligible_count = 300;
  decision.eligible_hash = 0xa1a2a3a4a5a6a7a8;
  decision.filters = "available";
  decision.slate.push_back({.item = ItemRow{200},
                            .score = 0.5F,
                            .propensity = 0.25F,
                            .belief = {0.5F, 2},
                            .relevance = 1,
                            .sources = Bit(Source::kPersonal) | Bit(Source::kFresh),
                            .anchor = 2,
                            .exploit_item = ItemRow{7},
                            .explored = true});
  decision.degraded = {{"a", "bc"}};
  const std::string bytes = Encoded(decision);
  EXPECT_EQ(Hex(bytes),
            "01020a04686f6d650667726565647907666c6f6f723d30038877665544332211ac02a8a7a6a5a4a3a2a1"
            "09617661696c61626c6501c8010000803e003f003f0040803f210b070101610262"
            "63");
  const auto decoded = DecodeDecision(decision.id, decision.user, bytes);
  ASSERT_TRUE(decoded.ok());
  ExpectEqual(*decoded, decision);
}

TEST(DecisionCodec, EveryTruncationAndExtensionIsRefused) {
  Decision decision = Decided(20, 4);
  decision.degraded = {{"stage", "reason"}};
  const std::string bytes = Encoded(decision);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = DecodeDecision(decision.id, decision.user, bytes.substr(0, size));
    ASSERT_FALSE(decoded.ok()) << size;
    EXPECT_EQ(decoded.status().code(), StatusCode::kDataLoss);
  }
  EXPECT_FALSE(DecodeDecision(decision.id, decision.user, bytes + '\0').ok());
}

TEST(DecisionCodec, FlippedBitsAreRefusedOrDecodeToSomethingValid) {
  const Decision decision = Decided(20, 4);
  const std::string bytes = Encoded(decision);
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto decoded = DecodeDecision(decision.id, decision.user, flipped);
    if (!decoded.ok()) {
      ++refused;
      continue;
    }
    for (const Choice& choice : decoded->slate) {
      EXPECT_GT(choice.propensity, 0);
      EXPECT_LE(choice.propensity, 1);
    }
  }
  EXPECT_GT(refused, 0);
}

TEST(DecisionCodec, APropensityOfZeroOrAboveOneIsRefused) {
  for (const float propensity : {0.0F, -0.5F, 1.0001F, std::numeric_limits<float>::quiet_NaN()}) {
    Decision decision = Decided(5, 2);
    decision.slate[1].propensity = propensity;
    const auto decoded = DecodeDecision(decision.id, decision.user, Encoded(decision));
    ASSERT_FALSE(decoded.ok());
    EXPECT_THAT(decoded.status().message(), testing::HasSubstr("propensity"));
  }
}

TEST(DecisionCodec, ClaimsOfMoreSlotsThanBytesAllocateNothing) {
  Decision decision = Decided(5, 0);
  std::string bytes = Encoded(decision);
  bytes.back() = static_cast<char>(0xff);
  bytes += std::string("\xff\xff\xff\xff\xff\xff\x0f", 7);
  const auto decoded = DecodeDecision(decision.id, decision.user, bytes);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.status().code(), StatusCode::kDataLoss);
}

}  // namespace
}  // namespace poise
