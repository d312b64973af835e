// SPDX-License-Identifier: Apache-2.0
#include "candidates/retriever.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/rng.h"

namespace poise {
namespace {

constexpr std::uint64_t kSeed = 91;

// A model with planted vectors: item i is wanted as much as its vector points along the user's.
class PlantedModel final : public InterestModel {
 public:
  std::vector<float> vectors;
  std::size_t dim = 2;
  std::vector<float> user = {1, 0};
  bool has_vectors = true;
  Status failure;
  std::vector<ItemRow> neighbour_items;
  std::vector<float> similarities;
  std::size_t neighbour_count = 0;

  std::string_view Name() const override { return "planted"; }
  std::size_t ItemCount() const override { return vectors.size() / dim; }
  Status Score(const UserView&, std::span<const ItemRow> items,
               std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(failure);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (Index(items[i]) >= ItemCount()) return InvalidArgument("items: outside");
      scores[i] = Dot(Index(items[i]));
    }
    return Status::Ok();
  }
  Status ScoreAll(const UserView&, std::span<float> scores) const override {
    POISE_RETURN_IF_ERROR(failure);
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = Dot(i);
    return Status::Ok();
  }
  Status Save(SnapshotWriter&) const override { return Status::Ok(); }
  std::optional<EmbeddingView> ItemVectors() const override {
    if (!has_vectors) return std::nullopt;
    return EmbeddingView{vectors, ItemCount(), dim};
  }
  Status UserVector(const UserView&, std::span<float> out) const override {
    POISE_RETURN_IF_ERROR(failure);
    std::copy(user.begin(), user.end(), out.begin());
    return Status::Ok();
  }
  std::optional<NeighbourView> Neighbours() const override {
    if (neighbour_count == 0) return std::nullopt;
    return NeighbourView{neighbour_items, similarities, neighbour_count};
  }

