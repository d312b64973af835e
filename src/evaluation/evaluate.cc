// SPDX-License-Identifier: Apache-2.0
#include "evaluation/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>

#include "evaluation/peak_memory.h"
#include "features/preferences.h"
#include "math/top_k.h"
#include "models/registry.h"

namespace poise {
namespace {

constexpr std::string_view kBaseline = "popularity";
constexpr std::size_t kUsersPerRange = 16;
// Groups of users that are left out in turn to see how far a list metric moves.
constexpr std::size_t kJackknifeGroups = 20;
constexpr float kMasked = -std::numeric_limits<float>::infinity();

double Seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

// A failure of one of many workers: the first in the order of users, whoever met it first.
class FirstFailure {
 public:
  void Report(std::size_t user, Status status) {
    const std::lock_guard lock(mutex_);
    if (status_.ok() || user < user_) {
      user_ = user;
      status_ = std::move(status);
    }
  }
  Status status() const { return status_; }

 private:
  std::mutex mutex_;
  std::size_t user_ = 0;
  Status status_;
};

UserView ViewOf(const TrainingView& train, std::size_t user) {
  const auto row = static_cast<UserRow>(user);
  return {.row = row, .history = train.OfUser(row), .now = train.as_of};
}

Result<EvaluationRow> MeasureRatings(const InterestModel& model, const Split& split,
                                     const std::vector<Metric>& metrics, ThreadPool& pool) {
  const SparseMatrix held_out = LastRatings(split.test, pool).by_user;
  if (held_out.entry_count() == 0) {
    return FailedPrecondition("the held-out side has no ratings");
  }
  std::vector<double> errors(held_out.entry_count());
  FirstFailure failure;
  pool.ParallelFor(held_out.row_count(), kUsersPerRange,
                   [&](std::size_t begin, std::size_t end, std::size_t /*worker*/) {
                     std::vector<ItemRow> items;
                     std::vector<float> predicted;
                     for (std::size_t user = begin; user < end; ++user) {
                       const auto columns = held_out.ColumnsOf(user);
                       const auto stars = held_out.ValuesOf(user);
                       if (columns.empty()) continue;
                       items.clear();
                       for (const std::uint32_t item : columns)
                         items.push_back(static_cast<ItemRow>(item));
                       predicted.resize(items.size());
                       Status status = model.Score(ViewOf(split.train, user), items, predicted);
                       if (!status.ok()) {
                         failure.Report(user, std::move(status));
                         continue;
                       }
                       for (std::size_t n = 0; n < items.size(); ++n) {
                         errors[held_out.row_begin[user] + n] =
                             static_cast<double>(predicted[n]) - static_cast<double>(stars[n]);
                       }
                     }
                   });
  POISE_RETURN_IF_ERROR(failure.status());
  EvaluationRow row;
  row.held_out_count = errors.size();
  for (std::size_t user = 0; user < held_out.row_count(); ++user) {
    row.user_count += held_out.ColumnsOf(user).empty() ? 0 : 1;
  }
  for (const Metric& metric : metrics) {
    row.metrics.push_back({metric, RatingMetricOf(metric, errors)});
  }
  return row;
}

// What a model shows, counted: counts[group][item] for the users of each jackknife group.
class ShownCounts {
 public:
  explicit ShownCounts(std::size_t item_count)
      : counts_(kJackknifeGroups, std::vector<std::uint64_t>(item_count, 0)) {}

  void Add(std::size_t user, std::uint32_t item) { ++counts_[user % kJackknifeGroups][item]; }
  void Merge(const ShownCounts& other) {
    for (std::size_t group = 0; group < kJackknifeGroups; ++group) {
      for (std::size_t item = 0; item < counts_[group].size(); ++item) {
        counts_[group][item] += other.counts_[group][item];
      }
    }
  }

