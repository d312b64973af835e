// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/factorization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/check.h"
#include "math/vector.h"
#include "models/factorization/variational_factorizer.h"
#include "models/frozen_array.h"

namespace poise {
namespace {

constexpr std::string_view kName = "factorization";
constexpr std::uint64_t kMaxDim = 256;

constexpr Parameter<FactorizationOptions> kParameters[] = {
    {"dim", &FactorizationOptions::dim, "", 1, static_cast<double>(kMaxDim),
     "length of the user and item vectors"},
    {"sweeps", &FactorizationOptions::sweeps, "", 1, 1000,
     "times that all users and all items are updated"},
    {"feature-regularization", &FactorizationOptions::feature_regularization, "", 0, 1e6,
     "how little is read into which items were rated at all; 0: nothing is"}};

struct Scale {
  double mean = 0;
  double deviation = 1;
  float least = 0;
  float most = 0;
};

Scale ScaleOf(const SparseMatrix& ratings) {
  const auto count = static_cast<double>(ratings.entry_count());
  Scale scale;
  double squares = 0;
  for (const float value : ratings.values) scale.mean += value;
  scale.mean /= count;
  for (const float value : ratings.values) {
    squares += (value - scale.mean) * (value - scale.mean);
  }
  const double deviation = std::sqrt(squares / count);
  // Ratings that are all equal have no deviation to divide by.
  if (deviation > 1e-6 * std::max(1.0, std::abs(scale.mean))) scale.deviation = deviation;
  const auto [least, most] = std::minmax_element(ratings.values.begin(), ratings.values.end());
  scale.least = *least;
  scale.most = *most;
  return scale;
}

float Standardised(float rating, const Scale& scale) {
  return static_cast<float>((rating - scale.mean) / scale.deviation);
}

class FactorizationModel final : public InterestModel {
 public:
  struct Parts {
    Task task = Task::kRating;
    std::size_t extended_dim = 0;
    Scale scale;
    float noise_precision = 1;
    FrozenArray<float> users;         // [U, E]: [p, b]
    FrozenArray<float> items;         // [I, E]: [q, c]
    FrozenArray<float> item_moments;  // [I, MomentCount(E)]
    FrozenArray<float> precision;     // [E, E]
    FrozenArray<float> prior;         // [E]
    FrozenArray<float> features;      // [I, E], or empty
  };

  explicit FactorizationModel(Parts parts) : parts_(std::move(parts)) {}

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return parts_.items.size() / parts_.extended_dim; }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    std::vector<float> x;
    POISE_ASSIGN_OR_RETURN(const float bias, ReadUser(user, x));
    for (std::size_t n = 0; n < items.size(); ++n) {
      const std::span<const float> item =
          parts_.items.span().subspan(Index(items[n]) * parts_.extended_dim, parts_.extended_dim);
      scores[n] = Stars(Dot(item, x) + bias);
    }
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    std::vector<float> x;
    POISE_ASSIGN_OR_RETURN(const float bias, ReadUser(user, x));
    DotRows(parts_.items.span(), x, scores);
    for (float& score : scores) score = Stars(score + bias);
    return Status::Ok();
  }

  std::optional<EmbeddingView> ItemVectors() const override {
    return EmbeddingView{parts_.items.span(), ItemCount(), parts_.extended_dim};
  }