 private:
  float Dot(std::size_t item) const {
    float sum = 0;
    for (std::size_t d = 0; d < dim; ++d) sum += vectors[item * dim + d] * user[d];
    return sum;
  }
};

// Item i has score i; its neighbours are i + 1 and i + 2.
std::shared_ptr<PlantedModel> Ladder(std::size_t item_count) {
  auto model = std::make_shared<PlantedModel>();
  for (std::size_t i = 0; i < item_count; ++i) {
    model->vectors.push_back(static_cast<float>(i));
    model->vectors.push_back(0);
    for (std::size_t n = 1; n <= 2; ++n) {
      const bool exists = i + n < item_count;
      model->neighbour_items.push_back(ItemRow{static_cast<std::uint32_t>(exists ? i + n : 0)});
      model->similarities.push_back(exists ? 1.0F / static_cast<float>(n) : 0.0F);
    }
  }
  model->neighbour_count = 2;
  return model;
}

RetrieverOptions Nothing() {
  RetrieverOptions options;
  options.personal = options.similar = options.repeat = options.trending = options.popular =
      options.fresh = options.uncertain = options.random = 0;
  return options;
}

std::unique_ptr<const Retriever> MakeRetriever(std::shared_ptr<const InterestModel> primary,
                                               std::shared_ptr<const InterestModel> neighbours,
                                               const RetrieverOptions& options) {
  auto retriever = Retriever::Make(std::move(primary), std::move(neighbours), options);
  POISE_CHECK(retriever.ok());
  return *std::move(retriever);
}

std::vector<std::uint32_t> RowsOf(const CandidateSet& set, SourceMask sources = 0xffff) {
  std::vector<std::uint32_t> rows;
  for (const Candidate& each : set.candidates) {
    if ((each.sources & sources) != 0) rows.push_back(Index(each.item));
  }
  return rows;
}

Interaction Did(std::uint32_t item, EventType type = EventType::kClick, std::uint32_t time_s = 0) {
  return {ItemRow{item}, time_s, 1, type};
}

std::vector<ItemRow> Range(std::uint32_t begin, std::uint32_t end) {
  std::vector<ItemRow> rows;
  for (std::uint32_t row = begin; row < end; ++row) rows.push_back(ItemRow{row});
  return rows;
}

TEST(Retriever, PersonalIsTheBestByTheModelWithVectorsAndWithout) {
  for (const bool has_vectors : {true, false}) {
    auto model = Ladder(50);
    model->has_vectors = has_vectors;
    RetrieverOptions options = Nothing();
    options.personal = 4;
    const CandidateSet set = MakeRetriever(model, nullptr, options)->Retrieve({});
    EXPECT_THAT(RowsOf(set), testing::ElementsAre(49, 48, 47, 46));
    EXPECT_EQ(set.candidates[0].relevance, 1);
    EXPECT_EQ(set.candidates[3].relevance, 0);
    EXPECT_TRUE(set.degraded.empty());
  }
}

// Ties broken by id: a model that knows nothing must not favour old items.
TEST(Retriever, WhatOnlyTheRowTellsApartIsNotPersonal) {
  for (const bool has_vectors : {true, false}) {
    auto model = Ladder(50);
    model->has_vectors = has_vectors;
    model->user = {0, 0};
    RetrieverOptions options = Nothing();
    options.personal = 4;
    const auto retriever = MakeRetriever(model, nullptr, options);
    EXPECT_TRUE(retriever->Retrieve({}).candidates.empty());
    model->user = {1, 0};
    for (std::size_t i = 0; i < 40; ++i) model->vectors[2 * i] = 5;
    model->vectors[2 * 3] = 100;
    for (std::size_t i = 40; i < 50; ++i) model->vectors[2 * i] = 1;
    const auto again = MakeRetriever(model, nullptr, options);
    EXPECT_THAT(RowsOf(again->Retrieve({})), testing::ElementsAre(3));
  }
}

TEST(Retriever, SimilarFollowsTheLatestHistoryAndSaysWhichItemExplainsIt) {
  RetrieverOptions options = Nothing();
  options.similar = 10;
  options.similar_decay = 0.5F;
  const auto retriever = MakeRetriever(nullptr, Ladder(50), options);
  const std::vector<Interaction> history = {Did(10), Did(30)};
  RetrieveInput input;
  input.user.history = history;
  const CandidateSet set = retriever->Retrieve(input);
  EXPECT_THAT(RowsOf(set), testing::UnorderedElementsAre(11, 12, 31, 32));
  std::map<std::uint32_t, Candidate> by_row;
  for (const Candidate& each : set.candidates) by_row[Index(each.item)] = each;
  EXPECT_EQ(by_row[31].anchor, 2);  // 1 + place
  EXPECT_EQ(by_row[11].anchor, 1);
  EXPECT_GT(by_row[31].relevance, by_row[11].relevance);
  EXPECT_EQ(by_row[31].sources, Bit(Source::kSimilar));
}

TEST(Retriever, SimilarDoesNotProposeTheHistoryAndPassesOverReturns) {
  RetrieverOptions options = Nothing();
  options.similar = 10;
  const auto retriever = MakeRetriever(nullptr, Ladder(50), options);
  const std::vector<Interaction> history = {Did(10), Did(11), Did(20, EventType::kReturn)};
  RetrieveInput input;
  input.user.history = history;
  EXPECT_THAT(RowsOf(retriever->Retrieve(input)), testing::UnorderedElementsAre(12, 13));
}

TEST(Retriever, RepeatIsWhatTheUserBoughtAndOthersBoughtAgain) {
  RetrieverOptions options = Nothing();
  options.repeat = 2;
  const auto retriever = MakeRetriever(nullptr, nullptr, options);
  SharedLists lists;
  lists.repeat_rates = {0.9F, 0.2F, 0, 0.5F, 0.4F};
  const std::vector<Interaction> history = {
      Did(1, EventType::kPurchase), Did(2, EventType::kPurchase), Did(3, EventType::kPurchase),
      Did(0, EventType::kClick),    Did(9, EventType::kPurchase), Did(4, EventType::kPurchase)};
  RetrieveInput input;
  input.user.history = history;
  input.lists = &lists;
  EXPECT_THAT(RowsOf(retriever->Retrieve(input)), testing::ElementsAre(3, 4));
}

TEST(Retriever, AnItemOfSeveralSourcesIsOneCandidateWithAllOfThem) {
  RetrieverOptions options = Nothing();
  options.personal = 3;
  options.trending = 2;
  options.popular = 2;
  SharedLists lists;
  lists.trending = Range(48, 50);
  lists.popular = Range(49, 55);
  RetrieveInput input;
  input.lists = &lists;
  const CandidateSet set = MakeRetriever(Ladder(60), nullptr, options)->Retrieve(input);
  EXPECT_THAT(RowsOf(set), testing::UnorderedElementsAre(59, 58, 57, 48, 49, 50));
  for (const Candidate& each : set.candidates) {
    if (each.item != ItemRow{49}) continue;
    EXPECT_EQ(each.sources, Bit(Source::kTrending) | Bit(Source::kPopular));
  }
}

TEST(Retriever, TheSameInputGivesTheSameSetAndAnotherSaltOtherExploration) {
  RetrieverOptions options;
  const auto model = Ladder(3000);
  const auto retriever = MakeRetriever(model, model, options);
  SharedLists lists;
  lists.trending = Range(0, 100);
  lists.popular = Range(50, 200);
  lists.fresh = Range(500, 900);
  lists.uncertain = Range(900, 1500);
  lists.item_count = 3000;
  const std::vector<Interaction> history = {Did(10), Did(1200), Did(700)};
  RetrieveInput input;
  input.user.history = history;
  input.lists = &lists;
  input.salt = 5;
  const CandidateSet a = retriever->Retrieve(input);
  const CandidateSet b = retriever->Retrieve(input);
  ASSERT_EQ(RowsOf(a), RowsOf(b));
  for (std::size_t i = 0; i < a.candidates.size(); ++i) {
    EXPECT_EQ(a.candidates[i].relevance, b.candidates[i].relevance);
    EXPECT_EQ(a.candidates[i].sources, b.candidates[i].sources);
    EXPECT_GE(a.candidates[i].relevance, 0);
    EXPECT_LE(a.candidates[i].relevance, 1);
  }
  EXPECT_EQ(RowsOf(a, Bit(Source::kFresh)).size(), 50U);
  EXPECT_EQ(RowsOf(a, Bit(Source::kUncertain)).size(), 30U);
  EXPECT_GE(RowsOf(a, Bit(Source::kRandom)).size(), 4U);
  input.salt = 6;
  const CandidateSet c = retriever->Retrieve(input);
  EXPECT_NE(RowsOf(a, Bit(Source::kFresh)), RowsOf(c, Bit(Source::kFresh)));
  EXPECT_EQ(RowsOf(a, Bit(Source::kPersonal)), RowsOf(c, Bit(Source::kPersonal)));
}

TEST(Retriever, OverManyUsersEveryFreshItemAndEveryItemHasSupport) {
  RetrieverOptions options = Nothing();
  options.fresh = 10;
  options.random = 5;
  const auto retriever = MakeRetriever(nullptr, nullptr, options);
  SharedLists lists;
  lists.fresh = Range(100, 300);
  lists.item_count = 100;
  std::set<std::uint32_t> seen;
  RetrieveInput input;
  input.lists = &lists;
  for (std::uint64_t user = 0; user < 600; ++user) {
    input.salt = MixSeed(kSeed, user);
    for (const std::uint32_t row : RowsOf(retriever->Retrieve(input))) seen.insert(row);
  }
  EXPECT_EQ(seen.size(), 300U);
}

TEST(Retriever, AFullSetStillHoldsWhatIsExplored) {
  RetrieverOptions options;
  options.total = 60;
  const auto retriever = MakeRetriever(Ladder(1000), nullptr, options);
  SharedLists lists;
  lists.fresh = Range(0, 50);
  lists.popular = Range(100, 200);
  RetrieveInput input;
  input.lists = &lists;
  const CandidateSet set = retriever->Retrieve(input);
  EXPECT_EQ(set.candidates.size(), 60U);
  EXPECT_EQ(RowsOf(set, Bit(Source::kFresh)).size(), 50U);
  EXPECT_EQ(RowsOf(set, Bit(Source::kPersonal)).size(), 10U);
}

TEST(Retriever, ANarrowRequestLooksAmongWhatIsAllowed) {
  std::vector<std::uint64_t> allowed(1000 / 64 + 1);
  for (const std::uint32_t row : {3U, 400U, 401U, 402U, 700U}) {
    allowed[row / 64] |= std::uint64_t{1} << (row % 64);
  }
  const auto model = Ladder(1000);
  const auto retriever = MakeRetriever(model, model, RetrieverOptions{});
  SharedLists lists;
  lists.popular = Range(0, 500);
  lists.fresh = Range(650, 1000);
  lists.item_count = 1000;
  const std::vector<Interaction> history = {Did(400)};
  RetrieveInput input;
  input.user.history = history;
  input.lists = &lists;
  input.allowed = allowed;
  const CandidateSet set = retriever->Retrieve(input);
  EXPECT_THAT(RowsOf(set), testing::UnorderedElementsAre(3, 400, 401, 402, 700));
  EXPECT_THAT(RowsOf(set, Bit(Source::kSimilar)), testing::UnorderedElementsAre(401, 402));
  EXPECT_THAT(RowsOf(set, Bit(Source::kFresh)), testing::ElementsAre(700));
}

TEST(Retriever, AFailingSourceIsNamedAndTheOthersGoOn) {
  for (const bool has_vectors : {true, false}) {
    auto model = Ladder(50);
    model->has_vectors = has_vectors;
    model->failure = Unavailable("no vectors today");
    SharedLists lists;
    lists.popular = Range(0, 5);
    RetrieveInput input;
    input.lists = &lists;
    const CandidateSet set = MakeRetriever(model, nullptr, RetrieverOptions{})->Retrieve(input);
    EXPECT_EQ(set.candidates.size(), 5U);
    ASSERT_EQ(set.degraded.size(), 2U);
    EXPECT_EQ(set.degraded[0].stage, "candidates.personal");
    EXPECT_EQ(set.degraded[0].reason, "no vectors today");
    EXPECT_EQ(set.degraded[1].stage, "candidates.relevance");
    EXPECT_GT(set.candidates[0].relevance, set.candidates[4].relevance) << "the votes remain";
  }
}

TEST(Retriever, AScoreThatIsNotFiniteDegradesInsteadOfSpreading) {
  auto model = Ladder(50);
  model->has_vectors = false;
  model->vectors[2 * 7] = NAN;
  SharedLists lists;
  lists.popular = Range(5, 9);
  RetrieveInput input;
  input.lists = &lists;
  RetrieverOptions options = Nothing();
  options.popular = 4;
  const CandidateSet set = MakeRetriever(model, nullptr, options)->Retrieve(input);
  ASSERT_EQ(set.degraded.size(), 1U);
  for (const Candidate& each : set.candidates) EXPECT_TRUE(std::isfinite(each.relevance));
}

TEST(Retriever, ItemsTheModelHasNeverSeenGetTheMeanAndStayIn) {
  RetrieverOptions options = Nothing();
  options.personal = 3;
  options.fresh = 2;
  SharedLists lists;
  lists.fresh = Range(1000, 1002);
  RetrieveInput input;
  input.lists = &lists;
  const CandidateSet set = MakeRetriever(Ladder(50), nullptr, options)->Retrieve(input);
  ASSERT_EQ(set.candidates.size(), 5U);
  EXPECT_TRUE(set.degraded.empty());
  EXPECT_NEAR(set.candidates[0].relevance, 0.5, 1e-5);
}

TEST(Retriever, WithoutModelsAndListsThereIsAnEmptySet) {
  const CandidateSet set = MakeRetriever(nullptr, nullptr, RetrieverOptions{})->Retrieve({});
  EXPECT_TRUE(set.candidates.empty());
  EXPECT_TRUE(set.degraded.empty());
}

TEST(Retriever, ScoresACallersOwnListInItsOrder) {
  const auto retriever = MakeRetriever(Ladder(50), nullptr, RetrieverOptions{});
  const std::vector<ItemRow> items = {ItemRow{5}, ItemRow{45}, ItemRow{25}, ItemRow{999}};
  const CandidateSet set = retriever->Score({}, items);
  EXPECT_THAT(RowsOf(set, Bit(Source::kGiven)), testing::ElementsAre(5, 45, 25, 999));
  EXPECT_EQ(set.candidates[1].relevance, 1);
  EXPECT_EQ(set.candidates[0].relevance, 0);
}

TEST(Retriever, RefusesCountsThatAreNoneAndVectorsThatAreNotFinite) {
  RetrieverOptions options;
  options.similar = -1;
  const auto retriever = Retriever::Make(nullptr, nullptr, options);
  ASSERT_FALSE(retriever.ok());
  EXPECT_THAT(retriever.status().message(), testing::HasSubstr("candidates.similar"));
  auto model = Ladder(5);
  model->vectors[4] = NAN;
  EXPECT_FALSE(Retriever::Make(model, nullptr, RetrieverOptions{}).ok());
}

TEST(CountRepeatRates, CountsBuyersWhoCameBackAnotherDay) {
  TrainingViewBuilder builder;
  constexpr std::uint32_t kDay = 86'400;
  for (std::uint32_t user = 0; user < 6; ++user) {
    builder.Add(UserRow{user}, Did(0, EventType::kPurchase, 1000));
    builder.Add(UserRow{user}, Did(1, EventType::kPurchase, 1000));
    if (user < 3) builder.Add(UserRow{user}, Did(0, EventType::kPurchase, 1000 + kDay));
    builder.Add(UserRow{user}, Did(1, EventType::kPurchase, 1060));
    builder.Add(UserRow{user}, Did(2, EventType::kClick, 2000));
  }
  builder.Add(UserRow{0}, Did(3, EventType::kPurchase, 1000));
  builder.Add(UserRow{0}, Did(3, EventType::kPurchase, 1000 + 2 * kDay));
  const std::vector<float> rates = CountRepeatRates(builder.Build({}, 6, 5));
  EXPECT_THAT(rates, testing::ElementsAre(0.5F, 0, 0, 0, 0));
}

}  // namespace
}  // namespace poise
