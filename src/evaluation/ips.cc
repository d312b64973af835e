// SPDX-License-Identifier: Apache-2.0
#include "evaluation/ips.h"

#include <fmt/format.h>

#include <cmath>

#include "base/check.h"

namespace poise {

Result<IpsEstimate> EstimateIps(std::span<const LoggedChoice> choices,
                                std::span<const float> target_probabilities) {
  POISE_CHECK(choices.size() == target_probabilities.size());
  if (choices.empty()) return FailedPrecondition("ips: no logged choices");
  IpsEstimate estimate;
  estimate.count = choices.size();
  double weights = 0;
  double squares = 0;
  for (std::size_t n = 0; n < choices.size(); ++n) {
    const double propensity = choices[n].propensity;
    const double target = target_probabilities[n];
    if (!(propensity > 0 && propensity <= 1)) {
      return InvalidArgument(
          fmt::format("choices[{}].propensity: {} is not in (0, 1]", n, propensity));
    }
    if (!(target >= 0 && target <= 1)) {
      return InvalidArgument(
          fmt::format("target_probabilities[{}]: {} is not in [0, 1]", n, target));
    }
    if (!std::isfinite(choices[n].reward)) {
      return InvalidArgument(fmt::format("choices[{}].reward: must be finite", n));
    }
    const double weight = target / propensity;
    const double term = weight * choices[n].reward;
    weights += weight;
    // Welford: the rewards of millions of choices are mostly 0, their variance must not cancel.
    const double delta = term - estimate.mean;
    estimate.mean += delta / static_cast<double>(n + 1);
    squares += delta * (term - estimate.mean);
  }
  const auto count = static_cast<double>(choices.size());
  estimate.mean_importance_weight = weights / count;
  if (choices.size() > 1) estimate.standard_error = std::sqrt(squares / (count - 1) / count);
  return estimate;
}

Result<double> MeanImportanceWeight(std::span<const LoggedChoice> choices,
                                    std::span<const float> target_probabilities) {
  POISE_ASSIGN_OR_RETURN(const IpsEstimate estimate, EstimateIps(choices, target_probabilities));
  return estimate.mean_importance_weight;
}

}  // namespace poise
