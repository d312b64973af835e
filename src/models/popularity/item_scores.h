// SPDX-License-Identifier: Apache-2.0
//
// ItemScoresModel: one score an item, whoever asks; what popularity and trending are once trained.
#pragma once

#include <string_view>
#include <vector>

#include "models/frozen_array.h"
#include "models/interest_model.h"

namespace poise {

class ItemScoresModel final : public InterestModel {
 public:
  // `name` must outlive the model: a literal.
  ItemScoresModel(std::string_view name, FrozenArray<float> scores)
      : name_(name), scores_(std::move(scores)) {}

  // Errors  kDataLoss, kInvalidArgument.
  static Result<std::unique_ptr<const InterestModel>> Load(
      std::string_view name, const std::shared_ptr<const SnapshotReader>& snapshot);

  std::string_view Name() const override { return name_; }
  std::size_t ItemCount() const override { return scores_.size(); }
  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override;
  Status ScoreAll(const UserView& user, std::span<float> scores) const override;
  Status Save(SnapshotWriter& writer) const override;

 private:
  std::string_view name_;
  FrozenArray<float> scores_;
};

}  // namespace poise
