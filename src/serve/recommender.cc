// SPDX-License-Identifier: Apache-2.0
#include "serve/recommender.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/hash.h"
#include "base/rng.h"
#include "crypto/random.h"
#include "explain/reason.h"
#include "features/user_view.h"
#include "metrics/metrics.h"
#include "policy/decide.h"
#include "policy/decision_codec.h"

namespace poise {
namespace {

constexpr std::size_t kMaxFilterWords = 1000;

DecisionId NewDecisionId(Timestamp now) {
  std::array<std::uint8_t, 10> chance;
  RandomNonceBytes(chance);
  DecisionId id;
  std::memcpy(&id.low, chance.data(), sizeof id.low);
  std::uint16_t tail = 0;
  std::memcpy(&tail, chance.data() + sizeof id.low, sizeof tail);
  id.high = (static_cast<std::uint64_t>(now.micros / 1000) << 16) | tail;
  return id;
}

Status ValidateList(std::size_t size, std::string_view field) {
  if (size <= kMaxFilterWords) return Status::Ok();
  return InvalidArgument(fmt::format("{}: at most {}, got {}", field, kMaxFilterWords, size));
}

Status ValidateIds(std::span<const ItemId> ids, std::string_view field) {
  POISE_RETURN_IF_ERROR(ValidateList(ids.size(), field));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    POISE_RETURN_IF_ERROR(ValidateId(ids[i].value, fmt::format("{}[{}]", field, i)));
  }
  return Status::Ok();
}

Status ValidateAsker(const UserId& user, std::string_view session, std::string_view placement) {
  if (!user.value.empty()) POISE_RETURN_IF_ERROR(ValidateId(user.value, "userId"));
  if (!session.empty()) POISE_RETURN_IF_ERROR(ValidateId(session, "sessionId"));
  return ValidateId(placement, "placement");
}

Status ValidateSlots(int slots, int max_slots) {
  if (slots >= 1 && slots <= max_slots) return Status::Ok();
  return InvalidArgument(fmt::format("slots: must be in [1, {}], got {}", max_slots, slots));
}

Status ValidateLimit(int limit) {
  constexpr int kMaxLimit = 1000;
  if (limit >= 1 && limit <= kMaxLimit) return Status::Ok();
  return InvalidArgument(fmt::format("limit: must be in [1, {}], got {}", kMaxLimit, limit));
}

std::vector<std::string> SourceNames(SourceMask mask) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kSourceCount; ++i) {
    const auto source = static_cast<Source>(i);
    if ((mask & Bit(source)) != 0) names.emplace_back(SourceName(source));
  }
  return names;
}

// Scratch that a thread keeps, so that a request allocates only what it answers with.
struct Scratch {
  std::vector<Interaction> history;
  std::vector<Candidate> eligible;
  std::vector<Belief> beliefs;
  std::string payload;
};

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

}  // namespace

// Who asks, and what is known of them.
struct Recommender::Asker {
  std::optional<PersonRef> person;
  UserView view;
  std::uint32_t version = 0;
  bool has_request_history = false;
};

Recommender::Recommender(const Parts& parts, const RecommenderOptions& options)
    : parts_(parts),
      options_(options),
      cache_(options.cache_bytes),
      latency_(parts.metrics.GetHistogram(
          "poise_recommend_seconds", "Time from a request to its slate.", LatencyBoundsSeconds())),
      explored_slots_(parts.metrics.GetCounter("poise_slots_total", "Slots filled, by intent.",
                                               {{"intent", "explore"}})),
      exploited_slots_(parts.metrics.GetCounter("poise_slots_total", "Slots filled, by intent.",
                                                {{"intent", "exploit"}})),
      unlogged_(parts.metrics.GetCounter("poise_decisions_unlogged_total",
                                         "Decisions that the log could not take.")),
      retrievals_(parts.metrics.GetCounter("poise_retrievals_total",
                                           "Candidate sets made, not found in the cache.")) {}

std::optional<PersonRef> Recommender::PersonOf(const UserId& user, std::string_view session) const {
  if (!user.value.empty()) return parts_.keys.User(user);
  if (!session.empty()) return parts_.keys.Visitor(session);
  return std::nullopt;
}

