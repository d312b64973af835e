// SPDX-License-Identifier: Apache-2.0
#include "candidates/retriever.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "math/top_k.h"

namespace poise {
namespace {

constexpr int kMaxTotal = 4096;

// A purchase again counts as one if it came at least so much later: an order may name an item
// twice.
constexpr std::uint32_t kRepeatAfterSeconds = 86'400;

// What the sources' votes weigh beside the primary model's score, which spans [0, 1].
constexpr float kSimilarVote = 0.5F;
constexpr float kRepeatVote = 0.5F;
constexpr float kTrendingVote = 0.25F;
constexpr float kPopularVote = 0.25F;

// How often a chance draw may fall on an item that is not allowed before it gives up.
constexpr int kRandomTries = 20;

bool IsAllowed(std::span<const std::uint64_t> allowed, ItemRow row) {
  if (allowed.empty()) return true;
  const std::size_t word = Index(row) / 64;
  return word < allowed.size() && (allowed[word] >> (Index(row) % 64) & 1) != 0;
}

// Rows by what they sum up to; cleared by a generation, so that a request clears nothing.
class RowTable {
 public:
  struct Entry {
    std::uint32_t row = 0;
    std::uint32_t generation = 0;
    float sum = 0;
    float largest = 0;
    std::uint16_t anchor = 0;
  };

  void Start(std::size_t capacity) {
    const std::size_t wanted = std::bit_ceil(std::max<std::size_t>(16, 2 * capacity));
    if (entries_.size() < wanted || ++generation_ == 0) {
      entries_.assign(std::max(entries_.size(), wanted), Entry{});
      generation_ = 1;
    }
    used_.clear();
  }
  Entry& At(std::uint32_t row) {
    const std::size_t mask = entries_.size() - 1;
    std::size_t place = static_cast<std::size_t>(row * 0x9e3779b97f4a7c15 >> 20) & mask;
    while (entries_[place].generation == generation_ && entries_[place].row != row) {
      place = (place + 1) & mask;
    }
    Entry& entry = entries_[place];
    if (entry.generation != generation_) {
      entry = {.row = row, .generation = generation_};
      used_.push_back(static_cast<std::uint32_t>(place));
    }
    return entry;
  }
  std::span<const std::uint32_t> used() const { return used_; }
  const Entry& entry(std::uint32_t place) const { return entries_[place]; }

 private:
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> used_;
  std::uint32_t generation_ = 0;
};

// Leaves out the tail whose scores nothing tells apart: which of it came in was decided by row.
// `best` holds one more than `count` if there are more.
void DropUndecided(std::vector<ScoredIndex>& best, std::size_t count) {
  if (best.size() <= count) return;
  const float cut = best[count].score;
  while (!best.empty() && best.back().score <= cut) best.pop_back();
}

Status CheckFinite(std::span<const float> scores) {
  const bool is_finite =
      std::all_of(scores.begin(), scores.end(), [](float score) { return std::isfinite(score); });
  return is_finite ? Status::Ok() : Internal("the model gave a score that is not finite");
}

// Scales values to [0, 1]; all equal: all 1/2.
void ScaleToUnit(std::span<float> values) {
  if (values.empty()) return;
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const float least = *low;
  const float width = *high - least;
  for (float& value : values) {
    value = width > 0 ? std::clamp((value - least) / width, 0.0F, 1.0F) : 0.5F;
  }
}

}  // namespace

// The union while it is made: each row once.
class Retriever::Merge {
 public:
  // At most `proposal_count` calls of Add() follow.
  Merge(std::size_t total, std::size_t proposal_count, std::span<const std::uint64_t> allowed)
      : total_(total), allowed_(allowed) {
    candidates_.reserve(total);
    votes_.reserve(total);
    table_.Start(proposal_count);
  }

  bool Admits(ItemRow row) const { return IsAllowed(allowed_, row); }

  void Add(ItemRow row, Source source, float vote, std::uint16_t anchor = 0) {
    if (!Admits(row)) return;
    RowTable::Entry& entry = table_.At(Index(row));
    // sum holds 1 + place: 0 is a row that was never seen.
    if (entry.sum == 0) {
      if (candidates_.size() == total_) return;
      candidates_.push_back({.item = row});
      votes_.push_back(0);
      entry.sum = static_cast<float>(candidates_.size());
    }
    const auto place = static_cast<std::size_t>(entry.sum) - 1;
    candidates_[place].sources |= Bit(source);
    if (anchor != 0) candidates_[place].anchor = anchor;
    votes_[place] += vote;
  }

  std::vector<Candidate>& candidates() { return candidates_; }
  std::vector<float>& votes() { return votes_; }
  std::span<const std::uint64_t> allowed() const { return allowed_; }

