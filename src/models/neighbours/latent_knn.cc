// SPDX-License-Identifier: Apache-2.0
#include "models/neighbours/latent_knn.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "features/preferences.h"
#include "math/matrix.h"
#include "math/top_k.h"
#include "models/factorization/factorization.h"
#include "models/frozen_array.h"
#include "models/neighbours/dense_row.h"
#include "models/popularity/rating_baseline.h"

namespace poise {
namespace {

constexpr std::string_view kName = "latent-knn";
constexpr std::size_t kRowsPerBlock = 64;
constexpr std::uint64_t kMaxDim = 4096;

struct LatentKnnOptions {
  int dim = FactorizationOptions{}.dim;
  int sweeps = FactorizationOptions{}.sweeps;
  int neighbours = 30;
  int list = 600;
  double power = 3;
  double damping = 0.05;
  std::string form = "normalised";
};

constexpr Parameter<LatentKnnOptions> kParameters[] = {
    {"dim", &LatentKnnOptions::dim, "", 1, 512, "length of the factorization's vectors"},
    {"sweeps", &LatentKnnOptions::sweeps, "", 1, 1000, "sweeps of the factorization"},
    {"neighbours", &LatentKnnOptions::neighbours, "items", 1, 10000,
     "nearest rated items that count"},
    {"list", &LatentKnnOptions::list, "items", 1, 10000,
     "nearest items kept, among which those that the user rated are found"},
    {"power", &LatentKnnOptions::power, "", 0.1, 20,
     "power of a neighbour's cosine to the item, normalised form only"},
    {"damping", &LatentKnnOptions::damping, "", 0, 1e6,
     "weight of the baseline beside the neighbours' mean weight, normalised form only"},
    {"form", &LatentKnnOptions::form, "", 0, 16,
     "normalised, or printed: the article's sum as it stands, to be measured"}};

enum class Form : std::uint8_t { kNormalised = 0, kPrinted = 1 };

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += static_cast<double>(a[d]) * b[d];
  return sum;
}

class LatentKnnModel final : public InterestModel {
 public:
  struct Parts {
    RatingBaseline baseline;
    std::size_t dim = 0;
    std::size_t list_length = 0;
    std::size_t neighbour_count = 0;
    float power = 1;
    float damping = 0;
    float scale = 1;  // stars a unit of U_u . V_i
    float ridge = 1;  // of folding in
    Form form = Form::kNormalised;
    FrozenArray<float> user_factors;       // [U, D]
    FrozenArray<float> item_factors;       // [I, D]
    FrozenArray<ItemRow> list_items;       // [I, L]
    FrozenArray<float> list_similarities;  // [I, L], cosine; 0: the list has ended
  };

