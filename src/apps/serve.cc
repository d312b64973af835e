// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/running_server.h"

namespace poise {
namespace {

Status RunServe(const CommandFlags& flags) {
  BlockStopSignals();
  POISE_ASSIGN_OR_RETURN(const Configuration configuration, LoadCommandConfiguration(flags));
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<RunningServer> running,
                         RunningServer::Start(configuration));
  if (!running->new_key().empty()) {
    fmt::print("key (shown this once, all scopes): {}\n", running->new_key());
  }
  const EngineState state = running->engine().State();
  fmt::print("serving {} items, {} people, {} events, models of version {}\n", state.item_count,
             state.user_count, state.event_count, state.model_version);
  fmt::print("listening on {}/api/v1\n", running->url());
  std::fflush(stdout);
  WaitForStopSignal();
  return Status::Ok();
}

}  // namespace

void AddServeCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("serve", "Serve the HTTP API until told to stop");
  auto flags = std::make_shared<CommandFlags>();
  AddCommandFlags(*command, *flags);
  command->footer(
      "The first start makes a key with all scopes and prints it once; `poise keys` makes others.\n"
      "Stop with Ctrl-C or SIGTERM: what is under way is answered first.");
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunServe(*flags)); });
}

}  // namespace poise
