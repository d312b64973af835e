// SPDX-License-Identifier: Apache-2.0
#include "models/factorization/ials.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/bytes.h"
#include "base/check.h"
#include "features/preferences.h"
#include "math/matrix.h"
#include "math/vector.h"
#include "models/factorization/ials_solver.h"
#include "models/frozen_array.h"

namespace poise {
namespace {

constexpr std::string_view kName = "ials";
// After the last epoch users are solved once more, to the end, so that a stored user is the same as
// one that is folded in.
constexpr std::size_t kFinalSteps = 12;
constexpr std::uint64_t kMaxDim = 1024;

struct IalsOptions {
  int dim = 128;
  int epochs = 16;
  double unobserved_weight = 0.03;
  double regularization = 0.003;
  double frequency_exponent = 1.0;
  double init_scale = 0.1;
  std::string solver = "cg";
  int user_steps = 2;
  int item_steps = 1;
  int subspace_dim = 32;
  double recency_half_life = 5;
};

constexpr Parameter<IalsOptions> kParameters[] = {
    {"dim", &IalsOptions::dim, "", 1, static_cast<double>(kMaxDim),
     "length of the user and item vectors"},
    {"epochs", &IalsOptions::epochs, "", 1, 1000, "times that all users and all items are solved"},
    {"unobserved-weight", &IalsOptions::unobserved_weight, "", 0, 1e3,
     "weight of each item that a user did not touch, beside 1 for the mean touched one"},
    {"regularization", &IalsOptions::regularization, "", 1e-9, 1e6,
     "strength of the L2 regularisation, per unit of weight to the power of frequency-exponent"},
    {"frequency-exponent", &IalsOptions::frequency_exponent, "", 0, 2,
     "0: all rows are regularised alike; 1: in proportion to the weight they hold"},
    {"init-scale", &IalsOptions::init_scale, "", 1e-6, 10,
     "length of a random vector at the start"},
    {"solver", &IalsOptions::solver, "", 0, 16,
     "cg: conjugate gradients; subspace: exact steps in blocks of dimensions (iALS++)"},
    {"user-steps", &IalsOptions::user_steps, "", 1, 100,
     "conjugate-gradient steps for each user and epoch"},
    {"item-steps", &IalsOptions::item_steps, "", 1, 100,
     "conjugate-gradient steps for each item and epoch"},
    {"subspace-dim", &IalsOptions::subspace_dim, "", 1, static_cast<double>(kMaxDim),
     "dimensions of a block of the subspace solver"},
    {"recency-half-life", &IalsOptions::recency_half_life, "interactions", 0, 1e6,
     "a user's item weighs half in the user's vector after so many later interactions; 0: all "
     "weigh alike"}};

// Weights that are not worth reading a vector for.
constexpr double kLeastRecency = 1e-3;

// A user's history as weights, the older the less. Items learn from everything; what a user wants
// now shows in what they did last. Interactions of one time are of one age, so data without times
// has no recency.
void WeighHistory(std::span<const Interaction> history, const EventWeights& weights,
                  double half_life, std::vector<ItemValue>& out) {
  AggregateHistory(history, weights, out);
  if (!(half_life > 0) || out.empty()) return;
  std::size_t later_count = 0;
  std::size_t kept = 0;
  std::vector<bool> is_aged(out.size());
  for (std::size_t i = history.size(); i-- > 0;) {
    if (i + 1 < history.size() && history[i].time_s != history[i + 1].time_s) {
      later_count = history.size() - 1 - i;
    }
    const auto found = std::lower_bound(
        out.begin(), out.end(), Index(history[i].item),
        [](const ItemValue& value, std::uint32_t item) { return value.item < item; });
    if (found == out.end() || found->item != Index(history[i].item)) continue;
    const auto at = static_cast<std::size_t>(found - out.begin());
    if (is_aged[at]) continue;
    is_aged[at] = true;
    const double recency = std::exp2(-static_cast<double>(later_count) / half_life);
    found->value = recency < kLeastRecency ? 0 : static_cast<float>(found->value * recency);
  }
  for (const ItemValue& value : out) {
    if (value.value > 0) out[kept++] = value;
  }
  out.resize(kept);
}

class IalsModel final : public InterestModel {
 public:
  struct Parts {
    std::size_t dim = 0;
    FrozenArray<float> users;  // [U, D]; zero for a user without weights
    FrozenArray<float> items;  // [I, D]
    FrozenArray<float> gram;   // [D, D]
    FrozenArray<float> prior;  // [D]: the mean user
    IalsObjective objective;
    EventWeights weights;
    double weight_scale = 1;
    double recency_half_life = 0;
  };