  explicit LatentKnnModel(Parts parts) : parts_(std::move(parts)) {}

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return parts_.baseline.item_count(); }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    Known known(*this, user);
    for (std::size_t n = 0; n < items.size(); ++n) scores[n] = Predict(known, Index(items[n]));
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    Known known(*this, user);
    for (std::size_t item = 0; item < scores.size(); ++item) scores[item] = Predict(known, item);
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint64_t>(parts_.dim));
    head.Fixed(static_cast<std::uint64_t>(parts_.list_length));
    head.Fixed(static_cast<std::uint64_t>(parts_.neighbour_count));
    head.Fixed(parts_.power);
    head.Fixed(parts_.damping);
    head.Fixed(parts_.scale);
    head.Fixed(parts_.ridge);
    head.Fixed(static_cast<std::uint8_t>(parts_.form));
    writer.AddSection("head", head.bytes());
    parts_.baseline.Save(writer);
    writer.AddArray("user_factors", parts_.user_factors.span());
    writer.AddArray("item_factors", parts_.item_factors.span());
    writer.AddArray("neighbour_items", parts_.list_items.span());
    writer.AddArray("neighbour_similarities", parts_.list_similarities.span());
    return Status::Ok();
  }

  std::optional<NeighbourView> Neighbours() const override {
    return NeighbourView{parts_.list_items.span(), parts_.list_similarities.span(),
                         parts_.list_length};
  }

 private:
  std::span<const float> ItemFactor(std::size_t item) const {
    return parts_.item_factors.span().subspan(item * parts_.dim, parts_.dim);
  }

  // What is known of a user during one call; places[item] is 1 + the place of its rating.
  struct Known {
    Known(const LatentKnnModel& model, const UserView& user) : places(model.ItemCount()) {
      LastRatingsOf(user.history, ratings);
      bias = model.parts_.baseline.UserBias(ratings);
      std::erase_if(ratings,
                    [&](const ItemValue& rating) { return rating.item >= model.ItemCount(); });
      for (const ItemValue& rating : ratings) {
        residuals.push_back(rating.value - model.parts_.baseline.Predict(bias, rating.item));
        places.Set(rating.item, static_cast<std::uint32_t>(residuals.size()));
      }
      factor = model.UserFactor(user, *this);
      for (const ItemValue& rating : ratings) {
        double squares = 0;
        const auto item = model.ItemFactor(rating.item);
        for (std::size_t d = 0; d < item.size(); ++d) {
          const double difference = static_cast<double>(factor[d]) - item[d];
          squares += difference * difference;
        }
        squared_distances.push_back(squares);
      }
    }
    float bias = 0;
    std::vector<ItemValue> ratings;
    std::vector<float> residuals;
    std::vector<double> squared_distances;              // |U_u - V_j|^2
    std::vector<float> factor;                          // U_u
    std::vector<std::pair<std::uint32_t, float>> near;  // place and cosine, of one prediction
    std::vector<double> sum;                            // of the neighbours' vectors
    DenseRow<std::uint32_t> places;
  };

  std::vector<float> UserFactor(const UserView& user, const Known& known) const {
    const std::size_t dim = parts_.dim;
    const std::size_t user_count = parts_.user_factors.size() / dim;
    if (user.row && !user.has_changed && Index(*user.row) < user_count) {
      const auto row = parts_.user_factors.span().subspan(Index(*user.row) * dim, dim);
      return {row.begin(), row.end()};
    }
    // Ridge regression of the residuals on the items' vectors: the update of the factorization for
    // one user, with the items held.
    std::vector<double> gram(dim * dim, 0);
    std::vector<double> solution(dim, 0);
    for (std::size_t n = 0; n < known.ratings.size(); ++n) {
      const auto item = ItemFactor(known.ratings[n].item);
      for (std::size_t a = 0; a < dim; ++a) {
        solution[a] += static_cast<double>(item[a]) * known.residuals[n] / parts_.scale;
        for (std::size_t b = 0; b <= a; ++b) {
          gram[a * dim + b] += static_cast<double>(item[a]) * item[b];
        }
      }
    }
    for (std::size_t d = 0; d < dim; ++d) gram[d * dim + d] += parts_.ridge;
    const MatrixSpan<double> matrix(gram, dim, dim);
    if (known.ratings.empty() || !Cholesky(matrix).ok()) return std::vector<float>(dim, 0);
    CholeskySolve(matrix, solution);
    return {solution.begin(), solution.end()};
  }

  float Predict(Known& known, std::size_t item) const {
    FindNear(known, item);
    if (known.near.empty()) return parts_.baseline.Clamp(parts_.baseline.Predict(known.bias, item));

    // sum_k |V_j - V_k|^2 = m |V_j|^2 - 2 V_j . sum_k V_k + sum_k |V_k|^2
    const auto count = static_cast<double>(known.near.size());
    known.sum.assign(parts_.dim, 0);
    double all_squares = 0;
    double user_squares = 0;
    for (const auto& [place, cosine] : known.near) {
      const auto factor = ItemFactor(known.ratings[place].item);
      for (std::size_t d = 0; d < factor.size(); ++d) known.sum[d] += factor[d];
      all_squares += Dot(factor, factor);
      user_squares += known.squared_distances[place];
    }
    double weighted = 0;
    double total = 0;
    for (const auto& [place, cosine] : known.near) {
      const auto factor = ItemFactor(known.ratings[place].item);
      double along = 0;
      for (std::size_t d = 0; d < factor.size(); ++d) along += known.sum[d] * factor[d];
      const double spread = count * Dot(factor, factor) - 2 * along + all_squares;
      const double nearness = 1 / (1 + std::exp(std::sqrt(known.squared_distances[place])));
      const double lengths = std::sqrt(user_squares) * std::sqrt(std::max(spread, 0.0));
      // Neighbours that all lie on one point have no lengths to divide by.
      double weight = lengths > 1e-9 ? nearness / lengths : nearness;
      if (parts_.form == Form::kPrinted) {
        weighted += weight * known.ratings[place].value;
        continue;
      }
      // What is divided out is a user's and an item's own scale: only the shape within N(i) stays.
      weight *= lengths > 1e-9 ? std::sqrt(user_squares * all_squares) : 1;
      weight *= std::pow(static_cast<double>(cosine), static_cast<double>(parts_.power));
      weighted += weight * known.residuals[place];
      total += weight;
    }
    if (parts_.form == Form::kPrinted) {
      return parts_.baseline.Clamp(static_cast<float>(weighted));
    }
    const double weight = total + parts_.damping;
    const double correction = weight > 0 ? weighted / weight : 0;
    return parts_.baseline.Clamp(parts_.baseline.Predict(known.bias, item) +
                                 static_cast<float>(correction));
  }

  // N(i): of the item's list, best first, those that the user rated.
  void FindNear(Known& known, std::size_t item) const {
    known.near.clear();
    if (known.ratings.empty()) return;
    const std::size_t begin = item * parts_.list_length;
    for (std::size_t at = begin; at < begin + parts_.list_length; ++at) {
      if (!(parts_.list_similarities[at] > 0)) break;
      const std::uint32_t place = known.places[Index(parts_.list_items[at])];
      if (place == 0) continue;
      known.near.emplace_back(place - 1, parts_.list_similarities[at]);
      if (known.near.size() == parts_.neighbour_count) break;
    }
  }

  Parts parts_;
};