  Estimate EstimateOf(MetricKind kind) const {
    std::vector<std::uint64_t> all(counts_[0].size(), 0);
    for (const auto& group : counts_) {
      for (std::size_t item = 0; item < all.size(); ++item) all[item] += group[item];
    }
    Estimate estimate{ValueOf(kind, all), 0};
    std::vector<double> without(kJackknifeGroups);
    for (std::size_t group = 0; group < kJackknifeGroups; ++group) {
      std::vector<std::uint64_t> rest = all;
      for (std::size_t item = 0; item < all.size(); ++item) rest[item] -= counts_[group][item];
      without[group] = ValueOf(kind, std::move(rest));
    }
    // The jackknife's variance is (g - 1) / g times the sum of squares; MeanOf() divides the same
    // sum by g (g - 1).
    estimate.standard_error = MeanOf(without).standard_error * (kJackknifeGroups - 1);
    return estimate;
  }

 private:
  static double ValueOf(MetricKind kind, std::vector<std::uint64_t> counts) {
    if (kind == MetricKind::kGini) return Gini(std::move(counts));
    const auto shown =
        std::count_if(counts.begin(), counts.end(), [](std::uint64_t count) { return count > 0; });
    return static_cast<double>(shown) / static_cast<double>(counts.size());
  }

  std::vector<std::vector<std::uint64_t>> counts_;
};

class RankingMeasurement {
 public:
  RankingMeasurement(const InterestModel& model, const Split& split,
                     const std::vector<Metric>& metrics, SeenItems seen, ThreadPool& pool)
      : model_(model), split_(split), metrics_(metrics), seen_(seen), pool_(pool) {
    for (std::size_t n = 0; n < metrics.size(); ++n) {
      if (!ReadsList(metrics[n])) continue;
      longest_list_ = std::max(longest_list_, metrics[n].cut_off);
    }
  }

  Result<EvaluationRow> Run() {
    if (model_.ItemCount() < split_.test.item_count) {
      return FailedPrecondition(fmt::format("{} knows {} items of {}", model_.Name(),
                                            model_.ItemCount(), split_.test.item_count));
    }
    FindNovelty();
    const std::size_t user_count = split_.test.user_count();
    values_.assign(user_count * metrics_.size(), 0);
    relevant_counts_.assign(user_count, 0);
    std::vector<Worker> workers(pool_.thread_count());
    for (Worker& worker : workers) {
      worker.shown.assign(metrics_.size(), ShownCounts(0));
      for (std::size_t n = 0; n < metrics_.size(); ++n) {
        if (IsListMetric(metrics_[n])) worker.shown[n] = ShownCounts(model_.ItemCount());
      }
    }
    FirstFailure failure;
    pool_.ParallelFor(user_count, kUsersPerRange,
                      [&](std::size_t begin, std::size_t end, std::size_t worker) {
                        for (std::size_t user = begin; user < end; ++user) {
                          Status status = MeasureUser(user, workers[worker]);
                          if (!status.ok()) failure.Report(user, std::move(status));
                        }
                      });
    POISE_RETURN_IF_ERROR(failure.status());
    return Summary(workers);
  }

 private:
  struct Worker {
    std::vector<float> scores;
    std::vector<std::uint32_t> relevant;
    std::vector<ScoredIndex> best;
    std::vector<ShownCounts> shown;  // by metric, of list metrics
  };

  static bool ReadsList(const Metric& metric) {
    return IsListMetric(metric) || metric.kind == MetricKind::kNovelty;
  }

  // Bits: how surprising it is that a user of the training side had the item.
  void FindNovelty() {
    std::vector<double> users_of_item(model_.ItemCount(), 0);
    std::vector<std::uint32_t> items;
    for (std::size_t user = 0; user < split_.train.user_count(); ++user) {
      items.clear();
      for (const Interaction& event : split_.train.OfUser(static_cast<UserRow>(user))) {
        items.push_back(Index(event.item));
      }
      std::sort(items.begin(), items.end());
      items.erase(std::unique(items.begin(), items.end()), items.end());
      for (const std::uint32_t item : items) users_of_item[item] += 1;
    }
    const auto users = static_cast<double>(split_.train.user_count());
    novelty_.resize(users_of_item.size());
    for (std::size_t item = 0; item < novelty_.size(); ++item) {
      novelty_[item] = -std::log2((users_of_item[item] + 1) / (users + 1));
    }
  }

