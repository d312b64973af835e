// SPDX-License-Identifier: Apache-2.0
#include "feedback/joiner.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <string>
#include <unordered_map>

#include "base/bytes.h"
#include "storage/snapshot.h"

namespace poise {
namespace {

constexpr std::string_view kSection = "joiner";
constexpr std::uint8_t kVersion = 1;
// How many of a user's latest decisions are searched for an item without a decision's name.
constexpr int kMaxSearched = 256;

struct PendingSlot {
  ItemRow item{};
  float propensity = 0;
  Belief belief;
  float relevance = 0;
  float reward = 0;
  std::uint8_t outcomes = 0;  // bit of each EventType that counted
  bool is_told = false;       // a row was given out: the trial is counted
};
static_assert(kEventTypeCount <= 8);

struct Pending {
  DecisionId id;
  UserKey user;
  Timestamp time;
  std::uint64_t previous = 0;  // number of the user's decision before, 0: none
  std::vector<PendingSlot> slots;
};

std::uint8_t BitOf(EventType type) {
  return static_cast<std::uint8_t>(1U << static_cast<unsigned>(type));
}

}  // namespace

// Decisions are numbered as they come, from 1, and leave in the same order, so a number finds its
// decision in the deque, and a number below the first is one that has left.
struct Joiner::State {
  // The tables have their full size from the start: growing one under the lock would hold up every
  // request for as long as it takes to move a hundred thousand entries.
  explicit State(std::size_t max_decisions) {
    constexpr std::size_t kMostReserved = 1 << 20;
    by_id.reserve(std::min(max_decisions, kMostReserved));
    latest_of_user.reserve(std::min(max_decisions, kMostReserved));
  }

  mutable std::mutex mutex;
  std::deque<Pending> pending;
  std::uint64_t first = 1;         // number of pending.front()
  std::uint64_t next_silence = 1;  // the first whose outcome window has not been looked at
  std::unordered_map<DecisionId, std::uint64_t, DecisionIdHash> by_id;
  std::unordered_map<UserKey, std::uint64_t, UserKeyHash> latest_of_user;
  Counts counts;

  Pending* Find(std::uint64_t number) {
    return number < first || number >= first + pending.size() ? nullptr : &pending[number - first];
  }

  void Push(Pending&& decision) {
    const std::uint64_t number = first + pending.size();
    std::uint64_t& latest = latest_of_user[decision.user];
    decision.previous = latest;
    latest = number;
    by_id.emplace(decision.id, number);
    pending.push_back(std::move(decision));
  }

