// SPDX-License-Identifier: Apache-2.0
#include "policy/greedy.h"

#include <algorithm>

#include "policy/softmax.h"

namespace poise {
namespace {

constexpr Parameter<GreedyOptions> kParameters[] = {
    {"floor", &GreedyOptions::floor, "probability", 0, 1,
     "mass spread evenly over all candidates of a slot"}};

class Greedy final : public Policy {
 public:
  explicit Greedy(const GreedyOptions& options)
      : floor_(static_cast<float>(options.floor)),
        parameters_(ParametersText<GreedyOptions>(kParameters, options)) {}

  void Distribution(const SlotQuestion& question, std::span<float> scores,
                    std::span<float> probabilities) const override {
    std::copy(question.means.begin(), question.means.end(), scores.begin());
    EvenAmongBest(scores, floor_, probabilities);
  }
  float ExplorationMass() const override { return floor_; }
  std::string_view Name() const override { return kGreedyKind.name; }
  std::string_view Parameters() const override { return parameters_; }

 private:
  float floor_;
  std::string parameters_;
};

Result<std::unique_ptr<const Policy>> Make(const ParameterTexts& parameters) {
  GreedyOptions options;
  POISE_RETURN_IF_ERROR(SetParameters<GreedyOptions>(kParameters, parameters, options));
  return std::unique_ptr<const Policy>(std::make_unique<Greedy>(options));
}

std::vector<ParameterDescription> Describe() {
  return DescribeParameters<GreedyOptions>(kParameters);
}

}  // namespace

constinit const PolicyKind kGreedyKind = {
    "greedy", "the highest expected reward in every slot; learns only about what it shows", false,
    Make, Describe};

}  // namespace poise
