// SPDX-License-Identifier: Apache-2.0
#include "models/neighbours/user_knn.h"

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

constexpr std::string_view kName = "user-knn";
// Far below any mean of weights: popularity orders what the neighbours never touched.
constexpr float kPriorScale = 1e-6F;

struct UserKnnOptions {
  std::string similarity = "auto";
  int neighbours = 0;
  double shrinkage = -1;
  double popularity_damping = 0.5;
  double power = 1.5;
  double damping = 0.05;
};

constexpr Parameter<UserKnnOptions> kParameters[] = {
    {"similarity", &UserKnnOptions::similarity, "", 0, 32,
     "cosine, conditional or bm25 to rank, pearson for ratings; auto: bm25 or pearson"},
    {"neighbours", &UserKnnOptions::neighbours, "users", 0, 10000,
     "nearest users that count; 0: 100 to rank, 60 for ratings"},
    {"shrinkage", &UserKnnOptions::shrinkage, "items", -1, 1e6,
     "common items at which a similarity counts half; -1: 10 to rank, 50 for ratings"},
    {"popularity-damping", &UserKnnOptions::popularity_damping, "", 0, 1,
     "conditional: the power of a neighbour's own count that their similarity is divided by"},
    {"power", &UserKnnOptions::power, "", 0.1, 10, "power of the similarity as weight of a rating"},
    {"damping", &UserKnnOptions::damping, "", 0, 1e6,
     "weight of the baseline beside the neighbours' weights, for ratings"}};

class RankingModel final : public InterestModel {
 public:
  struct Parts {
    SimilarityIndex index;
    FrozenArray<std::uint64_t> user_begin;  // [U + 1]
    FrozenArray<std::uint32_t> user_items;  // [N]
    FrozenArray<float> user_weights;        // [N]
    FrozenArray<std::uint32_t> neighbours;  // [U, K]
    FrozenArray<float> similarities;        // [U, K]
    FrozenArray<float> prior;               // [I]
    std::size_t neighbour_count = 0;
    EventWeights weights;
  };

  explicit RankingModel(Parts parts) : parts_(std::move(parts)) {}