class LatentKnnTrainer final : public Trainer {
 public:
  LatentKnnTrainer(const LatentKnnOptions& options, Form form) : options_(options), form_(form) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    RatingMatrix ratings = LastRatings(view, context.pool);
    if (ratings.by_user.entry_count() == 0) return NothingToLearn(kName, "ratings");
    FactorizationOptions factorization;
    factorization.dim = options_.dim;
    factorization.sweeps = options_.sweeps;
    POISE_ASSIGN_OR_RETURN(RatingFactors factors,
                           LearnRatingFactors(ratings, factorization, context));
    LatentKnnModel::Parts parts;
    parts.baseline = RatingBaseline::Fit(ratings, {}, context.pool);
    SubtractBaseline(parts.baseline, ratings, context.pool);
    parts.dim = factors.dim;
    parts.neighbour_count = static_cast<std::size_t>(options_.neighbours);
    parts.power = static_cast<float>(options_.power);
    parts.damping = static_cast<float>(options_.damping);
    parts.form = form_;
    Calibrate(ratings.by_user, factors, parts);
    MakeLists(factors, view.item_count, context.pool, parts);
    parts.user_factors = FrozenArray<float>(std::move(factors.users));
    parts.item_factors = FrozenArray<float>(std::move(factors.items));
    return std::unique_ptr<const InterestModel>(std::make_unique<LatentKnnModel>(std::move(parts)));
  }

 private:
  // The stars of a unit of U_u . V_i by least squares, and noise over prior variance as the ridge.
  static void Calibrate(const SparseMatrix& residuals, const RatingFactors& factors,
                        LatentKnnModel::Parts& parts) {
    const std::size_t dim = factors.dim;
    const std::span<const float> users = factors.users;
    const std::span<const float> items = factors.items;
    double products = 0, squares = 0, residual_squares = 0;
    for (std::size_t user = 0; user < residuals.row_count(); ++user) {
      const auto columns = residuals.ColumnsOf(user);
      for (std::size_t n = 0; n < columns.size(); ++n) {
        const double product =
            Dot(users.subspan(user * dim, dim), items.subspan(columns[n] * dim, dim));
        const double residual = residuals.ValuesOf(user)[n];
        products += product * residual;
        squares += product * product;
        residual_squares += residual * residual;
      }
    }
    const double scale = products > 0 && squares > 0 ? products / squares : 1;
    const double noise = (residual_squares - products * products / std::max(squares, 1e-12)) /
                         static_cast<double>(residuals.entry_count()) / (scale * scale);
    const double prior =
        Dot(users, users) / static_cast<double>(std::max<std::size_t>(users.size(), 1));
    parts.scale = static_cast<float>(scale);
    parts.ridge = static_cast<float>(std::clamp(noise / std::max(prior, 1e-12), 1e-3, 1e6));
  }

  void MakeLists(const RatingFactors& factors, std::size_t item_count, ThreadPool& pool,
                 LatentKnnModel::Parts& parts) const {
    const std::size_t dim = factors.dim;
    std::vector<float> units = factors.items;
    for (std::size_t item = 0; item < item_count; ++item) {
      const std::span<float> row(units.data() + item * dim, dim);
      const double length = std::sqrt(Dot(row, row));
      for (float& value : row) value = length > 1e-9 ? static_cast<float>(value / length) : 0;
    }
    const std::size_t length =
        std::clamp<std::size_t>(item_count - 1, 1, static_cast<std::size_t>(options_.list));
    std::vector<ItemRow> items(item_count * length);
    std::vector<float> similarities(item_count * length, 0);
    const MatrixSpan<const float> all(std::span<const float>(units), item_count, dim);
    pool.ParallelFor(
        item_count, kRowsPerBlock, [&](std::size_t begin, std::size_t end, std::size_t) {
          std::vector<float> cosines((end - begin) * item_count);
          Multiply(1, MatrixSpan<const float>(units.data() + begin * dim, end - begin, dim, dim),
                   Transpose::kNo, all, Transpose::kYes, 0,
                   MatrixSpan<float>(std::span<float>(cosines), end - begin, item_count));
          std::vector<ScoredIndex> best;
          for (std::size_t item = begin; item < end; ++item) {
            const std::span<float> row(cosines.data() + (item - begin) * item_count, item_count);
            row[item] = 0;
            TopK(row, length, best);
            for (std::size_t n = 0; n < best.size() && best[n].score > 0; ++n) {
              items[item * length + n] = static_cast<ItemRow>(best[n].index);
              similarities[item * length + n] = best[n].score;
            }
          }
        });
    parts.list_length = length;
    parts.list_items = FrozenArray<ItemRow>(std::move(items));
    parts.list_similarities = FrozenArray<float>(std::move(similarities));
  }

  LatentKnnOptions options_;
  Form form_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakeLatentKnnTrainer(const ParameterTexts& parameters,
                                                            Task /*task*/) {
  LatentKnnOptions options;
  POISE_RETURN_IF_ERROR(SetParameters(std::span<const Parameter<LatentKnnOptions>>(kParameters),
                                      parameters, options));
  if (options.form != "normalised" && options.form != "printed") {
    return InvalidArgument("form: unknown \"" + options.form + "\"; known: normalised, printed");
  }
  return std::unique_ptr<const Trainer>(std::make_unique<LatentKnnTrainer>(
      options, options.form == "printed" ? Form::kPrinted : Form::kNormalised));
}