Status Recommender::ReadAsker(const RecommendRequest& request, const ServingState& state,
                              const CatalogView& catalog, Asker& asker) const {
  std::vector<Interaction>& buffer = ThreadScratch().history;
  buffer.clear();
  asker.person = PersonOf(request.user, request.session);
  asker.view = {.row = {}, .history = {}, .now = parts_.clock.Now()};
  if (asker.person.has_value()) {
    if (const auto known = parts_.events.live().Read(asker.person->key, buffer)) {
      asker.version = known->version;
      asker.view.history = known->interactions;
      if (state.trained_event_counts != nullptr) {
        asker.view.row = known->row;
        const std::vector<std::uint32_t>& counts = *state.trained_event_counts;
        asker.view.has_changed =
            Index(known->row) >= counts.size() || counts[Index(known->row)] != known->version;
      }
    }
  }
  if (request.history.empty()) return Status::Ok();

  asker.has_request_history = true;
  asker.view.has_changed = true;
  std::vector<Interaction> merged(asker.view.history.begin(), asker.view.history.end());
  const auto now_s = static_cast<std::uint32_t>(asker.view.now.seconds());
  for (const ItemId& id : request.history) {
    if (const auto row = catalog.Find(id.value)) {
      merged.push_back({*row, now_s, 1, EventType::kView});
    }
  }
  buffer = std::move(merged);
  asker.view.history = buffer;
  return Status::Ok();
}

HardFilters Recommender::FiltersOf(const RecommendRequest& request, const CatalogView& catalog,
                                   Timestamp now) const {
  HardFilters filters;
  filters.only_available = options_.only_available;
  filters.exclude_seen = request.exclude_seen.value_or(options_.exclude_seen);
  filters.exclude_bought = request.exclude_bought.value_or(options_.exclude_bought);
  // What people buy again and again is not hidden from them unless the caller insists.
  filters.keep_repeats = !request.exclude_bought.has_value();
  if (options_.bought_within.count() > 0) {
    filters.bought_since_s = static_cast<std::uint32_t>((now - options_.bought_within).seconds());
  }
  for (const std::string& name : request.categories) {
    if (const auto category = catalog.FindCategory(name)) {
      filters.any_categories.push_back(*category);
    }
  }
  filters.has_unknown_category = !request.categories.empty() && filters.any_categories.empty();
  for (const ItemId& id : request.exclude) {
    if (const auto row = catalog.Find(id.value)) filters.excluded.push_back(*row);
  }
  return filters;
}

std::shared_ptr<const CandidateSet> Recommender::Candidates(
    const RecommendRequest& request, const ServingState& state, const CatalogView& catalog,
    const HardFilters& filters, const Asker& asker, std::chrono::nanoseconds start,
    std::vector<Degradation>& degraded) {
  const bool is_narrow = !request.categories.empty();
  const bool is_cacheable = asker.person.has_value() && !asker.has_request_history && !is_narrow;
  const std::uint64_t person = asker.person.has_value() ? UserKeyHash{}(asker.person->key) : 0;
  const std::uint64_t epoch =
      Mix64(state.models_epoch) ^ (state.lists_epoch + person % kEpochTurn) / kEpochTurn;
  const CandidateCache::Version version{asker.version, epoch, StableHash(request.placement)};
  if (is_cacheable) {
    if (auto cached = cache_.Find(asker.person->key, version)) return cached;
  }

  RetrieveInput input{.user = asker.view, .lists = state.lists.get(), .allowed = {}};
  input.salt = Mix64(epoch) ^ person;
  if (!asker.person.has_value()) {
    // Nobody to be consistent for: each anonymous request may see another part of the catalog.
    std::array<std::uint8_t, sizeof input.salt> chance;
    RandomNonceBytes(chance);
    std::memcpy(&input.salt, chance.data(), chance.size());
  }
  std::vector<std::uint64_t> allowed;
  if (is_narrow) {
    allowed = AllowedRows(filters, catalog);
    input.allowed = allowed;
  }

  const Retriever* retriever = state.retriever.get();
  const auto expected = std::chrono::nanoseconds(retrieval_ns_.load(std::memory_order_relaxed));
  if (request.deadline.has_value() &&
      parts_.clock.Steady() - start + expected > *request.deadline) {
    retriever = state.fallback.get();
    degraded.push_back({"candidates", "no time to ask the models: shared lists only"});
  }
  const auto before = parts_.clock.Steady();
  retrievals_.Increment();
  auto set = std::make_shared<const CandidateSet>(retriever->Retrieve(input));
  if (retriever == state.retriever.get()) {
    const std::int64_t cost = (parts_.clock.Steady() - before).count();
    retrieval_ns_.store(expected.count() + (cost - expected.count()) / 8,
                        std::memory_order_relaxed);
    if (is_cacheable) cache_.Insert(asker.person->key, version, set);
  }
  return set;
}

