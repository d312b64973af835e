// SPDX-License-Identifier: Apache-2.0
#include "events/event_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "catalog/catalog.h"
#include "catalog/test_folder.h"
#include "storage/fault_env.h"
#include "storage/snapshot.h"
#include "storage/table.h"

namespace poise {
namespace {

using Outcome = AppendResult::Outcome;

// Remembers what it hears, and keeps a section of its own in the snapshot.
class RecordingListener final : public EventListener {
 public:
  struct Heard {
    UserKey user;
    std::uint32_t row = 0;
    std::uint32_t item = 0;
    std::int64_t micros = 0;
    auto operator<=>(const Heard&) const = default;
  };

  void OnEvent(const StoredEvent& event) override {
    events.push_back({event.user, Index(event.row), Index(event.item), event.time.micros});
    EXPECT_GT(event.position.value, last_position);
    last_position = event.position.value;
  }
  void OnDecision(const StoredDecision& decision) override { decisions.push_back(decision); }
  void OnForget(const UserKey& user) override {
    std::erase_if(events, [&](const Heard& heard) { return heard.user == user; });
    forgotten.push_back(user);
  }

  SnapshotHooks Hooks() {
    return {.save = [this](SnapshotWriter& writer) { writer.AddArray("listener/events", events); },
            .load = [this](const SnapshotReader& reader) -> Status {
              POISE_ASSIGN_OR_RETURN(const auto array, reader.Array<Heard>("listener/events"));
              events.assign(array.begin(), array.end());
              return Status::Ok();
            },
            .reset = [this] { events.clear(); }};
  }

  std::vector<Heard> events;
  std::vector<StoredDecision> decisions;
  std::vector<UserKey> forgotten;
  std::uint64_t last_position = 0;
};

struct StoreSetup {
  Sealing sealing = Sealing::kSealed;
  std::size_t history_length = 50;
  std::size_t idempotency_window = 1 << 16;
  std::uint64_t segment_bytes = 1 << 16;
};

// Everything an installation has, over a folder and an Env.
class Shop {
 public:
  Shop(const TestFolder& folder, Env& env, std::string directory, ManualClock& clock,
       ThreadPool& pool, StoreSetup setup = {}) {
    opened = Open(folder, env, directory, clock, pool, setup);
  }

  Status Open(const TestFolder& folder, Env& env, const std::string& directory, ManualClock& clock,
              ThreadPool& pool, const StoreSetup& setup) {
    std::vector<std::string> names = CatalogTableNames();
    for (const std::string& name : EventStore::TableNames()) names.push_back(name);
    POISE_ASSIGN_OR_RETURN(tables, Tables::Open(folder.File("tables"), names));
    POISE_ASSIGN_OR_RETURN(MasterKey loaded, MasterKey::FromHex(std::string(64, '3')));
    master = std::make_unique<MasterKey>(std::move(loaded));
    POISE_ASSIGN_OR_RETURN(keys, PersonKeys::Open(*tables, *master));
    POISE_ASSIGN_OR_RETURN(catalog, Catalog::Open(*tables, *keys, clock));
    SegmentLog::Options log_options;
    log_options.segment_bytes = setup.segment_bytes;
    log_options.max_commit_delay = std::chrono::microseconds(0);
    log_options.buffered_commit_delay = std::chrono::milliseconds(1);
    log_options.reserve_bytes = 0;
    POISE_ASSIGN_OR_RETURN(log, SegmentLog::Open(env, directory + "/log", log_options, nullptr));
    EventStore::Options options;
    options.snapshot_directory = directory + "/state";
    options.history_length = setup.history_length;
    options.idempotency_window = setup.idempotency_window;
    options.sealing = setup.sealing;
    POISE_ASSIGN_OR_RETURN(
        store, EventStore::Open({env, *log, *tables, *catalog, *keys, *master, clock, &listener},
                                options));
    POISE_ASSIGN_OR_RETURN(report, store->Recover(pool, listener.Hooks()));
    return Status::Ok();
  }

  UserKey Key(const std::string& user) const { return keys->Pseudonym({user}); }

