// SPDX-License-Identifier: Apache-2.0
//
// RatingBaseline: how many stars an item gets from people in general, and a person gives to items
// in general; what every rating model explains the rest of.
//
// The bias of a user is a short sum over their history and is never stored, so a new or changed
// user is nothing special.
//
// Shapes   U users, I items, N ratings; item_biases [I]
// Units    stars
// Cost     Fit: O(N) a round, 10 rounds, split over the pool. UserBias: O(ratings of the user).
// Source   Koren, "Factor in the Neighbors", 2010, equation 1 (b_ui = mu + b_u + b_i), fitted by
//          alternating damped means, which is its least-squares form.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "features/preferences.h"
#include "models/frozen_array.h"

namespace poise {

struct BaselineOptions {
  double item_damping = 3;  // as many ratings at the mean are added to each item's
  double user_damping = 7;
};

class RatingBaseline {
 public:
  // Requires at least one rating.
  static RatingBaseline Fit(const RatingMatrix& ratings, const BaselineOptions& options,
                            ThreadPool& pool);

  std::size_t item_count() const { return item_biases_.size(); }
  float mean() const { return mean_; }
  float ItemBias(std::size_t item) const { return item_biases_[item]; }
  // Of items that were not there at training nothing is known: they do not count.
  float UserBias(std::span<const ItemValue> ratings) const;
  float Predict(float user_bias, std::size_t item) const {
    return mean_ + user_bias + item_biases_[item];
  }
  // To the range of the stars that were trained on.
  float Clamp(float stars) const { return std::clamp(stars, min_, max_); }

  // Sections "baseline" and "item_biases".
  void Save(SnapshotWriter& writer) const;
  static Result<RatingBaseline> Load(const std::shared_ptr<const SnapshotReader>& snapshot);

 private:
  float mean_ = 0;
  float min_ = 0;
  float max_ = 0;
  float user_damping_ = 0;
  FrozenArray<float> item_biases_;
};

// Leaves in `ratings` what the baseline does not explain, both ways round.
void SubtractBaseline(const RatingBaseline& baseline, RatingMatrix& ratings, ThreadPool& pool);

}  // namespace poise
