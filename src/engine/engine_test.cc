// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "metrics/metrics.h"
#include "storage/env.h"

namespace poise {
namespace {

namespace fs = std::filesystem;

// A shop of 40 items in two categories, whose users like one of the two.
class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    SetLogLevel(LogLevel::kOff);
    fs::remove_all(directory_);
    configuration_.data_dir = directory_;
    configuration_.training.threads = 1;
    configuration_.training.models = {"popularity", "item-knn", "ials"};
    configuration_.training.parameters = {{"ials.dim", "8"}};
    configuration_.training.enabled = false;
  }
  ~EngineTest() override {
    engine_.reset();
    fs::remove_all(directory_);
  }

  void Open() {
    engine_.reset();
    metrics_ = std::make_unique<MetricsRegistry>();
    auto opened = Engine::Open(configuration_, env_, clock_, *metrics_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    engine_ = *std::move(opened);
  }

  static ItemRecord Item(int number) {
    ItemRecord item;
    item.id.value = fmt::format("item-{}", number);
    item.title = fmt::format("Thing {}", number);
    item.categories = {number % 2 == 0 ? "even" : "odd"};
    item.price = number;
    return item;
  }

  Event EventOf(std::string user, int item, EventType type) {
    Event event;
    event.user.value = std::move(user);
    event.item.value = fmt::format("item-{}", item);
    event.type = type;
    event.time = clock_.Now();
    return event;
  }

  void FillShop() {
    std::vector<ItemRecord> items;
    for (int i = 0; i < kItems; ++i) items.push_back(Item(i));
    for (const Status& status : engine_->UpsertItems(items)) ASSERT_TRUE(status.ok());
    std::vector<Event> events;
    for (int user = 0; user < 60; ++user) {
      for (int k = 0; k < 8; ++k) {
        const int item = ((user * 7 + k * 11) % (kItems / 2)) * 2 + user % 2;
        events.push_back(EventOf(fmt::format("user-{}", user), item, EventType::kClick));
        clock_.Advance(std::chrono::seconds(1));
      }
    }
    for (const EventResult& result : engine_->RecordEventsAndWait(events)) {
      ASSERT_EQ(result.outcome, EventResult::Outcome::kAccepted) << result.status.message();
    }
    clock_.Advance(std::chrono::seconds(10));
    ASSERT_TRUE(engine_->Tick().ok());
  }

  RecommendResponse Recommend(const std::string& user, int slots = 5) {
    RecommendRequest request;
    request.user.value = user;
    request.slots = slots;
    auto response = engine_->Recommend(request);
    EXPECT_TRUE(response.ok()) << response.status().message();
    return *std::move(response);
  }

  std::string BytesOnDisk() const {
    std::string all;
    for (const auto& entry : fs::recursive_directory_iterator(directory_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::ostringstream bytes;
      bytes << in.rdbuf();
      all += bytes.str();
    }
    return all;
  }

  static constexpr int kItems = 40;
  const std::string directory_ = testing::TempDir() + "engine_" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name() +
                                 "_" + std::to_string(getpid());
  Configuration configuration_;
  PosixEnv env_;
  ManualClock clock_;
  std::unique_ptr<MetricsRegistry> metrics_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, AnEmptyShopAnswersWithAnEmptySlate) {
  Open();
  const RecommendResponse response = Recommend("anybody");
  EXPECT_TRUE(response.items.empty());
  EXPECT_EQ(response.eligible_count, 0U);
}

TEST_F(EngineTest, TheFirstItemsAreShownWithoutWaitingForTheClock) {
  Open();
  EXPECT_TRUE(Recommend("early-bird").items.empty());
  const ItemRecord item = Item(1);
  ASSERT_TRUE(engine_->UpsertItems({&item, 1})[0].ok());
  const RecommendResponse response = Recommend("early-bird");
  ASSERT_EQ(response.items.size(), 1U);
  EXPECT_EQ(response.items[0].item.value, "item-1");
}

TEST_F(EngineTest, CandidatesAreMadeAnewAFewPeopleAtATime) {
  Open();
  FillShop();
  const Counter& retrievals = metrics_->GetCounter("poise_retrievals_total",
                                                   "Candidate sets made, not found in the cache.");
  const auto retrieved_for_everybody = [&] {
    const std::uint64_t before = retrievals.Value();
    for (int user = 0; user < 60; ++user) Recommend(fmt::format("user-{}", user));
    return retrievals.Value() - before;
  };
  EXPECT_EQ(retrieved_for_everybody(), 60U);
  EXPECT_EQ(retrieved_for_everybody(), 0U) << "kept while nothing changes";
  std::uint64_t in_a_minute = 0;
  for (int step = 0; step < 16; ++step) {
    clock_.Advance(std::chrono::seconds(4));
    ASSERT_TRUE(engine_->Tick().ok());
    const std::uint64_t retrieved = retrieved_for_everybody();
    EXPECT_LT(retrieved, 20U) << "all at once would be a burst";
    in_a_minute += retrieved;
  }
  EXPECT_EQ(in_a_minute, 60U);
}

TEST_F(EngineTest, ASnapshotIsDueByLengthOfTheLogAndNotOnlyByTime) {
  configuration_.storage.snapshot_interval_s = 86'400;
  Open();
  FillShop();
  const auto snapshots = [&] {
    std::string names;
    for (const auto& entry : fs::directory_iterator(directory_ + "/state")) {
      names += entry.path().filename().string() + "\n";
    }
    return names;
  };
  clock_.Advance(std::chrono::seconds(10));
  ASSERT_TRUE(engine_->Tick().ok());
  const std::string before = snapshots();
  std::vector<Event> events;
  for (int i = 0; i < 10'000; ++i) {
    events.push_back(EventOf(fmt::format("user-{}", i % 60), i % kItems, EventType::kView));
  }
  for (int batch = 0; batch < 10; ++batch) engine_->RecordEventsAndWait(events);
  clock_.Advance(std::chrono::seconds(10));
  ASSERT_TRUE(engine_->Tick().ok());
  EXPECT_NE(snapshots(), before);
}

TEST_F(EngineTest, AnswersWithDistinctItemsAndTheirOdds) {
  Open();
  FillShop();
  const RecommendResponse response = Recommend("user-1");
  ASSERT_EQ(response.items.size(), 5U);
  std::set<std::string> distinct;
  for (const RecommendedItem& item : response.items) {
    distinct.insert(item.item.value);
    EXPECT_GT(item.propensity, 0);
    EXPECT_LE(item.propensity, 1);
    EXPECT_FALSE(item.reason.empty());
    EXPECT_FALSE(item.sources.empty());
  }
  EXPECT_EQ(distinct.size(), 5U);
}

TEST_F(EngineTest, TrainingTeachesWhoLikesWhat) {
  Open();
  FillShop();
  const auto models = engine_->Train(nullptr);
  ASSERT_TRUE(models.ok()) << models.status().message();
  ASSERT_EQ(models->size(), 3U);
  EXPECT_EQ(models->front().version, 1U);

  // Greedy, so that what is shown is what the models believe.
  configuration_.policy.name = "greedy";
  configuration_.filters.bought = false;
  Open();
  int odd = 0;
  for (const RecommendedItem& item : Recommend("user-1", 10).items) {
    odd += std::stoi(item.item.value.substr(5)) % 2;
  }
  EXPECT_GE(odd, 9) << "user-1 only ever touched odd items";
}

TEST_F(EngineTest, ADecisionIsFoundByItsIdAsItWasAnswered) {
  Open();
  FillShop();
  const RecommendResponse response = Recommend("user-2");
  ASSERT_TRUE(engine_->Settle().ok());
  const auto record = engine_->FindDecision(response.decision);
  ASSERT_TRUE(record.ok()) << record.status().message();
  ASSERT_EQ(record->items.size(), response.items.size());
  for (std::size_t slot = 0; slot < response.items.size(); ++slot) {
    EXPECT_EQ(record->items[slot], response.items[slot].item);
    EXPECT_EQ(record->decision.slate[slot].propensity, response.items[slot].propensity);
  }
  EXPECT_EQ(engine_->FindDecision(DecisionId{response.decision.high, 1}).status().code(),
            StatusCode::kNotFound);
}

TEST_F(EngineTest, AClickMovesTheBeliefInWhatWasShownBeforeItIsAcknowledged) {
  configuration_.policy.name = "greedy";
  Open();
  FillShop();
  const RecommendResponse before = Recommend("user-3", 1);
  ASSERT_EQ(before.items.size(), 1U);
  Event click =
      EventOf("user-3", std::stoi(before.items[0].item.value.substr(5)), EventType::kClick);
  click.decision = before.decision;
  ASSERT_EQ(engine_->RecordEventsAndWait({click})[0].outcome, EventResult::Outcome::kAccepted);

  RerankRequest request;
  request.user.value = "somebody-else";
  request.items = {before.items[0].item};
  const auto after = engine_->Rerank(request);
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->items[0].score, before.items[0].score);
}

TEST_F(EngineTest, WhatWasAcknowledgedIsThereAfterARestart) {
  Open();
  FillShop();
  ASSERT_TRUE(engine_->Train(nullptr).ok());
  const RecommendResponse response = Recommend("user-4");
  ASSERT_TRUE(engine_->Close().ok());
  Open();
  const EngineState state = engine_->State();
  EXPECT_TRUE(state.is_ready);
  EXPECT_EQ(state.item_count, static_cast<std::uint64_t>(kItems));
  EXPECT_EQ(state.event_count, 480U);
  EXPECT_EQ(state.user_count, 60U);
  EXPECT_EQ(state.model_version, 1U);
  EXPECT_TRUE(engine_->FindDecision(response.decision).ok());
  std::size_t exported = 0;
  ASSERT_TRUE(engine_
                  ->Export({[](const ItemRecord&) { return Status::Ok(); },
                            [](const UserRecord&) { return Status::Ok(); },
                            [&](const Event& event) {
                              EXPECT_TRUE(event.user.value.starts_with("user-"));
                              ++exported;
                              return Status::Ok();
                            }})
                  .ok());
  EXPECT_EQ(exported, 480U);
}

TEST_F(EngineTest, APersonForgottenIsRememberedByNobodyAndNoByteTellsOfThem) {
  Open();
  FillShop();
  const std::string name = "margarete-the-shopper";
  UserRecord profile;
  profile.id.value = name;
  profile.attributes["street"] = std::string("Lindenallee-Siebzehn");
  for (const Status& status : engine_->UpsertUsers({&profile, 1})) ASSERT_TRUE(status.ok());
  Event event = EventOf(name, 3, EventType::kPurchase);
  event.session = "margarete-session";
  ASSERT_EQ(engine_->RecordEventsAndWait({event})[0].outcome, EventResult::Outcome::kAccepted);
  ASSERT_TRUE(engine_->Train(nullptr).ok());
  const RecommendResponse response = Recommend(name);
  ASSERT_TRUE(engine_->Settle().ok());

  const auto receipt = engine_->Forget({name});
  ASSERT_TRUE(receipt.ok()) << receipt.status().message();
  EXPECT_TRUE(receipt->was_known);
  EXPECT_EQ(engine_->GetUser({name}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(engine_->FindDecision(response.decision).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(engine_
                  ->Export({[](const ItemRecord&) { return Status::Ok(); },
                            [&](const UserRecord& user) {
                              EXPECT_NE(user.id.value, name);
                              return Status::Ok();
                            },
                            [&](const Event& each) {
                              EXPECT_NE(each.user.value, name);
                              return Status::Ok();
                            }})
                  .ok());
  ASSERT_TRUE(engine_->Train(nullptr).ok());
  EXPECT_EQ(engine_->RollBack().code(), StatusCode::kFailedPrecondition)
      << "an older publication still knows what the person taught";
  ASSERT_TRUE(engine_->Close().ok());
  const std::string disk = BytesOnDisk();
  for (const char* trace : {"margarete", "Lindenallee"}) {
    EXPECT_EQ(disk.find(trace), std::string::npos) << trace;
  }
  EXPECT_EQ(metrics_->Text().find("margarete"), std::string::npos);

  Open();
  EXPECT_FALSE(engine_->Forget({name})->was_known);
}

TEST_F(EngineTest, BeforeForgettingNothingPersonalIsInTheClearEither) {
  Open();
  UserRecord profile;
  profile.id.value = "clear-text-user";
  profile.attributes["street"] = std::string("clear-text-street");
  ASSERT_TRUE(engine_->UpsertUsers({&profile, 1})[0].ok());
  Event event = EventOf("clear-text-user", 1, EventType::kView);
  event.session = "clear-text-session";
  event.idempotency_key = "clear-text-key";
  ASSERT_EQ(engine_->RecordEventsAndWait({event})[0].outcome, EventResult::Outcome::kAccepted);
  Recommend("clear-text-user");
  ASSERT_TRUE(engine_->Close().ok());
  EXPECT_EQ(BytesOnDisk().find("clear-text"), std::string::npos);
}

TEST_F(EngineTest, HardFiltersHoldWhateverThePolicyDraws) {
  Open();
  FillShop();
  ItemRecord gone = Item(2);
  gone.is_available = false;
  ASSERT_TRUE(engine_->UpsertItems({&gone, 1})[0].ok());
  ASSERT_EQ(engine_->RecordEventsAndWait({EventOf("user-6", 4, EventType::kPurchase)})[0].outcome,
            EventResult::Outcome::kAccepted);
  for (int i = 0; i < 50; ++i) {
    RecommendRequest request;
    request.user.value = "user-6";
    request.slots = 30;
    request.categories = {"even"};
    request.exclude = {{"item-8"}};
    request.exclude_bought = true;
    const auto response = engine_->Recommend(request);
    ASSERT_TRUE(response.ok()) << response.status().message();
    EXPECT_FALSE(response->items.empty());
    for (const RecommendedItem& item : response->items) {
      EXPECT_NE(item.item.value, "item-2") << "out of stock";
      EXPECT_NE(item.item.value, "item-4") << "bought";
      EXPECT_NE(item.item.value, "item-8") << "excluded";
      EXPECT_EQ(std::stoi(item.item.value.substr(5)) % 2, 0) << "of another category";
    }
  }
}

TEST_F(EngineTest, RollingBackServesThePublicationBefore) {
  Open();
  FillShop();
  ASSERT_TRUE(engine_->Train(nullptr).ok());
  ASSERT_TRUE(engine_->Train(nullptr).ok());
  EXPECT_EQ(engine_->State().model_version, 2U);
  ASSERT_TRUE(engine_->RollBack().ok());
  EXPECT_EQ(engine_->State().model_version, 1U);
  EXPECT_EQ(Recommend("user-1").model_version, 1U);
  EXPECT_EQ(engine_->RollBack().code(), StatusCode::kFailedPrecondition);
}

TEST_F(EngineTest, TrainingOnNothingSaysSo) {
  Open();
  EXPECT_EQ(engine_->Train(nullptr).status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(EngineTest, ADirectoryInUseIsRefused) {
  Open();
  MetricsRegistry metrics;
  const auto second = Engine::Open(configuration_, env_, clock_, metrics);
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos);
}

TEST_F(EngineTest, ABadRequestNamesItsField) {
  Open();
  FillShop();
  const auto message = [&](auto change) {
    RecommendRequest request;
    request.user.value = "user-1";
    change(request);
    const auto response = engine_->Recommend(request);
    EXPECT_EQ(response.status().code(), StatusCode::kInvalidArgument);
    return response.status().message().substr(0, response.status().message().find(':'));
  };
  EXPECT_EQ(message([](RecommendRequest& r) { r.slots = 0; }), "slots");
  EXPECT_EQ(message([](RecommendRequest& r) { r.slots = 100'000; }), "slots");
  EXPECT_EQ(message([](RecommendRequest& r) { r.user.value = "\xff"; }), "userId");
  EXPECT_EQ(message([](RecommendRequest& r) { r.placement = ""; }), "placement");
  EXPECT_EQ(message([](RecommendRequest& r) { r.exclude = {{""}}; }), "exclude[0]");
}

TEST_F(EngineTest, ABadConfigurationNamesItsKey) {
  configuration_.training.parameters = {{"oracle.dim", "8"}};
  EXPECT_NE(Engine::Open(configuration_, env_, clock_, *std::make_unique<MetricsRegistry>())
                .status()
                .message()
                .find("training.parameters"),
            std::string::npos);
  configuration_.training.parameters = {};
  configuration_.policy.name = "clairvoyant";
  EXPECT_NE(Engine::Open(configuration_, env_, clock_, *std::make_unique<MetricsRegistry>())
                .status()
                .message()
                .find("policy"),
            std::string::npos);
}

TEST_F(EngineTest, ScheduledTrainingRunsByTheClock) {
  configuration_.training.enabled = true;
  configuration_.training.interval_s = 100;
  configuration_.training.min_new_events = 10;
  Open();
  FillShop();
  clock_.Advance(std::chrono::seconds(200));
  ASSERT_TRUE(engine_->Tick().ok());
  EXPECT_EQ(engine_->State().model_version, 1U);
  clock_.Advance(std::chrono::seconds(200));
  ASSERT_TRUE(engine_->Tick().ok());
  EXPECT_EQ(engine_->State().model_version, 1U) << "nothing new was said since";
}

// Serving, recording, training and the clock side by side: what TSan watches.
TEST_F(EngineTest, EverythingMayHappenAtOnce) {
  Open();
  FillShop();
  engine_->StartBackground();
  std::atomic<bool> is_over{false};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        RecommendRequest request;
        request.user.value = fmt::format("user-{}", (i + t) % 70);
        const auto response = engine_->Recommend(request);
        ASSERT_TRUE(response.ok());
        ASSERT_FALSE(response->items.empty());
      }
      is_over = true;
    });
  }
  threads.emplace_back([&] {
    for (int i = 0; !is_over; ++i) {
      engine_->RecordEventsAndWait(
          {EventOf(fmt::format("user-{}", i % 80), i % kItems, EventType::kClick)});
    }
  });
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(engine_->Train(nullptr).ok());
  EXPECT_TRUE(engine_->Forget({"user-5"}).ok());
  threads.clear();
  EXPECT_TRUE(engine_->Close().ok());
}

}  // namespace
}  // namespace poise