Result<RecommendResponse> Recommender::DecideAndLog(const ServingState& state,
                                                    const CatalogView& catalog, const Asker& asker,
                                                    std::span<const Candidate> eligible,
                                                    std::string_view placement, int slots,
                                                    std::string filters,
                                                    std::vector<Degradation> degraded) {
  Scratch& scratch = ThreadScratch();
  scratch.beliefs.resize(eligible.size());
  parts_.posterior.Believe(eligible, scratch.beliefs);

  Decision decision;
  decision.id = NewDecisionId(asker.view.now);
  if (asker.person.has_value()) decision.user = asker.person->key;
  decision.placement = std::string(placement);
  decision.time = asker.view.now;
  decision.model_version = state.model_version;
  decision.filters = std::move(filters);
  decision.degraded = std::move(degraded);
  POISE_RETURN_IF_ERROR(Decide(*state.policy,
                               {.candidates = eligible,
                                .beliefs = scratch.beliefs,
                                .slot_count = slots,
                                .seed = DecisionSeed(decision.id)},
                               decision));

  RecommendResponse response;
  response.items.reserve(decision.slate.size());
  for (std::size_t slot = 0; slot < decision.slate.size(); ++slot) {
    const Choice& choice = decision.slate[slot];
    ReasonContext context;
    if (choice.anchor > 0 && choice.anchor <= asker.view.history.size()) {
      const Interaction& anchor = asker.view.history[choice.anchor - std::size_t{1}];
      if (catalog.Exists(anchor.item)) context.anchor_title = catalog.Title(anchor.item);
      context.anchor_type = anchor.type;
    }
    Reason reason = ExplainChoice(choice, context);
    response.items.push_back({.item = {catalog.Id(choice.item)},
                              .title = std::string(catalog.Title(choice.item)),
                              .slot = static_cast<int>(slot),
                              .score = choice.score,
                              .propensity = choice.propensity,
                              .explored = choice.explored,
                              .sources = SourceNames(choice.sources),
                              .reason_code = std::move(reason.code),
                              .reason = std::move(reason.english)});
    (choice.explored ? explored_slots_ : exploited_slots_).Increment();
  }

  parts_.joiner.OnDecision(decision);
  scratch.payload.clear();
  EncodeDecision(decision, scratch.payload);
  const Status logged = parts_.events.AppendDecision(asker.person, decision.id, scratch.payload);
  if (!logged.ok()) {
    unlogged_.Increment();
    decision.degraded.push_back({"log", "the decision could not be logged: " + logged.message()});
  }
  decision_count_.fetch_add(1, std::memory_order_relaxed);

  response.decision = decision.id;
  response.placement = std::move(decision.placement);
  response.policy = std::move(decision.policy);
  response.policy_version = fmt::format("{} {} model {}", response.policy,
                                        decision.policy_parameters, state.model_version);
  response.model_version = state.model_version;
  response.eligible_count = decision.eligible_count;
  response.degraded = std::move(decision.degraded);
  return response;
}

Result<RecommendResponse> Recommender::Recommend(const RecommendRequest& request) {
  POISE_RETURN_IF_ERROR(ValidateAsker(request.user, request.session, request.placement));
  POISE_RETURN_IF_ERROR(ValidateSlots(request.slots, options_.max_slots));
  POISE_RETURN_IF_ERROR(ValidateList(request.categories.size(), "categories"));
  POISE_RETURN_IF_ERROR(ValidateIds(request.exclude, "exclude"));
  POISE_RETURN_IF_ERROR(ValidateIds(request.history, "history"));

  const auto start = parts_.clock.Steady();
  const std::shared_ptr<const ServingState> state = parts_.state.Load();
  const std::shared_ptr<const CatalogView> catalog = parts_.catalog.view();
  Asker asker;
  POISE_RETURN_IF_ERROR(ReadAsker(request, *state, *catalog, asker));
  const HardFilters filters = FiltersOf(request, *catalog, asker.view.now);

  std::vector<Degradation> degraded;
  const std::shared_ptr<const CandidateSet> set =
      Candidates(request, *state, *catalog, filters, asker, start, degraded);
  degraded.insert(degraded.end(), set->degraded.begin(), set->degraded.end());
  std::vector<Candidate>& eligible = ThreadScratch().eligible;
  eligible.clear();
  FilterCandidates(set->candidates, filters, *catalog, asker.view.history, eligible);

  POISE_ASSIGN_OR_RETURN(RecommendResponse response,
                         DecideAndLog(*state, *catalog, asker, eligible, request.placement,
                                      request.slots, FilterNames(filters), std::move(degraded)));
  latency_.Observe(std::chrono::duration<double>(parts_.clock.Steady() - start).count());
  return response;
}

