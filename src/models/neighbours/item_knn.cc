// SPDX-License-Identifier: Apache-2.0
#include "models/neighbours/item_knn.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "features/preferences.h"
#include "models/neighbours/dense_row.h"
#include "models/neighbours/similarity.h"
#include "models/popularity/rating_baseline.h"

namespace poise {
namespace {

constexpr std::string_view kName = "item-knn";
// Far below any similarity: popularity orders what the neighbours say nothing of.
constexpr float kPriorScale = 1e-6F;

struct ItemKnnOptions {
  std::string similarity = "auto";
  int neighbours = 0;
  double shrinkage = -1;
  double popularity_damping = 0.5;
  double recency = 20;
  bool is_normalised = true;
  int list = 600;
  double power = 1.5;
  double damping = 0.05;
};

constexpr Parameter<ItemKnnOptions> kParameters[] = {
    {"similarity", &ItemKnnOptions::similarity, "", 0, 32,
     "cosine, conditional or bm25 to rank, pearson for ratings; auto: bm25 or pearson"},
    {"neighbours", &ItemKnnOptions::neighbours, "items", 0, 10000,
     "nearest items that count; 0: 100 to rank, 40 for ratings"},
    {"shrinkage", &ItemKnnOptions::shrinkage, "users", -1, 1e6,
     "common users at which a similarity counts half; -1: 10 to rank, 200 for ratings"},
    {"popularity-damping", &ItemKnnOptions::popularity_damping, "", 0, 1,
     "conditional: the power of an item's own count that its similarity is divided by"},
    {"recency", &ItemKnnOptions::recency, "items", 0, 1e6,
     "items of the history after which one counts half, to rank; 0: all count the same"},
    {"normalised", &ItemKnnOptions::is_normalised, "", 0, 1,
     "scale each item's list to the sum 1, to rank"},
    {"list", &ItemKnnOptions::list, "items", 1, 10000,
     "nearest items kept for ratings, among which those that the user rated are found"},
    {"power", &ItemKnnOptions::power, "", 0.1, 10, "power of the similarity as weight of a rating"},
    {"damping", &ItemKnnOptions::damping, "", 0, 1e6,
     "weight of the baseline beside the neighbours' weights, for ratings"}};

// Items and similarities [I, K] as they serve.
struct ItemLists {
  std::size_t neighbour_count = 0;
  FrozenArray<ItemRow> items;
  FrozenArray<float> similarities;

  static ItemLists Of(NeighbourLists lists) {
    ItemLists out;
    out.neighbour_count = lists.neighbour_count;
    std::vector<ItemRow> items(lists.rows.size());
    std::transform(lists.rows.begin(), lists.rows.end(), items.begin(),
                   [](std::uint32_t row) { return static_cast<ItemRow>(row); });
    out.items = FrozenArray<ItemRow>(std::move(items));
    out.similarities = FrozenArray<float>(std::move(lists.similarities));
    return out;
  }

  void Save(SnapshotWriter& writer) const {
    writer.AddArray("neighbour_items", items.span());
    writer.AddArray("neighbour_similarities", similarities.span());
  }

  static Result<ItemLists> Load(const std::shared_ptr<const SnapshotReader>& snapshot,
                                std::size_t item_count, std::size_t neighbour_count) {
    if (neighbour_count == 0 || neighbour_count > (std::uint64_t{1} << 32) ||
        item_count > (std::uint64_t{1} << 32)) {
      return DataLoss("head: damaged");
    }
    ItemLists out;
    out.neighbour_count = neighbour_count;
    const std::size_t count = item_count * neighbour_count;
    POISE_ASSIGN_OR_RETURN(out.items,
                           FrozenArray<ItemRow>::FromSnapshot(snapshot, "neighbour_items", count));
    POISE_ASSIGN_OR_RETURN(out.similarities, FrozenArray<float>::FromSnapshot(
                                                 snapshot, "neighbour_similarities", count));
    for (const ItemRow item : out.items) {
      if (Index(item) >= item_count) return DataLoss("neighbour_items: damaged");
    }
    return out;
  }

