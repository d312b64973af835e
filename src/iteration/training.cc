// SPDX-License-Identifier: Apache-2.0
#include "iteration/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "features/training_view.h"
#include "models/registry.h"

namespace poise {
namespace {

// A model is promoted only if it can answer for people and strangers alike.
Status Gate(const InterestModel& model, const TrainingView& view) {
  if (model.ItemCount() == 0) {
    return Internal(fmt::format("{}: trained to no items at all", model.Name()));
  }
  constexpr std::size_t kPeople = 20;
  std::vector<float> scores(model.ItemCount());
  const std::size_t step = std::max<std::size_t>(view.user_count() / kPeople, 1);
  for (std::size_t user = 0; user <= view.user_count(); user += step) {
    UserView asked{.row = {}, .history = {}, .now = view.as_of};
    if (user < view.user_count()) {
      asked.row = static_cast<UserRow>(user);
      asked.history = view.OfUser(*asked.row);
    }
    POISE_RETURN_IF_ERROR(model.ScoreAll(asked, scores));
    const bool is_finite =
        std::all_of(scores.begin(), scores.end(), [](float s) { return std::isfinite(s); });
    if (!is_finite) {
      return Internal(
          fmt::format("{}: gives scores that are not finite; not published", model.Name()));
    }
  }
  return Status::Ok();
}

}  // namespace

Result<Publication> TrainPublication(std::span<const ModelSpecification> specifications,
                                     const TrainingView& view, const TrainContext& context,
                                     const Clock& clock) {
  Publication publication;
  publication.trained = view.as_of;
  publication.interaction_count = view.interactions.size();
  for (const ModelSpecification& specification : specifications) {
    POISE_ASSIGN_OR_RETURN(
        const std::unique_ptr<const Trainer> trainer,
        MakeTrainer(specification.name, specification.parameters, Task::kRanking));
    const auto start = clock.Steady();
    POISE_ASSIGN_OR_RETURN(std::unique_ptr<const InterestModel> model,
                           trainer->Train(view, context));
    const double seconds = std::chrono::duration<double>(clock.Steady() - start).count();
    POISE_RETURN_IF_ERROR(Gate(*model, view));
    LogInfo(fmt::format("trained {} on {} interactions in {:.2f} s", specification.name,
                        view.interactions.size(), seconds));
    publication.models.push_back({std::move(model), seconds});
  }
  publication.trained_event_counts.reserve(view.user_count());
  for (std::size_t user = 0; user < view.user_count(); ++user) {
    publication.trained_event_counts.push_back(
        static_cast<std::uint32_t>(view.OfUser(static_cast<UserRow>(user)).size()));
  }
  return publication;
}

}  // namespace poise