  static Result<std::unique_ptr<const InterestModel>> Load(
      ByteReader& head, const std::shared_ptr<const SnapshotReader>& snapshot) {
    Parts parts;
    parts.neighbour_count = head.Fixed<std::uint64_t>();
    for (float& weight : parts.weights.by_type) weight = head.Fixed<float>();
    if (!head.ok() || !head.IsAtEnd() || parts.neighbour_count == 0 ||
        parts.neighbour_count > (std::uint64_t{1} << 32)) {
      return DataLoss("head: damaged");
    }
    POISE_ASSIGN_OR_RETURN(parts.index, SimilarityIndex::Load(snapshot));
    const std::size_t user_count = parts.index.row_count();
    POISE_ASSIGN_OR_RETURN(parts.prior, FrozenArray<float>::FromSnapshot(
                                            snapshot, "prior", parts.index.column_count()));
    POISE_ASSIGN_OR_RETURN(parts.user_begin, FrozenArray<std::uint64_t>::FromSnapshot(
                                                 snapshot, "user_begin", user_count + 1));
    POISE_ASSIGN_OR_RETURN(parts.user_items,
                           FrozenArray<std::uint32_t>::FromSnapshot(snapshot, "user_items"));
    POISE_ASSIGN_OR_RETURN(
        parts.user_weights,
        FrozenArray<float>::FromSnapshot(snapshot, "user_weights", parts.user_items.size()));
    const std::size_t list_count = user_count * parts.neighbour_count;
    POISE_ASSIGN_OR_RETURN(parts.neighbours, FrozenArray<std::uint32_t>::FromSnapshot(
                                                 snapshot, "neighbour_users", list_count));
    POISE_ASSIGN_OR_RETURN(parts.similarities, FrozenArray<float>::FromSnapshot(
                                                   snapshot, "neighbour_similarities", list_count));
    if (!IsRowIndex(parts.user_begin.span(), parts.user_items.size()) ||
        !AreBelow(parts.user_items.span(), parts.prior.size()) ||
        !AreBelow(parts.neighbours.span(), user_count)) {
      return DataLoss("user_items, neighbour_users: damaged");
    }
    return std::unique_ptr<const InterestModel>(std::make_unique<RankingModel>(std::move(parts)));
  }

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return parts_.prior.size(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    DenseRow<float> votes(ItemCount());
    const float total = AddVotes(user, votes);
    for (std::size_t n = 0; n < items.size(); ++n) {
      scores[n] = Blend(votes[Index(items[n])], total, Index(items[n]));
    }
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    DenseRow<float> votes(ItemCount());
    const float total = AddVotes(user, votes);
    std::copy(parts_.prior.begin(), parts_.prior.end(), scores.begin());
    for (const std::uint32_t item : votes.touched()) scores[item] = Blend(votes[item], total, item);
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint8_t>(Task::kRanking));
    head.Fixed(static_cast<std::uint64_t>(parts_.neighbour_count));
    for (const float weight : parts_.weights.by_type) head.Fixed(weight);
    writer.AddSection("head", head.bytes());
    parts_.index.Save(writer);
    writer.AddArray("user_begin", parts_.user_begin.span());
    writer.AddArray("user_items", parts_.user_items.span());
    writer.AddArray("user_weights", parts_.user_weights.span());
    writer.AddArray("neighbour_users", parts_.neighbours.span());
    writer.AddArray("neighbour_similarities", parts_.similarities.span());
    writer.AddArray("prior", parts_.prior.span());
    return Status::Ok();
  }

 private:
  float Blend(float votes, float total, std::size_t item) const {
    return (votes > 0 ? votes / total : 0) + parts_.prior[item];
  }

  // Adds the neighbours' votes; returns the sum of their similarities.
  float AddVotes(const UserView& user, DenseRow<float>& votes) const {
    float total = 0;
    if (user.row && !user.has_changed && Index(*user.row) < parts_.index.row_count()) {
      const std::size_t begin = Index(*user.row) * parts_.neighbour_count;
      for (std::size_t at = begin; at < begin + parts_.neighbour_count; ++at) {
        if (!(parts_.similarities[at] > 0)) break;
        AddVote({parts_.neighbours[at], parts_.similarities[at]}, votes);
        total += parts_.similarities[at];
      }
      return total;
    }
    std::vector<ItemValue> history;
    AggregateHistory(user.history, parts_.weights, history);
    thread_local SimilarityScratch scratch;
    std::vector<Neighbour> nearest;
    parts_.index.Nearest(history, RowOf(user), parts_.neighbour_count, scratch, nearest);
    for (const Neighbour& neighbour : nearest) {
      AddVote(neighbour, votes);
      total += neighbour.similarity;
    }
    return total;
  }

  void AddVote(const Neighbour& neighbour, DenseRow<float>& votes) const {
    for (std::uint64_t at = parts_.user_begin[neighbour.row];
         at < parts_.user_begin[neighbour.row + 1]; ++at) {
      votes.Add(parts_.user_items[at], neighbour.similarity * parts_.user_weights[at]);
    }
  }

  static std::optional<std::uint32_t> RowOf(const UserView& user) {
    if (!user.row) return std::nullopt;
    return Index(*user.row);
  }

  Parts parts_;
};

class RatingModel final : public InterestModel {
 public:
  struct Parts {
    RatingBaseline baseline;
    SimilarityIndex index;
    FrozenArray<std::uint64_t> item_begin;  // [I + 1]
    FrozenArray<std::uint32_t> item_users;  // [N]
    FrozenArray<float> item_residuals;      // [N]
    std::size_t neighbour_count = 0;
    float power = 1;
    float damping = 0;
  };

  explicit RatingModel(Parts parts) : parts_(std::move(parts)) {}

