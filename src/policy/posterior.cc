// SPDX-License-Identifier: Apache-2.0
#include "policy/posterior.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "policy/kernels.h"
#include "storage/snapshot.h"

namespace poise {
namespace {

constexpr Parameter<PosteriorOptions> kParameters[] = {
    {"base_rate", &PosteriorOptions::base_rate, "probability", 1e-6, 0.999,
     "share of showings with an outcome that is expected before any was seen"},
    {"base_sd", &PosteriorOptions::base_sd, "logit", 1e-3, 10, "how unsure the base rate is"},
    {"relevance_weight", &PosteriorOptions::relevance_weight, "logit", -10, 10,
     "how much more the most relevant candidate is expected to be worth than the least"},
    {"relevance_sd", &PosteriorOptions::relevance_sd, "logit", 1e-3, 10, "how unsure that is"},
    {"item_sd", &PosteriorOptions::item_sd, "logit", 1e-3, 10,
     "how far items differ from what their relevance says"},
    {"item_sd_floor", &PosteriorOptions::item_sd_floor, "logit", 1e-3, 10,
     "an item's offset is never believed better known than this, because items change"},
    {"value_weight", &PosteriorOptions::value_weight, "outcomes", 0.1, 1e6,
     "outcomes that the shared mean value counts as beside an item's own"},
    {"position_exponent", &PosteriorOptions::position_exponent, "", 0, 4,
     "slot j is looked at with probability (j + 1)^-exponent"}};

constexpr double kPiOver8 = std::numbers::pi / 8;
// A single choice moves a logit by no more than this.
constexpr double kMaxStep = 4;
// The shared line stays ready to move: an sd of a hundredth of a logit.
constexpr double kMinLineVariance = 1e-4;
constexpr std::uint32_t kMaxTrials = (1U << 20) - 1;
constexpr std::uint32_t kMaxOutcomes = (1U << 12) - 1;
// The mean value's memory, in outcomes: it follows a shop whose prices move.
constexpr double kMaxValueCount = 1e5;

constexpr std::size_t kChunkBits = 12;

struct Offset {
  float mean;
  float variance;
};

struct Tally {
  float value;           // mean reward of its outcomes
  std::uint32_t counts;  // trials in the upper 20 bits, outcomes in the lower 12

  std::uint32_t trials() const { return counts >> 12; }
  std::uint32_t outcomes() const { return counts & kMaxOutcomes; }
  void Set(std::uint32_t trials, std::uint32_t outcomes) {
    counts = std::min(trials, kMaxTrials) << 12 | std::min(outcomes, kMaxOutcomes);
  }
};

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

std::span<const Parameter<PosteriorOptions>> PosteriorParameters() { return kParameters; }

struct RewardPosterior::Item {
  std::atomic<std::uint64_t> offset;
  std::atomic<std::uint64_t> tally;

  Offset LoadOffset() const {
    return std::bit_cast<Offset>(offset.load(std::memory_order_relaxed));
  }
  Tally LoadTally() const { return std::bit_cast<Tally>(tally.load(std::memory_order_relaxed)); }
  void Store(Offset o) { offset.store(std::bit_cast<std::uint64_t>(o), std::memory_order_relaxed); }
  void Store(Tally t) { tally.store(std::bit_cast<std::uint64_t>(t), std::memory_order_relaxed); }
};

struct RewardPosterior::Chunk {
  std::array<Item, kChunkItems> items;
};

// The shared part: weights on [1, relevance - 1/2], their covariance, and the mean reward of an
// outcome.
struct RewardPosterior::Line {
  double weight[2];
  double covariance[3];  // [0, 0], [0, 1], [1, 1]
  double value;
  double value_count;
  double unused;

