// SPDX-License-Identifier: Apache-2.0
//
// Joiner: what came of each choice; joins decisions with the events that follow, by time.
//
// An outcome that has not come yet is not a zero: a slot is silent until something came of it or
// until its outcome window has passed. Whatever comes later corrects the zero and is no new trial.
//
// Place    serve/ (decisions), events/ (events), engine's clock -> [Joiner] -> policy/posterior.h
// Units    reward: sum of the weights of the distinct outcomes of a choice, higher is better
// Errors   None are possible: what cannot be joined is counted in Counts and passed over.
// Threads  Every method may be called from any thread. Rows of one choice are appended in order
//          within a call; a caller that learns from several threads puts one lock around join and
//          learn. No lock is held when a method returns its rows.
// Cost     OnDecision, OnEvent: about .3 us; Tick: O(choices that fell due). Some 350 bytes a
//          decision of 10 slots until its attribution window has passed; at most max_decisions.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "domain/decision.h"
#include "domain/event.h"

namespace poise {

class SnapshotReader;
class SnapshotWriter;

struct JoinerOptions {
  // Reward of the first outcome of each type on a choice; 0: not an outcome. A return is none of
  // its own: it takes back the reward of its purchase.
  std::array<float, kEventTypeCount> reward_by_type = {
      /*view=*/0,     /*click=*/1,  /*favourite=*/2, /*cart=*/3,
      /*purchase=*/5, /*rating=*/0, /*return=*/0,    /*custom=*/0};
  std::chrono::seconds outcome_window{1800};        // without an outcome so long: reward 0
  std::chrono::seconds attribution_window{86'400};  // an outcome later than this is nobody's
  // An outcome that names its decision may seem to come before it by so much: clocks differ.
  std::chrono::seconds clock_tolerance{60};
  std::size_t max_decisions = 200'000;
};

class Joiner {
 public:
  // Since it was made; not saved.
  struct Counts {
    std::uint64_t decisions = 0;
    std::uint64_t outcomes = 0;          // that changed a reward
    std::uint64_t repeated = 0;          // the same type on the same choice again
    std::uint64_t unmatched = 0;         // no decision of this user showed the item lately
    std::uint64_t unknown_decision = 0;  // names a decision that is unknown or expired
    std::uint64_t not_shown = 0;         // names a decision that did not show the item
    std::uint64_t before_decision = 0;   // names a decision that was made later
    std::uint64_t duplicate_decisions = 0;
    std::uint64_t dropped = 0;  // decisions forgotten early because there were too many
  };

  explicit Joiner(const JoinerOptions& options);
  ~Joiner();
  Joiner(const Joiner&) = delete;
  Joiner& operator=(const Joiner&) = delete;

  void OnDecision(const Decision& decision);

  // `decision`: the one that the caller says showed the item. Without it the user's latest decision
  // that showed the item counts, if it lies within the attribution window.
  // Appends to `rows` what changed: at most one row.
  void OnEvent(const UserKey& user, ItemRow item, EventType type, Timestamp time,
               const std::optional<DecisionId>& decision, std::vector<LoggedChoice>& rows);

  // Appends a row of reward 0 for every slot whose outcome window has passed without an outcome,
  // and lets go of decisions whose attribution window has passed.
  void Tick(Timestamp now, std::vector<LoggedChoice>& rows);

  void Forget(const UserKey& user);
  bool Remembers(const UserKey& user) const;

  std::size_t pending_count() const;
  Counts counts() const;

  // Section "joiner".
  void Save(SnapshotWriter& writer) const;
  // Replaces everything pending. Errors  kInvalidArgument, kDataLoss; then nothing changes.
  Status Load(const SnapshotReader& reader);

 private:
  struct State;
  JoinerOptions options_;
  std::unique_ptr<State> state_;
};

}  // namespace poise