  Status opened;
  RecordingListener listener;
  std::unique_ptr<Tables> tables;
  std::unique_ptr<MasterKey> master;
  std::unique_ptr<PersonKeys> keys;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<SegmentLog> log;
  std::unique_ptr<EventStore> store;
  ReplayReport report;
};

using Entry = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>;  // item, time, type
struct LiveUser {
  std::uint32_t row = 0;
  std::uint32_t version = 0;
  std::vector<Entry> history;
  bool operator==(const LiveUser&) const = default;
};
using Everyone = std::map<UserKey, LiveUser>;

Everyone ReadAll(const LiveState& live) {
  Everyone all;
  live.ForEach([&](const UserKey& key, const UserHistory& history) {
    LiveUser& user = all[key];
    user.row = Index(history.row);
    user.version = history.version;
    for (const Interaction& one : history.interactions) {
      user.history.emplace_back(Index(one.item), one.time_s, static_cast<std::uint32_t>(one.type));
    }
  });
  return all;
}

class EventStoreTest : public testing::Test {
 protected:
  void Start(StoreSetup setup = {}) {
    shop_.reset();
    shop_ = std::make_unique<Shop>(folder_, env_, folder_.File("data"), clock_, pool_, setup);
    ASSERT_TRUE(shop_->opened.ok()) << shop_->opened.ToString();
  }

  Event View(const std::string& user, const std::string& item, const std::string& key = {}) {
    Event event;
    event.user = {user};
    event.item = {item};
    event.idempotency_key = key;
    event.time = clock_.Now();
    return event;
  }
  AppendResult Append(const Event& event) {
    return shop_->store->AppendAndWait(std::span<const Event>(&event, 1))[0];
  }
  EventStore& store() { return *shop_->store; }

