// SPDX-License-Identifier: Apache-2.0
//
// FakeEngine: for tests of the door: keeps what it is given in maps, answers with every field set,
// and fails when told to.
#pragma once

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/check.h"
#include "engine/engine.h"

namespace poise {

class FakeEngine final : public Engine {
 public:
  ~FakeEngine() override { Join(); }

  // What every call fails with from now on; ok: nothing.
  void FailWith(Status status) { failure_ = std::move(status); }
  bool is_ready = true;
  bool is_training = false;
  std::vector<Event> recorded;
  RecommendRequest last_request;
  RerankRequest last_rerank;
  std::string last_category;
  int last_limit = 0;

  std::vector<Status> UpsertItems(std::span<const ItemRecord> items) override {
    std::vector<Status> statuses;
    for (const ItemRecord& item : items) {
      if (failure_.ok()) items_[item.id.value] = item;
      statuses.push_back(failure_);
    }
    return statuses;
  }
  Result<ItemRecord> GetItem(const ItemId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    const auto found = items_.find(id.value);
    if (found == items_.end()) return NotFound("itemId: no such item");
    return found->second;
  }
  Status DeleteItem(const ItemId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    return items_.erase(id.value) > 0 ? Status::Ok() : NotFound("itemId: no such item");
  }
  Result<Page<ItemRecord>> ListItems(std::string_view cursor, int limit) override {
    return PageOf(items_, cursor, limit);
  }
  std::vector<Status> UpsertUsers(std::span<const UserRecord> users) override {
    std::vector<Status> statuses;
    for (const UserRecord& user : users) {
      if (failure_.ok()) users_[user.id.value] = user;
      statuses.push_back(failure_);
    }
    return statuses;
  }
  Result<UserRecord> GetUser(const UserId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    const auto found = users_.find(id.value);
    if (found == users_.end()) return NotFound("userId: no such user");
    return found->second;
  }
  Status DeleteUser(const UserId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    return users_.erase(id.value) > 0 ? Status::Ok() : NotFound("userId: no such user");
  }
  Result<Page<UserRecord>> ListUsers(std::string_view cursor, int limit) override {
    return PageOf(users_, cursor, limit);
  }

  // Answers from a thread of its own, as a commit does.
  void RecordEvents(std::vector<Event> events,
                    std::function<void(std::vector<EventResult>)> done) override {
    std::vector<EventResult> results;
    const std::lock_guard lock(mutex_);
    for (Event& event : events) {
      EventResult& result = results.emplace_back();
      if (!failure_.ok()) {
        result = {EventResult::Outcome::kRejected, failure_};
      } else if (!event.idempotency_key.empty() &&
                 !idempotency_keys_.insert(event.user.value + '\0' + event.idempotency_key)
                      .second) {
        result.outcome = EventResult::Outcome::kDuplicate;
      } else {
        recorded.push_back(std::move(event));
      }
    }
    threads_.emplace_back(
        [done = std::move(done), results = std::move(results)] { done(results); });
  }
  void Join() {
    std::vector<std::thread> threads;
    {
      const std::lock_guard lock(mutex_);
      threads.swap(threads_);
    }
    for (std::thread& thread : threads) thread.join();
  }