  Status UserVector(const UserView& user, std::span<float> out) const override {
    POISE_CHECK(out.size() == parts_.extended_dim);
    std::vector<float> x;
    POISE_ASSIGN_OR_RETURN(const float bias, ReadUser(user, x));
    static_cast<void>(bias);  // the same for every item, so it orders nothing
    std::copy(x.begin(), x.end(), out.begin());
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint8_t>(parts_.task));
    head.Fixed(static_cast<std::uint8_t>(parts_.features.size() > 0 ? 1 : 0));
    head.Fixed(static_cast<std::uint64_t>(parts_.extended_dim));
    head.Fixed(static_cast<std::uint64_t>(ItemCount()));
    head.Fixed(static_cast<std::uint64_t>(UserCount()));
    head.Fixed(parts_.scale.mean);
    head.Fixed(parts_.scale.deviation);
    head.Fixed(parts_.scale.least);
    head.Fixed(parts_.scale.most);
    head.Fixed(parts_.noise_precision);
    writer.AddSection("head", head.bytes());
    writer.AddArray("users", parts_.users.span());
    writer.AddArray("items", parts_.items.span());
    writer.AddArray("item_moments", parts_.item_moments.span());
    writer.AddArray("precision", parts_.precision.span());
    writer.AddArray("prior", parts_.prior.span());
    writer.AddArray("features", parts_.features.span());
    return Status::Ok();
  }

  static Result<std::unique_ptr<const InterestModel>> Load(
      const std::shared_ptr<const SnapshotReader>& snapshot) {
    POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("head"));
    ByteReader head(bytes);
    Parts parts;
    const auto task = head.Fixed<std::uint8_t>();
    const auto has_features = head.Fixed<std::uint8_t>();
    parts.extended_dim = head.Fixed<std::uint64_t>();
    const auto item_count = head.Fixed<std::uint64_t>();
    const auto user_count = head.Fixed<std::uint64_t>();
    parts.scale.mean = head.Fixed<double>();
    parts.scale.deviation = head.Fixed<double>();
    parts.scale.least = head.Fixed<float>();
    parts.scale.most = head.Fixed<float>();
    parts.noise_precision = head.Fixed<float>();
    constexpr std::uint64_t kMaxRows = std::uint64_t{1} << 32;
    if (!head.ok() || !head.IsAtEnd() || has_features > 1 ||
        (task != static_cast<std::uint8_t>(Task::kRating) &&
         task != static_cast<std::uint8_t>(Task::kRanking)) ||
        parts.extended_dim < 2 || parts.extended_dim > kMaxDim + 1 || item_count > kMaxRows ||
        user_count > kMaxRows || !std::isfinite(parts.scale.mean) || !(parts.scale.deviation > 0) ||
        !std::isfinite(parts.scale.deviation) || !(parts.scale.least <= parts.scale.most) ||
        !(parts.noise_precision > 0) || !std::isfinite(parts.noise_precision)) {
      return DataLoss("head: damaged");
    }
    parts.task = static_cast<Task>(task);
    const std::size_t dim = parts.extended_dim;
    const auto array = [&](std::string_view name, std::size_t count, FrozenArray<float>& out) {
      auto read = FrozenArray<float>::FromSnapshot(snapshot, name, count);
      if (!read.ok()) return read.status();
      out = *std::move(read);
      return Status::Ok();
    };
    POISE_RETURN_IF_ERROR(array("users", user_count * dim, parts.users));
    POISE_RETURN_IF_ERROR(array("items", item_count * dim, parts.items));
    POISE_RETURN_IF_ERROR(array("item_moments", item_count * MomentCount(dim), parts.item_moments));
    POISE_RETURN_IF_ERROR(array("precision", dim * dim, parts.precision));
    POISE_RETURN_IF_ERROR(array("prior", dim, parts.prior));
    POISE_RETURN_IF_ERROR(array("features", has_features * item_count * dim, parts.features));
    return std::unique_ptr<const InterestModel>(
        std::make_unique<FactorizationModel>(std::move(parts)));
  }

 private:
  std::size_t UserCount() const { return parts_.users.size() / parts_.extended_dim; }

  float Stars(float standardised) const {
    const double stars = parts_.scale.mean + parts_.scale.deviation * standardised;
    if (parts_.task == Task::kRanking) return static_cast<float>(stars);
    return std::clamp(static_cast<float>(stars), parts_.scale.least, parts_.scale.most);
  }

  // Sets x to [p, 1], whose inner product with [q, c] is what depends on the item, and returns b.
  Result<float> ReadUser(const UserView& user, std::vector<float>& x) const {
    const std::size_t dim = parts_.extended_dim;
    if (user.row && !user.has_changed && Index(*user.row) < UserCount()) {
      const auto row = parts_.users.span().subspan(Index(*user.row) * dim, dim);
      x.assign(row.begin(), row.end());
    } else {
      POISE_RETURN_IF_ERROR(FoldIn(user.history, x));
    }
    const float bias = x.back();
    x.back() = 1;
    return bias;
  }

  Status FoldIn(std::span<const Interaction> history, std::vector<float>& x) const {
    std::vector<ItemValue> ratings;
    LastRatingsOf(history, ratings);
    std::vector<std::uint32_t> columns;
    std::vector<float> values;
    for (const ItemValue& rating : ratings) {
      if (rating.item >= ItemCount()) continue;
      columns.push_back(rating.item);
      values.push_back(Standardised(rating.value, parts_.scale));
    }
    if (columns.empty()) {
      x.assign(parts_.prior.begin(), parts_.prior.end());
      return Status::Ok();
    }
    RowPosterior posterior(parts_.extended_dim);
    POISE_RETURN_IF_ERROR(
        posterior.Solve({parts_.precision.span(), parts_.prior.span(), parts_.features.span()},
                        parts_.noise_precision, parts_.item_moments.span(), columns, values));
    x.assign(posterior.mean().begin(), posterior.mean().end());
    return Status::Ok();
  }

  Parts parts_;
};