  Status MeasureUser(std::size_t user, Worker& worker) {
    const auto row = static_cast<UserRow>(user);
    const auto test = split_.test.OfUser(row);
    if (test.empty()) return Status::Ok();
    worker.scores.resize(model_.ItemCount());
    POISE_RETURN_IF_ERROR(model_.ScoreAll(ViewOf(split_.train, user), worker.scores));
    for (float& score : worker.scores) {
      // Whatever a model says of an item, it stays a candidate: only this function takes one out.
      if (!(score > kMasked)) score = std::numeric_limits<float>::lowest();
    }
    if (seen_ == SeenItems::kLeaveOut) {
      for (const Interaction& event : split_.train.OfUser(row)) {
        worker.scores[Index(event.item)] = kMasked;
      }
    }
    worker.relevant.clear();
    for (const Interaction& event : test) {
      if (event.type == EventType::kReturn) continue;
      if (worker.scores[Index(event.item)] != kMasked) {
        worker.relevant.push_back(Index(event.item));
      }
    }
    std::sort(worker.relevant.begin(), worker.relevant.end());
    worker.relevant.erase(std::unique(worker.relevant.begin(), worker.relevant.end()),
                          worker.relevant.end());
    relevant_counts_[user] = worker.relevant.size();
    if (worker.relevant.empty()) return Status::Ok();

    const std::vector<TieGroup> groups = RankRelevant(worker.scores, worker.relevant);
    if (longest_list_ > 0) TopK(worker.scores, longest_list_, worker.best);
    for (std::size_t n = 0; n < metrics_.size(); ++n) {
      double& value = values_[user * metrics_.size() + n];
      if (!ReadsList(metrics_[n])) {
        value = RankingMetricOf(metrics_[n], groups, worker.relevant.size());
        continue;
      }
      const std::size_t length = std::min(metrics_[n].cut_off, worker.best.size());
      for (std::size_t place = 0; place < length; ++place) {
        const std::uint32_t item = worker.best[place].index;
        if (IsListMetric(metrics_[n])) {
          worker.shown[n].Add(user, item);
        } else {
          value += novelty_[item] / static_cast<double>(length);
        }
      }
    }
    return Status::Ok();
  }

  Result<EvaluationRow> Summary(std::vector<Worker>& workers) const {
    EvaluationRow row;
    for (const std::size_t count : relevant_counts_) {
      row.user_count += count > 0 ? 1 : 0;
      row.held_out_count += count;
    }
    if (row.user_count == 0) {
      return FailedPrecondition("no user has anything held out that they did not have before");
    }
    std::vector<double> of_users;
    for (std::size_t n = 0; n < metrics_.size(); ++n) {
      if (IsListMetric(metrics_[n])) {
        ShownCounts& shown = workers[0].shown[n];
        for (std::size_t worker = 1; worker < workers.size(); ++worker) {
          shown.Merge(workers[worker].shown[n]);
        }
        row.metrics.push_back({metrics_[n], shown.EstimateOf(metrics_[n].kind)});
        continue;
      }
      of_users.clear();
      for (std::size_t user = 0; user < relevant_counts_.size(); ++user) {
        if (relevant_counts_[user] > 0) of_users.push_back(values_[user * metrics_.size() + n]);
      }
      row.metrics.push_back({metrics_[n], MeanOf(of_users)});
    }
    return row;
  }

