// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/command.h"
#include "base/progress.h"
#include "importers/export_writer.h"

namespace poise {
namespace {

Status RunExport(const CommandFlags& flags, const std::string& path) {
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags));
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<ExportWriter> writer,
                         ExportWriter::Create(path, local->clock()));
  const EngineState state = local->engine().State();
  Progress progress(local->clock(), "exporting", "rows", state.item_count + state.event_count,
                    flags.is_json ? nullptr : stderr);
  std::uint64_t rows = 0;
  const auto write = [&](const auto& record) {
    progress.Update(++rows);
    return writer->Write(record);
  };
  POISE_RETURN_IF_ERROR(
      local->engine().Export({.on_item = write, .on_user = write, .on_event = write}));
  POISE_RETURN_IF_ERROR(writer->Finish());
  progress.Finish(rows);
  if (flags.is_json) {
    fmt::print("{{\"rows\":{}}}\n", rows);
  } else {
    fmt::print("wrote {} rows to {}; read them back with: poise import poise:{}\n",
               WithThousands(rows), path, path);
  }
  return Status::Ok();
}

}  // namespace

void AddExportCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("export", "Write items, users and events as JSON Lines, ids restored");
  auto flags = std::make_shared<CommandFlags>();
  auto path = std::make_shared<std::string>();
  command->add_option("file", *path, "where to write")->required()->type_name("FILE");
  AddCommandFlags(*command, *flags);
  command->callback([flags, path, &exit_code] { exit_code = ExitCode(RunExport(*flags, *path)); });
}

}  // namespace poise
