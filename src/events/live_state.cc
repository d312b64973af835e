// SPDX-License-Identifier: Apache-2.0
#include "events/live_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"

namespace poise {
namespace {

constexpr std::uint32_t kItemBits = 24;
constexpr std::uint32_t kTypeBits = 3;
constexpr std::uint32_t kItemMask = (1U << kItemBits) - 1;
constexpr std::uint32_t kMaxCode = 31;

// What the codes of quantities above 16 stand for; the numbers stand in files.
constexpr std::array<std::uint16_t, 15> kLargeQuantities = {20,  24,  32,  40,  48,  64,  80, 96,
                                                            112, 128, 160, 192, 256, 320, 384};
constexpr std::uint32_t kExactQuantities = 16;

std::uint32_t QuantityCode(float quantity) {
  if (!(quantity > 1)) return 1;
  if (quantity < kExactQuantities + 0.5F) return static_cast<std::uint32_t>(std::lround(quantity));
  // The nearest by ratio.
  std::uint32_t code = kExactQuantities;
  float below = kExactQuantities;
  for (const std::uint16_t value : kLargeQuantities) {
    if (quantity * quantity < below * value) break;
    below = value;
    ++code;
  }
  return code;
}

// What the codes stand for: of quantities, and of ratings.
constexpr auto kValues = [] {
  std::array<std::array<float, kMaxCode + 1>, 2> values{};
  for (std::uint32_t code = 0; code <= kMaxCode; ++code) {
    values[0][code] = code <= kExactQuantities
                          ? static_cast<float>(code)
                          : static_cast<float>(kLargeQuantities[code - kExactQuantities - 1]);
    values[1][code] = static_cast<float>(code) * 0.5F;
  }
  return values;
}();

// Stars are halves below this.
constexpr float kMaxStars = 15.5F;

std::uint32_t StarsCode(float stars) {
  if (!(stars > 0)) return 0;
  return static_cast<std::uint32_t>(std::lround(std::min(stars, kMaxStars) * 2));
}

constexpr std::uint32_t kBlockSlots = 10;
constexpr std::uint32_t kNoBlock = 0xffffffff;

// Ten interactions of one user; a user's blocks form a ring.
struct Block {
  std::array<PackedInteraction, kBlockSlots> slots;
  std::uint32_t next = kNoBlock;
};
static_assert(sizeof(Block) == 84);

// A user's ring of slots. In ring order, from the slot behind the newest one round to the newest,
// the last `size` slots are kept, oldest first; the ones before them are free.
struct UserEntry {
  UserRow row{};
  std::uint32_t version = 0;
  std::uint32_t newest_block = kNoBlock;
  std::uint16_t size = 0;
  std::uint8_t newest_slot = 0;  // in newest_block
  std::uint8_t block_count = 0;

  std::uint32_t slot_count() const { return block_count * kBlockSlots; }
};
static_assert(LiveState::kMaxHistoryLength / kBlockSlots <= 255);

struct KeyHash {
  using is_avalanching = void;
  std::size_t operator()(const UserKey& key) const { return UserKeyHash{}(key); }
};

// Of a fixed size, so compared in two words.
struct KeyEqual {
  bool operator()(const UserKey& a, const UserKey& b) const {
    return std::memcmp(a.bytes.data(), b.bytes.data(), sizeof a.bytes) == 0;
  }
};

// Blocks of equal size for all users of a shard: nothing fragments as rings grow.
class BlockPool {
 public:
  std::uint32_t Take() {
    if (free_ != kNoBlock) {
      const std::uint32_t index = free_;
      free_ = At(index).next;
      return index;
    }
    if (used_ == slabs_.size() * kSlabBlocks) {
      slabs_.push_back(std::make_unique<Block[]>(kSlabBlocks));
    }
    return used_++;
  }
  void Give(std::uint32_t index) {
    // What a forgotten person did must not stay behind in a free block.
    At(index).slots = {};
    At(index).next = free_;
    free_ = index;
  }
  Block& At(std::uint32_t index) { return slabs_[index / kSlabBlocks][index % kSlabBlocks]; }
  const Block& At(std::uint32_t index) const {
    return slabs_[index / kSlabBlocks][index % kSlabBlocks];
  }

 private:
  static constexpr std::uint32_t kSlabBlocks = 128;