  const InterestModel& model_;
  const Split& split_;
  const std::vector<Metric>& metrics_;
  SeenItems seen_;
  ThreadPool& pool_;
  std::size_t longest_list_ = 0;
  std::vector<double> novelty_;               // [I]
  std::vector<double> values_;                // [U, metrics]
  std::vector<std::size_t> relevant_counts_;  // [U]
};

Result<std::vector<Metric>> MetricsOf(const EvaluationOptions& options) {
  if (options.metrics.empty()) return DefaultMetrics(options.task);
  for (const Metric& metric : options.metrics) {
    if (IsRatingMetric(metric) != (options.task == Task::kRating)) {
      return InvalidArgument(fmt::format(
          "metrics: {} measures {}", MetricName(metric),
          IsRatingMetric(metric) ? "ratings, not a ranking" : "a ranking, not ratings"));
    }
  }
  return options.metrics;
}

std::vector<ModelSpec> WithBaselineFirst(std::vector<ModelSpec> models) {
  const auto baseline = std::find_if(
      models.begin(), models.end(), [](const ModelSpec& model) { return model.name == kBaseline; });
  if (baseline == models.end()) {
    models.insert(models.begin(), ModelSpec{std::string(kBaseline), {}});
  } else {
    std::rotate(models.begin(), baseline, baseline + 1);
  }
  return models;
}

Status OfModel(std::string_view name, const Status& status) {
  if (status.message().compare(0, name.size(), name) == 0) return status;
  return Status(status.code(), fmt::format("{}: {}", name, status.message()));
}

}  // namespace

std::vector<Metric> DefaultMetrics(Task task) {
  if (task == Task::kRating) {
    return {{MetricKind::kMse, 0}, {MetricKind::kRmse, 0}, {MetricKind::kMae, 0}};
  }
  return {{MetricKind::kRecall, 20}, {MetricKind::kNdcg, 10},     {MetricKind::kHitRate, 10},
          {MetricKind::kMrr, 0},     {MetricKind::kCoverage, 10}, {MetricKind::kNovelty, 10},
          {MetricKind::kGini, 10}};
}

Result<EvaluationRow> Measure(const InterestModel& model, const Split& split,
                              const EvaluationOptions& options, ThreadPool& pool,
                              const Clock& clock) {
  POISE_ASSIGN_OR_RETURN(const std::vector<Metric> metrics, MetricsOf(options));
  const std::chrono::nanoseconds start = clock.Steady();
  Result<EvaluationRow> row =
      options.task == Task::kRating
          ? MeasureRatings(model, split, metrics, pool)
          : RankingMeasurement(model, split, metrics, options.seen, pool).Run();
  if (!row.ok()) return row.status();
  row->model = model.Name();
  row->score_seconds = Seconds(clock.Steady() - start);
  return row;
}

Result<std::vector<EvaluationRow>> Evaluate(const Split& split, const EvaluationOptions& options,
                                            ThreadPool& pool, const Clock& clock,
                                            const std::function<void(const EvaluationRow&)>& on_row,
                                            Progress* progress) {
  POISE_RETURN_IF_ERROR(MetricsOf(options).status());
  const std::vector<ModelSpec> models = WithBaselineFirst(options.models);
  // A misspelt name must not show only after an hour of training the models before it.
  std::vector<std::unique_ptr<const Trainer>> trainers;
  for (const ModelSpec& model : models) {
    POISE_ASSIGN_OR_RETURN(std::unique_ptr<const Trainer> trainer,
                           MakeTrainer(model.name, model.parameters, options.task));
    trainers.push_back(std::move(trainer));
  }
  std::vector<EvaluationRow> rows;
  for (std::size_t n = 0; n < models.size(); ++n) {
    const PeakMemory peak_memory;
    const std::chrono::nanoseconds start = clock.Steady();
    const auto model = trainers[n]->Train(
        split.train,
        {.pool = pool, .seed = options.seed, .weights = options.weights, .progress = progress});
    const double train_seconds = Seconds(clock.Steady() - start);
    const std::uint64_t peak_memory_bytes = peak_memory.Bytes();
    if (!model.ok()) return OfModel(models[n].name, model.status());
    Result<EvaluationRow> row = Measure(**model, split, options, pool, clock);
    if (!row.ok()) return OfModel(models[n].name, row.status());
    row->train_seconds = train_seconds;
    row->peak_memory_bytes = peak_memory_bytes;
    if (on_row) on_row(*row);
    rows.push_back(*std::move(row));
  }
  return rows;
}

}  // namespace poise
