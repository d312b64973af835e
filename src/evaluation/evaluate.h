// SPDX-License-Identifier: Apache-2.0
//
// Evaluate: trains models on one side of a split and measures them on the other; a row a model.
//
// The popularity baseline is always the first row: it tests the evaluator itself, and a model that
// does not beat it is none. Models are trained and asked through the same interface that serves, on
// the history that the training side gives each user.
//
// Place    split.h -> [Evaluate] -> report.h
// Shapes   U users with something held out; I items, all of which are ranked but those a user had
//          in training (SeenItems)
// Units    seconds of wall time; peak memory: the largest resident size of the whole process while
//          the model was trained, data included
// Errors   kInvalidArgument: an unknown model or parameter, a metric of the other task;
//          kFailedPrecondition: nothing to learn from, or no user with anything left to find.
//          Whatever a trainer answers, with the model's name.
// Threads  Uses the pool; figures do not depend on its size (times do).
// Cost     Ranking: O(U (I + score)) a model.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/parameter.h"
#include "base/progress.h"
#include "base/thread_pool.h"
#include "evaluation/metrics.h"
#include "evaluation/split.h"
#include "models/interest_model.h"

namespace poise {

struct ModelSpec {
  std::string name;
  ParameterTexts parameters = {};
};

enum class SeenItems {
  kLeaveOut,  // what a user had in training is neither ranked nor looked for
  kRank,      // everything is ranked: where people come back to what they had
};

struct EvaluationOptions {
  Task task = Task::kRanking;
  std::vector<ModelSpec> models = {};  // popularity is put first if it is not named
  std::vector<Metric> metrics = {};    // empty: the task's usual ones
  SeenItems seen = SeenItems::kLeaveOut;
  std::uint64_t seed = 42;
  EventWeights weights = {};
};

struct MetricResult {
  Metric metric;
  Estimate estimate;
};

struct EvaluationRow {
  std::string model;
  std::vector<MetricResult> metrics;
  double train_seconds = 0;
  double score_seconds = 0;
  std::uint64_t peak_memory_bytes = 0;
  std::size_t user_count = 0;      // with something held out
  std::size_t held_out_count = 0;  // ratings, or items to be found
};

std::vector<Metric> DefaultMetrics(Task task);

// Calls `on_row` after each model, so that a person can watch. `progress` may be null.
Result<std::vector<EvaluationRow>> Evaluate(
    const Split& split, const EvaluationOptions& options, ThreadPool& pool, const Clock& clock,
    const std::function<void(const EvaluationRow&)>& on_row = {}, Progress* progress = nullptr);

// Measures one trained model: what Evaluate() does once it has it.
Result<EvaluationRow> Measure(const InterestModel& model, const Split& split,
                              const EvaluationOptions& options, ThreadPool& pool,
                              const Clock& clock);

}  // namespace poise