  static Result<std::unique_ptr<const InterestModel>> Load(
      ByteReader& head, const std::shared_ptr<const SnapshotReader>& snapshot) {
    Parts parts;
    parts.neighbour_count = head.Fixed<std::uint64_t>();
    parts.power = head.Fixed<float>();
    parts.damping = head.Fixed<float>();
    if (!head.ok() || !head.IsAtEnd() || !(parts.power > 0) || !(parts.damping >= 0)) {
      return DataLoss("head: damaged");
    }
    POISE_ASSIGN_OR_RETURN(parts.baseline, RatingBaseline::Load(snapshot));
    POISE_ASSIGN_OR_RETURN(parts.index, SimilarityIndex::Load(snapshot));
    const std::size_t item_count = parts.baseline.item_count();
    POISE_ASSIGN_OR_RETURN(parts.item_begin, FrozenArray<std::uint64_t>::FromSnapshot(
                                                 snapshot, "item_begin", item_count + 1));
    POISE_ASSIGN_OR_RETURN(parts.item_users,
                           FrozenArray<std::uint32_t>::FromSnapshot(snapshot, "item_users"));
    POISE_ASSIGN_OR_RETURN(
        parts.item_residuals,
        FrozenArray<float>::FromSnapshot(snapshot, "item_residuals", parts.item_users.size()));
    if (!IsRowIndex(parts.item_begin.span(), parts.item_users.size()) ||
        !AreBelow(parts.item_users.span(), parts.index.row_count()) ||
        parts.index.column_count() != item_count) {
      return DataLoss("item_begin, item_users: damaged");
    }
    return std::unique_ptr<const InterestModel>(std::make_unique<RatingModel>(std::move(parts)));
  }

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return parts_.baseline.item_count(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    const Known known(parts_, user);
    std::vector<Vote> votes;
    for (std::size_t n = 0; n < items.size(); ++n) {
      scores[n] = Predict(known, Index(items[n]), votes);
    }
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    const Known known(parts_, user);
    std::vector<Vote> votes;
    for (std::size_t item = 0; item < scores.size(); ++item) {
      scores[item] = Predict(known, item, votes);
    }
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint8_t>(Task::kRating));
    head.Fixed(static_cast<std::uint64_t>(parts_.neighbour_count));
    head.Fixed(parts_.power);
    head.Fixed(parts_.damping);
    writer.AddSection("head", head.bytes());
    parts_.baseline.Save(writer);
    parts_.index.Save(writer);
    writer.AddArray("item_begin", parts_.item_begin.span());
    writer.AddArray("item_users", parts_.item_users.span());
    writer.AddArray("item_residuals", parts_.item_residuals.span());
    return Status::Ok();
  }

 private:
  struct Vote {
    float weight;
    float residual;
    std::uint32_t user;
  };

  // What is known of a user during one call: how near everybody else is, to the power.
  struct Known {
    Known(const Parts& parts, const UserView& user) : weights(parts.index.row_count()) {
      std::vector<ItemValue> ratings;
      LastRatingsOf(user.history, ratings);
      bias = parts.baseline.UserBias(ratings);
      std::erase_if(ratings, [&](const ItemValue& rating) {
        return rating.item >= parts.baseline.item_count();
      });
      for (ItemValue& rating : ratings) rating.value -= parts.baseline.Predict(bias, rating.item);
      thread_local SimilarityScratch scratch;
      std::vector<Neighbour> similar;
      const std::optional<std::uint32_t> own =
          user.row ? std::optional(Index(*user.row)) : std::nullopt;
      parts.index.Compare(ratings, own, scratch, similar);
      for (const Neighbour& neighbour : similar) {
        weights.Set(neighbour.row, std::pow(neighbour.similarity, parts.power));
      }
    }
    float bias = 0;
    DenseRow<float> weights;
  };

  float Predict(const Known& known, std::size_t item, std::vector<Vote>& votes) const {
    votes.clear();
    for (std::uint64_t at = parts_.item_begin[item]; at < parts_.item_begin[item + 1]; ++at) {
      const std::uint32_t user = parts_.item_users[at];
      const float weight = known.weights[user];
      if (weight > 0) votes.push_back({weight, parts_.item_residuals[at], user});
    }
    const auto is_nearer = [](const Vote& a, const Vote& b) {
      return a.weight > b.weight || (a.weight == b.weight && a.user < b.user);
    };
    if (votes.size() > parts_.neighbour_count) {
      std::nth_element(votes.begin(),
                       votes.begin() + static_cast<std::ptrdiff_t>(parts_.neighbour_count),
                       votes.end(), is_nearer);
      votes.resize(parts_.neighbour_count);
    }
    float weighted = 0;
    float total = parts_.damping;
    for (const Vote& vote : votes) {
      weighted += vote.weight * vote.residual;
      total += vote.weight;
    }
    const float correction = total > 0 ? weighted / total : 0;
    return parts_.baseline.Clamp(parts_.baseline.Predict(known.bias, item) + correction);
  }

  Parts parts_;
};

