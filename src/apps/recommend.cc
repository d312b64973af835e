// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "apps/command.h"
#include "json/writer.h"

namespace poise {
namespace {

struct RecommendFlags {
  CommandFlags common;
  RecommendRequest request;
  std::string user;
  std::vector<std::string> exclude;
};

void PrintTable(const RecommendResponse& response) {
  fmt::print("decision {}  policy {}  {} eligible\n", FormatDecisionId(response.decision),
             response.policy_version, response.eligible_count);
  std::size_t width = 4;
  for (const RecommendedItem& item : response.items) {
    width = std::max(width, item.item.value.size());
  }
  width = std::min<std::size_t>(width, 36);
  fmt::print("{:>4}  {:<{}} {:<38} {:>7} {:>7}  {}\n", "slot", "item", width, "title", "score",
             "odds %", "reason");
  for (const RecommendedItem& item : response.items) {
    fmt::print("{:>4}  {:<{}} {:<38.38} {:>7.4f} {:>7.2f}  {}\n", item.slot, item.item.value, width,
               item.title, item.score, 100 * item.propensity, item.reason);
  }
  for (const Degradation& each : response.degraded) {
    fmt::print("degraded: {}: {}\n", each.stage, each.reason);
  }
}

void PrintJson(const RecommendResponse& response) {
  JsonWriter json(JsonStyle::kPretty);
  json.BeginObject()
      .Field("decisionId", FormatDecisionId(response.decision))
      .Field("policy", response.policy)
      .Field("policyVersion", response.policy_version)
      .Field("eligibleCount", response.eligible_count)
      .Key("items")
      .BeginArray();
  for (const RecommendedItem& item : response.items) {
    json.BeginObject()
        .Field("itemId", item.item.value)
        .Field("title", item.title)
        .Field("slot", item.slot)
        .Field("score", item.score)
        .Field("propensity", item.propensity)
        .Field("explored", item.explored)
        .Field("reason", item.reason)
        .EndObject();
  }
  json.EndArray().EndObject();
  fmt::print("{}\n", json.Take());
}

Status RunRecommend(const RecommendFlags& flags) {
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<LocalEngine> local, LocalEngine::Open(flags.common));
  RecommendRequest request = flags.request;
  request.user.value = flags.user;
  for (const std::string& id : flags.exclude) request.exclude.push_back({id});
  POISE_ASSIGN_OR_RETURN(const RecommendResponse response, local->engine().Recommend(request));
  if (flags.common.is_json) {
    PrintJson(response);
  } else {
    PrintTable(response);
  }
  return Status::Ok();
}

}  // namespace

void AddRecommendCommand(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("recommend", "Decide what to show one user, and log it");
  auto flags = std::make_shared<RecommendFlags>();
  command->add_option("--user", flags->user, "the user's id")->type_name("ID");
  command->add_option("--session", flags->request.session, "an anonymous visitor's session")
      ->type_name("ID");
  command->add_option("--slots", flags->request.slots, "how many items")
      ->check(CLI::Range(1, kMaxSlots))
      ->capture_default_str();
  command->add_option("--placement", flags->request.placement, "where the slate appears")
      ->capture_default_str();
  command->add_option("--category", flags->request.categories, "only items of these categories");
  command->add_option("--exclude", flags->exclude, "items that may not be shown")->type_name("ID");
  AddCommandFlags(*command, flags->common);
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunRecommend(*flags)); });
}

}  // namespace poise
