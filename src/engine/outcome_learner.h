// SPDX-License-Identifier: Apache-2.0
//
// OutcomeLearner: from an event in the log to what is believed, within the second.
//
// Place    events/ (EventListener, in log order) -> [here] -> Joiner -> RewardPosterior; -> Trends
// References to joiner and posterior hold from the end of EventStore::Recover() on: recovery may
// start them over.
//
// Threads  As EventListener says; Tick() and the snapshot hooks from any thread. One lock orders
//          join and learn, so that equal logs teach equally.
// Cost     About 1.5 us an event.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/trends.h"
#include "events/event_store.h"
#include "feedback/joiner.h"
#include "policy/posterior.h"

namespace poise {

class Counter;
class MetricsRegistry;

class OutcomeLearner final : public EventListener {
 public:
  OutcomeLearner(const JoinerOptions& joiner, const PosteriorOptions& posterior,
                 const EventWeights& weights, MetricsRegistry& metrics);

  void OnEvent(const StoredEvent& event) override;
  void OnDecision(const StoredDecision& decision) override;
  void OnForget(const UserKey& user) override;

  // Learns "nothing came of it" for the choices whose time is over.
  void Tick(Timestamp now);

  // Called when a person is forgotten, after they are gone from here.
  void set_on_forget(std::function<void(const UserKey&)> callback) {
    on_forget_ = std::move(callback);
  }

  SnapshotHooks Hooks();

  Joiner& joiner() { return *joiner_; }
  const RewardPosterior& posterior() const { return *posterior_; }
  const Trends& trends() const { return trends_; }

 private:
  void LearnRows();

  const JoinerOptions joiner_options_;
  const PosteriorOptions posterior_options_;
  std::unique_ptr<Joiner> joiner_;              // never null
  std::unique_ptr<RewardPosterior> posterior_;  // never null
  Trends trends_;
  std::function<void(const UserKey&)> on_forget_;
  std::mutex mutex_;
  std::vector<LoggedChoice> rows_;  // scratch, guarded by mutex_
  Counter& learned_;
  Counter& refused_;
};

}  // namespace poise