  explicit IalsModel(Parts parts) : parts_(std::move(parts)) {}

  std::string_view Name() const override { return kName; }
  std::size_t ItemCount() const override { return parts_.items.size() / parts_.dim; }

  Status Score(const UserView& user, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(CheckItems(items, scores, ItemCount()));
    std::vector<float> folded;
    const std::span<const float> x = VectorOf(user, folded);
    for (std::size_t n = 0; n < items.size(); ++n) scores[n] = Dot(x, Item(Index(items[n])));
    return Status::Ok();
  }

  Status ScoreAll(const UserView& user, std::span<float> scores) const override {
    POISE_CHECK(scores.size() == ItemCount());
    std::vector<float> folded;
    DotRows(parts_.items.span(), VectorOf(user, folded), scores);
    return Status::Ok();
  }

  std::optional<EmbeddingView> ItemVectors() const override {
    return EmbeddingView{parts_.items.span(), ItemCount(), parts_.dim};
  }

  Status UserVector(const UserView& user, std::span<float> out) const override {
    POISE_CHECK(out.size() == parts_.dim);
    std::vector<float> folded;
    const std::span<const float> x = VectorOf(user, folded);
    std::copy(x.begin(), x.end(), out.begin());
    return Status::Ok();
  }

  Status Save(SnapshotWriter& writer) const override {
    ByteWriter head;
    head.Fixed(static_cast<std::uint64_t>(parts_.dim));
    head.Fixed(static_cast<std::uint64_t>(ItemCount()));
    head.Fixed(static_cast<std::uint64_t>(UserCount()));
    head.Fixed(parts_.objective.unobserved_weight);
    head.Fixed(parts_.objective.regularization);
    head.Fixed(parts_.objective.frequency_exponent);
    head.Fixed(parts_.weight_scale);
    head.Fixed(parts_.recency_half_life);
    for (const float weight : parts_.weights.by_type) head.Fixed(weight);
    writer.AddSection("head", head.bytes());
    writer.AddArray("users", parts_.users.span());
    writer.AddArray("items", parts_.items.span());
    writer.AddArray("gram", parts_.gram.span());
    writer.AddArray("prior", parts_.prior.span());
    return Status::Ok();
  }

  static Result<std::unique_ptr<const InterestModel>> Load(
      const std::shared_ptr<const SnapshotReader>& snapshot) {
    POISE_ASSIGN_OR_RETURN(const std::string_view bytes, snapshot->Section("head"));
    ByteReader head(bytes);
    Parts parts;
    parts.dim = head.Fixed<std::uint64_t>();
    const auto item_count = head.Fixed<std::uint64_t>();
    const auto user_count = head.Fixed<std::uint64_t>();
    parts.objective.unobserved_weight = head.Fixed<double>();
    parts.objective.regularization = head.Fixed<double>();
    parts.objective.frequency_exponent = head.Fixed<double>();
    parts.weight_scale = head.Fixed<double>();
    parts.recency_half_life = head.Fixed<double>();
    for (float& weight : parts.weights.by_type) weight = head.Fixed<float>();
    constexpr std::uint64_t kMaxRows = std::uint64_t{1} << 32;
    if (!head.ok() || !head.IsAtEnd() || parts.dim == 0 || parts.dim > kMaxDim ||
        item_count > kMaxRows || user_count > kMaxRows ||
        !std::isfinite(parts.objective.unobserved_weight) ||
        !(parts.objective.regularization > 0) || !std::isfinite(parts.objective.regularization) ||
        !std::isfinite(parts.objective.frequency_exponent) || !std::isfinite(parts.weight_scale)) {
      return DataLoss("head: damaged");
    }
    const auto array = [&](std::string_view name, std::size_t count, FrozenArray<float>& out) {
      auto read = FrozenArray<float>::FromSnapshot(snapshot, name, count);
      if (!read.ok()) return read.status();
      out = *std::move(read);
      return Status::Ok();
    };
    POISE_RETURN_IF_ERROR(array("users", user_count * parts.dim, parts.users));
    POISE_RETURN_IF_ERROR(array("items", item_count * parts.dim, parts.items));
    POISE_RETURN_IF_ERROR(array("gram", parts.dim * parts.dim, parts.gram));
    POISE_RETURN_IF_ERROR(array("prior", parts.dim, parts.prior));
    return std::unique_ptr<const InterestModel>(std::make_unique<IalsModel>(std::move(parts)));
  }