  void PopFront() {
    const Pending& oldest = pending.front();
    // A forgotten decision has left both maps already.
    if (const auto found = by_id.find(oldest.id); found != by_id.end() && found->second == first) {
      by_id.erase(found);
    }
    if (const auto found = latest_of_user.find(oldest.user);
        found != latest_of_user.end() && found->second == first) {
      latest_of_user.erase(found);
    }
    pending.pop_front();
    ++first;
    next_silence = std::max(next_silence, first);
  }
};

namespace {

PendingSlot* SlotOf(Pending& decision, ItemRow item) {
  for (PendingSlot& slot : decision.slots) {
    if (slot.item == item) return &slot;
  }
  return nullptr;
}

LoggedChoice RowOf(const Pending& decision, const PendingSlot& slot) {
  LoggedChoice row;
  row.decision = decision.id;
  row.user = decision.user;
  row.item = slot.item;
  row.slot = static_cast<std::uint16_t>(&slot - decision.slots.data());
  row.propensity = slot.propensity;
  row.belief = slot.belief;
  row.relevance = slot.relevance;
  row.reward = slot.reward;
  row.is_correction = slot.is_told;
  row.decided = decision.time;
  return row;
}

}  // namespace

Joiner::Joiner(const JoinerOptions& options)
    : options_(options), state_(std::make_unique<State>(options.max_decisions)) {}
Joiner::~Joiner() = default;

void Joiner::OnDecision(const Decision& decision) {
  if (decision.slate.empty() || options_.max_decisions == 0) return;
  Pending pending;
  pending.id = decision.id;
  pending.user = decision.user;
  pending.time = decision.time;
  pending.slots.reserve(decision.slate.size());
  for (const Choice& choice : decision.slate) {
    PendingSlot slot;
    slot.item = choice.item;
    slot.propensity = choice.propensity;
    slot.belief = choice.belief;
    slot.relevance = choice.relevance;
    pending.slots.push_back(slot);
  }
  const std::lock_guard lock(state_->mutex);
  if (state_->by_id.contains(decision.id)) {
    ++state_->counts.duplicate_decisions;
    return;
  }
  while (state_->pending.size() >= options_.max_decisions) {
    state_->PopFront();
    ++state_->counts.dropped;
  }
  state_->Push(std::move(pending));
  ++state_->counts.decisions;
}

void Joiner::OnEvent(const UserKey& user, ItemRow item, EventType type, Timestamp time,
                     const std::optional<DecisionId>& decision, std::vector<LoggedChoice>& rows) {
  const bool is_return = type == EventType::kReturn;
  const float weight =
      options_.reward_by_type[static_cast<std::size_t>(is_return ? EventType::kPurchase : type)];
  if (weight == 0) return;

  const std::lock_guard lock(state_->mutex);
  Counts& counts = state_->counts;
  Pending* pending = nullptr;
  PendingSlot* slot = nullptr;
  if (decision.has_value()) {
    const auto found = state_->by_id.find(*decision);
    pending = found == state_->by_id.end() ? nullptr : state_->Find(found->second);
    if (pending == nullptr || time - pending->time > options_.attribution_window) {
      ++counts.unknown_decision;
      return;
    }
    if (pending->time - time > options_.clock_tolerance) {
      ++counts.before_decision;
      return;
    }
    slot = SlotOf(*pending, item);
    if (slot == nullptr) {
      ++counts.not_shown;
      return;
    }
  } else {
    const auto found = state_->latest_of_user.find(user);
    std::uint64_t number = found == state_->latest_of_user.end() ? 0 : found->second;
    for (int searched = 0; searched < kMaxSearched && slot == nullptr; ++searched) {
      pending = state_->Find(number);
      if (pending == nullptr) break;
      if (time >= pending->time && time - pending->time <= options_.attribution_window) {
        slot = SlotOf(*pending, item);
        // A return belongs to the decision that sold the item, not to one that showed it since.
        if (is_return && slot != nullptr && (slot->outcomes & BitOf(EventType::kPurchase)) == 0) {
          slot = nullptr;
        }
      }
      number = pending->previous;
    }
    if (slot == nullptr) {
      ++counts.unmatched;
      return;
    }
  }

  const std::uint8_t bit = BitOf(is_return ? EventType::kPurchase : type);
  const bool has_bit = (slot->outcomes & bit) != 0;
  if (has_bit != is_return) {
    ++counts.repeated;
    return;
  }
  const float earlier = slot->is_told ? slot->reward : 0;
  slot->outcomes = static_cast<std::uint8_t>(slot->outcomes ^ bit);
  slot->reward += is_return ? -weight : weight;
  // Sums of floats taken back in another order may leave a crumb.
  if (slot->outcomes == 0) slot->reward = 0;
  rows.push_back(RowOf(*pending, *slot));
  rows.back().earlier_reward = earlier;
  slot->is_told = true;
  ++counts.outcomes;
}

void Joiner::Tick(Timestamp now, std::vector<LoggedChoice>& rows) {
  const std::lock_guard lock(state_->mutex);
  for (Pending* pending = state_->Find(state_->next_silence);
       pending != nullptr && now - pending->time >= options_.outcome_window;
       pending = state_->Find(++state_->next_silence)) {
    for (PendingSlot& slot : pending->slots) {
      if (slot.is_told) continue;
      rows.push_back(RowOf(*pending, slot));
      slot.is_told = true;
    }
  }
  while (!state_->pending.empty() && state_->first < state_->next_silence &&
         now - state_->pending.front().time > options_.attribution_window) {
    state_->PopFront();
  }
}

void Joiner::Forget(const UserKey& user) {
  const std::lock_guard lock(state_->mutex);
  const auto found = state_->latest_of_user.find(user);
  if (found == state_->latest_of_user.end()) return;
  for (Pending* pending = state_->Find(found->second); pending != nullptr;) {
    state_->by_id.erase(pending->id);
    Pending* previous = state_->Find(pending->previous);
    const Timestamp time = pending->time;
    *pending = Pending{};
    pending->time = time;
    pending = previous;
  }
  state_->latest_of_user.erase(found);
}

bool Joiner::Remembers(const UserKey& user) const {
  const std::lock_guard lock(state_->mutex);
  return state_->latest_of_user.contains(user);
}

std::size_t Joiner::pending_count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->pending.size();
}

