// SPDX-License-Identifier: Apache-2.0
//
// Recommender: one request, from its words to a slate that was drawn and logged, inside its
// deadline.
//
// The sampler is the last stage: filters come before it, and what it drew is what is answered. The
// decision is on its way to the log before the answer leaves; when the log cannot take it, the
// answer says so.
//
// Place    http/, apps/ -> engine/ -> [Recommender] -> catalog/, events/ (history), candidates/,
//          policy/, explain/, feedback/; decision -> events/ (log)
// Errors   kInvalidArgument names the field of the request. Anything that merely makes the answer
//          worse is in `degraded`, never an error.
// Threads  All methods may be called concurrently.
// Cost     With a cached candidate set of 500 and 10 slots some 25 us; without one, a retrieval
//          more. No lock is held over any of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/published.h"
#include "base/result.h"
#include "candidates/candidate_cache.h"
#include "candidates/filters.h"
#include "catalog/catalog.h"
#include "catalog/person_keys.h"
#include "events/event_store.h"
#include "feedback/joiner.h"
#include "policy/posterior.h"
#include "serve/request.h"
#include "serve/serving_state.h"

namespace poise {

class Counter;
class Histogram;
class MetricsRegistry;

struct RecommenderOptions {
  int max_slots = kMaxSlots;
  bool only_available = true;
  bool exclude_seen = false;
  bool exclude_bought = true;
  std::chrono::hours bought_within{0};  // 0: ever
  std::size_t cache_bytes = std::size_t{256} << 20;
};

class Recommender {
 public:
  // What it works with; all outlive it.
  struct Parts {
    const Clock& clock;
    const Catalog& catalog;
    const PersonKeys& keys;
    EventStore& events;
    const RewardPosterior& posterior;
    Joiner& joiner;
    const Published<ServingState>& state;
    MetricsRegistry& metrics;
  };

  Recommender(const Parts& parts, const RecommenderOptions& options);

  Result<RecommendResponse> Recommend(const RecommendRequest& request);
  // Unknown items are left out, and the answer says so.
  Result<RecommendResponse> Rerank(const RerankRequest& request);

  // Errors  kNotFound: no such item; kFailedPrecondition: no model knows similar items.
  Result<std::vector<ScoredItem>> Similar(const ItemId& item, int limit) const;
  Result<std::vector<ScoredItem>> Popular(std::string_view category, int limit) const;
  Result<std::vector<ScoredItem>> Trending(std::string_view category, int limit) const;

  CandidateCache& cache() { return cache_; }
  std::uint64_t decision_count() const { return decision_count_.load(std::memory_order_relaxed); }

 private:
  struct Asker;

  std::optional<PersonRef> PersonOf(const UserId& user, std::string_view session) const;
  Status ReadAsker(const RecommendRequest& request, const ServingState& state,
                   const CatalogView& catalog, Asker& asker) const;
  std::shared_ptr<const CandidateSet> Candidates(const RecommendRequest& request,
                                                 const ServingState& state,
                                                 const CatalogView& catalog,
                                                 const HardFilters& filters, const Asker& asker,
                                                 std::chrono::nanoseconds start,
                                                 std::vector<Degradation>& degraded);
  HardFilters FiltersOf(const RecommendRequest& request, const CatalogView& catalog,
                        Timestamp now) const;
  Result<RecommendResponse> DecideAndLog(const ServingState& state, const CatalogView& catalog,
                                         const Asker& asker, std::span<const Candidate> eligible,
                                         std::string_view placement, int slots, std::string filters,
                                         std::vector<Degradation> degraded);
  Result<std::vector<ScoredItem>> Listed(const std::vector<ScoredRow>& rows,
                                         std::string_view category, int limit) const;

  Parts parts_;
  RecommenderOptions options_;
  CandidateCache cache_;
  std::atomic<std::uint64_t> decision_count_{0};
  // Running mean of what a retrieval costs: decides whether a deadline leaves room for one.
  std::atomic<std::int64_t> retrieval_ns_{0};
  Histogram& latency_;
  Counter& explored_slots_;
  Counter& exploited_slots_;
  Counter& unlogged_;
  Counter& retrievals_;
};

}  // namespace poise