  NeighbourView View() const { return {items.span(), similarities.span(), neighbour_count}; }
};

class RankingModel final : public InterestModel {
 public:
  RankingModel(ItemLists lists, FrozenArray<float> prior, const EventWeights& weights,
               float recency)
      : lists_(std::move(lists)), prior_(std::move(prior)), weights_(weights), recency_(recency) {}

  static Result<std::unique_ptr<const InterestModel>> Load(
      ByteReader& head, const std::shared_ptr<const SnapshotReader>& snapshot) {
    const auto neighbour_count = head.Fixed<std::uint64_t>();
    const auto recency = head.Fixed<float>();
    EventWeights weights;
    for (float& weight : weights.by_type) weight = head.Fixed<float>();
    if (!head.ok() || !head.IsAtEnd() || !(recency >= 0)) return DataLoss("head: damaged");
    POISE_ASSIGN_OR_RETURN(FrozenArray<float> prior,
                           FrozenArray<float>::FromSnapshot(snapshot, "prior"));
    POISE_ASSIGN_OR_RETURN(ItemLists lists,
                           ItemLists::Load(snapshot, prior.size(), neighbour_count));
    return std::unique_ptr<const InterestModel>(
        std::make_unique<RankingModel>(std::move(lists), std::move(prior), weights, recency));
  }

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return prior_.size(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    DenseRow<float> sums(ItemCount());
    AddHistory(user, sums);
    for (std::size_t n = 0; n < items.size(); ++n) {
      scores[n] = sums[Index(items[n])] + prior_[Index(items[n])];
    }
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    std::copy(prior_.begin(), prior_.end(), scores.begin());
    DenseRow<float> sums(ItemCount());
    AddHistory(user, sums);
    for (const std::uint32_t item : sums.touched()) scores[item] = sums[item] + prior_[item];
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint8_t>(Task::kRanking));
    head.Fixed(static_cast<std::uint64_t>(lists_.neighbour_count));
    head.Fixed(recency_);
    for (const float weight : weights_.by_type) head.Fixed(weight);
    writer.AddSection("head", head.bytes());
    writer.AddArray("prior", prior_.span());
    lists_.Save(writer);
    return Status::Ok();
  }

  std::optional<NeighbourView> Neighbours() const override { return lists_.View(); }

 private:
  void AddHistory(const UserView& user, DenseRow<float>& sums) const {
    std::vector<ItemValue> history;
    AggregateHistory(user.history, weights_, history);
    if (recency_ > 0) FadeByRecency(user.history, history);
    for (const ItemValue& entry : history) {
      if (entry.item >= ItemCount()) continue;
      const std::size_t begin = entry.item * lists_.neighbour_count;
      for (std::size_t at = begin; at < begin + lists_.neighbour_count; ++at) {
        if (!(lists_.similarities[at] > 0)) break;
        sums.Add(Index(lists_.items[at]), entry.value * lists_.similarities[at]);
      }
    }
  }

  // The latest items keep their weight, one that `recency` others came after has half of it, and so
  // on. Items of one second are equally old: a file without times must not fade by its order.
  void FadeByRecency(std::span<const Interaction> history, std::vector<ItemValue>& weights) const {
    std::vector<bool> is_faded(weights.size());
    std::size_t seen_count = 0;
    std::size_t age = 0;
    std::uint32_t time_s = 0;
    for (auto event = history.rbegin(); event != history.rend(); ++event) {
      if (event->time_s != time_s) {
        age = seen_count;
        time_s = event->time_s;
      }
      const auto entry = std::lower_bound(
          weights.begin(), weights.end(), Index(event->item),
          [](const ItemValue& value, std::uint32_t item) { return value.item < item; });
      if (entry == weights.end() || entry->item != Index(event->item)) continue;
      const auto place = static_cast<std::size_t>(entry - weights.begin());
      if (is_faded[place]) continue;
      is_faded[place] = true;
      ++seen_count;
      entry->value *= std::exp2(-static_cast<float>(age) / recency_);
    }
  }