 private:
  static RowTable& Table() {
    thread_local RowTable table;
    return table;
  }

  std::size_t total_;
  std::span<const std::uint64_t> allowed_;
  std::vector<Candidate> candidates_;
  std::vector<float> votes_;
  RowTable& table_ = Table();
};

std::vector<float> CountRepeatRates(const TrainingView& view, std::uint32_t min_buyers) {
  std::vector<std::uint32_t> buyers(view.item_count);
  std::vector<std::uint32_t> repeaters(view.item_count);
  std::vector<std::pair<std::uint32_t, std::uint32_t>> bought;  // item, time
  for (std::size_t user = 0; user < view.user_count(); ++user) {
    bought.clear();
    for (const Interaction& each : view.OfUser(UserRow{static_cast<std::uint32_t>(user)})) {
      if (each.type == EventType::kPurchase) bought.emplace_back(Index(each.item), each.time_s);
    }
    std::sort(bought.begin(), bought.end());
    for (std::size_t begin = 0; begin < bought.size();) {
      std::size_t end = begin + 1;
      while (end < bought.size() && bought[end].first == bought[begin].first) ++end;
      const std::uint32_t item = bought[begin].first;
      ++buyers[item];
      if (bought[end - 1].second - bought[begin].second >= kRepeatAfterSeconds) ++repeaters[item];
      begin = end;
    }
  }
  std::vector<float> rates(view.item_count);
  for (std::size_t item = 0; item < rates.size(); ++item) {
    if (buyers[item] == 0 || buyers[item] < min_buyers) continue;
    rates[item] = static_cast<float>(repeaters[item]) / static_cast<float>(buyers[item]);
  }
  return rates;
}

std::size_t CandidateSet::size_bytes() const {
  std::size_t bytes = sizeof(CandidateSet) + candidates.capacity() * sizeof(Candidate) +
                      degraded.capacity() * sizeof(Degradation);
  for (const Degradation& each : degraded) bytes += each.stage.size() + each.reason.size();
  return bytes;
}

Result<std::unique_ptr<const Retriever>> Retriever::Make(
    std::shared_ptr<const InterestModel> primary, std::shared_ptr<const InterestModel> neighbours,
    const RetrieverOptions& options) {
  const std::pair<std::string_view, int> counts[] = {
      {"personal", options.personal},   {"similar", options.similar},
      {"repeat", options.repeat},       {"trending", options.trending},
      {"popular", options.popular},     {"fresh", options.fresh},
      {"uncertain", options.uncertain}, {"random", options.random},
      {"total", options.total},         {"similar_history", options.similar_history}};
  for (const auto& [name, count] : counts) {
    if (count < 0 || count > kMaxTotal) {
      return InvalidArgument(
          fmt::format("candidates.{}: {} is not in [0, {}]", name, count, kMaxTotal));
    }
  }
  if (!(options.similar_decay > 0 && options.similar_decay <= 1)) {
    return InvalidArgument(
        fmt::format("candidates.similar_decay: {} is not in (0, 1]", options.similar_decay));
  }
  auto retriever = std::unique_ptr<Retriever>(new Retriever);
  retriever->options_ = options;
  if (primary != nullptr) {
    if (const auto vectors = primary->ItemVectors(); vectors.has_value() && vectors->dim > 0) {
      POISE_ASSIGN_OR_RETURN(retriever->index_, ExactIndex::Build(vectors->values, vectors->dim));
    }
  }
  if (neighbours != nullptr && !neighbours->Neighbours().has_value()) neighbours = nullptr;
  retriever->primary_ = std::move(primary);
  retriever->neighbours_ = std::move(neighbours);
  return std::unique_ptr<const Retriever>(std::move(retriever));
}

Status Retriever::AddPersonal(const RetrieveInput& input, Merge& merge) const {
  if (primary_ == nullptr || options_.personal == 0) return Status::Ok();
  const auto count = static_cast<std::size_t>(options_.personal);
  thread_local std::vector<ScoredIndex> best;
  if (index_.has_value()) {
    thread_local std::vector<float> vector;
    vector.resize(index_->dim());
    POISE_RETURN_IF_ERROR(primary_->UserVector(input.user, vector));
    POISE_RETURN_IF_ERROR(index_->Search(vector, count + 1, best, input.allowed));
  } else {
    thread_local std::vector<float> scores;
    scores.resize(primary_->ItemCount());
    POISE_RETURN_IF_ERROR(primary_->ScoreAll(input.user, scores));
    if (!input.allowed.empty()) {
      for (std::size_t row = 0; row < scores.size(); ++row) {
        if (!merge.Admits(ItemRow{static_cast<std::uint32_t>(row)})) {
          scores[row] = -std::numeric_limits<float>::infinity();
        }
      }
    }
    TopK(scores, count + 1, best);
  }
  DropUndecided(best, count);
  for (const ScoredIndex& each : best) merge.Add(ItemRow{each.index}, Source::kPersonal, 0);
  return Status::Ok();
}

Status Retriever::AddSimilar(const RetrieveInput& input, Merge& merge) const {
  if (neighbours_ == nullptr || options_.similar == 0 || options_.similar_history == 0) {
    return Status::Ok();
  }
  const NeighbourView view = *neighbours_->Neighbours();
  const std::size_t width = view.neighbour_count;
  if (width == 0) return Status::Ok();
  const std::size_t row_count = view.items.size() / width;

  // The latest distinct items of the history that speak for interest, latest first.
  struct Anchor {
    ItemRow item;
    std::size_t place;
    float weight;
  };
  thread_local std::vector<Anchor> anchors;
  anchors.clear();
  const std::span<const Interaction> history = input.user.history;
  float decay = 1;
  for (std::size_t back = 0; back < history.size(); ++back) {
    if (anchors.size() == static_cast<std::size_t>(options_.similar_history)) break;
    const std::size_t place = history.size() - 1 - back;
    const Interaction& interaction = history[place];
    const float weight = options_.weights[interaction.type];
    const bool is_known = std::any_of(anchors.begin(), anchors.end(), [&](const Anchor& anchor) {
      return anchor.item == interaction.item;
    });
    if (weight <= 0 || is_known || place >= 0xffff) continue;
    anchors.push_back({interaction.item, place, weight * decay});
    decay *= options_.similar_decay;
  }

  thread_local RowTable table;
  table.Start(anchors.size() * (width + 1));
  for (const Anchor& anchor : anchors) {
    if (Index(anchor.item) >= row_count) continue;
    const std::size_t begin = Index(anchor.item) * width;
    for (std::size_t n = begin; n < begin + width; ++n) {
      const float similarity = view.similarities[n];
      if (!std::isfinite(similarity)) return Internal("a similarity is not finite");
      if (similarity <= 0) break;
      if (!merge.Admits(view.items[n])) continue;
      RowTable::Entry& entry = table.At(Index(view.items[n]));
      const float share = anchor.weight * similarity;
      entry.sum += share;
      if (share > entry.largest) {
        entry.largest = share;
        entry.anchor = static_cast<std::uint16_t>(anchor.place + 1);
      }
    }
  }
  // What the user has in the history already is no discovery.
  for (const Anchor& anchor : anchors) table.At(Index(anchor.item)).sum = 0;

  thread_local std::vector<ScoredIndex> best;  // index: the place in the table
  best.clear();
  for (const std::uint32_t place : table.used()) {
    if (table.entry(place).sum > 0) best.push_back({table.entry(place).sum, place});
  }
  const auto is_before = [&](const ScoredIndex& a, const ScoredIndex& b) {
    return a.score > b.score ||
           (a.score == b.score && table.entry(a.index).row < table.entry(b.index).row);
  };
  const std::size_t count = std::min(static_cast<std::size_t>(options_.similar) + 1, best.size());
  std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count), best.end(),
                    is_before);
  best.resize(count);
  // Where nothing but rows tells the tail apart it stays out, unless it is all there is.
  if (count > static_cast<std::size_t>(options_.similar)) {
    if (best.front().score > best.back().score) {
      DropUndecided(best, static_cast<std::size_t>(options_.similar));
    } else {
      best.pop_back();
    }
  }
  for (const ScoredIndex& each : best) {
    const RowTable::Entry& entry = table.entry(each.index);
    merge.Add(ItemRow{entry.row}, Source::kSimilar, kSimilarVote * each.score / best.front().score,
              entry.anchor);
  }
  return Status::Ok();
}