  TestFolder folder_;
  PosixEnv env_;
  ManualClock clock_;
  ThreadPool pool_{2};
  std::unique_ptr<Shop> shop_;
};

TEST_F(EventStoreTest, AnAcceptedEventIsInLiveStateAndHeardBeforeItIsAcknowledged) {
  Start();
  EXPECT_EQ(Append(View("ann", "lamp")).outcome, Outcome::kAccepted);
  const auto row = store().live().RowOf(shop_->Key("ann"));
  ASSERT_TRUE(row);
  ASSERT_EQ(shop_->listener.events.size(), 1U);
  EXPECT_EQ(shop_->listener.events[0].row, Index(*row));
  EXPECT_TRUE(shop_->catalog->view()->Find("lamp"));
  EXPECT_EQ(store().event_count(), 1U);
}

TEST_F(EventStoreTest, ABatchAnswersEventByEvent) {
  Start();
  Event nan = View("ann", "lamp");
  nan.value = std::nan("");
  std::vector<Event> events = {View("ann", "lamp", "k"), nan, View("", "lamp"),
                               View("ann", "lamp", "k"), View("bob", "lamp", "k")};
  const auto results = store().AppendAndWait(events);
  ASSERT_EQ(results.size(), 5U);
  EXPECT_EQ(results[0].outcome, Outcome::kAccepted);
  EXPECT_EQ(results[1].outcome, Outcome::kRejected);
  EXPECT_NE(results[1].status.message().find("value"), std::string::npos);
  EXPECT_EQ(results[2].outcome, Outcome::kRejected);
  EXPECT_NE(results[2].status.message().find("userId"), std::string::npos);
  EXPECT_EQ(results[3].outcome, Outcome::kDuplicate);
  EXPECT_EQ(results[4].outcome, Outcome::kAccepted);
  EXPECT_EQ(store().event_count(), 2U);
  EXPECT_TRUE(store().AppendAndWait({}).empty());
}

TEST_F(EventStoreTest, AnIdempotencyKeyOutlivesARestartWithAndWithoutASnapshot) {
  Start();
  EXPECT_EQ(Append(View("ann", "lamp", "k1")).outcome, Outcome::kAccepted);
  EXPECT_EQ(Append(View("ann", "lamp", "k1")).outcome, Outcome::kDuplicate);
  Start();
  EXPECT_FALSE(shop_->report.had_snapshot);
  EXPECT_EQ(Append(View("ann", "lamp", "k1")).outcome, Outcome::kDuplicate);
  EXPECT_EQ(Append(View("ann", "lamp", "k2")).outcome, Outcome::kAccepted);
  ASSERT_TRUE(store().SaveSnapshot().ok());
  Start();
  EXPECT_TRUE(shop_->report.had_snapshot);
  EXPECT_EQ(shop_->report.event_count, 0U);
  EXPECT_EQ(Append(View("ann", "lamp", "k1")).outcome, Outcome::kDuplicate);
  EXPECT_EQ(Append(View("ann", "lamp", "k2")).outcome, Outcome::kDuplicate);
  EXPECT_EQ(store().event_count(), 2U);
}

TEST_F(EventStoreTest, TheWindowForgetsTheOldestKeysOnly) {
  Start({.idempotency_window = 64 * 4});
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(Append(View("ann", "lamp", "k" + std::to_string(i))).outcome, Outcome::kAccepted);
  }
  EXPECT_EQ(Append(View("ann", "lamp", "k1999")).outcome, Outcome::kDuplicate);
  EXPECT_EQ(Append(View("ann", "lamp", "k0")).outcome, Outcome::kAccepted);
}

TEST_F(EventStoreTest, ManyThreadsWithTheSameKeysStoreEachOnce) {
  Start();
  constexpr int kThreads = 8;
  constexpr int kKeys = 60;
  std::atomic<int> accepted{0};
  std::atomic<int> duplicates{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kKeys; i += 3) {
        std::vector<Event> events;
        for (int k = 0; k < 3; ++k) {
          events.push_back(View("ann", "lamp", "k" + std::to_string((i + k + t) % kKeys)));
        }
        for (const AppendResult& result : store().AppendAndWait(events)) {
          ++(result.outcome == Outcome::kAccepted ? accepted : duplicates);
          EXPECT_NE(result.outcome, Outcome::kRejected) << result.status.ToString();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(accepted, kKeys);
  EXPECT_EQ(duplicates, (kThreads - 1) * kKeys);
  EXPECT_EQ(store().event_count(), static_cast<std::uint64_t>(kKeys));
}

TEST_F(EventStoreTest, AnAnonymousVisitorIsNotTheUserOfThatName) {
  Start();
  Event visit = View("", "lamp");
  visit.session = "ann";
  EXPECT_EQ(Append(visit).outcome, Outcome::kAccepted);
  EXPECT_FALSE(store().live().Remembers(shop_->Key("ann")));
  EXPECT_TRUE(store().live().Remembers(shop_->keys->VisitorPseudonym("ann")));
  std::vector<Event> exported;
  ASSERT_TRUE(store()
                  .ExportEvents([&](const Event& event) {
                    exported.push_back(event);
                    return Status::Ok();
                  })
                  .ok());
  ASSERT_EQ(exported.size(), 1U);
  EXPECT_EQ(exported[0].user.value, "");
  EXPECT_EQ(exported[0].session, "ann");
}

TEST_F(EventStoreTest, AnExportIsWhatWasTold) {
  for (const Sealing sealing : {Sealing::kSealed, Sealing::kPlain}) {
    Start({.sealing = sealing});
    Event event = View("ann", "lamp", "key" + std::to_string(static_cast<int>(sealing)));
    event.type = EventType::kCustom;
    event.custom_type = "wish";
    event.value = -2.25;
    event.quantity = 12;
    event.session = "session 1";
    event.decision = DecisionId{1, 2};
    ASSERT_EQ(Append(event).outcome, Outcome::kAccepted);
    std::vector<Event> exported;
    ASSERT_TRUE(store()
                    .ExportEvents([&](const Event& one) {
                      exported.push_back(one);
                      return Status::Ok();
                    })
                    .ok());
    const Event& back = exported.back();
    EXPECT_EQ(back.user, event.user);
    EXPECT_EQ(back.item, event.item);
    EXPECT_EQ(back.type, event.type);
    EXPECT_EQ(back.custom_type, event.custom_type);
    EXPECT_EQ(back.value, event.value);
    EXPECT_EQ(back.quantity, event.quantity);
    EXPECT_EQ(back.session, event.session);
    EXPECT_EQ(back.idempotency_key, event.idempotency_key);
    EXPECT_EQ(back.decision, event.decision);
    EXPECT_EQ(back.time, event.time);
  }
  const Status stopped =
      store().ExportEvents([](const Event&) { return Unavailable("the disk of the export"); });
  EXPECT_EQ(stopped.code(), StatusCode::kUnavailable);
}

TEST_F(EventStoreTest, DecisionsAreFoundAtOnceAndAfterARestart) {
  Start();
  std::vector<DecisionId> ids;
  for (std::uint64_t i = 0; i < 300; ++i) {
    const UserId user{"user" + std::to_string(i % 7)};
    const DecisionId id{static_cast<std::uint64_t>(clock_.Now().micros / 1000) << 16 | i, i};
    ids.push_back(id);
    ASSERT_TRUE(store()
                    .AppendDecision(shop_->keys->User(user), id,
                                    "payload " + std::to_string(i) + std::string(2000, 'x'))
                    .ok());
    clock_.Advance(std::chrono::seconds(30));
  }
  const DecisionId nobody{static_cast<std::uint64_t>(clock_.Now().micros / 1000) << 16, 5};
  ASSERT_TRUE(store().AppendDecision(std::nullopt, nobody, "for nobody").ok());
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t i = 0; i < ids.size(); i += 13) {
      const auto found = store().FindDecision(ids[i]);
      ASSERT_TRUE(found.ok()) << found.status().ToString();
      EXPECT_EQ(found->payload.substr(0, 9 + std::to_string(i).size() - 1),
                "payload " + std::to_string(i));
      EXPECT_EQ(found->user, shop_->Key("user" + std::to_string(i % 7)));
    }
    EXPECT_EQ(store().FindDecision(nobody)->payload, "for nobody");
    DecisionId absent = ids[3];
    absent.low = 999;
    EXPECT_EQ(store().FindDecision(absent).status().code(), StatusCode::kNotFound);
    EXPECT_EQ(store().FindDecision({1, 1}).status().code(), StatusCode::kNotFound);
    if (round == 0) {
      ASSERT_TRUE(store().Settle().ok());
      Start();
      EXPECT_EQ(shop_->listener.decisions.size(), 301U);
      EXPECT_EQ(shop_->report.decision_count, 301U);
    }
  }
}

// Appends what a random shop does; returns nothing, the state tells.
void Browse(Shop& shop, ManualClock& clock, Rng& rng, int batches, bool with_forgetting) {
  for (int b = 0; b < batches; ++b) {
    std::vector<Event> events;
    for (std::uint64_t n = 1 + rng.Below(30); n > 0; --n) {
      Event event;
      event.user = {"user" + std::to_string(rng.Below(40))};
      event.item = {"item" + std::to_string(rng.Below(60))};
      event.type = static_cast<EventType>(rng.Below(6));
      event.value = static_cast<double>(rng.Below(11)) / 2;
      event.time = clock.Now() - std::chrono::seconds(rng.Bernoulli(0.2) ? rng.Below(5000) : 0);
      if (rng.Bernoulli(0.3)) event.idempotency_key = "k" + std::to_string(rng.Below(400));
      events.push_back(event);
    }
    for (const AppendResult& result : shop.store->AppendAndWait(events)) {
      ASSERT_NE(result.outcome, Outcome::kRejected) << result.status.ToString();
    }
    if (with_forgetting && rng.Bernoulli(0.1)) {
      const auto forgotten = shop.store->Forget(shop.Key("user" + std::to_string(rng.Below(40))));
      ASSERT_TRUE(forgotten.ok()) << forgotten.status().ToString();
    }
    clock.Advance(std::chrono::seconds(rng.Below(20)));
  }
}

TEST_F(EventStoreTest, ReplayGivesTheSameStateFromTheLogAloneAndFromAnySnapshot) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  Start({.history_length = 20});
  for (int round = 0; round < 6; ++round) {
    Browse(*shop_, clock_, rng, 25, round >= 3);
    if (round % 2 == 1) {
      ASSERT_TRUE(store().SaveSnapshot().ok());
      Browse(*shop_, clock_, rng, 8, false);
    }
    const Everyone before = ReadAll(store().live());
    const auto heard = shop_->listener.events;
    const std::size_t rows = store().live().user_row_count();
    Start({.history_length = 20});
    EXPECT_EQ(shop_->report.had_snapshot, round >= 1);
    EXPECT_EQ(ReadAll(store().live()), before) << round;
    EXPECT_EQ(shop_->listener.events, heard) << round;
    EXPECT_EQ(store().live().user_row_count(), rows);
  }
  // The snapshot is only a shortcut: without it the rows are the same.
  const Everyone before = ReadAll(store().live());
  shop_.reset();
  for (const auto& file : std::filesystem::directory_iterator(folder_.File("data/state"))) {
    std::filesystem::remove(file.path());
  }
  Start({.history_length = 20});
  EXPECT_FALSE(shop_->report.had_snapshot);
  EXPECT_NE(shop_->report.detail, "");
  const Everyone after = ReadAll(store().live());
  ASSERT_EQ(after.size(), before.size());
  for (const auto& [key, user] : before) EXPECT_EQ(after.at(key), user);
}

