// SPDX-License-Identifier: Apache-2.0
#include "models/popularity/trending.h"

#include <algorithm>
#include <cmath>

#include "features/preferences.h"
#include "models/popularity/item_scores.h"

namespace poise {
namespace {

constexpr std::string_view kName = "trending";
constexpr double kSecondsPerDay = 86400;
// Fixed, so that sums are taken in the same order for every number of threads.
constexpr std::size_t kBlocks = 8;

struct TrendingOptions {
  double half_life = 7;
};

constexpr Parameter<TrendingOptions> kParameters[] = {
    {"half-life", &TrendingOptions::half_life, "days", 1e-3, 1e5,
     "time in which an event loses half of its weight"}};

class TrendingTrainer final : public Trainer {
 public:
  explicit TrendingTrainer(const TrendingOptions& options) : options_(options) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    if (view.interactions.empty()) return NothingToLearn(kName, "interactions");
    std::vector<std::vector<double>> sums(kBlocks);
    const std::size_t users_per_block = (view.user_count() + kBlocks - 1) / kBlocks;
    context.pool.ParallelFor(kBlocks, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t block = begin; block < end; ++block) {
        sums[block].assign(view.item_count, 0);
        const std::size_t last = std::min((block + 1) * users_per_block, view.user_count());
        for (std::size_t user = block * users_per_block; user < last; ++user) {
          AddUser(view, static_cast<UserRow>(user), context.weights, sums[block]);
        }
      }
    });
    std::vector<float> scores(view.item_count);
    for (std::size_t item = 0; item < scores.size(); ++item) {
      double sum = 0;
      for (const std::vector<double>& block : sums) sum += block[item];
      scores[item] = static_cast<float>(sum);
    }
    return std::unique_ptr<const InterestModel>(
        std::make_unique<ItemScoresModel>(kName, FrozenArray<float>(std::move(scores))));
  }

 private:
  void AddUser(const TrainingView& view, UserRow user, const EventWeights& weights,
               std::vector<double>& sums) const {
    std::vector<ItemValue> decayed;
    for (const Interaction& event : view.OfUser(user)) {
      const double age_days =
          std::max(0.0, static_cast<double>(view.as_of.seconds()) - event.time_s) / kSecondsPerDay;
      const float quantity = event.type == EventType::kRating ? 1.0F : Saturation(event.value);
      decayed.push_back(
          {Index(event.item), static_cast<float>(weights[event.type] * quantity *
                                                 std::exp2(-age_days / options_.half_life))});
    }
    std::stable_sort(decayed.begin(), decayed.end(),
                     [](const ItemValue& a, const ItemValue& b) { return a.item < b.item; });
    for (std::size_t n = 0; n < decayed.size();) {
      const std::uint32_t item = decayed[n].item;
      double weight = 0;
      for (; n < decayed.size() && decayed[n].item == item; ++n) weight += decayed[n].value;
      // One busy user must not make a trend.
      sums[item] += Saturation(static_cast<float>(weight));
    }
  }

  TrendingOptions options_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakeTrendingTrainer(const ParameterTexts& parameters,
                                                           Task /*task*/) {
  TrendingOptions options;
  POISE_RETURN_IF_ERROR(
      SetParameters(std::span<const Parameter<TrendingOptions>>(kParameters), parameters, options));
  return std::unique_ptr<const Trainer>(std::make_unique<TrendingTrainer>(options));
}

Result<std::unique_ptr<const InterestModel>> LoadTrending(
    std::shared_ptr<const SnapshotReader> snapshot) {
  return ItemScoresModel::Load(kName, snapshot);
}

std::vector<ParameterDescription> DescribeTrending() {
  return DescribeParameters(std::span<const Parameter<TrendingOptions>>(kParameters));
}

}  // namespace poise
