// SPDX-License-Identifier: Apache-2.0
//
// EmbeddedEngine: the Engine that keeps everything in one data directory of this machine.
//
//   data_dir/LOCK            held while open
//   data_dir/master.key      unless storage.master_key_file names another place
//   data_dir/tables.sqlite   items, profiles, keys, manifests
//   data_dir/log/            events and decisions
//   data_dir/state/          snapshots of the live state
//   data_dir/models/         publications
//
// Threads  Two of its own once StartBackground() was called: one for what is short and due every
//          moment, one for what takes long (training, snapshots, checkpoints).
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/published.h"
#include "base/thread_pool.h"
#include "catalog/catalog.h"
#include "catalog/person_keys.h"
#include "engine/engine.h"
#include "engine/outcome_learner.h"
#include "events/event_store.h"
#include "iteration/publication.h"
#include "iteration/training.h"
#include "serve/recommender.h"
#include "storage/env.h"
#include "storage/segment_log.h"
#include "storage/table.h"

namespace poise {

class Counter;
class Gauge;
class Histogram;

class EmbeddedEngine final : public Engine {
 public:
  EmbeddedEngine(const Configuration& configuration, Env& env, const Clock& clock,
                 MetricsRegistry& metrics);
  ~EmbeddedEngine() override;

  // Requires  called once, before all else.
  Status Start();

  std::vector<Status> UpsertItems(std::span<const ItemRecord> items) override;
  Result<ItemRecord> GetItem(const ItemId& id) override;
  Status DeleteItem(const ItemId& id) override;
  Result<Page<ItemRecord>> ListItems(std::string_view cursor, int limit) override;
  std::vector<Status> UpsertUsers(std::span<const UserRecord> users) override;
  Result<UserRecord> GetUser(const UserId& id) override;
  Status DeleteUser(const UserId& id) override;
  Result<Page<UserRecord>> ListUsers(std::string_view cursor, int limit) override;

  void RecordEvents(std::vector<Event> events,
                    std::function<void(std::vector<EventResult>)> done) override;

  Result<RecommendResponse> Recommend(const RecommendRequest& request) override;
  Result<RecommendResponse> Rerank(const RerankRequest& request) override;
  Result<std::vector<ScoredItem>> Similar(const ItemId& item, int limit) override;
  Result<std::vector<ScoredItem>> Popular(std::string_view category, int limit) override;
  Result<std::vector<ScoredItem>> Trending(std::string_view category, int limit) override;
  Result<DecisionRecord> FindDecision(const DecisionId& id) override;

  Result<ForgetReceipt> Forget(const UserId& id) override;

  Result<std::vector<ModelDescription>> Train(Progress* progress) override;
  Status RequestTraining() override;
  Status RollBack() override;
  std::vector<ModelDescription> Models() override;

  EngineState State() override;
  Status Export(const ExportSink& sink) override;
  Tables& tables() override { return *tables_; }

  Status Tick() override;
  void StartBackground() override;
  Status Settle() override;
  Status Close() override;

 private:
  enum class RefreshCause { kClock, kModels };

  Status OpenStorage();
  Status Recover();
  // Publishes the state that requests are answered from: new lists, and the models if `cause` says
  // so.
  Status Refresh(RefreshCause cause);
  std::shared_ptr<const SharedLists> MakeLists(const CatalogView& catalog, Timestamp now,
                                               std::vector<ScoredRow>& popular,
                                               std::vector<ScoredRow>& trending) const;
  Result<TrainingView> MakeTrainingView();
  bool IsTrainingDue() const;
  // What takes long: training that was asked for or is due, snapshots, checkpoints.
  Status Chores();
  void SetGauges();

  const Configuration configuration_;
  Env& env_;
  const Clock& clock_;
  MetricsRegistry& metrics_;
  const EventWeights weights_;
  ThreadPool pool_;

  std::unique_ptr<FileLock> lock_;
  std::optional<MasterKey> master_;
  std::unique_ptr<Tables> tables_;
  std::unique_ptr<SegmentLog> log_;
  std::unique_ptr<PersonKeys> keys_;
  std::unique_ptr<Catalog> catalog_;
  OutcomeLearner learner_;
  std::unique_ptr<EventStore> events_;
  std::unique_ptr<PublicationStore> publications_;
  std::vector<ModelSpecification> specifications_;
  std::string recovery_;

  Published<Publication> publication_;
  Published<ServingState> state_;
  std::unique_ptr<Recommender> recommender_;

  std::mutex refresh_mutex_;  // one Refresh() at a time; guards the three below
  std::uint64_t listed_catalog_version_ = 0;
  Timestamp last_refresh_;
  Timestamp last_epoch_;

  std::mutex training_mutex_;  // held while training
  std::atomic<bool> is_training_{false};
  std::atomic<bool> is_training_requested_{false};
  std::atomic<std::uint64_t> trained_event_count_{0};
  std::atomic<std::int64_t> last_training_micros_{0};
  std::atomic<std::uint64_t> forget_count_{0};
  std::atomic<std::int64_t> last_snapshot_micros_{0};
  std::mutex chores_mutex_;

  std::mutex background_mutex_;
  std::condition_variable background_wake_;
  bool is_stopping_ = false;
  bool is_closed_ = false;
  std::atomic<bool> has_background_{false};
  std::jthread ticker_;
  std::jthread worker_;

  Gauge& item_gauge_;
  Gauge& user_gauge_;
  Gauge& event_gauge_;
  Gauge& model_age_gauge_;
  Gauge& pending_gauge_;
  Counter& training_counter_;
  Histogram& refresh_histogram_;
};

}  // namespace poise