  Result<RecommendResponse> Recommend(const RecommendRequest& request) override {
    POISE_RETURN_IF_ERROR(failure_);
    last_request = request;
    return ResponseOf(request.placement, request.slots);
  }
  Result<RecommendResponse> Rerank(const RerankRequest& request) override {
    POISE_RETURN_IF_ERROR(failure_);
    last_rerank = request;
    return ResponseOf(request.placement, std::min<int>(request.slots, request.items.size()));
  }
  Result<std::vector<ScoredItem>> Similar(const ItemId& item, int limit) override {
    if (items_.count(item.value) == 0) return NotFound("itemId: no such item");
    return Scored("", limit);
  }
  Result<std::vector<ScoredItem>> Popular(std::string_view category, int limit) override {
    return Scored(category, limit);
  }
  Result<std::vector<ScoredItem>> Trending(std::string_view category, int limit) override {
    return Scored(category, limit);
  }
  Result<DecisionRecord> FindDecision(const DecisionId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    if (id != kDecision) return NotFound("decisionId: no such decision");
    DecisionRecord record;
    record.decision = {.id = id,
                       .user = {},
                       .placement = "home",
                       .time = Timestamp::FromSeconds(1'700'000'000),
                       .policy = "greedy",
                       .policy_parameters = "",
                       .model_version = 3,
                       .seed = UINT64_MAX,
                       .eligible_count = 9,
                       .eligible_hash = 0xab,
                       .filters = "available",
                       .slate = {Choice{}},
                       .degraded = {{"candidates", "deadline"}}};
    record.decision.slate[0].propensity = 0.5F;
    record.decision.slate[0].sources = Bit(Source::kPopular) | Bit(Source::kFresh);
    record.items = {{"i0"}};
    record.exploit_items = {{"i1"}};
    return record;
  }

  Result<ForgetReceipt> Forget(const UserId& id) override {
    POISE_RETURN_IF_ERROR(failure_);
    return ForgetReceipt{.user_pseudonym = "00ff",
                         .forgotten = Timestamp::FromSeconds(1'700'000'000),
                         .was_known = users_.erase(id.value) > 0,
                         .model_erasure = "at the next publication"};
  }
  Result<std::vector<ModelDescription>> Train(Progress*) override { return Models(); }
  Status RequestTraining() override {
    if (is_training) return FailedPrecondition("a training is under way");
    is_training = true;
    return Status::Ok();
  }
  Status RollBack() override { return failure_; }
  std::vector<ModelDescription> Models() override {
    return {{.name = "popularity",
             .version = 3,
             .trained = Timestamp::FromSeconds(1'700'000'000),
             .train_seconds = 0.5,
             .interaction_count = 10,
             .is_serving = true}};
  }
  EngineState State() override {
    EngineState state;
    state.is_ready = is_ready;
    state.not_ready_because = "opening";
    state.item_count = items_.size();
    state.model_version = 3;
    state.model_trained = Timestamp::FromSeconds(1'700'000'000);
    return state;
  }
  Status Export(const ExportSink&) override { return Status::Ok(); }
  Tables& tables() override { return *static_cast<Tables*>(nullptr); }  // the door is given its own
  Status Tick() override { return Status::Ok(); }
  void StartBackground() override {}
  Status Settle() override { return Status::Ok(); }
  Status Close() override { return Status::Ok(); }

  static constexpr DecisionId kDecision{0x0123456789abcdef, 0xfedcba9876543210};

 private:
  template <typename T>
  Result<Page<T>> PageOf(const std::map<std::string, T>& all, std::string_view cursor, int limit) {
    POISE_RETURN_IF_ERROR(failure_);
    Page<T> page;
    for (auto at = all.lower_bound(std::string(cursor)); at != all.end(); ++at) {
      if (static_cast<int>(page.rows.size()) == limit) {
        page.next_cursor = at->first;
        break;
      }
      page.rows.push_back(at->second);
    }
    return page;
  }
  Result<std::vector<ScoredItem>> Scored(std::string_view category, int limit) {
    POISE_RETURN_IF_ERROR(failure_);
    last_category = category;
    last_limit = limit;
    return std::vector<ScoredItem>{{{"i0"}, "Teapot", 0.5F}, {{"i1"}, "", 0.25F}};
  }
  RecommendResponse ResponseOf(const std::string& placement, int slots) {
    RecommendResponse response{.decision = kDecision,
                               .placement = placement,
                               .policy = "greedy",
                               .policy_version = "greedy@3",
                               .model_version = 3,
                               .eligible_count = 9,
                               .items = {},
                               .degraded = {{"candidates", "deadline"}}};
    for (int slot = 0; slot < slots; ++slot) {
      response.items.push_back({.item = {"i" + std::to_string(slot)},
                                .title = slot == 0 ? "Teapot" : "",
                                .slot = slot,
                                .score = 0.5F,
                                .propensity = 0.25F,
                                .explored = slot % 2 == 1,
                                .sources = {"popular"},
                                .reason_code = "popular",
                                .reason = "liked by most"});
    }
    return response;
  }

  std::mutex mutex_;
  Status failure_;
  std::map<std::string, ItemRecord> items_;
  std::map<std::string, UserRecord> users_;
  std::set<std::string> idempotency_keys_;
  std::vector<std::thread> threads_;
};

}  // namespace poise