TEST_F(EventStoreTest, ASnapshotWhileAppendingIsConsistent) {
  Start();
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      Rng rng(70 + t);
      for (int i = 0; !stop; ++i) {
        Event event =
            View("user" + std::to_string(rng.Below(100)), "item" + std::to_string(rng.Below(50)),
                 std::to_string(t) + "/" + std::to_string(i));
        EXPECT_EQ(Append(event).outcome, Outcome::kAccepted);
      }
    });
  }
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(store().SaveSnapshot().ok());
  stop = true;
  for (std::thread& writer : writers) writer.join();
  ASSERT_TRUE(store().Settle().ok());
  const Everyone before = ReadAll(store().live());
  const auto heard = shop_->listener.events;
  Start();
  EXPECT_TRUE(shop_->report.had_snapshot);
  EXPECT_EQ(ReadAll(store().live()), before);
  EXPECT_EQ(shop_->listener.events, heard);
}

TEST_F(EventStoreTest, ADamagedSnapshotCostsTimeOnly) {
  Start();
  Rng rng(9);
  Browse(*shop_, clock_, rng, 10, false);
  ASSERT_TRUE(store().SaveSnapshot().ok());
  const Everyone before = ReadAll(store().live());
  const auto heard = shop_->listener.events;
  shop_.reset();
  for (const auto& file : std::filesystem::directory_iterator(folder_.File("data/state"))) {
    std::filesystem::resize_file(file.path(), std::filesystem::file_size(file.path()) / 2);
  }
  Start();
  EXPECT_FALSE(shop_->report.had_snapshot);
  EXPECT_NE(shop_->report.detail.find("replayed"), std::string::npos);
  EXPECT_EQ(ReadAll(store().live()), before);
  EXPECT_EQ(shop_->listener.events, heard);
}

