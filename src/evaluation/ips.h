// SPDX-License-Identifier: Apache-2.0
//
// Inverse propensity scoring: what a policy would have earned, from what another one logged.
//
// Each logged reward is weighted by how much likelier the target policy's choice was than the
// logging policy's: V = 1/N sum_n pi(a_n | x_n) / p_n * r_n. Unbiased where the logging policy
// could have chosen whatever the target policy can. The mean importance weight is then near 1; that
// it is not is the first sign of wrong propensities.
//
// Shapes   N choices; target_probabilities[n] belongs to choices[n]
// Units    reward; propensity in (0, 1]; target probability in [0, 1]
// Errors   kInvalidArgument naming the choice: a propensity or probability outside its range, a
//          reward that is not finite; kFailedPrecondition: no choices.
// Threads  Pure functions.
// Source   Horvitz and Thompson 1952; Li, Chu, Langford and Wang, arXiv:1003.5956
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "domain/decision.h"

namespace poise {

struct IpsEstimate {
  double mean = 0;            // reward a choice
  double standard_error = 0;  // of the mean; 0 for a single choice
  double mean_importance_weight = 0;
  std::size_t count = 0;
};

Result<IpsEstimate> EstimateIps(std::span<const LoggedChoice> choices,
                                std::span<const float> target_probabilities);

// The mean of target probability / propensity: 1 in expectation.
Result<double> MeanImportanceWeight(std::span<const LoggedChoice> choices,
                                    std::span<const float> target_probabilities);

}  // namespace poise