Joiner::Counts Joiner::counts() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counts;
}

void Joiner::Save(SnapshotWriter& writer) const {
  ByteWriter bytes;
  {
    const std::lock_guard lock(state_->mutex);
    bytes.Fixed(kVersion);
    bytes.Varint(state_->pending.size());
    for (std::size_t i = 0; i < state_->pending.size(); ++i) {
      const Pending& pending = state_->pending[i];
      bytes.Fixed(pending.id.high);
      bytes.Fixed(pending.id.low);
      bytes.Raw(pending.user.view());
      bytes.Fixed(pending.time.micros);
      bytes.Fixed<std::uint8_t>(state_->first + i < state_->next_silence ? 1 : 0);
      bytes.Varint(pending.slots.size());
      for (const PendingSlot& slot : pending.slots) {
        bytes.Fixed(Index(slot.item));
        bytes.Fixed(slot.propensity);
        bytes.Fixed(slot.belief.mean);
        bytes.Fixed(slot.belief.sd);
        bytes.Fixed(slot.relevance);
        bytes.Fixed(slot.reward);
        bytes.Fixed(slot.outcomes);
        bytes.Fixed<std::uint8_t>(slot.is_told ? 1 : 0);
      }
    }
  }
  writer.AddSection(kSection, bytes.bytes());
}

Status Joiner::Load(const SnapshotReader& reader) {
  POISE_ASSIGN_OR_RETURN(const std::string_view section, reader.Section(kSection));
  ByteReader bytes(section);
  if (const auto version = bytes.Fixed<std::uint8_t>(); version != kVersion) {
    return InvalidArgument("joiner: unknown version " + std::to_string(version));
  }
  constexpr std::size_t kMinPendingBytes = 42;
  constexpr std::size_t kSlotBytes = 26;
  const Status damaged = DataLoss("joiner: section is damaged");
  State loaded(options_.max_decisions);
  const std::uint64_t count = bytes.Varint();
  if (count > bytes.rest().size() / kMinPendingBytes) return damaged;
  for (std::uint64_t i = 0; i < count; ++i) {
    Pending pending;
    pending.id.high = bytes.Fixed<std::uint64_t>();
    pending.id.low = bytes.Fixed<std::uint64_t>();
    const std::string_view user = bytes.Raw(sizeof pending.user.bytes);
    if (!bytes.ok()) return damaged;
    pending.user = UserKey::FromBytes(user);
    pending.time.micros = bytes.Fixed<std::int64_t>();
    const bool was_looked_at = bytes.Fixed<std::uint8_t>() != 0;
    const std::uint64_t slot_count = bytes.Varint();
    if (slot_count > bytes.rest().size() / kSlotBytes) return damaged;
    for (std::uint64_t s = 0; s < slot_count; ++s) {
      PendingSlot slot;
      slot.item = ItemRow{bytes.Fixed<std::uint32_t>()};
      slot.propensity = bytes.Fixed<float>();
      slot.belief.mean = bytes.Fixed<float>();
      slot.belief.sd = bytes.Fixed<float>();
      slot.relevance = bytes.Fixed<float>();
      slot.reward = bytes.Fixed<float>();
      slot.outcomes = bytes.Fixed<std::uint8_t>();
      slot.is_told = bytes.Fixed<std::uint8_t>() != 0;
      if (!(slot.propensity > 0 && slot.propensity <= 1) || !std::isfinite(slot.reward) ||
          !std::isfinite(slot.relevance)) {
        return damaged;
      }
      pending.slots.push_back(slot);
    }
    if (was_looked_at) loaded.next_silence = loaded.first + loaded.pending.size() + 1;
    if (pending.slots.empty()) {
      // Forgotten before it was saved: it keeps its place only.
      loaded.pending.push_back(std::move(pending));
    } else if (loaded.by_id.contains(pending.id)) {
      return damaged;
    } else {
      loaded.Push(std::move(pending));
    }
  }
  if (!bytes.ok() || !bytes.IsAtEnd()) return damaged;
  const std::lock_guard lock(state_->mutex);
  state_->pending = std::move(loaded.pending);
  state_->first = loaded.first;
  state_->next_silence = loaded.next_silence;
  state_->by_id = std::move(loaded.by_id);
  state_->latest_of_user = std::move(loaded.latest_of_user);
  while (state_->pending.size() > options_.max_decisions) {
    state_->PopFront();
    ++state_->counts.dropped;
  }
  return Status::Ok();
}

}  // namespace poise