 private:
  std::size_t UserCount() const { return parts_.users.size() / parts_.dim; }
  std::span<const float> Item(std::size_t item) const {
    return parts_.items.span().subspan(item * parts_.dim, parts_.dim);
  }

  std::span<const float> VectorOf(const UserView& user, std::vector<float>& folded) const {
    if (user.row && !user.has_changed && Index(*user.row) < UserCount()) {
      const auto x = parts_.users.span().subspan(Index(*user.row) * parts_.dim, parts_.dim);
      if (SquaredNorm(x) > 0) return x;
    }
    return FoldIn(user.history, folded) ? std::span<const float>(folded) : parts_.prior.span();
  }

  // False if the history says nothing of the trained items.
  bool FoldIn(std::span<const Interaction> history, std::vector<float>& x) const {
    std::vector<ItemValue> preferences;
    WeighHistory(history, parts_.weights, parts_.recency_half_life, preferences);
    std::erase_if(preferences, [&](const ItemValue& value) { return value.item >= ItemCount(); });
    if (preferences.empty()) return false;

    const std::size_t dim = parts_.dim;
    x.assign(dim, 0.0F);
    std::vector<float> rows(preferences.size() * dim);
    double weight_sum = 0;
    for (std::size_t j = 0; j < preferences.size(); ++j) {
      const double weight = preferences[j].value * parts_.weight_scale;
      weight_sum += weight;
      const std::span<const float> item = Item(preferences[j].item);
      Axpy(static_cast<float>(weight), item, x);
      Axpy(static_cast<float>(std::sqrt(weight)), item, std::span(rows).subspan(j * dim, dim));
    }
    std::vector<float> system(dim * dim);
    const MatrixSpan<float> a(system, dim, dim);
    Gram(1, MatrixSpan<const float>(rows, preferences.size(), dim), 0, a);
    Axpy(static_cast<float>(parts_.objective.unobserved_weight), parts_.gram.span(), system);
    double trace = 0;
    for (std::size_t k = 0; k < dim; ++k) trace += system[k * dim + k];
    const double ridge =
        std::max(IalsSolver::RowRegularization(parts_.objective, weight_sum, ItemCount()),
                 1e-6 * trace / static_cast<double>(dim));
    for (std::size_t k = 0; k < dim; ++k) system[k * dim + k] += static_cast<float>(ridge);
    if (!Cholesky(a).ok()) return false;
    CholeskySolve(a, x);
    return true;
  }

  Parts parts_;
};

class IalsTrainer final : public Trainer {
 public:
  IalsTrainer(const IalsOptions& options, RowMethod method) : options_(options), method_(method) {}