void Retriever::AddRepeat(const RetrieveInput& input, Merge& merge) const {
  if (input.lists == nullptr || input.lists->repeat_rates.empty() || options_.repeat == 0) return;
  const std::vector<float>& rates = input.lists->repeat_rates;
  thread_local std::vector<ScoredIndex> bought;
  bought.clear();
  for (const Interaction& each : input.user.history) {
    const std::uint32_t row = Index(each.item);
    if (each.type != EventType::kPurchase || row >= rates.size() || !(rates[row] > 0)) continue;
    const auto found = std::find_if(bought.begin(), bought.end(),
                                    [&](const ScoredIndex& b) { return b.index == row; });
    if (found == bought.end()) {
      bought.push_back({rates[row], row});
    } else {
      found->score += rates[row];  // the user did buy it again
    }
  }
  std::sort(bought.begin(), bought.end(), IsBetter);
  const std::size_t count = std::min(static_cast<std::size_t>(options_.repeat), bought.size());
  for (std::size_t i = 0; i < count; ++i) {
    merge.Add(ItemRow{bought[i].index}, Source::kRepeat,
              kRepeatVote * bought[i].score / bought[0].score);
  }
}

void Retriever::AddShared(const RetrieveInput& input, Merge& merge) const {
  if (input.lists == nullptr) return;
  const auto add_first = [&](const std::vector<ItemRow>& rows, int count, Source source,
                             float vote) {
    int added = 0;
    for (const ItemRow row : rows) {
      if (added == count) break;
      if (!merge.Admits(row)) continue;
      merge.Add(row, source, vote * (1 - static_cast<float>(added) / static_cast<float>(count)));
      ++added;
    }
  };
  add_first(input.lists->trending, options_.trending, Source::kTrending, kTrendingVote);
  add_first(input.lists->popular, options_.popular, Source::kPopular, kPopularVote);
}