TEST_F(EventStoreTest, ALogShorterThanItsSnapshotIsRefused) {
  Start();
  Rng rng(10);
  Browse(*shop_, clock_, rng, 5, false);
  ASSERT_TRUE(store().SaveSnapshot().ok());
  shop_.reset();
  std::filesystem::remove_all(folder_.File("data/log"));
  Shop broken(folder_, env_, folder_.File("data"), clock_, pool_);
  EXPECT_EQ(broken.opened.code(), StatusCode::kDataLoss);
  EXPECT_NE(broken.opened.message().find("missing"), std::string::npos);
}

TEST_F(EventStoreTest, ForgettingLeavesNoByteThatTells) {
  for (const bool with_snapshot : {false, true}) {
    Start();
    Event event = View("ann-of-the-green-gables", "lamp", "order-4711-a");
    event.session = "session-of-a-person";
    ASSERT_EQ(Append(event).outcome, Outcome::kAccepted);
    ASSERT_EQ(Append(View("bob", "lamp")).outcome, Outcome::kAccepted);
    UserRecord profile;
    profile.id = event.user;
    profile.attributes = {{"city", std::string("Charlottetown")}};
    ASSERT_TRUE(shop_->catalog->UpsertUsers(std::vector<UserRecord>{profile})[0].ok());
    const DecisionId id{static_cast<std::uint64_t>(clock_.Now().micros / 1000) << 16,
                        with_snapshot};
    ASSERT_TRUE(
        store().AppendDecision(shop_->keys->User(event.user), id, "what she was shown").ok());
    if (with_snapshot) {
      ASSERT_TRUE(store().SaveSnapshot().ok());
    }
    const UserKey ann = shop_->Key(event.user.value);
    const std::string key_row = **shop_->tables->Get(PersonKeys::kTable, ann.view());
    const std::string profile_row = **shop_->tables->Get(Catalog::kUserTable, ann.view());
    const auto snapshot_row = *shop_->tables->Get(EventStore::kSnapshotTable, "live-state");

    const auto forgotten = store().Forget(ann);
    ASSERT_TRUE(forgotten.ok()) << forgotten.status().ToString();
    EXPECT_TRUE(forgotten->was_known);
    EXPECT_FALSE(*store().Remembers(ann));
    EXPECT_TRUE(*store().Remembers(shop_->Key("bob")));
    for (int round = 0; round < 2; ++round) {
      EXPECT_FALSE(store().live().Remembers(ann));
      EXPECT_EQ(store().FindDecision(id).status().code(), StatusCode::kNotFound);
      EXPECT_EQ(shop_->catalog->GetUser(event.user).status().code(), StatusCode::kNotFound);
      for (const std::string_view text :
           {std::string_view("green-gables"), std::string_view("4711-a"),
            std::string_view("session-of-a-person"), std::string_view("Charlottetown"),
            std::string_view("what she was shown"), std::string_view(key_row),
            std::string_view(profile_row)}) {
        EXPECT_EQ(folder_.FileWith(text), "") << text;
      }
      if (snapshot_row) {
        EXPECT_EQ(folder_.FileWith(*snapshot_row), "");
      }
      std::size_t exported = 0;
      ASSERT_TRUE(store()
                      .ExportEvents([&](const Event& one) {
                        EXPECT_NE(one.user, event.user);
                        ++exported;
                        return Status::Ok();
                      })
                      .ok());
      EXPECT_EQ(exported, with_snapshot ? 2U : 1U);
      if (round == 0) Start();
    }
    EXPECT_FALSE(store().Forget(ann)->was_known);

    // She comes back as somebody new: her old key of an event is free, her row another.
    const std::size_t rows = store().live().user_row_count();
    EXPECT_EQ(Append(event).outcome, Outcome::kAccepted);
    EXPECT_EQ(Index(*store().live().RowOf(ann)), rows);
    std::vector<Interaction> buffer;
    EXPECT_EQ(store().live().Read(ann, buffer)->version, 1U);
    ASSERT_TRUE(store().Forget(ann).ok());
  }
}

