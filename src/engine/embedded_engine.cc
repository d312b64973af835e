// SPDX-License-Identifier: Apache-2.0
#include "engine/embedded_engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <latch>
#include <numeric>

#include "base/log.h"
#include "base/rng.h"
#include "crypto/master_key.h"
#include "engine/translate.h"
#include "features/training_view.h"
#include "metrics/metrics.h"
#include "policy/decision_codec.h"
#include "policy/registry.h"

namespace poise {
namespace {

constexpr std::string_view kModelKeyPurpose = "models";
constexpr std::size_t kListLength = 1000;
constexpr std::size_t kFreshListLength = 2000;
constexpr std::uint32_t kGraduationTrials = 50;  // shown so often an item is no longer fresh
constexpr std::chrono::seconds kRefreshEvery{1};
// Everybody's candidates are made anew once a minute, and in a third of it while items change.
constexpr std::chrono::milliseconds kEpochEvery{60'000 / kEpochTurn};
constexpr std::chrono::seconds kEpochAfterCatalogChange{5};
constexpr std::uint64_t kEpochStepAfterCatalogChange = kEpochTurn / 4;
constexpr std::chrono::milliseconds kTickEvery{200};
constexpr std::uint64_t kCheckpointBytes = 4 << 20;
// A start replays what came after the snapshot: some 300,000 records a second.
constexpr std::uint64_t kSnapshotAfterRecords = 100'000;
constexpr std::chrono::seconds kSnapshotAtMostEvery{5};

std::string Hex(const UserKey& key) {
  std::string text;
  for (const std::uint8_t byte : key.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

std::vector<ItemRow> Rows(const std::vector<ScoredRow>& scored) {
  std::vector<ItemRow> rows;
  rows.reserve(scored.size());
  for (const ScoredRow& each : scored) rows.push_back(each.item);
  return rows;
}

Status ValidatePageLimit(int limit) {
  constexpr int kMaxPage = 1000;
  if (limit >= 1 && limit <= kMaxPage) return Status::Ok();
  return InvalidArgument(fmt::format("limit: must be in [1, {}], got {}", kMaxPage, limit));
}

// A full queue or disk in the words that the doors know, and without a path of this machine. What
// else is exhausted (the catalog's rows) keeps its own words.
Status AtTheDoor(Status status) {
  if (status.code() != StatusCode::kResourceExhausted) return status;
  const std::string& message = status.message();
  const auto says = [&](std::string_view words) {
    return message.find(words) != std::string::npos;
  };
  if (message.starts_with("log queue:")) {
    return ResourceExhausted("queue full: more is waiting for the disk than it takes; try again");
  }
  // What strerror() and SQLite call a full disk, a quota and the largest file there may be.
  if (says("disk") || says("No space left") || says("no space") || says("quota") ||
      says("File too large")) {
    return ResourceExhausted("disk full: writes are refused until there is space, reads go on");
  }
  return status;
}

std::vector<Status> AtTheDoor(std::vector<Status> statuses) {
  for (Status& status : statuses) status = AtTheDoor(std::move(status));
  return statuses;
}

}  // namespace

std::vector<std::string> EngineTableNames() {
  std::vector<std::string> names = CatalogTableNames();
  for (std::string& name : EventStore::TableNames()) names.push_back(std::move(name));
  names.emplace_back(PublicationStore::kTable);
  names.emplace_back(kKeysTable);
  names.emplace_back(kImportsTable);
  return names;
}

Result<std::unique_ptr<Engine>> Engine::Open(const Configuration& configuration, Env& env,
                                             const Clock& clock, MetricsRegistry& metrics) {
  auto engine = std::make_unique<EmbeddedEngine>(configuration, env, clock, metrics);
  POISE_RETURN_IF_ERROR(engine->Start());
  return std::unique_ptr<Engine>(std::move(engine));
}

std::vector<EventResult> Engine::RecordEventsAndWait(std::vector<Event> events) {
  std::vector<EventResult> answer;
  std::latch finished(1);
  RecordEvents(std::move(events), [&](std::vector<EventResult> results) {
    answer = std::move(results);
    finished.count_down();
  });
  finished.wait();
  return answer;
}

EmbeddedEngine::EmbeddedEngine(const Configuration& configuration, Env& env, const Clock& clock,
                               MetricsRegistry& metrics)
    : configuration_(configuration),
      env_(env),
      clock_(clock),
      metrics_(metrics),
      weights_(EventWeightsOf(configuration.events)),
      pool_(static_cast<std::size_t>(configuration.training.threads)),
      learner_(JoinerOptionsOf(configuration.feedback), {}, weights_, metrics),
      item_gauge_(metrics.GetGauge("poise_items", "Items in the catalog.")),
      user_gauge_(metrics.GetGauge("poise_users", "People with a history in memory.")),
      event_gauge_(metrics.GetGauge("poise_events", "Events accepted so far.")),
      model_age_gauge_(metrics.GetGauge("poise_model_age_seconds",
                                        "Time since the serving models were trained.")),
      pending_gauge_(metrics.GetGauge("poise_decisions_pending",
                                      "Decisions that wait for what will come of them.")),
      training_counter_(
          metrics.GetCounter("poise_trainings_total", "Publications of newly trained models.")),
      refresh_histogram_(metrics.GetHistogram("poise_refresh_seconds",
                                              "Time to make the lists that requests share.",
                                              LatencyBoundsSeconds())) {}

EmbeddedEngine::~EmbeddedEngine() {
  const Status status = Close();
  if (!status.ok()) LogError("closing: " + status.message());
}

Status EmbeddedEngine::OpenStorage() {
  const std::string& directory = configuration_.data_dir;
  POISE_RETURN_IF_ERROR(env_.MakeDirectories(directory));
  auto lock = env_.Lock(directory + "/LOCK");
  if (!lock.ok()) {
    return Status(lock.status().code(), fmt::format("{} is in use by another poise process ({})",
                                                    directory, lock.status().message()));
  }
  lock_ = *std::move(lock);

  const std::string& key_file = configuration_.storage.master_key_file;
  POISE_ASSIGN_OR_RETURN(
      master_, MasterKey::LoadOrCreate(key_file.empty() ? directory + "/master.key" : key_file));
  POISE_ASSIGN_OR_RETURN(tables_, Tables::Open(directory + "/tables.sqlite", EngineTableNames()));
  POISE_ASSIGN_OR_RETURN(keys_, PersonKeys::Open(*tables_, *master_));
  POISE_ASSIGN_OR_RETURN(catalog_, Catalog::Open(*tables_, *keys_, clock_));
  RecoveryReport report;
  POISE_ASSIGN_OR_RETURN(log_, SegmentLog::Open(env_, directory + "/log",
                                                LogOptionsOf(configuration_.storage), &report));
  recovery_ = report.detail;
  POISE_ASSIGN_OR_RETURN(events_, EventStore::Open({.env = env_,
                                                    .log = *log_,
                                                    .tables = *tables_,
                                                    .catalog = *catalog_,
                                                    .keys = *keys_,
                                                    .master = *master_,
                                                    .clock = clock_,
                                                    .listener = &learner_},
                                                   StoreOptionsOf(configuration_)));
  publications_ = std::make_unique<PublicationStore>(
      env_, *tables_, directory + "/models",
      configuration_.storage.sealed ? master_->Derive(kModelKeyPurpose) : SecretBytes(),
      static_cast<std::size_t>(configuration_.training.kept_versions));
  return Status::Ok();
}

Status EmbeddedEngine::Recover() {
  POISE_ASSIGN_OR_RETURN(const ReplayReport report, events_->Recover(pool_, learner_.Hooks()));
  const std::string replay =
      fmt::format("replayed {} events and {} decisions{}", report.event_count,
                  report.decision_count, report.had_snapshot ? " after the snapshot" : "");
  recovery_ +=
      (recovery_.empty() ? "" : " ") + replay + (report.detail.empty() ? "" : ". " + report.detail);
  auto loaded = publications_->Load();
  if (loaded.ok()) {
    publication_.Publish(*loaded);
    trained_event_count_ = (*loaded)->interaction_count;
    last_training_micros_ = (*loaded)->trained.micros;
  } else if (loaded.status().code() != StatusCode::kNotFound) {
    // Serving without models is worse than serving with them, and better than not serving.
    LogError("no models: " + loaded.status().message());
    recovery_ += ". Models could not be loaded: " + loaded.status().message();
  }
  return Status::Ok();
}

Status EmbeddedEngine::Start() {
  POISE_ASSIGN_OR_RETURN(specifications_, ModelSpecificationsOf(configuration_.training));
  const auto policy = MakePolicy(configuration_.policy.name, configuration_.policy.parameters);
  if (!policy.ok()) return Status(policy.status().code(), "policy: " + policy.status().message());
  POISE_RETURN_IF_ERROR(OpenStorage());
  POISE_RETURN_IF_ERROR(Recover());
  last_snapshot_micros_ = clock_.Now().micros;
  POISE_RETURN_IF_ERROR(Refresh(RefreshCause::kModels));
  recommender_ = std::make_unique<Recommender>(Recommender::Parts{.clock = clock_,
                                                                  .catalog = *catalog_,
                                                                  .keys = *keys_,
                                                                  .events = *events_,
                                                                  .posterior = learner_.posterior(),
                                                                  .joiner = learner_.joiner(),
                                                                  .state = state_,
                                                                  .metrics = metrics_},
                                               RecommenderOptionsOf(configuration_));
  learner_.set_on_forget([this](const UserKey& user) { recommender_->cache().Forget(user); });
  SetGauges();
  LogInfo(fmt::format("opened {}: {}", configuration_.data_dir, recovery_));
  return Status::Ok();
}

std::shared_ptr<const SharedLists> EmbeddedEngine::MakeLists(
    const CatalogView& catalog, Timestamp now, std::vector<ScoredRow>& popular,
    std::vector<ScoredRow>& trending) const {
  auto lists = std::make_shared<SharedLists>();
  lists->item_count = catalog.row_count();
  const auto best_first = [](const ScoredRow& a, const ScoredRow& b) {
    return a.score != b.score ? a.score > b.score : a.item < b.item;
  };
  const auto keep_best = [&](std::vector<ScoredRow>& rows, std::size_t count) {
    count = std::min(count, rows.size());
    std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(),
                      best_first);
    rows.resize(count);
  };

  std::vector<ScoredRow> fresh;
  for (std::size_t i = 0; i < catalog.row_count(); ++i) {
    const auto row = static_cast<ItemRow>(i);
    if (!catalog.Exists(row)) continue;
    const ItemCounts counts = events_->live().CountsOf(row);
    float score = 0;
    for (std::size_t type = 0; type < kEventTypeCount; ++type) {
      score += weights_.by_type[type] * static_cast<float>(counts[type]);
    }
    if (score > 0) popular.push_back({row, score});
    if (learner_.posterior().TrialCount(row) < kGraduationTrials) {
      // Newest first; what came at the same moment is in an order of its own each hour, so that a
      // whole imported catalog gets its turn.
      const double tie =
          static_cast<double>(Mix64(i ^ static_cast<std::uint64_t>(now.seconds() / 3600)) >> 40) *
          0x1p-24;
      fresh.push_back(
          {row, static_cast<float>(static_cast<double>(catalog.CreatedSeconds(row) / 3600) + tie)});
    }
  }
  keep_best(popular, kListLength);
  keep_best(fresh, kFreshListLength);
  trending = learner_.trends().Top(kListLength, static_cast<std::uint32_t>(now.seconds()));
  lists->popular = Rows(popular);
  lists->trending = Rows(trending);
  lists->fresh = Rows(fresh);
  lists->uncertain = learner_.posterior().Widest(catalog.row_count(), kListLength);
  if (const auto publication = publication_.Load()) lists->repeat_rates = publication->repeat_rates;
  return lists;
}

Status EmbeddedEngine::Refresh(RefreshCause cause) {
  const std::lock_guard lock(refresh_mutex_);
  const auto start = clock_.Steady();
  const Timestamp now = clock_.Now();
  const std::shared_ptr<const ServingState> before = state_.Load();
  const std::shared_ptr<const CatalogView> catalog = catalog_->view();

  auto next = std::make_shared<ServingState>();
  if (before != nullptr) *next = *before;
  auto popular = std::make_shared<std::vector<ScoredRow>>();
  auto trending = std::make_shared<std::vector<ScoredRow>>();
  next->lists = MakeLists(*catalog, now, *popular, *trending);
  next->popular = std::move(popular);
  next->trending = std::move(trending);

  if (cause == RefreshCause::kModels) {
    const RetrieverOptions options = RetrieverOptionsOf(configuration_.candidates, weights_);
    std::shared_ptr<const InterestModel> primary;
    next->neighbours = nullptr;
    next->trained_event_counts = nullptr;
    next->model_version = 0;
    if (const auto publication = publication_.Load()) {
      // Aliases keep the whole publication alive as long as one of its models serves.
      if (const InterestModel* model = publication->WithItemVectors()) {
        primary = {publication, model};
      } else if (!publication->models.empty()) {
        primary = {publication, publication->models.front().model.get()};
      }
      if (const InterestModel* model = publication->WithNeighbours()) {
        next->neighbours = {publication, model};
      }
      if (publication->row_epoch == events_->row_epoch()) {
        next->trained_event_counts = {publication, &publication->trained_event_counts};
      }
      next->model_version = publication->version;
    }
    POISE_ASSIGN_OR_RETURN(next->retriever, Retriever::Make(primary, next->neighbours, options));
    POISE_ASSIGN_OR_RETURN(next->fallback, Retriever::Make(nullptr, nullptr, options));
    POISE_ASSIGN_OR_RETURN(
        next->policy, MakePolicy(configuration_.policy.name, configuration_.policy.parameters));
  }

  const bool catalog_changed = catalog->version() != listed_catalog_version_;
  if (cause == RefreshCause::kModels) ++next->models_epoch;
  if (catalog_changed && now - last_epoch_ >= kEpochAfterCatalogChange) {
    next->lists_epoch += kEpochStepAfterCatalogChange;
    listed_catalog_version_ = catalog->version();
    last_epoch_ = now;
  } else if (!catalog_changed && now - last_epoch_ >= kEpochEvery) {
    ++next->lists_epoch;
    last_epoch_ = now;
  }
  last_refresh_ = now;
  state_.Publish(std::move(next));
  refresh_histogram_.Observe(std::chrono::duration<double>(clock_.Steady() - start).count());
  return Status::Ok();
}

std::vector<Status> EmbeddedEngine::UpsertItems(std::span<const ItemRecord> items) {
  std::vector<Status> statuses = AtTheDoor(catalog_->UpsertItems(items));
  // The first items of a shop need not wait for the clock: an empty slate helps nobody.
  if (state_.Load()->lists->item_count == 0 && catalog_->view()->row_count() > 0) {
    const Status status = Refresh(RefreshCause::kModels);
    if (!status.ok()) LogError("the first items wait for the next refresh: " + status.message());
  }
  return statuses;
}

Result<ItemRecord> EmbeddedEngine::GetItem(const ItemId& id) { return catalog_->GetItem(id); }

Status EmbeddedEngine::DeleteItem(const ItemId& id) { return AtTheDoor(catalog_->DeleteItem(id)); }

Result<Page<ItemRecord>> EmbeddedEngine::ListItems(std::string_view cursor, int limit) {
  POISE_RETURN_IF_ERROR(ValidatePageLimit(limit));
  POISE_ASSIGN_OR_RETURN(ItemPage page,
                         catalog_->ListItems(cursor, static_cast<std::size_t>(limit)));
  return Page<ItemRecord>{std::move(page.items), std::move(page.next_cursor)};
}

std::vector<Status> EmbeddedEngine::UpsertUsers(std::span<const UserRecord> users) {
  return AtTheDoor(catalog_->UpsertUsers(users));
}

Result<UserRecord> EmbeddedEngine::GetUser(const UserId& id) { return catalog_->GetUser(id); }

Status EmbeddedEngine::DeleteUser(const UserId& id) { return AtTheDoor(catalog_->DeleteUser(id)); }

Result<Page<UserRecord>> EmbeddedEngine::ListUsers(std::string_view cursor, int limit) {
  POISE_RETURN_IF_ERROR(ValidatePageLimit(limit));
  POISE_ASSIGN_OR_RETURN(UserPage page,
                         catalog_->ListUsers(cursor, static_cast<std::size_t>(limit)));
  return Page<UserRecord>{std::move(page.users), std::move(page.next_cursor)};
}

void EmbeddedEngine::RecordEvents(std::vector<Event> events,
                                  std::function<void(std::vector<EventResult>)> done) {
  const Timestamp now = clock_.Now();
  for (Event& event : events) {
    if (event.time.micros == 0) event.time = now;
  }
  events_->Append(events, [done = std::move(done)](std::vector<AppendResult> appended) {
    std::vector<EventResult> results;
    results.reserve(appended.size());
    for (AppendResult& each : appended) {
      EventResult result;
      switch (each.outcome) {
        case AppendResult::Outcome::kAccepted:
          result.outcome = EventResult::Outcome::kAccepted;
          break;
        case AppendResult::Outcome::kDuplicate:
          result.outcome = EventResult::Outcome::kDuplicate;
          break;
        case AppendResult::Outcome::kRejected:
          result.outcome = EventResult::Outcome::kRejected;
          break;
      }
      result.status = AtTheDoor(std::move(each.status));
      results.push_back(std::move(result));
    }
    done(std::move(results));
  });
}

Result<RecommendResponse> EmbeddedEngine::Recommend(const RecommendRequest& request) {
  return recommender_->Recommend(request);
}

Result<RecommendResponse> EmbeddedEngine::Rerank(const RerankRequest& request) {
  return recommender_->Rerank(request);
}

Result<std::vector<ScoredItem>> EmbeddedEngine::Similar(const ItemId& item, int limit) {
  return recommender_->Similar(item, limit);
}

Result<std::vector<ScoredItem>> EmbeddedEngine::Popular(std::string_view category, int limit) {
  return recommender_->Popular(category, limit);
}

Result<std::vector<ScoredItem>> EmbeddedEngine::Trending(std::string_view category, int limit) {
  return recommender_->Trending(category, limit);
}

Result<DecisionRecord> EmbeddedEngine::FindDecision(const DecisionId& id) {
  POISE_ASSIGN_OR_RETURN(const StoredDecision stored, events_->FindDecision(id));
  DecisionRecord record;
  POISE_ASSIGN_OR_RETURN(record.decision, DecodeDecision(id, stored.user, stored.payload));
  const std::shared_ptr<const CatalogView> catalog = catalog_->view();
  const auto id_of = [&](ItemRow row) {
    return ItemId{Index(row) < catalog->row_count() ? catalog->Id(row) : std::string()};
  };
  for (const Choice& choice : record.decision.slate) {
    record.items.push_back(id_of(choice.item));
    record.exploit_items.push_back(id_of(choice.exploit_item));
  }
  return record;
}

Result<ForgetReceipt> EmbeddedEngine::Forget(const UserId& id) {
  POISE_RETURN_IF_ERROR(ValidateId(id.value, "userId"));
  const UserKey key = keys_->Pseudonym(id);
  // Before the erasure, so that a crash in between leaves no way back to an older publication.
  POISE_RETURN_IF_ERROR(publications_->ForgetOlder());
  ++forget_count_;
  const Result<ForgetResult> forgotten = events_->Forget(key);
  if (!forgotten.ok()) return AtTheDoor(forgotten.status());
  recommender_->cache().Forget(key);
  const bool has_models = publication_.Load() != nullptr;
  return ForgetReceipt{.user_pseudonym = Hex(key),
                       .forgotten = forgotten->forgotten,
                       .was_known = forgotten->was_known,
                       .model_erasure = has_models
                                            ? "what they taught leaves the models at the next "
                                              "publication; the rest is gone"
                                            : "no model holds anything"};
}

Result<TrainingView> EmbeddedEngine::MakeTrainingView() {
  TrainingViewBuilder builder;
  POISE_RETURN_IF_ERROR(
      events_->ScanInteractions(pool_, [&](std::span<const UserInteraction> rows) {
        for (const UserInteraction& row : rows) builder.Add(row.user, row.interaction);
      }));
  return builder.Build(clock_.Now(), events_->live().user_row_count(),
                       catalog_->view()->row_count());
}

Result<std::vector<ModelDescription>> EmbeddedEngine::Train(Progress* progress) {
  // One that the clock began may be under way: this one must know all events of now, so it waits.
  const std::lock_guard lock(training_mutex_);
  is_training_ = true;
  is_training_requested_ = false;
  const auto run = [&]() -> Status {
    const std::uint64_t forgotten_before = forget_count_.load();
    const std::uint64_t event_count = events_->event_count();
    POISE_ASSIGN_OR_RETURN(const TrainingView view, MakeTrainingView());
    const TrainContext context{.pool = pool_,
                               .seed = static_cast<std::uint64_t>(configuration_.training.seed),
                               .weights = weights_,
                               .progress = progress};
    POISE_ASSIGN_OR_RETURN(Publication trained,
                           TrainPublication(specifications_, view, context, clock_));
    trained.row_epoch = events_->row_epoch();
    trained.repeat_rates = CountRepeatRates(view);
    POISE_RETURN_IF_ERROR(publications_->Publish(trained));
    if (forget_count_.load() != forgotten_before) {
      // Somebody was forgotten while their events were being learned from: once more, without them.
      POISE_RETURN_IF_ERROR(publications_->ForgetOlder());
      is_training_requested_ = true;
    }
    publication_.Publish(std::make_shared<const Publication>(std::move(trained)));
    trained_event_count_ = event_count;
    return Refresh(RefreshCause::kModels);
  };
  const Status status = run();
  // A failure also counts as the last training, or a broken configuration would be retried at once.
  last_training_micros_ = clock_.Now().micros;
  is_training_ = false;
  POISE_RETURN_IF_ERROR(status);
  training_counter_.Increment();
  return Models();
}

Status EmbeddedEngine::RequestTraining() {
  if (is_training_.load() || is_training_requested_.exchange(true)) {
    return FailedPrecondition("a training is under way already");
  }
  background_wake_.notify_all();
  return Status::Ok();
}

Status EmbeddedEngine::RollBack() {
  POISE_ASSIGN_OR_RETURN(std::shared_ptr<const Publication> before, publications_->RollBack());
  publication_.Publish(std::move(before));
  return Refresh(RefreshCause::kModels);
}

std::vector<ModelDescription> EmbeddedEngine::Models() {
  std::vector<ModelDescription> descriptions;
  const std::shared_ptr<const Publication> publication = publication_.Load();
  if (publication == nullptr) return descriptions;
  for (const PublishedModel& each : publication->models) {
    descriptions.push_back({.name = std::string(each.model->Name()),
                            .version = publication->version,
                            .trained = publication->trained,
                            .train_seconds = each.train_seconds,
                            .interaction_count = publication->interaction_count,
                            .is_serving = true});
  }
  return descriptions;
}

EngineState EmbeddedEngine::State() {
  const std::shared_ptr<const ServingState> state = state_.Load();
  const std::shared_ptr<const Publication> publication = publication_.Load();
  EngineState out;
  out.is_ready = state != nullptr && recommender_ != nullptr;
  if (!out.is_ready) out.not_ready_because = "still recovering";
  out.item_count = catalog_->view()->item_count();
  out.user_count = events_->live().user_count();
  out.event_count = events_->event_count();
  out.decision_count = recommender_ == nullptr ? 0 : recommender_->decision_count();
  out.model_version = publication == nullptr ? 0 : publication->version;
  if (publication != nullptr) out.model_trained = publication->trained;
  out.is_training = is_training_.load();
  out.recovery = recovery_;
  return out;
}

Status EmbeddedEngine::Export(const ExportSink& sink) {
  constexpr int kPage = 1000;
  std::string cursor;
  do {
    POISE_ASSIGN_OR_RETURN(const Page<ItemRecord> page, ListItems(cursor, kPage));
    for (const ItemRecord& item : page.rows) POISE_RETURN_IF_ERROR(sink.on_item(item));
    cursor = page.next_cursor;
  } while (!cursor.empty());
  do {
    POISE_ASSIGN_OR_RETURN(const Page<UserRecord> page, ListUsers(cursor, kPage));
    for (const UserRecord& user : page.rows) POISE_RETURN_IF_ERROR(sink.on_user(user));
    cursor = page.next_cursor;
  } while (!cursor.empty());
  return events_->ExportEvents(sink.on_event);
}

void EmbeddedEngine::SetGauges() {
  const EngineState state = State();
  item_gauge_.Set(static_cast<double>(state.item_count));
  user_gauge_.Set(static_cast<double>(state.user_count));
  event_gauge_.Set(static_cast<double>(state.event_count));
  if (state.model_version != 0) {
    model_age_gauge_.Set(std::chrono::duration<double>(clock_.Now() - state.model_trained).count());
  }
  pending_gauge_.Set(static_cast<double>(learner_.joiner().pending_count()));
}

bool EmbeddedEngine::IsTrainingDue() const {
  const TrainingSection& training = configuration_.training;
  if (is_training_requested_.load()) return true;
  if (!training.enabled) return false;
  const std::uint64_t count = events_->event_count();
  const std::uint64_t trained = trained_event_count_.load();
  if (count < trained + static_cast<std::uint64_t>(training.min_new_events)) return false;
  const Timestamp last{last_training_micros_.load()};
  return clock_.Now() - last >= std::chrono::seconds(training.interval_s);
}

Status EmbeddedEngine::Chores() {
  const std::unique_lock lock(chores_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return Status::Ok();
  Status first;
  const auto keep = [&](std::string_view what, const Status& status) {
    if (status.ok()) return;
    LogError(fmt::format("{}: {}", what, status.message()));
    if (first.ok()) first = status;
  };
  if (IsTrainingDue()) {
    const auto trained = Train(nullptr);
    if (!trained.ok()) keep("training", trained.status());
  }
  const Timestamp now = clock_.Now();
  const Timestamp last{last_snapshot_micros_.load()};
  const std::uint64_t behind = log_->end().value - events_->snapshot_position().value;
  const bool is_long = behind >= kSnapshotAfterRecords && now - last >= kSnapshotAtMostEvery;
  const bool is_old =
      behind > 0 && now - last >= std::chrono::seconds(configuration_.storage.snapshot_interval_s);
  if (is_long || is_old) {
    last_snapshot_micros_ = now.micros;
    keep("snapshot", events_->SaveSnapshot());
  }
  if (tables_->change_log_bytes() > kCheckpointBytes) keep("checkpoint", tables_->Checkpoint());
  if (configuration_.storage.event_retention_days > 0) {
    keep("retention",
         events_->ApplyRetention(
             now - std::chrono::hours(24 * configuration_.storage.event_retention_days)));
  }
  return first;
}

Status EmbeddedEngine::Tick() {
  const Timestamp now = clock_.Now();
  learner_.Tick(now);
  bool is_refresh_due = false;
  {
    const std::lock_guard lock(refresh_mutex_);
    is_refresh_due = now - last_refresh_ >= kRefreshEvery;
  }
  if (is_refresh_due) {
    POISE_RETURN_IF_ERROR(Refresh(RefreshCause::kClock));
    SetGauges();
  }
  return has_background_ ? Status::Ok() : Chores();
}

void EmbeddedEngine::StartBackground() {
  const std::lock_guard lock(background_mutex_);
  if (has_background_.exchange(true)) return;
  const auto loop = [this](auto body) {
    std::unique_lock wait_lock(background_mutex_);
    while (!is_stopping_) {
      wait_lock.unlock();
      const Status status = body();
      if (!status.ok()) LogDebug("background: " + status.message());
      wait_lock.lock();
      if (!is_stopping_) background_wake_.wait_for(wait_lock, kTickEvery);
    }
  };
  ticker_ = std::jthread([this, loop] { loop([this] { return Tick(); }); });
  worker_ = std::jthread([this, loop] { loop([this] { return Chores(); }); });
}

Status EmbeddedEngine::Settle() { return events_->Settle(); }

Status EmbeddedEngine::Close() {
  {
    const std::lock_guard lock(background_mutex_);
    if (is_closed_) return Status::Ok();
    is_closed_ = true;
    is_stopping_ = true;
  }
  background_wake_.notify_all();
  if (ticker_.joinable()) ticker_.join();
  if (worker_.joinable()) worker_.join();
  if (recommender_ == nullptr) return Status::Ok();  // never got so far as to open
  POISE_RETURN_IF_ERROR(events_->Settle());
  POISE_RETURN_IF_ERROR(log_->Flush());
  if (events_->snapshot_position() != log_->end()) {
    POISE_RETURN_IF_ERROR(events_->SaveSnapshot());
  }
  return tables_->Checkpoint();
}

}  // namespace poise
