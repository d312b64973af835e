// SPDX-License-Identifier: Apache-2.0
#include "engine/outcome_learner.h"

#include "base/log.h"
#include "metrics/metrics.h"
#include "policy/decision_codec.h"
#include "storage/snapshot.h"

namespace poise {
namespace {

constexpr double kTrendHalfLifeSeconds = 86'400;

}  // namespace

OutcomeLearner::OutcomeLearner(const JoinerOptions& joiner, const PosteriorOptions& posterior,
                               const EventWeights& weights, MetricsRegistry& metrics)
    : joiner_options_(joiner),
      posterior_options_(posterior),
      joiner_(std::make_unique<Joiner>(joiner)),
      posterior_(std::make_unique<RewardPosterior>(posterior)),
      trends_(weights, kTrendHalfLifeSeconds),
      learned_(metrics.GetCounter("poise_choices_learned_total",
                                  "Choices whose outcome reached the posterior.")),
      refused_(metrics.GetCounter("poise_choices_refused_total",
                                  "Choices that the posterior refused to learn from.")) {}

void OutcomeLearner::LearnRows() {
  for (const LoggedChoice& row : rows_) {
    const Status status = posterior_->Learn(row);
    if (status.ok()) {
      learned_.Increment();
    } else {
      refused_.Increment();
      LogError("a choice was not learned from: " + status.message());
    }
  }
  rows_.clear();
}

void OutcomeLearner::OnEvent(const StoredEvent& event) {
  const std::lock_guard lock(mutex_);
  joiner_->OnEvent(event.user, event.item, event.type, event.time, event.decision, rows_);
  LearnRows();
  trends_.Add(event.item, event.type, static_cast<std::uint32_t>(event.time.seconds()));
}

void OutcomeLearner::OnDecision(const StoredDecision& stored) {
  const auto decision = DecodeDecision(stored.id, stored.user, stored.payload);
  if (!decision.ok()) {
    LogError("a decision in the log cannot be read: " + decision.status().message());
    return;
  }
  const std::lock_guard lock(mutex_);
  joiner_->Tick(decision->time, rows_);
  LearnRows();
  joiner_->OnDecision(*decision);
}

void OutcomeLearner::OnForget(const UserKey& user) {
  joiner_->Forget(user);
  if (on_forget_) on_forget_(user);
}

void OutcomeLearner::Tick(Timestamp now) {
  const std::lock_guard lock(mutex_);
  joiner_->Tick(now, rows_);
  LearnRows();
}

SnapshotHooks OutcomeLearner::Hooks() {
  return {.save =
              [this](SnapshotWriter& writer) {
                const std::lock_guard lock(mutex_);
                joiner_->Save(writer);
                posterior_->Save(writer);
                trends_.Save(writer);
              },
          .load = [this](const SnapshotReader& reader) -> Status {
            POISE_RETURN_IF_ERROR(joiner_->Load(reader));
            POISE_RETURN_IF_ERROR(posterior_->Load(reader));
            return trends_.Load(reader);
          },
          .reset =
              [this] {
                // Nothing reads while recovering, so starting over is safe.
                joiner_ = std::make_unique<Joiner>(joiner_options_);
                posterior_ = std::make_unique<RewardPosterior>(posterior_options_);
                trends_.Reset();
              }};
}

}  // namespace poise