TEST_F(EventStoreTest, ForgettingCutShortIsFinishedAtTheNextStart) {
  Start();
  ASSERT_EQ(Append(View("ann", "lamp")).outcome, Outcome::kAccepted);
  ASSERT_TRUE(store().SaveSnapshot().ok());
  const UserKey ann = shop_->Key("ann");
  const auto key = *shop_->keys->Find(ann);
  ASSERT_TRUE(key);
  const std::string key_row = **shop_->tables->Get(PersonKeys::kTable, ann.view());
  // The marker is in the log, and then the process dies.
  std::string marker;
  EncodeForgottenRecord(ann, key->generation(), clock_.Now(), marker);
  LogBatch batch;
  ASSERT_TRUE(batch.Add(static_cast<std::uint8_t>(RecordKind::kForgotten), marker).ok());
  ASSERT_TRUE(shop_->log->Append(std::move(batch)).ok());
  Start();
  EXPECT_FALSE(*store().Remembers(ann));
  EXPECT_EQ(folder_.FileWith(key_row), "");
  EXPECT_EQ(shop_->listener.forgotten, std::vector<UserKey>{ann});
  EXPECT_TRUE(shop_->listener.events.empty());
  Start();
  EXPECT_TRUE(shop_->report.had_snapshot);
  EXPECT_FALSE(*store().Remembers(ann));
  EXPECT_TRUE(shop_->listener.forgotten.empty());
}

TEST_F(EventStoreTest, ASecondMarkerOfTheSameKeyLeavesWhoCameBackAlone) {
  Start();
  ASSERT_EQ(Append(View("ann", "lamp")).outcome, Outcome::kAccepted);
  const UserKey ann = shop_->Key("ann");
  std::string marker;
  EncodeForgottenRecord(ann, (*shop_->keys->Find(ann))->generation(), clock_.Now(), marker);
  ASSERT_TRUE(store().Forget(ann).ok());
  ASSERT_EQ(Append(View("ann", "chair")).outcome, Outcome::kAccepted);
  const Everyone before = ReadAll(store().live());
  ASSERT_EQ(before.count(ann), 1U);
  LogBatch batch;
  ASSERT_TRUE(batch.Add(static_cast<std::uint8_t>(RecordKind::kForgotten), marker).ok());
  ASSERT_TRUE(shop_->log->Append(std::move(batch)).ok());
  for (int round = 0; round < 2; ++round) {
    Start();
    EXPECT_EQ(ReadAll(store().live()), before);
    EXPECT_TRUE(*store().Remembers(ann));
  }
}

TEST_F(EventStoreTest, RowsCountedFromALaterRecordAreAnotherEpoch) {
  const StoreSetup setup{.segment_bytes = 1 << 16};
  Start(setup);
  EXPECT_EQ(store().row_epoch(), 1U);
  for (int day = 0; day < 10; ++day) {
    const std::vector<Event> events(300, View("user" + std::to_string(day), "lamp"));
    ASSERT_EQ(store().AppendAndWait(events)[0].outcome, Outcome::kAccepted);
    clock_.Advance(std::chrono::hours(24));
  }
  ASSERT_TRUE(store().ApplyRetention(clock_.Now() - std::chrono::hours(72)).ok());
  ASSERT_GT(shop_->log->begin(), LogPosition{1});
  const Everyone before = ReadAll(store().live());
  Start(setup);
  EXPECT_EQ(store().row_epoch(), 1U);
  EXPECT_EQ(ReadAll(store().live()), before);
  shop_.reset();
  for (const auto& file : std::filesystem::directory_iterator(folder_.File("data/state"))) {
    std::filesystem::remove(file.path());
  }
  Start(setup);
  EXPECT_EQ(store().row_epoch(), shop_->log->begin().value);
  EXPECT_NE(shop_->report.detail.find("older"), std::string::npos);
}