  Result<std::unique_ptr<const InterestModel>> Train(const TrainingView& view,
                                                     const TrainContext& context) const override {
    PreferenceMatrix preferences = AggregatePreferences(view, context.weights, context.pool);
    const std::size_t entry_count = preferences.by_user.entry_count();
    if (entry_count == 0) {
      return NothingToLearn(kName, "positive preferences");
    }
    const double mean_weight =
        std::accumulate(preferences.by_user.values.begin(), preferences.by_user.values.end(), 0.0) /
        static_cast<double>(entry_count);
    IalsModel::Parts parts;
    parts.weight_scale = 1 / mean_weight;
    for (SparseMatrix* side : {&preferences.by_user, &preferences.by_item}) {
      for (float& weight : side->values) {
        weight = static_cast<float>(weight * parts.weight_scale);
      }
    }
    parts.dim = static_cast<std::size_t>(options_.dim);
    parts.weights = context.weights;
    parts.objective = {.unobserved_weight = options_.unobserved_weight,
                       .regularization = options_.regularization,
                       .frequency_exponent = options_.frequency_exponent};
    IalsSolver solver(preferences, parts.dim, parts.objective,
                      {.method = method_,
                       .user_step_count = static_cast<std::size_t>(options_.user_steps),
                       .item_step_count = static_cast<std::size_t>(options_.item_steps),
                       .subspace_dim = static_cast<std::size_t>(options_.subspace_dim),
                       .reads = RowReads::kHalf},
                      context.pool);
    solver.Initialize(options_.init_scale, context.seed);
    for (int epoch = 0; epoch < options_.epochs; ++epoch) {
      POISE_RETURN_IF_ERROR(solver.RunEpoch());
      if (context.progress != nullptr) {
        context.progress->Update(static_cast<std::uint64_t>(epoch) + 1,
                                 fmt::format("objective {:.6g}", solver.Objective()));
      }
    }
    parts.recency_half_life = options_.recency_half_life;
    POISE_RETURN_IF_ERROR(solver.SolveUsersFrom(
        RecentRows(view, context, options_.recency_half_life, parts.weight_scale), kFinalSteps,
        RowReads::kFloat));

    const std::vector<double> gram = solver.items().GramOf(context.pool);
    parts.gram = FrozenArray<float>(std::vector<float>(gram.begin(), gram.end()));
    parts.prior = FrozenArray<float>(MeanUser(solver.users(), preferences.by_user));
    parts.users = FrozenArray<float>(solver.users().Compact());
    parts.items = FrozenArray<float>(solver.items().Compact());
    if (!std::isfinite(SquaredNorm(parts.prior.span())) ||
        !std::isfinite(SquaredNorm(parts.gram.span()))) {
      return FailedPrecondition("ials: the vectors are not finite; more regularization is needed");
    }
    return std::unique_ptr<const InterestModel>(std::make_unique<IalsModel>(std::move(parts)));
  }

 private:
  static SparseMatrix RecentRows(const TrainingView& view, const TrainContext& context,
                                 double half_life, double weight_scale) {
    constexpr std::size_t kUsersPerRange = 512;
    const std::size_t user_count = view.user_count();
    std::vector<std::vector<ItemValue>> rows(user_count);
    context.pool.ParallelFor(user_count, kUsersPerRange,
                             [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                               std::vector<ItemValue> row;
                               for (std::size_t user = begin; user < end; ++user) {
                                 WeighHistory(view.OfUser(static_cast<UserRow>(user)),
                                              context.weights, half_life, row);
                                 rows[user].assign(row.begin(), row.end());
                               }
                             });
    SparseMatrix out;
    out.column_count = view.item_count;
    for (const std::vector<ItemValue>& row : rows) {
      for (const ItemValue& value : row) {
        out.columns.push_back(value.item);
        out.values.push_back(static_cast<float>(value.value * weight_scale));
      }
      out.row_begin.push_back(out.columns.size());
    }
    return out;
  }

  static std::vector<float> MeanUser(const FactorMatrix& users, const SparseMatrix& rows) {
    std::vector<double> sum(users.dim(), 0.0);
    double count = 0;
    for (std::size_t user = 0; user < users.row_count(); ++user) {
      if (rows.ColumnsOf(user).empty()) continue;
      ++count;
      const std::span<const float> x = users.Row(user);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += x[k];
    }
    std::vector<float> mean(sum.size());
    for (std::size_t k = 0; k < sum.size(); ++k) mean[k] = static_cast<float>(sum[k] / count);
    return mean;
  }

  IalsOptions options_;
  RowMethod method_;
};

}  // namespace

Result<std::unique_ptr<const Trainer>> MakeIalsTrainer(const ParameterTexts& parameters,
                                                       Task task) {
  if (task != Task::kRanking) return InvalidArgument("task: ials ranks, it predicts no ratings");
  IalsOptions options;
  POISE_RETURN_IF_ERROR(
      SetParameters(std::span<const Parameter<IalsOptions>>(kParameters), parameters, options));
  RowMethod method = RowMethod::kConjugateGradient;
  if (options.solver == "subspace") {
    method = RowMethod::kSubspace;
  } else if (options.solver != "cg") {
    return InvalidArgument(
        fmt::format("solver: unknown \"{}\"; known: cg, subspace", options.solver));
  }
  return std::unique_ptr<const Trainer>(std::make_unique<IalsTrainer>(options, method));
}

Result<std::unique_ptr<const InterestModel>> LoadIals(
    std::shared_ptr<const SnapshotReader> snapshot) {
  return IalsModel::Load(snapshot);
}

std::vector<ParameterDescription> DescribeIals() {
  return DescribeParameters(std::span<const Parameter<IalsOptions>>(kParameters));
}

}  // namespace poise
