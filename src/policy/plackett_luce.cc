// SPDX-License-Identifier: Apache-2.0
#include "policy/plackett_luce.h"

#include <algorithm>

#include "policy/softmax.h"

namespace poise {
namespace {

constexpr Parameter<PlackettLuceOptions> kParameters[] = {
    {"temperature", &PlackettLuceOptions::temperature, "reward", 1e-6, 1e6,
     "difference in expected reward that makes a candidate e times as likely"},
    {"floor", &PlackettLuceOptions::floor, "probability", 0, 1,
     "mass spread evenly over all candidates of a slot"}};

class PlackettLuce final : public Policy {
 public:
  explicit PlackettLuce(const PlackettLuceOptions& options)
      : temperature_(static_cast<float>(options.temperature)),
        floor_(static_cast<float>(options.floor)),
        parameters_(ParametersText<PlackettLuceOptions>(kParameters, options)) {}

  void Distribution(const SlotQuestion& question, std::span<float> scores,
                    std::span<float> probabilities) const override {
    std::copy(question.means.begin(), question.means.end(), scores.begin());
    Softmax(scores, temperature_, floor_, probabilities);
  }
  float ExplorationMass() const override { return floor_; }
  std::string_view Name() const override { return kPlackettLuceKind.name; }
  std::string_view Parameters() const override { return parameters_; }

 private:
  float temperature_;
  float floor_;
  std::string parameters_;
};

Result<std::unique_ptr<const Policy>> Make(const ParameterTexts& parameters) {
  PlackettLuceOptions options;
  POISE_RETURN_IF_ERROR(SetParameters<PlackettLuceOptions>(kParameters, parameters, options));
  return std::unique_ptr<const Policy>(std::make_unique<PlackettLuce>(options));
}

std::vector<ParameterDescription> Describe() {
  return DescribeParameters<PlackettLuceOptions>(kParameters);
}

}  // namespace

constinit const PolicyKind kPlackettLuceKind = {
    "plackett-luce", "softmax over expected rewards at a fixed temperature, without replacement",
    true, Make, Describe};

}  // namespace poise