TEST_F(EventStoreTest, ForgettingBesideAppendsLeavesNothingBehind) {
  Start();
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop) EXPECT_NE(Append(View("ann", "lamp")).outcome, Outcome::kRejected);
  });
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(store().Forget(shop_->Key("ann")).ok());
  stop = true;
  writer.join();
  ASSERT_TRUE(store().Settle().ok());
  const Everyone before = ReadAll(store().live());
  const std::size_t rows = store().live().user_row_count();
  Start();
  EXPECT_EQ(ReadAll(store().live()), before);
  EXPECT_EQ(store().live().user_row_count(), rows);
  ASSERT_TRUE(store().Forget(shop_->Key("ann")).ok());
  EXPECT_FALSE(*store().Remembers(shop_->Key("ann")));
}

// The slow obvious twin of the parallel scan is the export.
TEST_F(EventStoreTest, TrainingSeesEveryReadableEventInOrder) {
  Start();
  Rng rng(21);
  Browse(*shop_, clock_, rng, 60, true);
  std::vector<UserInteraction> scanned;
  ASSERT_TRUE(store()
                  .ScanInteractions(pool_,
                                    [&](std::span<const UserInteraction> some) {
                                      scanned.insert(scanned.end(), some.begin(), some.end());
                                    })
                  .ok());
  std::size_t i = 0;
  const auto view = shop_->catalog->view();
  ASSERT_TRUE(store()
                  .ExportEvents([&](const Event& event) {
                    if (i >= scanned.size()) return Internal("the scan has fewer");
                    EXPECT_EQ(scanned[i].user, *store().live().RowOf(shop_->Key(event.user.value)));
                    EXPECT_EQ(view->Id(scanned[i].interaction.item), event.item.value);
                    EXPECT_EQ(scanned[i].interaction.type, event.type);
                    EXPECT_EQ(scanned[i].interaction.time_s, event.time.seconds());
                    ++i;
                    return Status::Ok();
                  })
                  .ok());
  EXPECT_EQ(i, scanned.size());
  EXPECT_GT(i, 300U);
}

TEST_F(EventStoreTest, RetentionDropsWholeSegmentsAndOldHistory) {
  const StoreSetup setup{.segment_bytes = 1 << 16};
  Start(setup);
  for (int day = 0; day < 30; ++day) {
    std::vector<Event> events;
    for (int i = 0; i < 200; ++i) {
      events.push_back(View("user" + std::to_string(i % 20), "item" + std::to_string(day)));
    }
    ASSERT_EQ(store().AppendAndWait(events)[0].outcome, Outcome::kAccepted);
    clock_.Advance(std::chrono::hours(24));
  }
  const LogPosition first = shop_->log->begin();
  const Timestamp cutoff = clock_.Now() - std::chrono::hours(24 * 10);
  const Status dropped = store().ApplyRetention(cutoff);
  ASSERT_TRUE(dropped.ok()) << dropped.ToString();
  EXPECT_GT(shop_->log->begin(), first);
  const Everyone before = ReadAll(store().live());
  EXPECT_EQ(before.size(), 20U);
  for (const auto& [key, user] : before) {
    EXPECT_FALSE(user.history.empty());
    for (const auto& [item, time_s, type] : user.history) EXPECT_GE(time_s, cutoff.seconds());
  }
  Start(setup);
  EXPECT_EQ(ReadAll(store().live()), before);
  std::set<std::string> items;
  ASSERT_TRUE(store()
                  .ExportEvents([&](const Event& event) {
                    items.insert(event.item.value);
                    return Status::Ok();
                  })
                  .ok());
  EXPECT_TRUE(items.count("item29"));
  EXPECT_FALSE(items.count("item0"));
}

