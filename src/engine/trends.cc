// SPDX-License-Identifier: Apache-2.0
#include "engine/trends.h"

#include <algorithm>
#include <cmath>

#include "storage/snapshot.h"

namespace poise {

Trends::Trends(const EventWeights& weights, double half_life_s)
    : weights_(weights), half_life_s_(half_life_s) {}

float Trends::Decay(std::uint32_t from_s, std::uint32_t to_s) const {
  if (to_s <= from_s) return 1;
  return static_cast<float>(std::exp2(-static_cast<double>(to_s - from_s) / half_life_s_));
}

void Trends::Add(ItemRow item, EventType type, std::uint32_t time_s) {
  const std::lock_guard lock(mutex_);
  if (Index(item) >= cells_.size()) cells_.resize(Index(item) + std::size_t{1});
  newest_s_ = std::max(newest_s_, time_s);
  Cell& cell = cells_[Index(item)];
  if (time_s >= cell.time_s) {
    cell.weight = cell.weight * Decay(cell.time_s, time_s) + weights_[type];
    cell.time_s = time_s;
  } else {
    cell.weight += weights_[type] * Decay(time_s, cell.time_s);  // a late event counts as decayed
  }
}

std::vector<ScoredRow> Trends::Top(std::size_t count, std::uint32_t now_s) const {
  constexpr float kLeast = 1e-4F;
  std::vector<ScoredRow> rows;
  {
    const std::lock_guard lock(mutex_);
    now_s = std::min(now_s, newest_s_);
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const float score = cells_[i].weight * Decay(cells_[i].time_s, now_s);
      if (score > kLeast) rows.push_back({static_cast<ItemRow>(i), score});
    }
  }
  count = std::min(count, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                    [](const ScoredRow& a, const ScoredRow& b) {
                      return a.score != b.score ? a.score > b.score : a.item < b.item;
                    });
  rows.resize(count);
  return rows;
}

void Trends::Save(SnapshotWriter& writer) const {
  const std::lock_guard lock(mutex_);
  writer.AddArray("trends", cells_);
}

Status Trends::Load(const SnapshotReader& reader) {
  POISE_ASSIGN_OR_RETURN(const std::span<const Cell> cells, reader.Array<Cell>("trends"));
  const std::lock_guard lock(mutex_);
  cells_.assign(cells.begin(), cells.end());
  newest_s_ = 0;
  for (const Cell& cell : cells_) newest_s_ = std::max(newest_s_, cell.time_s);
  return Status::Ok();
}

void Trends::Reset() {
  const std::lock_guard lock(mutex_);
  cells_.clear();
  newest_s_ = 0;
}

}  // namespace poise
