// SPDX-License-Identifier: Apache-2.0
//
// Retriever: from a user to some hundreds of candidates, each with what proposed it.
//
// A set depends on the user's history, the epoch and the salt alone, so it can be kept per user
// until one of them changes. Filters come after it, for each request; a request that admits only
// few items passes `allowed`, so that sources look among those.
//
// Place    models/, features/ -> [Retriever] -> filters.h -> policy/
// Shapes   at most `total` candidates, each item once: the explore sources' first, so that a full
// set
//          never costs an item its support
// Units    relevance: the sources' merged score, scaled so that the set spans [0, 1]
// Errors   A source that fails is named in `degraded`; the others go on.
// Threads  A Retriever is immutable and shared by all requests.
// Cost     With 100,000 items of 64 dimensions some 600 us, nearly all of it the index scan.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ann/exact_index.h"
#include "domain/decision.h"
#include "features/training_view.h"
#include "features/user_view.h"
#include "models/interest_model.h"

namespace poise {

// What is the same for all users: made by the engine about once a second, published, immutable.
// Lists are best first and may be longer than a source takes: of the explore lists each user gets
// a window of their own, of the others the first that are allowed.
struct SharedLists {
  std::vector<ItemRow> trending;
  std::vector<ItemRow> popular;
  std::vector<ItemRow> fresh;
  std::vector<ItemRow> uncertain;
  std::vector<float> repeat_rates;  // by row: share of buyers who bought it again; may be shorter
  std::size_t item_count = 0;       // rows that random support may draw from
};

// Share of each item's buyers who bought it at least twice, 0 below `min_buyers` buyers.
std::vector<float> CountRepeatRates(const TrainingView& view, std::uint32_t min_buyers = 5);

struct RetrieverOptions {
  int personal = 200;
  int similar = 100;
  int repeat = 50;
  int trending = 50;
  int popular = 50;
  int fresh = 50;
  int uncertain = 30;
  int random = 5;
  int total = 500;
  int similar_history = 20;    // latest history items whose neighbours are looked up
  float similar_decay = 0.9F;  // weight of a history item against the one after it
  EventWeights weights;
};

struct CandidateSet {
  std::vector<Candidate> candidates;
  std::vector<Degradation> degraded;  // stage "candidates.personal", ...

  std::size_t size_bytes() const;
};

struct RetrieveInput {
  UserView user;
  const SharedLists* lists = nullptr;  // null: the sources that need them are silent
  std::uint64_t salt = 0;              // of the user and the epoch: chooses windows and support
  // Bit r % 64 of word r / 64 admits row r; rows beyond its end are not admitted. Empty: all are.
  std::span<const std::uint64_t> allowed;
};

class Retriever {
 public:
  // `primary` scores all candidates and gives the personal source, through its item vectors or by
  // scoring everything; `neighbours` gives similar items. Either may be null: its sources are
  // silent.
  //
  // Errors  kInvalidArgument: vectors that are not finite, a negative count.
  static Result<std::unique_ptr<const Retriever>> Make(
      std::shared_ptr<const InterestModel> primary, std::shared_ptr<const InterestModel> neighbours,
      const RetrieverOptions& options);

  CandidateSet Retrieve(const RetrieveInput& input) const;

  // The caller's own list, scored by the primary model. `items`: each row once.
  CandidateSet Score(const UserView& user, std::span<const ItemRow> items) const;

  const RetrieverOptions& options() const { return options_; }

 private:
  class Merge;
  Retriever() = default;
  Status AddPersonal(const RetrieveInput& input, Merge& merge) const;
  Status AddSimilar(const RetrieveInput& input, Merge& merge) const;
  void AddRepeat(const RetrieveInput& input, Merge& merge) const;
  void AddShared(const RetrieveInput& input, Merge& merge) const;
  void AddExplore(const RetrieveInput& input, Merge& merge) const;
  void SetRelevance(const UserView& user, Merge& merge, CandidateSet& set) const;

  std::shared_ptr<const InterestModel> primary_;
  std::shared_ptr<const InterestModel> neighbours_;
  std::optional<ExactIndex> index_;
  RetrieverOptions options_;
};

}  // namespace poise