TEST_F(EventStoreTest, BadOptionsAreRefused) {
  Shop zero(folder_, env_, folder_.File("data"), clock_, pool_, {.history_length = 0});
  EXPECT_EQ(zero.opened.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(zero.opened.message().find("history_length"), std::string::npos);
}

// The log and the snapshots on a file system that crashes; the tables are SQLite's own affair.
class EventStoreCrashTest : public testing::Test {
 protected:
  // Every crash would be reported.
  EventStoreCrashTest() { SetLogLevel(LogLevel::kOff); }
  ~EventStoreCrashTest() override { SetLogLevel(LogLevel::kInfo); }

  TestFolder folder_;
  ManualClock clock_;
  ThreadPool pool_{1};
};

TEST_F(EventStoreCrashTest, WhatWasAcknowledgedIsThereAfterACrashAndNothingTwice) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    const TestFolder folder;
    FaultEnv env(seed);
    Rng rng(seed);
    std::set<std::string> acknowledged;
    std::set<std::string> sent;
    int number = 0;
    for (int life = 0; life < 4; ++life) {
      Shop shop(folder, env, "data", clock_, pool_);
      ASSERT_TRUE(shop.opened.ok()) << shop.opened.ToString();
      std::map<std::string, int> found;
      ASSERT_TRUE(shop.store
                      ->ExportEvents([&](const Event& event) {
                        ++found[event.idempotency_key];
                        return Status::Ok();
                      })
                      .ok());
      for (const std::string& key : acknowledged) ASSERT_EQ(found[key], 1) << key;
      for (const auto& [key, count] : found) {
        ASSERT_EQ(count, 1) << key;
        ASSERT_TRUE(sent.count(key)) << key;
      }
      EXPECT_EQ(shop.store->event_count(), found.size());

      env.DieAfter(10 + rng.Below(60));
      for (int i = 0; i < 40; ++i) {
        std::vector<Event> events;
        for (std::uint64_t n = 1 + rng.Below(4); n > 0; --n) {
          Event event;
          event.user = {"user" + std::to_string(rng.Below(5))};
          event.item = {"item" + std::to_string(rng.Below(5))};
          event.time = clock_.Now();
          event.idempotency_key = std::to_string(number++);
          sent.insert(event.idempotency_key);
          events.push_back(event);
        }
        const auto results = shop.store->AppendAndWait(events);
        for (std::size_t k = 0; k < events.size(); ++k) {
          if (results[k].outcome == Outcome::kAccepted) {
            acknowledged.insert(events[k].idempotency_key);
          }
        }
        if (i % 10 == 9) (void)shop.store->SaveSnapshot();
      }
      shop.store.reset();
      env.Crash();
    }
    EXPECT_FALSE(acknowledged.empty());
  }
}

TEST_F(EventStoreCrashTest, AKeyWhoseAppendFailedIsFreeAgain) {
  FaultEnv env(3);
  Shop shop(folder_, env, "data", clock_, pool_);
  ASSERT_TRUE(shop.opened.ok()) << shop.opened.ToString();
  Event event;
  event.user = {"ann"};
  event.item = {"lamp"};
  event.time = clock_.Now();
  event.idempotency_key = "k";
  env.Inject(FaultEnv::Fault::kSyncFails, 0);
  const std::vector<Event> twice = {event, event};
  for (const AppendResult& result : shop.store->AppendAndWait(twice)) {
    EXPECT_EQ(result.outcome, Outcome::kRejected);
    EXPECT_EQ(result.status.code(), StatusCode::kUnavailable) << result.status.ToString();
  }
  EXPECT_EQ(shop.store->event_count(), 0U);
  env.Heal();
  const auto results = shop.store->AppendAndWait(twice);
  EXPECT_EQ(results[0].outcome, Outcome::kAccepted) << results[0].status.ToString();
  EXPECT_EQ(results[1].outcome, Outcome::kDuplicate);
  EXPECT_EQ(shop.store->event_count(), 1U);
}

TEST_F(EventStoreCrashTest, AFullDiskRefusesClearlyAndLosesNothing) {
  FaultEnv env(4);
  Shop shop(folder_, env, "data", clock_, pool_);
  ASSERT_TRUE(shop.opened.ok());
  Event event;
  event.user = {"ann"};
  event.item = {"lamp"};
  event.time = clock_.Now();
  ASSERT_EQ(shop.store->AppendAndWait(std::span(&event, 1))[0].outcome, Outcome::kAccepted);
  const Everyone before = ReadAll(shop.store->live());
  env.Inject(FaultEnv::Fault::kNoSpace, 0, 1'000'000);
  const auto refused = shop.store->AppendAndWait(std::span(&event, 1))[0];
  EXPECT_EQ(refused.outcome, Outcome::kRejected);
  EXPECT_EQ(refused.status.code(), StatusCode::kResourceExhausted) << refused.status.ToString();
  EXPECT_FALSE(shop.store->SaveSnapshot().ok());
  EXPECT_EQ(ReadAll(shop.store->live()), before);
  env.Heal();
  EXPECT_EQ(shop.store->AppendAndWait(std::span(&event, 1))[0].outcome, Outcome::kAccepted);
  EXPECT_TRUE(shop.store->SaveSnapshot().ok());
}

}  // namespace
}  // namespace poise
