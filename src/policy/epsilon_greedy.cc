// SPDX-License-Identifier: Apache-2.0
#include "policy/epsilon_greedy.h"

#include <algorithm>

#include "policy/softmax.h"

namespace poise {
namespace {

constexpr Parameter<EpsilonGreedyOptions> kParameters[] = {
    {"epsilon", &EpsilonGreedyOptions::epsilon, "probability", 0, 1,
     "chance that a slot is filled from all candidates evenly"}};

class EpsilonGreedy final : public Policy {
 public:
  explicit EpsilonGreedy(const EpsilonGreedyOptions& options)
      : epsilon_(static_cast<float>(options.epsilon)),
        parameters_(ParametersText<EpsilonGreedyOptions>(kParameters, options)) {}

  void Distribution(const SlotQuestion& question, std::span<float> scores,
                    std::span<float> probabilities) const override {
    std::copy(question.means.begin(), question.means.end(), scores.begin());
    EvenAmongBest(scores, epsilon_, probabilities);
  }
  float ExplorationMass() const override { return epsilon_; }
  std::string_view Name() const override { return kEpsilonGreedyKind.name; }
  std::string_view Parameters() const override { return parameters_; }

 private:
  float epsilon_;
  std::string parameters_;
};

Result<std::unique_ptr<const Policy>> Make(const ParameterTexts& parameters) {
  EpsilonGreedyOptions options;
  POISE_RETURN_IF_ERROR(SetParameters<EpsilonGreedyOptions>(kParameters, parameters, options));
  return std::unique_ptr<const Policy>(std::make_unique<EpsilonGreedy>(options));
}

std::vector<ParameterDescription> Describe() {
  return DescribeParameters<EpsilonGreedyOptions>(kParameters);
}

}  // namespace

constinit const PolicyKind kEpsilonGreedyKind = {
    "epsilon-greedy", "the highest expected reward, with probability epsilon any candidate", true,
    Make, Describe};

}  // namespace poise
