// SPDX-License-Identifier: Apache-2.0
//
// What the commands of `poise` share: flags, configuration, exit codes and how errors are told.
//
// Every option of the configuration is also a flag here, made from its row, so a command never
// declares one twice.
//
// Units    Exit codes: 0 worked, 1 failed, 2 usage (also a bad configuration or unknown name).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/configuration.h"
#include "engine/engine.h"

namespace poise {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// The status of a finished command as an exit code; prints "poise: <message>" on an error.
int ExitCode(const Status& status);

// What was given on the command line that every command understands.
struct CommandFlags {
  std::string config_file;
  std::string data_dir;
  std::vector<std::pair<std::string, std::string>> options;  // key of the configuration, text
  bool is_json = false;
};

// Adds --config, --data-dir, --json and one flag an option of the configuration (in a group of
// their own, so that --help stays readable).
void AddCommandFlags(CLI::App& command, CommandFlags& flags);

// Reads file, environment and flags, and sets the log level.
Result<Configuration> LoadCommandConfiguration(const CommandFlags& flags);

// An engine with what it needs around it, for commands that open the data directory themselves.
class LocalEngine {
 public:
  static Result<std::unique_ptr<LocalEngine>> Open(const CommandFlags& flags);
  static Result<std::unique_ptr<LocalEngine>> Open(const Configuration& configuration);
  ~LocalEngine();

  Engine& engine();
  const Clock& clock() const;
  Env& env();
  MetricsRegistry& metrics();
  const Configuration& configuration() const;

 private:
  struct Parts;
  explicit LocalEngine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// Each adds one command; its callback leaves the exit code in `exit_code`.
void AddDemoCommand(CLI::App& app, int& exit_code);
void AddExportCommand(CLI::App& app, int& exit_code);
void AddForgetCommand(CLI::App& app, int& exit_code);
void AddImportCommand(CLI::App& app, int& exit_code);
void AddKeysCommand(CLI::App& app, int& exit_code);
void AddRecommendCommand(CLI::App& app, int& exit_code);
void AddServeCommand(CLI::App& app, int& exit_code);
void AddTrainCommand(CLI::App& app, int& exit_code);

}  // namespace poise
