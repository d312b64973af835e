// SPDX-License-Identifier: Apache-2.0
//
// RewardPosterior: what is believed of the reward of showing an item, learned choice by choice.
//
//   logit P(outcome | shown in slot 0) = w . [1, relevance - 1/2] + b_item
//   reward = P(outcome) * value_item
//
// A shared line over relevance tells what an unseen item may be worth; each item's own offset is
// learned on top, from a prior around zero. So a new item begins at the base rate with a wide sd,
// and narrows as it is shown. Position is discounted: an item low in the slate was seen by fewer.
//
// Place    feedback/ -> Learn() -> [RewardPosterior] -> Believe() -> policy/decide.h
// Units    Belief: reward for one showing in slot 0, higher is better; relevance in [0, 1]
// Errors   Learn: kInvalidArgument if a propensity is outside (0, 1] or a number is not finite:
//          such a row is a bug upstream and is not clipped into silence.
// Threads  Readers run beside one writer: Learn() and Load() are the writer's. An item's mean
//          and variance are one 8-byte atomic, its value and count another; the shared line is
//          guarded by a sequence lock. No read sees half of a number or half of the line; a set may
//          see one item before and another after a Learn().
// Cost     Believe: some 3 us for 500 candidates; Learn: below 1 us; 16 bytes an item. The same
//          choices in the same order give the same bits.
// Source   Assumed-density filtering of logistic regression with MacKay's probit approximation;
//          docs/math/posterior.md, with every deviation.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/parameter.h"
#include "domain/decision.h"

namespace poise {

class SnapshotReader;
class SnapshotWriter;

struct PosteriorOptions {
  double base_rate = 0.05;        // expected share of showings with an outcome, before any is seen
  double base_sd = 0.5;           // of that, in logits
  double relevance_weight = 1.0;  // logits between the least and the most relevant, before any
  double relevance_sd = 1.0;
  double item_sd = 1.0;         // of an item's own offset
  double item_sd_floor = 0.05;  // it never gets narrower, because items change
  double value_weight = 5.0;    // outcomes that the shared mean value counts as
  double position_exponent = 0.5;
};

std::span<const Parameter<PosteriorOptions>> PosteriorParameters();

class RewardPosterior {
 public:
  // Rows from 0 to kMaxItems - 1 can be learned; others keep the prior.
  static constexpr std::size_t kMaxItems = std::size_t{1} << 24;

  explicit RewardPosterior(const PosteriorOptions& options = {});
  ~RewardPosterior();
  RewardPosterior(const RewardPosterior&) = delete;
  RewardPosterior& operator=(const RewardPosterior&) = delete;

  // Requires  beliefs.size() == candidates.size().
  void Believe(std::span<const Candidate> candidates, std::span<Belief> beliefs) const;

  Status Learn(const LoggedChoice& choice);

  // Showings that were learned from.
  std::uint32_t TrialCount(ItemRow item) const;
  // Choices learned from in all, corrections not counted.
  std::uint64_t trial_count() const { return trials_.load(std::memory_order_relaxed); }

  // Of the rows below `item_count` the `count` with the widest belief, widest first, at the middle
  // relevance. Rows never shown all share one width and are passed over: they are fresh, not
  // uncertain. Cost  O(item_count).
  std::vector<ItemRow> Widest(std::size_t item_count, std::size_t count) const;

  // The chance that slot `slot` is looked at.
  float Examination(int slot) const;

  // Sections "posterior" and "posterior.items".
  void Save(SnapshotWriter& writer) const;
  // Replaces everything. Errors  kInvalidArgument, kDataLoss; then nothing changes.
  Status Load(const SnapshotReader& reader);

 private:
  struct Item;
  struct Chunk;
  struct Line;

  Line ReadLine() const;
  void WriteLine(const Line& line);
  const Item* FindItem(ItemRow row) const;
  Item* EnsureItem(ItemRow row);

  static constexpr std::size_t kLineWords = 8;
  static constexpr std::size_t kChunkItems = 4096;
  static constexpr int kExaminationCount = 256;

  PosteriorOptions options_;
  std::array<float, kExaminationCount> examination_{};
  alignas(64) std::atomic<std::uint32_t> line_version_{0};
  std::array<std::atomic<double>, kLineWords> line_{};
  std::atomic<std::uint64_t> trials_{0};
  std::unique_ptr<std::atomic<Chunk*>[]> chunks_;
};

}  // namespace poise
