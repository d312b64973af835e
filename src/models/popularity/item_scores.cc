// SPDX-License-Identifier: Apache-2.0
#include "models/popularity/item_scores.h"

#include <algorithm>

#include "base/check.h"

namespace poise {

Result<std::unique_ptr<const InterestModel>> ItemScoresModel::Load(
    std::string_view name, const std::shared_ptr<const SnapshotReader>& snapshot) {
  POISE_ASSIGN_OR_RETURN(FrozenArray<float> scores,
                         FrozenArray<float>::FromSnapshot(snapshot, "item_scores"));
  return std::unique_ptr<const InterestModel>(
      std::make_unique<ItemScoresModel>(name, std::move(scores)));
}

Status ItemScoresModel::Score(const UserView&, std::span<const ItemRow> items,
                              std::span<float> scores) const {
  POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
  for (std::size_t n = 0; n < items.size(); ++n) scores[n] = scores_[Index(items[n])];
  return Status::Ok();
}

Status ItemScoresModel::ScoreAll(const UserView&, std::span<float> scores) const {
  POISE_CHECK(scores.size() == ItemCount());
  std::copy(scores_.begin(), scores_.end(), scores.begin());
  return Status::Ok();
}

Status ItemScoresModel::Save(SnapshotWriter& writer) const {
  writer.AddArray("item_scores", scores_.span());
  return Status::Ok();
}

}  // namespace poise