void Retriever::AddExplore(const RetrieveInput& input, Merge& merge) const {
  if (input.lists == nullptr) return;
  const auto add_window = [&](const std::vector<ItemRow>& rows, int count, Source source) {
    if (rows.empty()) return;
    Rng rng(MixSeed(input.salt, static_cast<std::uint64_t>(source)));
    const std::size_t start = rng.Below(rows.size());
    int added = 0;
    for (std::size_t i = 0; i < rows.size() && added < count; ++i) {
      const ItemRow row = rows[(start + i) % rows.size()];
      if (!merge.Admits(row)) continue;
      merge.Add(row, source, 0);
      ++added;
    }
  };
  if (input.lists->item_count > 0) {
    Rng rng(MixSeed(input.salt, static_cast<std::uint64_t>(Source::kRandom)));
    for (int i = 0; i < options_.random; ++i) {
      for (int tried = 0; tried < kRandomTries; ++tried) {
        const ItemRow row{static_cast<std::uint32_t>(rng.Below(input.lists->item_count))};
        if (!merge.Admits(row)) continue;
        merge.Add(row, Source::kRandom, 0);
        break;
      }
    }
  }
  add_window(input.lists->fresh, options_.fresh, Source::kFresh);
  add_window(input.lists->uncertain, options_.uncertain, Source::kUncertain);
}

void Retriever::SetRelevance(const UserView& user, Merge& merge, CandidateSet& set) const {
  std::vector<Candidate>& candidates = merge.candidates();
  std::vector<float>& merged = merge.votes();
  if (primary_ != nullptr && !candidates.empty()) {
    thread_local std::vector<ItemRow> rows;
    thread_local std::vector<std::size_t> places;
    thread_local std::vector<float> scores;
    rows.clear();
    places.clear();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (Index(candidates[i].item) >= primary_->ItemCount()) continue;
      rows.push_back(candidates[i].item);
      places.push_back(i);
    }
    scores.resize(rows.size());
    Status status = primary_->Score(user, rows, scores);
    if (status.ok()) status = CheckFinite(scores);
    if (!status.ok()) {
      set.degraded.push_back({"candidates.relevance", status.message()});
    } else {
      ScaleToUnit(scores);
      // What the model has never seen is neither liked nor disliked: it gets the mean.
      double sum = 0;
      for (const float score : scores) sum += score;
      const float mean =
          scores.empty() ? 0.5F : static_cast<float>(sum / static_cast<double>(scores.size()));
      for (float& value : merged) value += mean;
      for (std::size_t i = 0; i < places.size(); ++i) merged[places[i]] += scores[i] - mean;
    }
  }
  ScaleToUnit(merged);
  for (std::size_t i = 0; i < candidates.size(); ++i) candidates[i].relevance = merged[i];
  set.candidates = std::move(candidates);
}

CandidateSet Retriever::Retrieve(const RetrieveInput& input) const {
  CandidateSet set;
  const int proposals = options_.personal + options_.similar + options_.repeat + options_.trending +
                        options_.popular + options_.fresh + options_.uncertain + options_.random;
  Merge merge(static_cast<std::size_t>(options_.total), static_cast<std::size_t>(proposals),
              input.allowed);
  AddExplore(input, merge);
  if (const Status status = AddPersonal(input, merge); !status.ok()) {
    set.degraded.push_back({"candidates.personal", status.message()});
  }
  if (const Status status = AddSimilar(input, merge); !status.ok()) {
    set.degraded.push_back({"candidates.similar", status.message()});
  }
  AddRepeat(input, merge);
  AddShared(input, merge);
  SetRelevance(input.user, merge, set);
  return set;
}

CandidateSet Retriever::Score(const UserView& user, std::span<const ItemRow> items) const {
  CandidateSet set;
  Merge merge(items.size(), items.size(), {});
  for (const ItemRow item : items) merge.Add(item, Source::kGiven, 0);
  SetRelevance(user, merge, set);
  return set;
}

}  // namespace poise
