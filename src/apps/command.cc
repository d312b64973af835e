// SPDX-License-Identifier: Apache-2.0
#include "apps/command.h"

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"
#include "metrics/metrics.h"
#include "storage/env.h"

extern char** environ;

namespace poise {
namespace {

ParameterTexts EnvironmentVariables() {
  ParameterTexts variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

void SetLogLevelByName(std::string_view name) {
  constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                               {"info", LogLevel::kInfo},
                                                               {"warning", LogLevel::kWarning},
                                                               {"error", LogLevel::kError},
                                                               {"off", LogLevel::kOff}};
  for (const auto& [level_name, level] : kLevels) {
    if (level_name == name) SetLogLevel(level);
  }
}

}  // namespace

int ExitCode(const Status& status) {
  if (status.ok()) return kExitOk;
  fmt::print(stderr, "poise: {}\n", status.message());
  return status.code() == StatusCode::kInvalidArgument ? kExitUsage : kExitFailed;
}

void AddCommandFlags(CLI::App& command, CommandFlags& flags) {
  command.add_option("--config", flags.config_file, "TOML file with the configuration")
      ->type_name("FILE");
  command.add_option("--data-dir", flags.data_dir, "folder that holds everything Poise keeps")
      ->type_name("DIR");
  command.add_flag("--json", flags.is_json, "print JSON instead of text");
  for (const OptionDescription& option : DescribeOptions()) {
    if (option.key == "data_dir") continue;
    const std::string key = option.key;
    command
        .add_option_function<std::string>(
            option.flag,
            [&flags, key](const std::string& text) { flags.options.emplace_back(key, text); },
            option.sentence)
        ->type_name(option.type)
        ->group("Configuration");
  }
}

Result<Configuration> LoadCommandConfiguration(const CommandFlags& flags) {
  ConfigurationSources sources;
  sources.file = flags.config_file;
  sources.environment = EnvironmentVariables();
  sources.flags = flags.options;
  if (!flags.data_dir.empty()) sources.flags.emplace_back("data_dir", flags.data_dir);
  POISE_ASSIGN_OR_RETURN(LoadedConfiguration loaded, LoadConfiguration(sources));
  SetLogLevelByName(loaded.values.log_level);
  for (const std::string& warning : loaded.warnings) LogWarning(warning);
  return std::move(loaded.values);
}

struct LocalEngine::Parts {
  SystemClock clock;
  PosixEnv env;
  MetricsRegistry metrics;
  Configuration configuration;
  std::unique_ptr<Engine> engine;
};

LocalEngine::LocalEngine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LocalEngine::~LocalEngine() {
  const Status status = parts_->engine->Close();
  if (!status.ok()) LogError("closing: " + status.message());
}

Result<std::unique_ptr<LocalEngine>> LocalEngine::Open(const CommandFlags& flags) {
  POISE_ASSIGN_OR_RETURN(const Configuration configuration, LoadCommandConfiguration(flags));
  return Open(configuration);
}

Result<std::unique_ptr<LocalEngine>> LocalEngine::Open(const Configuration& configuration) {
  auto parts = std::make_unique<Parts>();
  parts->configuration = configuration;
  POISE_ASSIGN_OR_RETURN(
      parts->engine, Engine::Open(parts->configuration, parts->env, parts->clock, parts->metrics));
  return std::unique_ptr<LocalEngine>(new LocalEngine(std::move(parts)));
}

Engine& LocalEngine::engine() { return *parts_->engine; }
const Clock& LocalEngine::clock() const { return parts_->clock; }
Env& LocalEngine::env() { return parts_->env; }
MetricsRegistry& LocalEngine::metrics() { return parts_->metrics; }
const Configuration& LocalEngine::configuration() const { return parts_->configuration; }

}  // namespace poise
