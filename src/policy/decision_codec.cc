// SPDX-License-Identifier: Apache-2.0
#include "policy/decision_codec.h"

#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "policy/decide.h"

namespace poise {
namespace {

constexpr std::uint8_t kVersion = 1;

constexpr std::uint64_t kSeedIsOfId = 1;
constexpr std::uint64_t kIsDegraded = 2;
constexpr std::uint64_t kKnownFlags = kSeedIsOfId | kIsDegraded;

constexpr std::uint64_t kExplored = 1;
constexpr std::uint64_t kHasOtherExploitItem = 2;
constexpr int kSlotFlagBits = 2;

// Of a slot: item 1, propensity 4, four halves 8, sources 1, anchor and flags 1.
constexpr std::size_t kMinSlotBytes = 15;
constexpr std::size_t kMinDegradationBytes = 2;

std::uint64_t ZigZag(std::int64_t value) {
  return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t UnZigZag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
}

// Wraps instead of overflowing, for ids and times that no clock ever gave.
std::int64_t IdMicros(const DecisionId& id) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(id.millis()) * 1000);
}

std::uint16_t UpperHalf(float value) {
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(RoundForLog(value)) >> 16);
}
float FromUpperHalf(std::uint16_t half) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

}  // namespace

void EncodeDecision(const Decision& decision, std::string& out) {
  ByteWriter writer;
  writer.bytes().swap(out);
  writer.bytes().reserve(writer.bytes().size() + 160 + decision.slate.size() * 24);
  const bool is_seed_of_id = decision.seed == DecisionSeed(decision.id);
  writer.Fixed(kVersion);
  writer.Varint((is_seed_of_id ? kSeedIsOfId : 0) | (decision.degraded.empty() ? 0 : kIsDegraded));
  writer.Varint(
      ZigZag(static_cast<std::int64_t>(static_cast<std::uint64_t>(decision.time.micros) -
                                       static_cast<std::uint64_t>(IdMicros(decision.id)))));
  writer.Text(decision.placement);
  writer.Text(decision.policy);
  writer.Text(decision.policy_parameters);
  writer.Varint(decision.model_version);
  if (!is_seed_of_id) writer.Fixed(decision.seed);
  writer.Varint(decision.eligible_count);
  writer.Fixed(decision.eligible_hash);
  writer.Text(decision.filters);
  writer.Varint(decision.slate.size());
  for (const Choice& choice : decision.slate) {
    const bool has_other = choice.exploit_item != choice.item;
    writer.Varint(Index(choice.item));
    writer.Fixed(choice.propensity);
    writer.Fixed(UpperHalf(choice.score));
    writer.Fixed(UpperHalf(choice.belief.mean));
    writer.Fixed(UpperHalf(choice.belief.sd));
    writer.Fixed(UpperHalf(choice.relevance));
    writer.Varint(choice.sources);
    writer.Varint(std::uint64_t{choice.anchor} << kSlotFlagBits |
                  (choice.explored ? kExplored : 0) | (has_other ? kHasOtherExploitItem : 0));
    if (has_other) writer.Varint(Index(choice.exploit_item));
  }
  if (!decision.degraded.empty()) {
    writer.Varint(decision.degraded.size());
    for (const Degradation& degradation : decision.degraded) {
      writer.Text(degradation.stage);
      writer.Text(degradation.reason);
    }
  }
  writer.bytes().swap(out);
}

Result<Decision> DecodeDecision(const DecisionId& id, const UserKey& user, std::string_view bytes) {
  ByteReader reader(bytes);
  if (const auto version = reader.Fixed<std::uint8_t>(); version != kVersion) {
    return DataLoss("decision: unknown version " + std::to_string(version));
  }
  Decision decision;
  decision.id = id;
  decision.user = user;
  const std::uint64_t flags = reader.Varint();
  if ((flags & ~kKnownFlags) != 0) return DataLoss("decision: unknown flags");
  decision.time.micros =
      static_cast<std::int64_t>(static_cast<std::uint64_t>(IdMicros(id)) +
                                static_cast<std::uint64_t>(UnZigZag(reader.Varint())));
  decision.placement = reader.Text();
  decision.policy = reader.Text();
  decision.policy_parameters = reader.Text();
  decision.model_version = reader.Varint();
  decision.seed = (flags & kSeedIsOfId) != 0 ? DecisionSeed(id) : reader.Fixed<std::uint64_t>();
  const std::uint64_t eligible_count = reader.Varint();
  decision.eligible_count = static_cast<std::uint32_t>(eligible_count);
  decision.eligible_hash = reader.Fixed<std::uint64_t>();
  decision.filters = reader.Text();
  const std::uint64_t slot_count = reader.Varint();
  if (!reader.ok() || eligible_count > 0xffffffffU ||
      slot_count > reader.rest().size() / kMinSlotBytes) {
    return DataLoss("decision: truncated");
  }
  decision.slate.reserve(slot_count);
  for (std::uint64_t slot = 0; slot < slot_count; ++slot) {
    Choice choice;
    const std::uint64_t item = reader.Varint();
    choice.propensity = reader.Fixed<float>();
    choice.score = FromUpperHalf(reader.Fixed<std::uint16_t>());
    choice.belief.mean = FromUpperHalf(reader.Fixed<std::uint16_t>());
    choice.belief.sd = FromUpperHalf(reader.Fixed<std::uint16_t>());
    choice.relevance = FromUpperHalf(reader.Fixed<std::uint16_t>());
    const std::uint64_t sources = reader.Varint();
    const std::uint64_t tail = reader.Varint();
    const std::uint64_t exploit_item = (tail & kHasOtherExploitItem) != 0 ? reader.Varint() : item;
    if (!reader.ok()) return DataLoss("decision: truncated");
    if (item > 0xffffffffU || exploit_item > 0xffffffffU || sources > 0xffffU ||
        tail >> kSlotFlagBits > 0xffffU) {
      return DataLoss("decision: slate: a number is out of range");
    }
    if (!(choice.propensity > 0 && choice.propensity <= 1)) {
      return DataLoss("decision: slate: a propensity is outside (0, 1]");
    }
    if (!std::isfinite(choice.score) || !std::isfinite(choice.belief.mean) ||
        !std::isfinite(choice.belief.sd) || !std::isfinite(choice.relevance)) {
      return DataLoss("decision: slate: a number is not finite");
    }
    choice.item = ItemRow{static_cast<std::uint32_t>(item)};
    choice.exploit_item = ItemRow{static_cast<std::uint32_t>(exploit_item)};
    choice.sources = static_cast<SourceMask>(sources);
    choice.anchor = static_cast<std::uint16_t>(tail >> kSlotFlagBits);
    choice.explored = (tail & kExplored) != 0;
    decision.slate.push_back(choice);
  }
  if ((flags & kIsDegraded) != 0) {
    const std::uint64_t count = reader.Varint();
    if (count > reader.rest().size() / kMinDegradationBytes) return DataLoss("decision: truncated");
    for (std::uint64_t i = 0; i < count; ++i) {
      Degradation degradation;
      degradation.stage = reader.Text();
      degradation.reason = reader.Text();
      decision.degraded.push_back(std::move(degradation));
    }
  }
  if (!reader.ok()) return DataLoss("decision: truncated");
  if (!reader.IsAtEnd()) return DataLoss("decision: bytes after its end");
  return decision;
}

}  // namespace poise
