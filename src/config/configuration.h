// SPDX-License-Identifier: Apache-2.0
//
// Configuration: every option of the product with its default, as plain nested structs.
//
// Plain types only: the rooms behind have options of their own, and engine/ translates, so that no
// room learns where its options come from. One table, OptionTable(), declares each option once: its
// TOML key, its flag, its environment variable, its range, its sentence and its place in docs come
// from that row.
//
// Place    apps/ -> [here] -> engine/
// Units    in the names: _s seconds, _h hours, _days days, _mib 2^20 bytes.
// Errors   kInvalidArgument naming the option, where it was said (file with line and column, flag
//          or environment variable), and what would be right.
// Threads  Values; distinct objects may be used concurrently.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/parameter.h"
#include "base/result.h"

namespace poise {

struct ServerSection {
  std::string address = "127.0.0.1";
  int port = 8088;
  int threads = 0;
  int idle_timeout_s = 60;
  bool authentication = true;
};

struct LimitsSection {
  int body_bytes = 16 << 20;
  int batch_size = 10'000;
  int slots = 200;
  int connections = 4096;
  double requests_per_second = 10'000;
  double burst = 20'000;
};

struct StorageSection {
  std::string master_key_file;
  bool sealed = true;
  bool sync = true;
  int segment_mib = 64;
  int commit_delay_us = 0;
  int decision_delay_ms = 20;
  int queue_mib = 64;
  int snapshot_interval_s = 300;
  int event_retention_days = 0;
  int decision_retention_days = 0;
};

struct EventsSection {
  int session_gap_s = 1800;
  int history_length = 200;
  double weight_view = 0.3;
  double weight_click = 0.5;
  double weight_favourite = 1.5;
  double weight_cart = 2.0;
  double weight_purchase = 3.0;
  double weight_rating = 1.0;
  double weight_return = -3.0;
  double weight_custom = 0.5;
};

struct CandidatesSection {
  int personal = 200;
  int similar = 100;
  int repeat = 20;
  int trending = 50;
  int popular = 50;
  int fresh = 40;
  int uncertain = 20;
  int random = 20;
  int total = 500;
};

struct FiltersSection {
  bool unavailable = true;
  bool seen = false;
  bool bought = true;
  int bought_within_days = 0;
};

struct PolicySection {
  std::string name = "optimistic-pl";
  ParameterTexts parameters;
};

struct FeedbackSection {
  int attribution_window_s = 86'400;
  int no_outcome_after_s = 1800;
  double reward_click = 1;
  double reward_favourite = 2;
  double reward_cart = 3;
  double reward_purchase = 5;
};

struct TrainingSection {
  bool enabled = true;
  int interval_s = 3600;
  int min_new_events = 1000;
  std::vector<std::string> models = {"popularity", "trending", "item-knn", "ials"};
  ParameterTexts parameters;
  int threads = 0;
  int seed = 1;
  int kept_versions = 2;
};

struct Configuration {
  std::string data_dir = "poise-data";
  std::string log_level = "info";
  ServerSection server;
  LimitsSection limits;
  StorageSection storage;
  EventsSection events;
  CandidatesSection candidates;
  FiltersSection filters;
  PolicySection policy;
  FeedbackSection feedback;
  TrainingSection training;
};

// Where an option's value came from, weakest first: a later one wins.
enum class OptionOrigin { kDefault, kFile, kEnvironment, kFlag };
std::string_view OptionOriginName(OptionOrigin origin);

// A row of the table as people see it.
struct OptionDescription {
  std::string key;          // "server.port"
  std::string flag;         // "--server-port"
  std::string environment;  // "POISE_SERVER_PORT"
  std::string type;         // "integer", "number", "flag", "text", "list", "pairs"
  std::string unit;
  std::string default_value;
  double min = 0;  // of numbers
  double max = 0;
  std::vector<std::string> choices;  // of texts; empty: any
  std::string sentence;
};

// Every option, in the order of the reference.
std::vector<OptionDescription> DescribeOptions();

struct ConfigurationSources {
  std::string file;            // a TOML file that must exist; empty: none
  ParameterTexts environment;  // every variable; those that do not begin with POISE_ are ignored
  ParameterTexts flags;        // key ("server.port") or flag ("--server-port") and its text
};

struct LoadedConfiguration {
  Configuration values;
  std::vector<OptionOrigin> origins;  // one per row of DescribeOptions()
  std::vector<std::string> warnings;  // a POISE_ variable that is no option
};

// Reads all sources; a flag beats the environment, which beats the file, which beats the default.
//
// Errors  kInvalidArgument: unknown key (lists the known ones), wrong type, out of range, not TOML.
//         kNotFound: no such file.
Result<LoadedConfiguration> LoadConfiguration(const ConfigurationSources& sources);

// The same from a file's text; `name` stands for the file in errors.
Result<LoadedConfiguration> ParseConfiguration(std::string_view toml, std::string_view name);

// The effective configuration as TOML that reads back to the same values, each line with the origin
// of its value.
std::string Describe(const LoadedConfiguration& configuration);

// docs/configuration.md.
std::string ConfigurationReference();

}  // namespace poise
