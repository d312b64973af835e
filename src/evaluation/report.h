// SPDX-License-Identifier: Apache-2.0
//
// The rows of an evaluation for people and for programs.
//
// JSON: an array of rows; a row has `model`, each metric by its lower-case name ("ndcg@10"),
// `standardErrors` with the same names, `trainSeconds`, `scoreSeconds`, `peakMemoryBytes`, `users`
// and `heldOut`.
#pragma once

#include <span>
#include <string>

#include "evaluation/evaluate.h"

namespace poise {

// One line a row; with a heading that fits the same metrics. Figures as "0.1234 +-0.0012".
std::string TableHeading(std::span<const Metric> metrics);
std::string TableLine(const EvaluationRow& row);

std::string EvaluationJson(std::span<const EvaluationRow> rows);

}  // namespace poise
