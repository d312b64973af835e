// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/command.h"
#include "http/api/keys.h"
#include "json/writer.h"

namespace poise {
namespace {

struct KeyFlags {
  CommandFlags common;
  std::string create;
  std::string revoke;
  std::vector<std::string> scopes = {"ingest", "recommend"};
};

void Print(const std::vector<ApiKey>& keys, bool is_json) {
  if (is_json) {
    JsonWriter json;
    json.BeginArray();
    for (const ApiKey& key : keys) {
      json.BeginObject()
          .Field("id", key.id)
          .Field("name", key.name)
          .Field("scopes", ScopeNames(key.scopes))
          .Field("created", FormatTimestamp(key.created))
          .EndObject();
    }
    json.EndArray();
    fmt::print("{}\n", json.Take());
    return;
  }
  for (const ApiKey& key : keys) {
    fmt::print("{}  {:<20} {:<32} {}\n", key.id, key.name,
               fmt::format("{}", fmt::join(ScopeNames(key.scopes), ",")),
               FormatTimestamp(key.created));
  }
}

Status RunKeys(const KeyFlags& flags) {
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags.common));
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<KeyStore> keys,
                         KeyStore::Open(local->engine().tables(), local->clock()));
  if (!flags.create.empty()) {
    POISE_ASSIGN_OR_RETURN(const ScopeMask scopes, ParseScopes(flags.scopes));
    POISE_ASSIGN_OR_RETURN(const NewApiKey made, keys->Create(flags.create, scopes));
    fmt::print("{}\n", made.secret);
    return Status::Ok();
  }
  if (!flags.revoke.empty()) return keys->Revoke(flags.revoke);
  Print(keys->List(), flags.common.is_json);
  return Status::Ok();
}

}  // namespace

void AddKeysCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("keys", "List, create and revoke API keys");
  auto flags = std::make_shared<KeyFlags>();
  auto* create = command->add_option("--create", flags->create, "make a key of this name; print it")
                     ->type_name("NAME");
  command->add_option("--revoke", flags->revoke, "let the key of this id in no more")
      ->type_name("ID")
      ->excludes(create);
  command->add_option("--scopes", flags->scopes, "of the new key: ingest, recommend, read, admin")
      ->delimiter(',')
      ->capture_default_str();
  AddCommandFlags(*command, flags->common);
  command->footer("The server of the data directory must not be running.");
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunKeys(*flags)); });
}

}  // namespace poise
