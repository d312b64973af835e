// SPDX-License-Identifier: Apache-2.0
//
// TrainingView: all interactions up to one point in time, by user; what every trainer learns from.
//
// It is the same object whether it was read from the log of a running shop or from a file to be
// evaluated on, so a figure measured offline speaks of the code that serves.
//
// Place    events/ (log), evaluation/ (files) -> [TrainingView] -> models/
// Shapes   U users, I items, N interactions; interactions [N] by user, each user's oldest first;
//          user_begin [U + 1]
// Threads  Immutable once built.
// Cost     16 bytes an interaction, 8 a user.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"

namespace poise {

struct TrainingView {
  std::vector<std::uint64_t> user_begin{0};
  std::vector<Interaction> interactions;
  std::size_t item_count = 0;
  Timestamp as_of;

  std::size_t user_count() const { return user_begin.size() - 1; }
  std::span<const Interaction> OfUser(UserRow row) const {
    const std::uint64_t begin = user_begin[Index(row)];
    return {interactions.data() + begin, user_begin[Index(row) + 1] - begin};
  }
};

// Collects interactions in any order. Ties in time keep the order in which they were added.
class TrainingViewBuilder {
 public:
  void Add(UserRow user, const Interaction& interaction) { rows_.push_back({user, interaction}); }
  void Reserve(std::size_t count) { rows_.reserve(count); }

  // Leaves the builder empty. The view has at least the given counts, more if a row asks for it.
  TrainingView Build(Timestamp as_of, std::size_t user_count, std::size_t item_count);

 private:
  struct Row {
    UserRow user;
    Interaction interaction;
  };
  std::vector<Row> rows_;
};

}  // namespace poise