Result<std::unique_ptr<const InterestModel>> LoadLatentKnn(
    std::shared_ptr<const SnapshotReader> snapshot) {
  POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("head"));
  ByteReader head(bytes);
  LatentKnnModel::Parts parts;
  parts.dim = head.Fixed<std::uint64_t>();
  parts.list_length = head.Fixed<std::uint64_t>();
  parts.neighbour_count = head.Fixed<std::uint64_t>();
  parts.power = head.Fixed<float>();
  parts.damping = head.Fixed<float>();
  parts.scale = head.Fixed<float>();
  parts.ridge = head.Fixed<float>();
  const auto form = head.Fixed<std::uint8_t>();
  if (!head.ok() || !head.IsAtEnd() || form > 1 || parts.dim == 0 || parts.dim > kMaxDim ||
      parts.list_length == 0 || parts.list_length > (std::uint64_t{1} << 32) ||
      !(parts.damping >= 0) || !(parts.scale > 0) || !(parts.ridge > 0)) {
    return DataLoss("head: damaged");
  }
  parts.form = static_cast<Form>(form);
  POISE_ASSIGN_OR_RETURN(parts.baseline, RatingBaseline::Load(snapshot));
  const std::size_t item_count = parts.baseline.item_count();
  POISE_ASSIGN_OR_RETURN(parts.user_factors,
                         FrozenArray<float>::FromSnapshot(snapshot, "user_factors"));
  POISE_ASSIGN_OR_RETURN(parts.item_factors, FrozenArray<float>::FromSnapshot(
                                                 snapshot, "item_factors", item_count * parts.dim));
  POISE_ASSIGN_OR_RETURN(parts.list_items,
                         FrozenArray<ItemRow>::FromSnapshot(snapshot, "neighbour_items",
                                                            item_count * parts.list_length));
  POISE_ASSIGN_OR_RETURN(parts.list_similarities,
                         FrozenArray<float>::FromSnapshot(snapshot, "neighbour_similarities",
                                                          item_count * parts.list_length));
  if (parts.user_factors.size() % parts.dim != 0) return DataLoss("user_factors: damaged");
  for (const ItemRow item : parts.list_items) {
    if (Index(item) >= item_count) return DataLoss("neighbour_items: damaged");
  }
  return std::unique_ptr<const InterestModel>(std::make_unique<LatentKnnModel>(std::move(parts)));
}

std::vector<ParameterDescription> DescribeLatentKnn() {
  return DescribeParameters(std::span<const Parameter<LatentKnnOptions>>(kParameters));
}

}  // namespace poise