  std::vector<std::unique_ptr<Block[]>> slabs_;
  std::uint32_t used_ = 0;
  std::uint32_t free_ = kNoBlock;
};

}  // namespace

PackedInteraction PackedInteraction::Pack(const Interaction& interaction) {
  POISE_DCHECK(Index(interaction.item) <= kItemMask);
  const std::uint32_t code = interaction.type == EventType::kRating
                                 ? StarsCode(interaction.value)
                                 : QuantityCode(interaction.value);
  PackedInteraction packed;
  packed.item_type_value = Index(interaction.item) |
                           static_cast<std::uint32_t>(interaction.type) << kItemBits |
                           code << (kItemBits + kTypeBits);
  packed.time_s = interaction.time_s;
  return packed;
}

Interaction PackedInteraction::Unpack() const {
  Interaction interaction;
  interaction.item = static_cast<ItemRow>(item_type_value & kItemMask);
  interaction.type = static_cast<EventType>(item_type_value >> kItemBits & (kEventTypeCount - 1));
  const std::uint32_t code = item_type_value >> (kItemBits + kTypeBits);
  static_assert(kItemBits + kTypeBits + 5 == 32 && kMaxCode == 31);
  interaction.value = kValues[interaction.type == EventType::kRating ? 1 : 0][code];
  interaction.time_s = time_s;
  return interaction;
}

struct LiveState::Shard {
  mutable std::mutex mutex;
  boost::unordered_flat_map<UserKey, UserEntry, KeyHash, KeyEqual> users;
  BlockPool blocks;
  bool is_capture_pending = false;
  std::string captured;

  void Add(UserEntry& entry, const PackedInteraction& packed, std::size_t limit);
  void Append(UserEntry& entry, const PackedInteraction& packed, std::size_t limit);
  void Insert(UserEntry& entry, const PackedInteraction& packed, std::size_t limit);
  void Release(UserEntry& entry);
  // Calls visit(PackedInteraction&) for what is kept, oldest first.
  template <typename Visit>
  void VisitKept(const UserEntry& entry, const Visit& visit);
  template <typename Visit>
  void VisitKept(const UserEntry& entry, const Visit& visit) const {
    const_cast<Shard*>(this)->VisitKept(entry,
                                        [&](const PackedInteraction& packed) { visit(packed); });
  }
  std::string Serialize() const;
  void CaptureIfPending() {
    if (!is_capture_pending) return;
    captured = Serialize();
    is_capture_pending = false;
  }
};

template <typename Visit>
void LiveState::Shard::VisitKept(const UserEntry& entry, const Visit& visit) {
  if (entry.size == 0) return;
  // Free slots come first in ring order; a whole block of them is passed over at once.
  std::uint32_t skip = entry.slot_count() - entry.size;
  Block& newest = blocks.At(entry.newest_block);
  for (std::uint32_t slot = entry.newest_slot + 1U; slot < kBlockSlots; ++slot) {
    if (skip > 0) {
      --skip;
    } else {
      visit(newest.slots[slot]);
    }
  }
  for (std::uint32_t index = newest.next; index != entry.newest_block;) {
    Block& block = blocks.At(index);
    const std::uint32_t begin = std::min(skip, kBlockSlots);
    skip -= begin;
    for (std::uint32_t slot = begin; slot < kBlockSlots; ++slot) visit(block.slots[slot]);
    index = block.next;
  }
  for (std::uint32_t slot = skip; slot <= entry.newest_slot; ++slot) visit(newest.slots[slot]);
}

// Puts `packed` behind the newest one.
void LiveState::Shard::Append(UserEntry& entry, const PackedInteraction& packed,
                              std::size_t limit) {
  if (entry.block_count == 0) {
    entry.newest_block = blocks.Take();
    blocks.At(entry.newest_block).next = entry.newest_block;
    entry.newest_slot = 0;
    entry.block_count = 1;
  } else if (entry.newest_slot + 1U < kBlockSlots) {
    ++entry.newest_slot;
  } else {
    const std::uint32_t following = blocks.At(entry.newest_block).next;
    const bool is_following_free = entry.slot_count() - entry.size >= kBlockSlots;
    if (is_following_free || entry.slot_count() >= limit) {
      entry.newest_block = following;
    } else {
      const std::uint32_t fresh = blocks.Take();
      blocks.At(fresh).next = following;
      blocks.At(entry.newest_block).next = fresh;
      entry.newest_block = fresh;
      ++entry.block_count;
    }
    entry.newest_slot = 0;
  }
  blocks.At(entry.newest_block).slots[entry.newest_slot] = packed;
  if (entry.size < limit) ++entry.size;
}

// Puts `packed` where its time belongs, behind others of the same time.
void LiveState::Shard::Insert(UserEntry& entry, const PackedInteraction& packed,
                              std::size_t limit) {
  thread_local std::vector<PackedInteraction> kept;
  kept.clear();
  VisitKept(entry, [&](const PackedInteraction& one) { kept.push_back(one); });
  const auto place = std::upper_bound(
      kept.begin(), kept.end(), packed,
      [](const PackedInteraction& a, const PackedInteraction& b) { return a.time_s < b.time_s; });
  const bool is_full = kept.size() == limit;
  if (is_full && place == kept.begin()) return;  // older than all that is kept
  kept.insert(place, packed);
  if (is_full) {
    kept.erase(kept.begin());
  } else {
    Append(entry, packed, limit);
  }
  auto next = kept.begin();
  VisitKept(entry, [&](PackedInteraction& one) { one = *next++; });
}

void LiveState::Shard::Add(UserEntry& entry, const PackedInteraction& packed, std::size_t limit) {
  const bool is_late =
      entry.size > 0 &&
      packed.time_s < blocks.At(entry.newest_block).slots[entry.newest_slot].time_s;
  if (is_late) {
    Insert(entry, packed, limit);
  } else {
    Append(entry, packed, limit);
  }
}

void LiveState::Shard::Release(UserEntry& entry) {
  std::uint32_t index = entry.newest_block;
  for (; entry.block_count > 0; --entry.block_count) {
    const std::uint32_t next = blocks.At(index).next;
    blocks.Give(index);
    index = next;
  }
  entry.newest_block = kNoBlock;
  entry.newest_slot = 0;
  entry.size = 0;
}

std::string LiveState::Shard::Serialize() const {
  ByteWriter out;
  out.Fixed(static_cast<std::uint32_t>(users.size()));
  for (const auto& [user, entry] : users) {
    out.Raw(user.view());
    out.Fixed(Index(entry.row));
    out.Fixed(entry.version);
    out.Fixed(entry.size);
    VisitKept(entry, [&](const PackedInteraction& packed) {
      out.Fixed(packed.item_type_value);
      out.Fixed(packed.time_s);
    });
  }
  return out.Take();
}

// Counters of all items, in chunks that come to be when one of their items is first touched.
struct LiveState::Counters {
  static constexpr std::size_t kChunkItems = 4096;
  static constexpr std::size_t kChunkCount = (std::size_t{1} << kItemBits) / kChunkItems;
  struct Chunk {
    std::array<std::array<std::atomic<std::uint32_t>, kEventTypeCount>, kChunkItems> counts{};
  };