  ItemLists lists_;
  FrozenArray<float> prior_;
  EventWeights weights_;
  float recency_;
};

class RatingModel final : public InterestModel {
 public:
  RatingModel(RatingBaseline baseline, ItemLists lists, std::size_t used_count, float damping)
      : baseline_(std::move(baseline)),
        lists_(std::move(lists)),
        used_count_(used_count),
        damping_(damping) {}

  static Result<std::unique_ptr<const InterestModel>> Load(
      ByteReader& head, const std::shared_ptr<const SnapshotReader>& snapshot) {
    const auto neighbour_count = head.Fixed<std::uint64_t>();
    const auto used_count = head.Fixed<std::uint64_t>();
    const auto damping = head.Fixed<float>();
    if (!head.ok() || !head.IsAtEnd() || !(damping >= 0)) return DataLoss("head: damaged");
    POISE_ASSIGN_OR_RETURN(RatingBaseline baseline, RatingBaseline::Load(snapshot));
    POISE_ASSIGN_OR_RETURN(ItemLists lists,
                           ItemLists::Load(snapshot, baseline.item_count(), neighbour_count));
    return std::unique_ptr<const InterestModel>(
        std::make_unique<RatingModel>(std::move(baseline), std::move(lists), used_count, damping));
  }

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return baseline_.item_count(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    const Known known(*this, user);
    for (std::size_t n = 0; n < items.size(); ++n) scores[n] = Predict(known, Index(items[n]));
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    const Known known(*this, user);
    for (std::size_t item = 0; item < scores.size(); ++item) scores[item] = Predict(known, item);
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint8_t>(Task::kRating));
    head.Fixed(static_cast<std::uint64_t>(lists_.neighbour_count));
    head.Fixed(static_cast<std::uint64_t>(used_count_));
    head.Fixed(damping_);
    writer.AddSection("head", head.bytes());
    baseline_.Save(writer);
    lists_.Save(writer);
    return Status::Ok();
  }

  std::optional<NeighbourView> Neighbours() const override { return lists_.View(); }

 private:
  // What is known of a user during one call: places[item] is 1 + the place of its residual.
  struct Known {
    Known(const RatingModel& model, const UserView& user) : places(model.ItemCount()) {
      std::vector<ItemValue> ratings;
      LastRatingsOf(user.history, ratings);
      bias = model.baseline_.UserBias(ratings);
      for (const ItemValue& rating : ratings) {
        if (rating.item >= model.ItemCount()) continue;
        residuals.push_back(rating.value - model.baseline_.Predict(bias, rating.item));
        places.Set(rating.item, static_cast<std::uint32_t>(residuals.size()));
      }
    }
    float bias = 0;
    std::vector<float> residuals;
    DenseRow<std::uint32_t> places;
  };

  float Predict(const Known& known, std::size_t item) const {
    float weighted = 0;
    float weight = damping_;
    if (!known.residuals.empty()) {
      std::size_t found_count = 0;
      const std::size_t begin = item * lists_.neighbour_count;
      for (std::size_t at = begin; at < begin + lists_.neighbour_count; ++at) {
        const float similarity = lists_.similarities[at];
        if (!(similarity > 0)) break;
        const std::uint32_t place = known.places[Index(lists_.items[at])];
        if (place == 0) continue;
        weighted += similarity * known.residuals[place - 1];
        weight += similarity;
        if (++found_count == used_count_) break;
      }
    }
    const float correction = weight > 0 ? weighted / weight : 0;
    return baseline_.Clamp(baseline_.Predict(known.bias, item) + correction);
  }

  RatingBaseline baseline_;
  ItemLists lists_;
  std::size_t used_count_;
  float damping_;
};

