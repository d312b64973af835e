// SPDX-License-Identifier: Apache-2.0
//
// `poise evaluate`: measures models on a file, cut into what is learned from and what is held out.
//
// It needs no data directory: it reads a file with the importers and trains the models that serve.
//
// Place    importers/ -> [evaluate] -> evaluation/ -> a table or JSON on standard output
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "base/status.h"
#include "models/interest_model.h"

namespace CLI {
class App;
}

namespace poise {

struct EvaluateFlags {
  Task task = Task::kRanking;
  std::string source;                   // FORMAT:PATH
  std::string split = "random:0.2";     // or "files:TRAIN[+TRAIN],TEST" beside PATH
  std::vector<std::string> models;      // names
  std::vector<std::string> metrics;     // empty: the task's usual ones
  std::vector<std::string> parameters;  // "item-knn.neighbours=50"
  std::string mapping;                  // of csv and jsonl
  std::uint64_t seed = 42;
  int threads = 0;  // 0: one a processor
  bool is_json = false;
  bool ranks_seen = false;
  bool is_validation = false;  // cut the training side again, leave the test side unseen
};

// Prints the rows to `out` as they come, or as JSON at the end; notes and progress go to stderr.
//
// Errors  kInvalidArgument naming the flag; kNotFound; what importers and trainers answer.
Status RunEvaluate(const EvaluateFlags& flags, std::FILE* out);

void AddEvaluateCommand(CLI::App& app, int& exit_code);

}  // namespace poise
