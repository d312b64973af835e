// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "apps/http_shop_client.h"
#include "apps/running_server.h"
#include "base/progress.h"
#include "worlds/demo_shop.h"
#include "worlds/shopper_driver.h"

namespace poise {
namespace {

struct DemoFlags {
  CommandFlags common;
  int seed = 1;
  int item_count = 2000;
  int shopper_count = 5000;
  int visit_count = 0;
  int visits_per_second = 50;
};

constexpr int kHistoryDays = 30;
constexpr int kVisitsALine = 250;
// Few enough regulars that each comes back while somebody watches.
constexpr int kRegularCount = 500;

// Brings the shop's goods and past in through the same door that a shop would use, and trains.
Status FillShop(const DemoShop& shop, HttpShopClient& client, RunningServer& running) {
  fmt::print("filling the shop: {} items, {} shoppers, {} days of history\n",
             shop.StartingItems().size(), shop.shopper_count(), kHistoryDays);
  std::fflush(stdout);
  POISE_RETURN_IF_ERROR(client.PutItems(shop.StartingItems()));
  const std::vector<UserRecord> users = shop.Users();
  for (const Status& status : running.engine().UpsertUsers(users)) {
    POISE_RETURN_IF_ERROR(status);
  }
  const std::vector<Event> history = shop.History(kHistoryDays);
  constexpr std::size_t kBatch = 2000;
  Progress progress(running.clock(), "history", "events", history.size(), stdout);
  for (std::size_t begin = 0; begin < history.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, history.size() - begin);
    POISE_RETURN_IF_ERROR(client.SendEvents(std::span(history).subspan(begin, count)));
    progress.Update(begin + count);
  }
  progress.Finish(history.size());
  POISE_ASSIGN_OR_RETURN(const std::vector<ModelDescription> models,
                         running.engine().Train(nullptr));
  for (const ModelDescription& model : models) {
    fmt::print("trained {} in {:.1f} s\n", model.name, model.train_seconds);
  }
  return Status::Ok();
}

// Lets shoppers in, at a pace that leaves the machine usable, until told to stop or enough came.
Status RunShoppers(const DemoShop& shop, HttpShopClient& client, const Clock& clock,
                   const DemoFlags& flags) {
  ShopperDriver driver(shop, client, clock,
                       {.seed = static_cast<std::uint64_t>(flags.seed) + 1,
                        .regular_count = std::min(kRegularCount, flags.shopper_count)});
  fmt::print("shoppers are in; a line every {} visits: this stretch, and since the start\n",
             kVisitsALine);
  ShopperTally stretch;
  int done = 0;
  const int slice = std::max(1, flags.visits_per_second / 10);
  while (flags.visit_count == 0 || done < flags.visit_count) {
    const int count = flags.visit_count == 0 ? slice : std::min(slice, flags.visit_count - done);
    POISE_ASSIGN_OR_RETURN(const ShopperTally tally, driver.Run(count));
    stretch.Add(tally);
    done += count;
    if (stretch.visits >= kVisitsALine || done == flags.visit_count) {
      fmt::print("{}\n    in all: {}\n", ShopperDriver::Line(stretch),
                 ShopperDriver::Line(driver.total()));
      std::fflush(stdout);
      stretch = {};
    }
    const auto pause = std::chrono::milliseconds(flags.visits_per_second == 0 ? 0 : 100);
    if (WaitForStopSignal(pause)) return Status::Ok();
  }
  return Status::Ok();
}

Status RunDemo(const DemoFlags& flags) {
  BlockStopSignals();
  CommandFlags common = flags.common;
  if (common.data_dir.empty()) common.data_dir = "poise-demo";
  // Shoppers of the demo come and go in seconds, so what came of a slate is settled as fast, and
  // models follow. Whoever sets these, by flag, is obeyed: the later one counts.
  common.options.insert(common.options.begin(), {{"feedback.no_outcome_after_s", "10"},
                                                 {"training.interval_s", "30"},
                                                 {"training.min_new_events", "2000"}});
  POISE_ASSIGN_OR_RETURN(const Configuration configuration, LoadCommandConfiguration(common));
  POISE_ASSIGN_OR_RETURN(const std::unique_ptr<RunningServer> running,
                         RunningServer::Start(configuration));
  POISE_ASSIGN_OR_RETURN(const NewApiKey shoppers,
                         running->keys().Create("demo shoppers", Bit(Scope::kAdmin)));
  const Status result = [&]() -> Status {
    if (!running->new_key().empty()) {
      fmt::print("key (shown this once, all scopes): {}\n", running->new_key());
    }
    const DemoShop shop({.seed = static_cast<std::uint64_t>(flags.seed),
                         .item_count = flags.item_count,
                         .shopper_count = flags.shopper_count,
                         .start = running->clock().Now()});
    HttpShopClient client(configuration.server.address, running->port(), shoppers.secret);
    if (running->engine().State().item_count == 0) {
      POISE_RETURN_IF_ERROR(FillShop(shop, client, *running));
    }
    fmt::print("listening on {}/api/v1\n", running->url());
    std::fflush(stdout);
    return RunShoppers(shop, client, running->clock(), flags);
  }();
  const Status revoked = running->keys().Revoke(shoppers.key.id);
  return result.ok() ? revoked : result;
}

}  // namespace

void AddDemoCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("demo", "A shop with live shoppers: watch it being learned");
  auto flags = std::make_shared<DemoFlags>();
  command->add_option("--seed", flags->seed, "of the shop and its shoppers")->capture_default_str();
  command->add_option("--items", flags->item_count, "items in the shop")
      ->check(CLI::Range(100, 1'000'000))
      ->capture_default_str();
  command->add_option("--shoppers", flags->shopper_count, "people who shop there")
      ->check(CLI::Range(10, 1'000'000))
      ->capture_default_str();
  command->add_option("--visits", flags->visit_count, "stop after so many visits; 0: go on")
      ->check(CLI::Range(0, 1'000'000'000))
      ->capture_default_str();
  command
      ->add_option("--pace", flags->visits_per_second,
                   "visits a second, about; 0: as fast as can be")
      ->check(CLI::Range(0, 100'000))
      ->capture_default_str();
  AddCommandFlags(*command, flags->common);
  command->footer(
      "The shoppers' wishes are known to the demo alone, so it can say how near the slates come "
      "to\n"
      "the best there is. They use the HTTP API as any shop would.");
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunDemo(*flags)); });
}

}  // namespace poise