class UserKnnTrainer final : public Trainer {
 public:
  UserKnnTrainer(const UserKnnOptions& options, Similarity similarity, Task task)
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
    PreferenceMatrix preferences = AggregatePreferences(view, context.weights, context.pool);
    if (preferences.by_user.entry_count() == 0) return NothingToLearn(kName, "interactions");
    std::vector<float> prior(view.item_count);
    for (std::size_t item = 0; item < prior.size(); ++item) {
      prior[item] = kPriorScale * static_cast<float>(preferences.by_item.ColumnsOf(item).size()) /
                    static_cast<float>(view.user_count());
    }
    RankingModel::Parts parts;
    parts.weights = context.weights;
    parts.prior = FrozenArray<float>(std::move(prior));
    parts.index = SimilarityIndex::Build(preferences.by_user, preferences.by_item, Similarities(),
                                         context.pool);
    NeighbourLists lists = parts.index.AllNearest(
        preferences.by_user, static_cast<std::size_t>(options_.neighbours), context.pool);
    parts.neighbour_count = lists.neighbour_count;
    parts.neighbours = FrozenArray<std::uint32_t>(std::move(lists.rows));
    parts.similarities = FrozenArray<float>(std::move(lists.similarities));
    parts.user_begin = FrozenArray<std::uint64_t>(std::move(preferences.by_user.row_begin));
    parts.user_items = FrozenArray<std::uint32_t>(std::move(preferences.by_user.columns));
    parts.user_weights = FrozenArray<float>(std::move(preferences.by_user.values));
    return std::unique_ptr<const InterestModel>(std::make_unique<RankingModel>(std::move(parts)));
  }

  Result<std::unique_ptr<const InterestModel>> TrainRating(const TrainingView& view,
                                                           const TrainContext& context) const {
    RatingMatrix ratings = LastRatings(view, context.pool);
    if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
    RatingModel::Parts parts;
    parts.baseline = RatingBaseline::Fit(ratings, {}, context.pool);
    SubtractBaseline(parts.baseline, ratings, context.pool);
    parts.index =
        SimilarityIndex::Build(ratings.by_user, ratings.by_item, Similarities(), context.pool);
    parts.neighbour_count = static_cast<std::size_t>(options_.neighbours);
    parts.power = static_cast<float>(options_.power);
    parts.damping = static_cast<float>(options_.damping);
    parts.item_begin = FrozenArray<std::uint64_t>(std::move(ratings.by_item.row_begin));
    parts.item_users = FrozenArray<std::uint32_t>(std::move(ratings.by_item.columns));
    parts.item_residuals = FrozenArray<float>(std::move(ratings.by_item.values));
    return std::unique_ptr<const InterestModel>(std::make_unique<RatingModel>(std::move(parts)));
  }

  UserKnnOptions options_;
  Similarity similarity_;
  Task task_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakeUserKnnTrainer(const ParameterTexts& parameters,
                                                          Task task) {
  UserKnnOptions options;
  POISE_RETURN_IF_ERROR(
      SetParameters(std::span<const Parameter<UserKnnOptions>>(kParameters), parameters, options));
  POISE_ASSIGN_OR_RETURN(const Similarity similarity, SimilarityForTask(options.similarity, task));
  if (options.neighbours == 0) options.neighbours = task == Task::kRating ? 60 : 100;
  if (options.shrinkage < 0) options.shrinkage = task == Task::kRating ? 50 : 10;
  return std::unique_ptr<const Trainer>(
      std::make_unique<UserKnnTrainer>(options, similarity, task));
}

Result<std::unique_ptr<const InterestModel>> LoadUserKnn(
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

std::vector<ParameterDescription> DescribeUserKnn() {
  return DescribeParameters(std::span<const Parameter<UserKnnOptions>>(kParameters));
}

}  // namespace poise
