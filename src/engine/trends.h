// SPDX-License-Identifier: Apache-2.0
//
// Trends: what rises now: every item's event weight, decaying with time.
//
//   trend(i, t) = sum over events e of i: weight(e) * 2^(-(t - time(e)) / half-life)
//
// Kept up event by event, so that trending is a matter of seconds where the models' is a matter of
// the next training.
//
// Place    events/ (in log order) -> [Trends] -> ServingState::trending
// Units    weight as in EventWeights; half-life in seconds
// Threads  All methods may be called concurrently; one lock.
// Cost     Add: some 20 ns. Top: O(items). 8 bytes an item.
#pragma once

#include <cstdint>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "domain/event.h"
#include "serve/serving_state.h"

namespace poise {

class SnapshotReader;
class SnapshotWriter;

class Trends {
 public:
  Trends(const EventWeights& weights, double half_life_s);

  void Add(ItemRow item, EventType type, std::uint32_t time_s);

  // The `count` highest, best first, as of `now_s` or of the newest event if that is earlier: a
  // shop that rests, or whose past was imported, keeps its trends. Items that hardly move beside
  // the newest are left out.
  std::vector<ScoredRow> Top(std::size_t count, std::uint32_t now_s) const;

  // Section "trends".
  void Save(SnapshotWriter& writer) const;
  // Replaces everything.
  Status Load(const SnapshotReader& reader);
  void Reset();

 private:
  struct Cell {
    float weight = 0;  // as of time_s
    std::uint32_t time_s = 0;
  };
  float Decay(std::uint32_t from_s, std::uint32_t to_s) const;

  const EventWeights weights_;
  const double half_life_s_;
  mutable std::mutex mutex_;
  std::vector<Cell> cells_;
  std::uint32_t newest_s_ = 0;
};

}  // namespace poise
