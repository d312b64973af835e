// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/command.h"
#include "json/writer.h"

namespace poise {
namespace {

Status RunForget(const CommandFlags& flags, const std::string& user) {
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags));
  POISE_ASSIGN_OR_RETURN(const ForgetReceipt receipt, local->engine().Forget({user}));
  if (flags.is_json) {
    JsonWriter json;
    json.BeginObject()
        .Field("pseudonym", receipt.user_pseudonym)
        .Field("forgottenAt", FormatTimestamp(receipt.forgotten))
        .Field("wasKnown", receipt.was_known)
        .Field("models", receipt.model_erasure)
        .EndObject();
    fmt::print("{}\n", json.Take());
    return Status::Ok();
  }
  fmt::print("{} at {}\npseudonym {}\nmodels: {}\n",
             receipt.was_known ? "forgotten" : "nothing was known",
             FormatTimestamp(receipt.forgotten), receipt.user_pseudonym, receipt.model_erasure);
  return Status::Ok();
}

}  // namespace

void AddForgetCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("forget", "Erase a person: destroy the key to all that is kept of them");
  auto flags = std::make_shared<CommandFlags>();
  auto user = std::make_shared<std::string>();
  command->add_option("--user", *user, "the user's id")->required()->type_name("ID");
  AddCommandFlags(*command, *flags);
  command->callback([flags, user, &exit_code] { exit_code = ExitCode(RunForget(*flags, *user)); });
}

}  // namespace poise