class ItemKnnTrainer final : public Trainer {
 public:
  ItemKnnTrainer(const ItemKnnOptions& options, Similarity similarity, Task task)
      : options_(options), similarity_(similarity), task_(task) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    return task_ == Task::kRating ? TrainRating(view, context) : TrainRanking(view, context);
  }

 private:
  SimilarityOptions Similarities() const {
    return {similarity_, options_.shrinkage, options_.popularity_damping};
  }

  Result<std::unique_ptr<const InterestModel>> TrainRanking(const TrainingView& view,
                                                            const TrainContext& context) const {
    const PreferenceMatrix preferences = AggregatePreferences(view, context.weights, context.pool);
    if (preferences.by_user.entry_count() == 0) return NothingToLearn(kName, "interactions");
    std::vector<float> prior(view.item_count);
    for (std::size_t item = 0; item < prior.size(); ++item) {
      prior[item] = kPriorScale * static_cast<float>(preferences.by_item.ColumnsOf(item).size()) /
                    static_cast<float>(view.user_count());
    }
    NeighbourLists lists =
        SimilarityIndex::Build(preferences.by_item, preferences.by_user, Similarities(),
                               context.pool)
            .AllNearest(preferences.by_item, static_cast<std::size_t>(options_.neighbours),
                        context.pool);
    if (options_.is_normalised) Normalise(lists);
    return std::unique_ptr<const InterestModel>(std::make_unique<RankingModel>(
        ItemLists::Of(std::move(lists)), FrozenArray<float>(std::move(prior)), context.weights,
        static_cast<float>(options_.recency)));
  }

  Result<std::unique_ptr<const InterestModel>> TrainRating(const TrainingView& view,
                                                           const TrainContext& context) const {
    RatingMatrix ratings = LastRatings(view, context.pool);
    if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
    RatingBaseline baseline = RatingBaseline::Fit(ratings, {}, context.pool);
    SubtractBaseline(baseline, ratings, context.pool);
    NeighbourLists lists =
        SimilarityIndex::Build(ratings.by_item, ratings.by_user, Similarities(), context.pool)
            .AllNearest(ratings.by_item, static_cast<std::size_t>(options_.list), context.pool);
    for (float& similarity : lists.similarities) {
      similarity = std::pow(similarity, static_cast<float>(options_.power));
    }
    return std::unique_ptr<const InterestModel>(std::make_unique<RatingModel>(
        std::move(baseline), ItemLists::Of(std::move(lists)),
        static_cast<std::size_t>(options_.neighbours), static_cast<float>(options_.damping)));
  }

  static void Normalise(NeighbourLists& lists) {
    for (std::size_t begin = 0; begin < lists.similarities.size(); begin += lists.neighbour_count) {
      double sum = 0;
      for (std::size_t n = 0; n < lists.neighbour_count; ++n) sum += lists.similarities[begin + n];
      if (!(sum > 0)) continue;
      for (std::size_t n = 0; n < lists.neighbour_count; ++n) {
        lists.similarities[begin + n] /= static_cast<float>(sum);
      }
    }
  }

  ItemKnnOptions options_;
  Similarity similarity_;
  Task task_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakeItemKnnTrainer(const ParameterTexts& parameters,
                                                          Task task) {
  ItemKnnOptions options;
  POISE_RETURN_IF_ERROR(
      SetParameters(std::span<const Parameter<ItemKnnOptions>>(kParameters), parameters, options));
  POISE_ASSIGN_OR_RETURN(const Similarity similarity, SimilarityForTask(options.similarity, task));
  if (options.neighbours == 0) options.neighbours = task == Task::kRating ? 40 : 100;
  if (options.shrinkage < 0) options.shrinkage = task == Task::kRating ? 200 : 10;
  return std::unique_ptr<const Trainer>(
      std::make_unique<ItemKnnTrainer>(options, similarity, task));
}

Result<std::unique_ptr<const InterestModel>> LoadItemKnn(
    std::shared_ptr<const SnapshotReader> snapshot) {
  POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("head"));
  ByteReader head(bytes);
  switch (head.Fixed<std::uint8_t>()) {
    case static_cast<std::uint8_t>(Task::kRanking):
      return RankingModel::Load(head, snapshot);
    case static_cast<std::uint8_t>(Task::kRating):
      return RatingModel::Load(head, snapshot);
    default:
      return DataLoss("head: damaged");
  }
}

std::vector<ParameterDescription> DescribeItemKnn() {
  return DescribeParameters(std::span<const Parameter<ItemKnnOptions>>(kParameters));
}

}  // namespace poise
