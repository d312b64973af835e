// SPDX-License-Identifier: Apache-2.0
#include "models/popularity/popularity.h"

#include <algorithm>

#include "base/check.h"
#include "features/preferences.h"
#include "models/popularity/item_scores.h"
#include "models/popularity/rating_baseline.h"

namespace poise {
namespace {

constexpr std::string_view kName = "popularity";

struct PopularityOptions {
  bool is_weighted = false;
  double item_damping = BaselineOptions{}.item_damping;
  double user_damping = BaselineOptions{}.user_damping;
};

constexpr Parameter<PopularityOptions> kParameters[] = {
    {"weighted", &PopularityOptions::is_weighted, "", 0, 1,
     "rank by the sum of the users' weights instead of by their number"},
    {"item-damping", &PopularityOptions::item_damping, "ratings", 0, 1e6,
     "ratings at the mean added to each item's, for ratings"},
    {"user-damping", &PopularityOptions::user_damping, "ratings", 0, 1e6,
     "ratings at the mean added to each user's, for ratings"}};

class BiasModel final : public InterestModel {
 public:
  explicit BiasModel(RatingBaseline baseline) : baseline_(std::move(baseline)) {}

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return baseline_.item_count(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    const float bias = UserBias(user);
    for (std::size_t n = 0; n < items.size(); ++n) {
      scores[n] = baseline_.Clamp(baseline_.Predict(bias, Index(items[n])));
    }
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    const float bias = UserBias(user);
    for (std::size_t item = 0; item < scores.size(); ++item) {
      scores[item] = baseline_.Clamp(baseline_.Predict(bias, item));
    }
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    baseline_.Save(writer);
    return Status::Ok();
  }

 private:
  float UserBias(const UserView& user) const {
    std::vector<ItemValue> ratings;
    LastRatingsOf(user.history, ratings);
    return baseline_.UserBias(ratings);
  }

  RatingBaseline baseline_;
};

class PopularityTrainer final : public Trainer {
 public:
  PopularityTrainer(const PopularityOptions& options, Task task) : options_(options), task_(task) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    return task_ == Task::kRating ? TrainBiases(view, context) : TrainCounts(view, context);
  }

 private:
  Result<std::unique_ptr<const InterestModel>> TrainBiases(const TrainingView& view,
                                                           const TrainContext& context) const {
    const RatingMatrix ratings = LastRatings(view, context.pool);
    if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
    return std::unique_ptr<const InterestModel>(std::make_unique<BiasModel>(RatingBaseline::Fit(
        ratings, {options_.item_damping, options_.user_damping}, context.pool)));
  }

  Result<std::unique_ptr<const InterestModel>> TrainCounts(const TrainingView& view,
                                                           const TrainContext& context) const {
    const PreferenceMatrix preferences = AggregatePreferences(view, context.weights, context.pool);
    if (preferences.by_user.entry_count() == 0) return NothingToLearn(kName, "interactions");
    std::vector<float> scores(view.item_count);
    for (std::size_t item = 0; item < scores.size(); ++item) {
      const auto values = preferences.by_item.ValuesOf(item);
      double sum = static_cast<double>(values.size());
      if (options_.is_weighted) {
        sum = 0;
        for (const float value : values) sum += value;
      }
      scores[item] = static_cast<float>(sum);
    }
    return std::unique_ptr<const InterestModel>(
        std::make_unique<ItemScoresModel>(kName, FrozenArray<float>(std::move(scores))));
  }

  PopularityOptions options_;
  Task task_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakePopularityTrainer(const ParameterTexts& parameters,
                                                             Task task) {
  PopularityOptions options;
  POISE_RETURN_IF_ERROR(SetParameters(std::span<const Parameter<PopularityOptions>>(kParameters),
                                      parameters, options));
  return std::unique_ptr<const Trainer>(std::make_unique<PopularityTrainer>(options, task));
}

Result<std::unique_ptr<const InterestModel>> LoadPopularity(
    std::shared_ptr<const SnapshotReader> snapshot) {
  const std::vector<std::string> sections = snapshot->SectionNames();
  if (std::find(sections.begin(), sections.end(), "baseline") == sections.end()) {
    return ItemScoresModel::Load(kName, snapshot);
  }
  POISE_ASSIGN_OR_RETURN(RatingBaseline baseline, RatingBaseline::Load(snapshot));
  return std::unique_ptr<const InterestModel>(std::make_unique<BiasModel>(std::move(baseline)));
}

std::vector<ParameterDescription> DescribePopularity() {
  return DescribeParameters(std::span<const Parameter<PopularityOptions>>(kParameters));
}

}  // namespace poise
