// SPDX-License-Identifier: Apache-2.0
//
// The registry of interest models: one row a model, and the only place that lists them.
//
// Adding a model: its header, source and test in a folder here, one row in registry.cc, one line in
// CMakeLists.txt.
//
// Errors   kInvalidArgument: an unknown name (lists the known ones), an unknown parameter, a task
//          that the model cannot do.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/parameter.h"
#include "models/interest_model.h"

namespace poise {

struct ModelKind {
  std::string_view name;
  std::string_view sentence;
  bool can_rank = true;
  bool can_rate = false;
  Result<std::unique_ptr<const Trainer>> (*make_trainer)(const ParameterTexts& parameters,
                                                         Task task) = nullptr;
  Result<std::unique_ptr<const InterestModel>> (*load)(
      std::shared_ptr<const SnapshotReader> snapshot) = nullptr;
  std::vector<ParameterDescription> (*describe)() = nullptr;
};

std::span<const ModelKind> ModelKinds();
Result<const ModelKind*> FindModelKind(std::string_view name);

// Makes the trainer of `name` for `task`.
Result<std::unique_ptr<const Trainer>> MakeTrainer(std::string_view name,
                                                   const ParameterTexts& parameters, Task task);

// Writes `model` to `path` and reads it back; the file knows which kind it holds.
Status SaveModel(const InterestModel& model, Env& env, const std::string& path,
                 std::string_view key = {});
Result<std::unique_ptr<const InterestModel>> LoadModel(std::string_view name, Env& env,
                                                       const std::string& path,
                                                       std::string_view key = {});

}  // namespace poise