void Standardise(RatingMatrix& ratings, const Scale& scale) {
  for (SparseMatrix* side : {&ratings.by_user, &ratings.by_item}) {
    for (float& value : side->values) value = Standardised(value, scale);
  }
}

// `ratings` standardised.
Status Fit(const FactorizationOptions& options, double deviation, Progress* progress,
           VariationalFactorizer& factorizer) {
  for (int sweep = 0; sweep < options.sweeps; ++sweep) {
    POISE_RETURN_IF_ERROR(factorizer.RunSweep());
    if (progress != nullptr) {
      progress->Update(
          static_cast<std::uint64_t>(sweep) + 1,
          fmt::format("noise {:.4f} stars", deviation / std::sqrt(factorizer.noise_precision())));
    }
  }
  return factorizer.FinishUsers();
}

VariationalFactorizer::Options SolverOptions(const FactorizationOptions& options,
                                             std::uint64_t seed) {
  return {.dim = static_cast<std::size_t>(options.dim),
          .feature_regularization = options.feature_regularization,
          .seed = seed};
}

class FactorizationTrainer final : public Trainer {
 public:
  FactorizationTrainer(const FactorizationOptions& options, Task task)
      : options_(options), task_(task) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    RatingMatrix ratings = LastRatings(view, context.pool);
    if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
    FactorizationModel::Parts parts;
    parts.task = task_;
    parts.scale = ScaleOf(ratings.by_user);
    Standardise(ratings, parts.scale);
    VariationalFactorizer factorizer(ratings, SolverOptions(options_, context.seed), context.pool);
    POISE_RETURN_IF_ERROR(Fit(options_, parts.scale.deviation, context.progress, factorizer));

    const auto copy = [](std::span<const float> values) {
      return FrozenArray<float>(std::vector<float>(values.begin(), values.end()));
    };
    parts.extended_dim = factorizer.extended_dim();
    parts.noise_precision = factorizer.noise_precision();
    parts.users = copy(factorizer.user_means());
    parts.items = copy(factorizer.item_means());
    parts.item_moments = copy(factorizer.item_moments());
    parts.precision = copy(factorizer.user_prior().precision);
    parts.prior = copy(factorizer.user_prior().mean);
    parts.features = copy(factorizer.user_prior().features);
    return std::unique_ptr<const InterestModel>(
        std::make_unique<FactorizationModel>(std::move(parts)));
  }

 private:
  FactorizationOptions options_;
  Task task_;
};

std::vector<float> WithoutBiases(std::span<const float> rows, std::size_t extended_dim) {
  std::vector<float> out;
  out.reserve(rows.size());
  for (std::size_t at = 0; at < rows.size(); at += extended_dim) {
    const std::span<const float> row = rows.subspan(at, extended_dim - 1);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

}  // namespace

Result<RatingFactors> LearnRatingFactors(const RatingMatrix& ratings,
                                         const FactorizationOptions& options,
                                         const TrainContext& context) {
  if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
  RatingMatrix standardised = ratings;
  const Scale scale = ScaleOf(ratings.by_user);
  Standardise(standardised, scale);
  VariationalFactorizer factorizer(standardised, SolverOptions(options, context.seed),
                                   context.pool);
  POISE_RETURN_IF_ERROR(Fit(options, scale.deviation, context.progress, factorizer));
  return RatingFactors{.dim = factorizer.extended_dim() - 1,
                       .users = WithoutBiases(factorizer.user_means(), factorizer.extended_dim()),
                       .items = WithoutBiases(factorizer.item_means(), factorizer.extended_dim())};
}

Result<std::unique_ptr<const Trainer>> MakeFactorizationTrainer(const ParameterTexts& parameters,
                                                                Task task) {
  FactorizationOptions options;
  POISE_RETURN_IF_ERROR(SetParameters(std::span<const Parameter<FactorizationOptions>>(kParameters),
                                      parameters, options));
  return std::unique_ptr<const Trainer>(std::make_unique<FactorizationTrainer>(options, task));
}

Result<std::unique_ptr<const InterestModel>> LoadFactorization(
    std::shared_ptr<const SnapshotReader> snapshot) {
  return FactorizationModel::Load(snapshot);
}

std::vector<ParameterDescription> DescribeFactorization() {
  return DescribeParameters(std::span<const Parameter<FactorizationOptions>>(kParameters));
}

}  // namespace poise