Result<RecommendResponse> Recommender::Rerank(const RerankRequest& request) {
  POISE_RETURN_IF_ERROR(ValidateAsker(request.user, request.session, request.placement));
  POISE_RETURN_IF_ERROR(ValidateSlots(request.slots, options_.max_slots));
  if (request.items.empty()) return InvalidArgument("items: must not be empty");
  if (request.items.size() > kMaxRerankItems) {
    return InvalidArgument(
        fmt::format("items: at most {}, got {}", kMaxRerankItems, request.items.size()));
  }
  const std::shared_ptr<const ServingState> state = parts_.state.Load();
  const std::shared_ptr<const CatalogView> catalog = parts_.catalog.view();
  std::vector<ItemRow> rows;
  std::size_t unknown_count = 0;
  for (std::size_t i = 0; i < request.items.size(); ++i) {
    POISE_RETURN_IF_ERROR(ValidateId(request.items[i].value, fmt::format("items[{}]", i)));
    const auto row = catalog->Find(request.items[i].value);
    if (row.has_value() && catalog->Exists(*row)) {
      rows.push_back(*row);
    } else {
      ++unknown_count;
    }
  }
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());

  RecommendRequest asked;
  asked.user = request.user;
  asked.session = request.session;
  Asker asker;
  POISE_RETURN_IF_ERROR(ReadAsker(asked, *state, *catalog, asker));
  CandidateSet set = state->retriever->Score(asker.view, rows);
  std::vector<Degradation> degraded = std::move(set.degraded);
  if (unknown_count > 0) {
    degraded.push_back({"items", fmt::format("{} unknown items were left out", unknown_count)});
  }
  HardFilters filters;
  filters.only_available = options_.only_available;
  std::vector<Candidate>& eligible = ThreadScratch().eligible;
  eligible.clear();
  FilterCandidates(set.candidates, filters, *catalog, asker.view.history, eligible);
  return DecideAndLog(*state, *catalog, asker, eligible, request.placement, request.slots,
                      FilterNames(filters), std::move(degraded));
}

Result<std::vector<ScoredItem>> Recommender::Similar(const ItemId& item, int limit) const {
  POISE_RETURN_IF_ERROR(ValidateId(item.value, "itemId"));
  POISE_RETURN_IF_ERROR(ValidateLimit(limit));
  const std::shared_ptr<const CatalogView> catalog = parts_.catalog.view();
  const auto row = catalog->Find(item.value);
  if (!row.has_value() || !catalog->Exists(*row)) {
    return NotFound("itemId: no such item");
  }
  const std::shared_ptr<const ServingState> state = parts_.state.Load();
  if (state->neighbours == nullptr) {
    return FailedPrecondition("no trained model knows similar items: train item-knn first");
  }
  std::vector<ScoredItem> similar;
  if (Index(*row) >= state->neighbours->ItemCount()) return similar;  // came after training
  const std::optional<NeighbourView> neighbours = state->neighbours->Neighbours();
  POISE_CHECK(neighbours.has_value());
  const std::size_t width = neighbours->neighbour_count;
  for (std::size_t i = Index(*row) * width; i < (Index(*row) + 1) * width; ++i) {
    if (similar.size() == static_cast<std::size_t>(limit)) break;
    const ItemRow other = neighbours->items[i];
    const float similarity = neighbours->similarities[i];
    if (similarity <= 0 || other == *row) continue;
    if (options_.only_available ? !catalog->IsAvailable(other) : !catalog->Exists(other)) continue;
    similar.push_back({{catalog->Id(other)}, std::string(catalog->Title(other)), similarity});
  }
  return similar;
}

Result<std::vector<ScoredItem>> Recommender::Listed(const std::vector<ScoredRow>& rows,
                                                    std::string_view category, int limit) const {
  POISE_RETURN_IF_ERROR(ValidateLimit(limit));
  const std::shared_ptr<const CatalogView> catalog = parts_.catalog.view();
  std::vector<ScoredItem> listed;
  std::optional<CategoryRow> wanted;
  if (!category.empty()) {
    wanted = catalog->FindCategory(category);
    if (!wanted.has_value()) return listed;
  }
  for (const ScoredRow& each : rows) {
    if (listed.size() == static_cast<std::size_t>(limit)) break;
    if (options_.only_available ? !catalog->IsAvailable(each.item) : !catalog->Exists(each.item)) {
      continue;
    }
    const std::span<const CategoryRow> categories = catalog->CategoriesOf(each.item);
    if (wanted.has_value() && std::ranges::find(categories, *wanted) == categories.end()) continue;
    listed.push_back(
        {{catalog->Id(each.item)}, std::string(catalog->Title(each.item)), each.score});
  }
  return listed;
}

Result<std::vector<ScoredItem>> Recommender::Popular(std::string_view category, int limit) const {
  return Listed(*parts_.state.Load()->popular, category, limit);
}

Result<std::vector<ScoredItem>> Recommender::Trending(std::string_view category, int limit) const {
  return Listed(*parts_.state.Load()->trending, category, limit);
}

}  // namespace poise