  double Logit(double x) const { return weight[0] + weight[1] * x; }
  double Variance(double x) const {
    return covariance[0] + x * (2 * covariance[1] + x * covariance[2]);
  }
};

RewardPosterior::RewardPosterior(const PosteriorOptions& options)
    : options_(options), chunks_(new std::atomic<Chunk*>[kMaxItems / kChunkItems]()) {
  static_assert(kChunkItems == std::size_t{1} << kChunkBits);
  static_assert(sizeof(Line) == kLineWords * sizeof(double));
  for (std::size_t slot = 0; slot < kExaminationCount; ++slot) {
    examination_[slot] =
        static_cast<float>(std::pow(static_cast<double>(slot) + 1, -options_.position_exponent));
  }
  Line line{};
  // The expected rate, which is what a logit with this much doubt about it must be divided for.
  const double variance = options_.base_sd * options_.base_sd + options_.item_sd * options_.item_sd;
  line.weight[0] =
      std::log(options_.base_rate / (1 - options_.base_rate)) * std::sqrt(1 + kPiOver8 * variance);
  line.weight[1] = options_.relevance_weight;
  line.covariance[0] = options_.base_sd * options_.base_sd;
  line.covariance[2] = options_.relevance_sd * options_.relevance_sd;
  line.value = 1;
  line.value_count = 1;
  WriteLine(line);
}

RewardPosterior::~RewardPosterior() {
  for (std::size_t c = 0; c < kMaxItems / kChunkItems; ++c) delete chunks_[c].load();
}

RewardPosterior::Line RewardPosterior::ReadLine() const {
  std::array<double, kLineWords> words;
  std::uint32_t before;
  do {
    before = line_version_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < kLineWords; ++i) {
      words[i] = line_[i].load(std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_acquire);
  } while ((before & 1) != 0 || before != line_version_.load(std::memory_order_relaxed));
  return std::bit_cast<Line>(words);
}

void RewardPosterior::WriteLine(const Line& line) {
  const auto words = std::bit_cast<std::array<double, kLineWords>>(line);
  const std::uint32_t version = line_version_.load(std::memory_order_relaxed);
  line_version_.store(version + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t i = 0; i < kLineWords; ++i) {
    line_[i].store(words[i], std::memory_order_relaxed);
  }
  line_version_.store(version + 2, std::memory_order_release);
}

const RewardPosterior::Item* RewardPosterior::FindItem(ItemRow row) const {
  const std::size_t chunk = Index(row) >> kChunkBits;
  if (chunk >= kMaxItems / kChunkItems) return nullptr;
  const Chunk* items = chunks_[chunk].load(std::memory_order_acquire);
  return items == nullptr ? nullptr : &items->items[Index(row) & (kChunkItems - 1)];
}

RewardPosterior::Item* RewardPosterior::EnsureItem(ItemRow row) {
  const std::size_t chunk = Index(row) >> kChunkBits;
  if (chunk >= kMaxItems / kChunkItems) return nullptr;
  Chunk* items = chunks_[chunk].load(std::memory_order_relaxed);
  if (items == nullptr) {
    auto made = std::make_unique<Chunk>();
    const float variance = static_cast<float>(options_.item_sd * options_.item_sd);
    for (Item& item : made->items) {
      item.Store(Offset{0, variance});
      item.Store(Tally{0, 0});
    }
    items = made.release();
    chunks_[chunk].store(items, std::memory_order_release);
  }
  return &items->items[Index(row) & (kChunkItems - 1)];
}

void RewardPosterior::Believe(std::span<const Candidate> candidates,
                              std::span<Belief> beliefs) const {
  POISE_CHECK(candidates.size() == beliefs.size());
  static_assert(sizeof(Belief) == 2 * sizeof(float));
  const Line line = ReadLine();
  const auto intercept = static_cast<float>(line.weight[0]);
  const auto slope = static_cast<float>(line.weight[1]);
  const auto variance_1 = static_cast<float>(line.covariance[0]);
  const auto variance_x = static_cast<float>(2 * line.covariance[1]);
  const auto variance_xx = static_cast<float>(line.covariance[2]);
  const auto shared_value = static_cast<float>(line.value);
  const auto value_weight = static_cast<float>(options_.value_weight);
  const Offset unseen{0, static_cast<float>(options_.item_sd * options_.item_sd)};

  constexpr std::size_t kBatch = 64;
  std::array<float, kBatch> logits;
  std::array<float, kBatch> variances;
  std::array<float, kBatch> values;
  const Kernels& kernels = BestKernels();
  for (std::size_t begin = 0; begin < candidates.size(); begin += kBatch) {
    const std::size_t count = std::min(kBatch, candidates.size() - begin);
    // The misses of a batch overlap when all are asked for first.
    std::array<const Item*, kBatch> items;
    for (std::size_t i = 0; i < count; ++i) {
      items[i] = FindItem(candidates[begin + i].item);
      __builtin_prefetch(items[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const Offset offset = items[i] == nullptr ? unseen : items[i]->LoadOffset();
      const float x = candidates[begin + i].relevance - 0.5F;
      logits[i] = intercept + slope * x + offset.mean;
      variances[i] =
          std::max(variance_1 + x * (variance_x + x * variance_xx), 0.0F) + offset.variance;
      values[i] = shared_value;
      if (items[i] == nullptr) continue;
      const Tally tally = items[i]->LoadTally();
      const auto outcomes = static_cast<float>(tally.outcomes());
      values[i] =
          (shared_value * value_weight + tally.value * outcomes) / (value_weight + outcomes);
    }
    kernels.believe(logits.data(), variances.data(), values.data(), count,
                    reinterpret_cast<float*>(beliefs.data() + begin));
  }
}

Status RewardPosterior::Learn(const LoggedChoice& choice) {
  if (!(choice.propensity > 0 && choice.propensity <= 1)) {
    return InvalidArgument(
        fmt::format("choice.propensity: {} is outside (0, 1]", choice.propensity));
  }
  if (!std::isfinite(choice.reward) || !std::isfinite(choice.earlier_reward)) {
    return InvalidArgument(fmt::format("choice.reward: {} is not finite", choice.reward));
  }
  if (!std::isfinite(choice.relevance)) {
    return InvalidArgument(fmt::format("choice.relevance: {} is not finite", choice.relevance));
  }
  Item* item = EnsureItem(choice.item);
  if (item == nullptr) {
    return InvalidArgument(
        fmt::format("choice.item: row {} is beyond {}", Index(choice.item), kMaxItems - 1));
  }
  Line line = ReadLine();
  Offset offset = item->LoadOffset();
  Tally tally = item->LoadTally();

  const double before = choice.earlier_reward > 0 ? 1 : 0;
  const double now = choice.reward > 0 ? 1 : 0;
  // A trial is learned from the expectation on, a correction by the difference it makes.
  if (!choice.is_correction || now != before) {
    const double x = static_cast<double>(choice.relevance) - 0.5;
    const double rho = Examination(choice.slot);
    const double line_variance = std::max(line.Variance(x), 0.0);
    const double variance = line_variance + offset.variance;
    const double appeal =
        Sigmoid((line.Logit(x) + offset.mean) / std::sqrt(1 + kPiOver8 * variance));
    const double p = std::clamp(rho * appeal, 1e-9, 1 - 1e-9);
    const double gradient = std::max(p * (1 - p / rho), 1e-12);
    const double noise = p * (1 - p) / (gradient * gradient);
    const double surprise = choice.is_correction ? now - before : now - p;
    const double step =
        std::clamp(surprise / gradient * variance / (variance + noise), -kMaxStep, kMaxStep) /
        variance;
    const double gain[2] = {line.covariance[0] + line.covariance[1] * x,
                            line.covariance[1] + line.covariance[2] * x};
    line.weight[0] += gain[0] * step;
    line.weight[1] += gain[1] * step;
    offset.mean += static_cast<float>(offset.variance * step);
    if (!choice.is_correction) {
      const double shrink = 1 / (variance + noise);
      line.covariance[0] =
          std::max(line.covariance[0] - gain[0] * gain[0] * shrink, kMinLineVariance);
      line.covariance[1] -= gain[0] * gain[1] * shrink;
      line.covariance[2] =
          std::max(line.covariance[2] - gain[1] * gain[1] * shrink, kMinLineVariance);
      // The floors above may have left too much correlation for a covariance.
      const double bound = 0.999 * std::sqrt(line.covariance[0] * line.covariance[2]);
      line.covariance[1] = std::clamp(line.covariance[1], -bound, bound);
      const auto floor = static_cast<float>(options_.item_sd_floor * options_.item_sd_floor);
      const float narrowed =
          offset.variance - static_cast<float>(offset.variance * offset.variance * shrink);
      offset.variance = std::max(narrowed, std::min(floor, offset.variance));
    }
  }

  std::uint32_t outcomes = tally.outcomes();
  if (choice.reward != choice.earlier_reward && (now > 0 || before > 0)) {
    if (before > 0 && now > 0) {
      if (outcomes > 0) {
        tally.value += (choice.reward - choice.earlier_reward) / static_cast<float>(outcomes);
      }
      line.value += (static_cast<double>(choice.reward) - choice.earlier_reward) / line.value_count;
    } else if (now > 0) {
      outcomes = std::min(outcomes + 1, kMaxOutcomes);
      tally.value += (choice.reward - tally.value) / static_cast<float>(outcomes);
      line.value_count = std::min(line.value_count + 1, kMaxValueCount);
      line.value += (choice.reward - line.value) / line.value_count;
    } else {
      // An outcome taken back: both means as they would be without it.
      if (outcomes > 0) {
        const auto rest = static_cast<float>(--outcomes);
        tally.value =
            outcomes == 0 ? 0 : tally.value + (tally.value - choice.earlier_reward) / rest;
      }
      if (line.value_count >= 2) {
        line.value_count -= 1;
        line.value += (line.value - choice.earlier_reward) / line.value_count;
      }
    }
  }
  tally.Set(tally.trials() + (choice.is_correction ? 0 : 1), outcomes);
  item->Store(offset);
  item->Store(tally);
  WriteLine(line);
  if (!choice.is_correction) trials_.fetch_add(1, std::memory_order_relaxed);
  return Status::Ok();
}

std::uint32_t RewardPosterior::TrialCount(ItemRow item) const {
  const Item* found = FindItem(item);
  return found == nullptr ? 0 : found->LoadTally().trials();
}

std::vector<ItemRow> RewardPosterior::Widest(std::size_t item_count, std::size_t count) const {
  struct Wide {
    float width;
    std::uint32_t row;
    bool operator<(const Wide& other) const {  // Wider first, then the older row.
      return width != other.width ? width > other.width : row < other.row;
    }
  };
  std::vector<Wide> wide;
  std::vector<Candidate> candidates;
  std::vector<Belief> beliefs;
  for (std::size_t first = 0; first < std::min(item_count, kMaxItems); first += kChunkItems) {
    const Chunk* chunk = chunks_[first >> kChunkBits].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    candidates.clear();
    for (std::size_t i = 0; i < std::min(kChunkItems, item_count - first); ++i) {
      if (chunk->items[i].LoadTally().trials() == 0) continue;
      candidates.push_back(
          {.item = ItemRow{static_cast<std::uint32_t>(first + i)}, .relevance = 0.5F});
    }
    beliefs.resize(candidates.size());
    Believe(candidates, beliefs);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      wide.push_back({beliefs[i].sd, Index(candidates[i].item)});
    }
  }
  count = std::min(count, wide.size());
  std::partial_sort(wide.begin(), wide.begin() + static_cast<std::ptrdiff_t>(count), wide.end());
  std::vector<ItemRow> rows;
  rows.reserve(count);
  for (std::size_t i = 0; i < count; ++i) rows.push_back(ItemRow{wide[i].row});
  return rows;
}

float RewardPosterior::Examination(int slot) const {
  return examination_[static_cast<std::size_t>(std::clamp(slot, 0, kExaminationCount - 1))];
}

namespace {

constexpr std::string_view kLineSection = "posterior";
constexpr std::string_view kItemsSection = "posterior.items";
constexpr std::uint64_t kSectionVersion = 1;

struct LineRecord {
  std::uint64_t version;
  std::uint64_t trials;
  double line[8];
};

struct ItemRecordOnDisk {
  std::uint32_t row;
  std::uint32_t counts;
  float value;
  float mean;
  float variance;
};

}  // namespace

void RewardPosterior::Save(SnapshotWriter& writer) const {
  LineRecord record{kSectionVersion, trial_count(), {}};
  const Line line = ReadLine();
  std::memcpy(record.line, &line, sizeof record.line);
  std::vector<ItemRecordOnDisk> items;
  for (std::size_t c = 0; c < kMaxItems / kChunkItems; ++c) {
    const Chunk* chunk = chunks_[c].load(std::memory_order_acquire);
    if (chunk == nullptr) continue;
    for (std::size_t i = 0; i < kChunkItems; ++i) {
      const Tally tally = chunk->items[i].LoadTally();
      if (tally.counts == 0) continue;
      const Offset offset = chunk->items[i].LoadOffset();
      items.push_back({static_cast<std::uint32_t>(c << kChunkBits | i), tally.counts, tally.value,
                       offset.mean, offset.variance});
    }
  }
  writer.AddArray(kLineSection, std::span<const LineRecord>(&record, 1));
  writer.AddArray(kItemsSection, items);
}

Status RewardPosterior::Load(const SnapshotReader& reader) {
  POISE_ASSIGN_OR_RETURN(const auto records, reader.Array<LineRecord>(kLineSection, 1));
  POISE_ASSIGN_OR_RETURN(const auto items, reader.Array<ItemRecordOnDisk>(kItemsSection));
  LineRecord record;
  std::memcpy(&record, records.data(), sizeof record);
  if (record.version != kSectionVersion) {
    return InvalidArgument(fmt::format("{}: unknown version {}", kLineSection, record.version));
  }
  const bool is_finite = std::all_of(std::begin(record.line), std::end(record.line),
                                     [](double word) { return std::isfinite(word); });
  Line line;
  std::memcpy(&line, record.line, sizeof line);
  if (!is_finite || line.covariance[0] <= 0 || line.covariance[2] <= 0 || line.value_count < 1 ||
      line.covariance[1] * line.covariance[1] > line.covariance[0] * line.covariance[2]) {
    return DataLoss(fmt::format("{}: weights that nothing can have learned", kLineSection));
  }
  for (const ItemRecordOnDisk& item : items) {
    if (item.row >= kMaxItems || !std::isfinite(item.value) || !std::isfinite(item.mean) ||
        !std::isfinite(item.variance) || item.variance <= 0) {
      return DataLoss(
          fmt::format("{}: row {} holds what nothing can have learned", kItemsSection, item.row));
    }
  }
  const float unseen = static_cast<float>(options_.item_sd * options_.item_sd);
  for (std::size_t c = 0; c < kMaxItems / kChunkItems; ++c) {
    Chunk* chunk = chunks_[c].load(std::memory_order_relaxed);
    if (chunk == nullptr) continue;
    for (Item& item : chunk->items) {
      item.Store(Offset{0, unseen});
      item.Store(Tally{0, 0});
    }
  }
  for (const ItemRecordOnDisk& stored : items) {
    Item* item = EnsureItem(ItemRow{stored.row});
    item->Store(Offset{stored.mean, stored.variance});
    item->Store(Tally{stored.value, stored.counts});
  }
  WriteLine(line);
  trials_.store(record.trials, std::memory_order_relaxed);
  return Status::Ok();
}

}  // namespace poise
