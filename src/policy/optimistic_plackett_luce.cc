// SPDX-License-Identifier: Apache-2.0
#include "policy/optimistic_plackett_luce.h"

#include <algorithm>

#include "policy/kernels.h"
#include "policy/softmax.h"

namespace poise {
namespace {

constexpr int kTopCount = 10;

using Options = OptimisticPlackettLuceOptions;

constexpr Parameter<Options> kParameters[] = {
    {"beta", &Options::beta, "", 0, 10, "how many posterior sds a candidate is given on credit"},
    {"tau", &Options::tau, "", 0, 10, "temperature in mean sds of the ten best candidates"},
    {"tau_min", &Options::tau_min, "reward", 1e-6, 1e6, "temperature where everything is known"},
    {"explore", &Options::explore, "probability", 0, 1,
     "chance that a slot is drawn; otherwise it holds the highest expected reward"},
    {"floor", &Options::floor, "probability", 0, 1,
     "mass spread evenly over all candidates of a slot"}};

class OptimisticPlackettLuce final : public Policy {
 public:
  explicit OptimisticPlackettLuce(const Options& options)
      : beta_(static_cast<float>(options.beta)),
        tau_(static_cast<float>(options.tau)),
        tau_min_(static_cast<float>(options.tau_min)),
        explore_(static_cast<float>(options.explore)),
        floor_(static_cast<float>(options.floor)),
        parameters_(ParametersText<Options>(kParameters, options)) {}

  void Distribution(const SlotQuestion& question, std::span<float> scores,
                    std::span<float> probabilities) const override {
    const std::size_t count = question.means.size();
    BestKernels().add_scaled(question.means.data(), question.sds.data(), beta_, count,
                             scores.data());
    const float temperature = std::max(tau_min_, tau_ * MeanOfTop(scores, question.sds, kTopCount));
    if (explore_ >= 1) {
      Softmax(scores, temperature, floor_, probabilities);
      return;
    }
    Softmax(scores, temperature, 0, probabilities);
    const float best = MaxOf(question.means);
    const std::size_t ties = BestKernels().count_equal(question.means.data(), best, count);
    const float even = floor_ / static_cast<float>(count);
    const float exploit = (1 - floor_) * (1 - explore_) / static_cast<float>(ties);
    const float drawn = (1 - floor_) * explore_;
    for (std::size_t i = 0; i < count; ++i) {
      probabilities[i] =
          probabilities[i] * drawn + even + (question.means[i] == best ? exploit : 0.0F);
    }
  }
  float ExplorationMass() const override { return floor_; }
  std::string_view Name() const override { return kOptimisticPlackettLuceKind.name; }
  std::string_view Parameters() const override { return parameters_; }

 private:
  float beta_;
  float tau_;
  float tau_min_;
  float explore_;
  float floor_;
  std::string parameters_;
};

Result<std::unique_ptr<const Policy>> Make(const ParameterTexts& parameters) {
  Options options;
  POISE_RETURN_IF_ERROR(SetParameters<Options>(kParameters, parameters, options));
  return std::unique_ptr<const Policy>(std::make_unique<OptimisticPlackettLuce>(options));
}

std::vector<ParameterDescription> Describe() { return DescribeParameters<Options>(kParameters); }

}  // namespace

constinit const PolicyKind kOptimisticPlackettLuceKind = {
    "optimistic-pl",
    "softmax over mean + beta * sd, cooling as the posterior narrows, without replacement", true,
    Make, Describe};

}  // namespace poise
