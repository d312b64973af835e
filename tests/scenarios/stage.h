// SPDX-License-Identifier: Apache-2.0
//
// Stage: plays the lines of a script on a real engine and checks what they expect.
//
// The engine, its files and its models are the product's own; only the clock moves by hand and the
// disk has switches. What a line may say: tests/scenarios/README.md.
//
// Place    Script -> [here] -> Engine
// Errors   kInvalidArgument: the line says what nobody understands; kFailedPrecondition: what it
//          expects is not so. Both begin with "line N: ".
// Threads  One thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "metrics/metrics.h"
#include "scenarios/disk.h"
#include "scenarios/script.h"
#include "scenarios/words.h"

namespace poise {

// What the lines so far have led to, for the lines that expect.
struct StageRecord {
  Status status;                             // of the last action
  std::vector<EventResult> event_results;    // of the last events
  std::vector<RecommendResponse> responses;  // of the last recommend or rerank, one a repetition
  std::vector<ScoredItem> list;              // of the last similar, popular or trending
  std::vector<ModelDescription> models;      // of the last train
  ItemRecord item;                           // of the last get
  UserRecord user;
  ForgetReceipt receipt;
  // What the script itself said of its items.
  std::map<std::string, ItemRecord, std::less<>> items;
};

// Checks the words behind "expect".
Status Expect(WordReader& words, const StageRecord& record, Engine& engine,
              const std::string& directory);

class Stage {
 public:
  // `directory` exists and is empty.
  explicit Stage(std::string directory);
  ~Stage();

  Status Play(std::span<const ScriptLine> lines);

 private:
  using Action = Status (Stage::*)(WordReader&);
  struct ActionRow;
  static std::span<const ActionRow> Actions();

  Status PlayLine(const ScriptLine& line);
  Status Open();
  // Sends the events said since the last other line, as one batch.
  Status SendEvents();
  // An error, a rejected or a duplicate event that the script has not expected.
  Status Unexpected() const;

  // Each reads its words and does as they say. A status that the engine gives is recorded, not
  // returned: returned is only what is wrong with the script.
  Status Advance(WordReader& words);
  Status Config(WordReader& words);
  Status DeleteThing(WordReader& words);
  Status Disk(WordReader& words);
  Status EventLine(WordReader& words);
  Status ForgetUser(WordReader& words);
  Status Get(WordReader& words);
  Status ItemLine(WordReader& words);
  Status Kill(WordReader& words);
  Status OutcomeLine(WordReader& words);
  Status Popular(WordReader& words);
  Status Recommend(WordReader& words);
  Status Rerank(WordReader& words);
  Status Restart(WordReader& words);
  Status RollBack(WordReader& words);
  Status Settle(WordReader& words);
  Status Similar(WordReader& words);
  Status Train(WordReader& words);
  Status Trending(WordReader& words);
  Status UserLine(WordReader& words);

  Status ListLine(WordReader& words, bool is_trending);
  void Note(Status status);

  std::string root_;
  int life_ = 0;  // of the engine: each kill begins another, in a folder of its own
  std::string directory_;
  ParameterTexts options_;
  ManualClock clock_;
  SwitchedDisk disk_;
  MetricsRegistry metrics_;
  std::unique_ptr<Engine> engine_;
  StageRecord record_;

  std::vector<Event> pending_events_;
  int pending_since_ = 0;    // line of the first
  bool is_expected_ = true;  // the last action's outcome has been looked at, or was as usual
  int action_line_ = 0;
  UserId last_user_;
  std::string last_session_;
};

}  // namespace poise
