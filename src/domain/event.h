// SPDX-License-Identifier: Apache-2.0
//
// Event: one thing that happened, immutable, timestamped; as the caller tells it.
// Interaction: the same as models see it: dense, without the words.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "domain/ids.h"

namespace poise {

// The numbers stand in files: append only, at most 8 (PackedInteraction has three bits).
enum class EventType : std::uint8_t {
  kView = 0,
  kClick = 1,
  kFavourite = 2,
  kCart = 3,
  kPurchase = 4,
  kRating = 5,
  kReturn = 6,
  kCustom = 7,
};
inline constexpr std::size_t kEventTypeCount = 8;

std::string_view EventTypeName(EventType type);
// Errors  kInvalidArgument, listing the known names.
Result<EventType> ParseEventType(std::string_view name);

struct Event {
  UserId user;  // empty for an anonymous visitor, who is then named by `session`
  std::string
      session;  // a user's run of events, or an anonymous visitor; may be empty if user is not
  ItemId item;
  EventType type = EventType::kView;
  std::string custom_type;  // for kCustom: the caller's word
  double value = 0;         // of a rating: stars; of a purchase: price of one; finite
  std::uint32_t quantity = 1;
  std::string idempotency_key;         // equal keys of one user are one event; empty: none
  std::optional<DecisionId> decision;  // the decision that showed the item
  Timestamp time;                      // when it happened
};

// Errors  kInvalidArgument naming the field (as in JSON: userId, itemId, value, ...). A time more
//         than a day after `now` is refused.
Status ValidateEvent(const Event& event, Timestamp now);

// A user's action on an item, dense.
struct Interaction {
  ItemRow item{};
  std::uint32_t time_s = 0;  // unix seconds
  float value = 0;           // stars of a rating, otherwise the quantity
  EventType type = EventType::kView;
};

// How much an event of each type says about interest. A return takes back what its purchase said.
struct EventWeights {
  std::array<float, kEventTypeCount> by_type = {
      /*view=*/0.3F,     /*click=*/0.5F,  /*favourite=*/1.5F, /*cart=*/2.0F,
      /*purchase=*/3.0F, /*rating=*/1.0F, /*return=*/-3.0F,   /*custom=*/0.5F};
  float operator[](EventType type) const { return by_type[static_cast<std::size_t>(type)]; }
};

}  // namespace poise
