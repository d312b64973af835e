// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/command.h"
#include "base/progress.h"
#include "json/writer.h"

namespace poise {
namespace {

Status Train(const CommandFlags& flags) {
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags));
  Progress progress(local->clock(), "training", "epochs", 0, flags.is_json ? nullptr : stderr);
  POISE_ASSIGN_OR_RETURN(const std::vector<ModelDescription> models,
                         local->engine().Train(&progress));
  if (flags.is_json) {
    JsonWriter json;
    json.BeginArray();
    for (const ModelDescription& model : models) {
      json.BeginObject()
          .Field("model", model.name)
          .Field("version", model.version)
          .Field("trainSeconds", model.train_seconds)
          .Field("interactions", model.interaction_count)
          .EndObject();
    }
    json.EndArray();
    fmt::print("{}\n", json.Take());
    return Status::Ok();
  }
  fmt::print("{:<16} {:>8} {:>14} {:>10}\n", "model", "version", "interactions", "seconds");
  for (const ModelDescription& model : models) {
    fmt::print("{:<16} {:>8} {:>14} {:>10.2f}\n", model.name, model.version,
               WithThousands(model.interaction_count), model.train_seconds);
  }
  return Status::Ok();
}

}  // namespace

void AddTrainCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("train", "Train every configured model on all events");
  auto flags = std::make_shared<CommandFlags>();
  AddCommandFlags(*command, *flags);
  command->callback([flags, &exit_code] { exit_code = ExitCode(Train(*flags)); });
}

}  // namespace poise
