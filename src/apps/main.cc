// SPDX-License-Identifier: Apache-2.0
#include "apps/command.h"
#include "apps/evaluate.h"

int main(int argc, char** argv) {
  CLI::App app("Poise: a self-hosted recommender that explores on purpose.", "poise");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("poise ") + POISE_VERSION);
  app.footer(
      "First steps:\n"
      "  poise demo                                     a shop with live shoppers\n"
      "  poise import --data-dir shop csv:events.csv    your own events\n"
      "  poise train --data-dir shop\n"
      "  poise serve --data-dir shop\n"
      "Every command explains itself with --help.");

  int exit_code = poise::kExitOk;
  poise::AddServeCommand(app, exit_code);
  poise::AddDemoCommand(app, exit_code);
  poise::AddImportCommand(app, exit_code);
  poise::AddTrainCommand(app, exit_code);
  poise::AddRecommendCommand(app, exit_code);
  poise::AddEvaluateCommand(app, exit_code);
  poise::AddForgetCommand(app, exit_code);
  poise::AddExportCommand(app, exit_code);
  poise::AddKeysCommand(app, exit_code);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? poise::kExitOk : poise::kExitUsage;
  }
  return exit_code;
}