  ~Counters() {
    for (auto& chunk : chunks) delete chunk.load(std::memory_order_relaxed);
  }

  // By the applying thread only.
  std::array<std::atomic<std::uint32_t>, kEventTypeCount>& Touch(std::size_t item) {
    std::atomic<Chunk*>& place = chunks[item / kChunkItems];
    Chunk* chunk = place.load(std::memory_order_relaxed);
    if (chunk == nullptr) {
      chunk = new Chunk;
      place.store(chunk, std::memory_order_release);
    }
    item_count = std::max(item_count, item + 1);
    return chunk->counts[item % kChunkItems];
  }

  std::array<std::atomic<Chunk*>, kChunkCount> chunks{};
  std::size_t item_count = 0;  // one more than the highest item touched
};

LiveState::LiveState(Options options)
    : history_length_(options.history_length),
      shards_(std::make_unique<Shard[]>(kShardCount)),
      counters_(std::make_unique<Counters>()) {
  POISE_CHECK(history_length_ >= 1 && history_length_ <= kMaxHistoryLength);
}

LiveState::~LiveState() = default;

// The table inside hashes by the first bytes, so the shard is chosen by the last one.
LiveState::Shard& LiveState::ShardOf(const UserKey& user) const {
  static_assert(kShardCount == 256);
  return shards_[user.bytes[15]];
}

UserRow LiveState::Touch(const UserKey& user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard lock(shard.mutex);
  if (const auto it = shard.users.find(user); it != shard.users.end()) return it->second.row;
  shard.CaptureIfPending();
  UserEntry& entry = shard.users[user];
  entry.row = static_cast<UserRow>(next_row_.load(std::memory_order_relaxed));
  next_row_.fetch_add(1, std::memory_order_release);
  user_count_.fetch_add(1, std::memory_order_relaxed);
  return entry.row;
}

UserRow LiveState::Apply(const UserKey& user, const Interaction& interaction) {
  const UserRow row = Touch(user);
  Shard& shard = ShardOf(user);
  {
    const std::lock_guard lock(shard.mutex);
    shard.CaptureIfPending();
    UserEntry& entry = shard.users.find(user)->second;
    shard.Add(entry, PackedInteraction::Pack(interaction), history_length_);
    ++entry.version;
  }
  counters_->Touch(Index(interaction.item))[static_cast<std::size_t>(interaction.type)].fetch_add(
      1, std::memory_order_relaxed);
  interaction_count_.fetch_add(1, std::memory_order_relaxed);
  return row;
}

bool LiveState::Forget(const UserKey& user) {
  Shard& shard = ShardOf(user);
  const std::lock_guard lock(shard.mutex);
  const auto it = shard.users.find(user);
  if (it == shard.users.end()) return false;
  shard.CaptureIfPending();
  // What is still known of the person leaves the items' counters too.
  shard.VisitKept(it->second, [&](const PackedInteraction& packed) {
    const Interaction interaction = packed.Unpack();
    counters_->Touch(Index(interaction.item))[static_cast<std::size_t>(interaction.type)].fetch_sub(
        1, std::memory_order_relaxed);
  });
  shard.Release(it->second);
  shard.users.erase(it);
  user_count_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void LiveState::DropBefore(std::uint32_t time_s) {
  for (std::size_t i = 0; i < kShardCount; ++i) {
    Shard& shard = shards_[i];
    const std::lock_guard lock(shard.mutex);
    shard.CaptureIfPending();
    for (auto& [user, entry] : shard.users) {
      std::uint16_t old_count = 0;
      shard.VisitKept(entry, [&](PackedInteraction& packed) {
        if (packed.time_s >= time_s) return;
        packed = {};
        ++old_count;
      });
      entry.size = static_cast<std::uint16_t>(entry.size - old_count);
      if (entry.size == 0) shard.Release(entry);
    }
  }
}

std::optional<UserHistory> LiveState::Read(const UserKey& user,
                                           std::vector<Interaction>& buffer) const {
  if (buffer.size() < history_length_) buffer.resize(history_length_);
  const Shard& shard = ShardOf(user);
  UserHistory history;
  std::size_t count = 0;
  {
    const std::lock_guard lock(shard.mutex);
    const auto it = shard.users.find(user);
    if (it == shard.users.end()) return std::nullopt;
    history.row = it->second.row;
    history.version = it->second.version;
    shard.VisitKept(it->second,
                    [&](const PackedInteraction& packed) { buffer[count++] = packed.Unpack(); });
  }
  history.interactions = {buffer.data(), count};
  if (count > 0) history.last_time_s = buffer[count - 1].time_s;
  return history;
}

std::optional<UserRow> LiveState::RowOf(const UserKey& user) const {
  const Shard& shard = ShardOf(user);
  const std::lock_guard lock(shard.mutex);
  const auto it = shard.users.find(user);
  if (it == shard.users.end()) return std::nullopt;
  return it->second.row;
}

void LiveState::ForEach(
    const std::function<void(const UserKey&, const UserHistory& history)>& visit) const {
  struct User {
    UserKey key;
    UserHistory history;
    std::size_t begin = 0;
    std::size_t size = 0;
  };
  std::vector<User> users;
  std::vector<Interaction> interactions;
  for (std::size_t i = 0; i < kShardCount; ++i) {
    users.clear();
    interactions.clear();
    {
      // Copied, so that `visit` runs without the lock.
      const Shard& shard = shards_[i];
      const std::lock_guard lock(shard.mutex);
      for (const auto& [key, entry] : shard.users) {
        User user;
        user.key = key;
        user.history.row = entry.row;
        user.history.version = entry.version;
        user.begin = interactions.size();
        user.size = entry.size;
        shard.VisitKept(entry, [&](const PackedInteraction& packed) {
          interactions.push_back(packed.Unpack());
        });
        users.push_back(user);
      }
    }
    for (User& user : users) {
      user.history.interactions = {interactions.data() + user.begin, user.size};
      if (user.size > 0) user.history.last_time_s = user.history.interactions.back().time_s;
      visit(user.key, user.history);
    }
  }
}

ItemCounts LiveState::CountsOf(ItemRow item) const {
  ItemCounts counts{};
  const std::size_t index = Index(item);
  if (index / Counters::kChunkItems >= Counters::kChunkCount) return counts;
  const Counters::Chunk* chunk =
      counters_->chunks[index / Counters::kChunkItems].load(std::memory_order_acquire);
  if (chunk == nullptr) return counts;
  for (std::size_t type = 0; type < kEventTypeCount; ++type) {
    counts[type] =
        chunk->counts[index % Counters::kChunkItems][type].load(std::memory_order_relaxed);
  }
  return counts;
}

void LiveState::BeginCapture() {
  for (std::size_t i = 0; i < kShardCount; ++i) {
    const std::lock_guard lock(shards_[i].mutex);
    shards_[i].is_capture_pending = true;
    shards_[i].captured.clear();
  }
}

std::string LiveState::TakeShard(std::size_t index) {
  POISE_CHECK(index < kShardCount);
  Shard& shard = shards_[index];
  const std::lock_guard lock(shard.mutex);
  shard.CaptureIfPending();
  return std::exchange(shard.captured, {});
}

void LiveState::EndCapture() {
  for (std::size_t i = 0; i < kShardCount; ++i) {
    const std::lock_guard lock(shards_[i].mutex);
    shards_[i].is_capture_pending = false;
    shards_[i].captured = {};
  }
}

std::string LiveState::CaptureTotals() const {
  ByteWriter out;
  out.Fixed(next_row_.load());
  out.Fixed(interaction_count_.load());
  out.Fixed(static_cast<std::uint32_t>(counters_->item_count));
  for (std::size_t item = 0; item < counters_->item_count; ++item) {
    for (const std::uint32_t count : CountsOf(static_cast<ItemRow>(item))) out.Fixed(count);
  }
  return out.Take();
}

Status LiveState::RestoreTotals(std::string_view bytes) {
  ByteReader in(bytes);
  const auto next_row = in.Fixed<std::uint32_t>();
  const auto interaction_count = in.Fixed<std::uint64_t>();
  const auto item_count = in.Fixed<std::uint32_t>();
  if (!in.ok() || item_count > kItemMask + 1 ||
      in.rest().size() != std::size_t{item_count} * sizeof(ItemCounts)) {
    return DataLoss("live state: its totals are damaged");
  }
  next_row_ = next_row;
  interaction_count_ = interaction_count;
  for (std::uint32_t item = 0; item < item_count; ++item) {
    ItemCounts counts;
    for (std::uint32_t& count : counts) count = in.Fixed<std::uint32_t>();
    if (counts == ItemCounts{}) continue;
    auto& place = counters_->Touch(item);
    for (std::size_t type = 0; type < kEventTypeCount; ++type) place[type] = counts[type];
  }
  return Status::Ok();
}

Status LiveState::RestoreShard(std::size_t index, std::string_view bytes) {
  POISE_CHECK(index < kShardCount);
  const Status damaged = DataLoss(fmt::format("live state: shard {} is damaged", index));
  Shard& shard = shards_[index];
  const std::lock_guard lock(shard.mutex);
  ByteReader in(bytes);
  const auto count = in.Fixed<std::uint32_t>();
  constexpr std::size_t kLeastBytes = sizeof(UserKey) + 10;
  if (!in.ok() || count > in.rest().size() / kLeastBytes) return damaged;
  shard.users.reserve(count);
  const std::uint32_t row_count = next_row_.load();
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string_view raw = in.Raw(sizeof(UserKey));
    const auto row = in.Fixed<std::uint32_t>();
    const auto version = in.Fixed<std::uint32_t>();
    const auto size = in.Fixed<std::uint16_t>();
    if (!in.ok() || row >= row_count || in.rest().size() < size * sizeof(PackedInteraction)) {
      return damaged;
    }
    const UserKey user = UserKey::FromBytes(raw);
    if (&ShardOf(user) != &shard) return damaged;
    const auto [it, is_new] = shard.users.try_emplace(user);
    if (!is_new) return damaged;
    it->second.row = static_cast<UserRow>(row);
    it->second.version = version;
    std::uint32_t previous_s = 0;
    for (std::uint16_t k = 0; k < size; ++k) {
      PackedInteraction packed;
      packed.item_type_value = in.Fixed<std::uint32_t>();
      packed.time_s = in.Fixed<std::uint32_t>();
      if (packed.time_s < previous_s) return damaged;
      previous_s = packed.time_s;
      shard.Append(it->second, packed, history_length_);
    }
  }
  if (!in.IsAtEnd()) return damaged;
  user_count_.fetch_add(count, std::memory_order_relaxed);
  return Status::Ok();
}

}  // namespace poise
