// SPDX-License-Identifier: Apache-2.0
#include "domain/event.h"

#include <fmt/format.h>

#include <cmath>

#include "domain/text.h"

namespace poise {
namespace {

constexpr std::array<std::string_view, kEventTypeCount> kEventTypeNames = {
    "view", "click", "favourite", "cart", "purchase", "rating", "return", "custom"};
constexpr std::size_t kMaxWordBytes = 256;
constexpr std::chrono::hours kClockSkew{24};

}  // namespace

std::string_view EventTypeName(EventType type) {
  return kEventTypeNames[static_cast<std::size_t>(type)];
}

Result<EventType> ParseEventType(std::string_view name) {
  for (std::size_t i = 0; i < kEventTypeCount; ++i) {
    if (kEventTypeNames[i] == name) return static_cast<EventType>(i);
  }
  return InvalidArgument(fmt::format("type: unknown event type \"{}\"; known: {}",
                                     name.substr(0, kMaxWordBytes),
                                     fmt::join(kEventTypeNames, ", ")));
}

Status ValidateEvent(const Event& event, Timestamp now) {
  if (event.user.value.empty() && event.session.empty()) {
    return InvalidArgument("userId: needed, or a sessionId for an anonymous visitor");
  }
  if (!event.user.value.empty()) POISE_RETURN_IF_ERROR(ValidateId(event.user.value, "userId"));
  if (!event.session.empty()) POISE_RETURN_IF_ERROR(ValidateId(event.session, "sessionId"));
  POISE_RETURN_IF_ERROR(ValidateId(event.item.value, "itemId"));
  POISE_RETURN_IF_ERROR(
      ValidateText(event.idempotency_key, kMaxIdBytes, TextLines::kOne, "idempotencyKey"));
  POISE_RETURN_IF_ERROR(
      ValidateText(event.custom_type, kMaxWordBytes, TextLines::kOne, "customType"));
  if (event.type == EventType::kCustom && event.custom_type.empty()) {
    return InvalidArgument("customType: needed when type is custom");
  }
  if (event.type != EventType::kCustom && !event.custom_type.empty()) {
    return InvalidArgument("customType: only with type custom");
  }
  if (!std::isfinite(event.value)) return InvalidArgument("value: must be finite");
  if (std::abs(event.value) > 1e12) return InvalidArgument("value: must be within 1e12 of 0");
  if (event.quantity == 0) return InvalidArgument("quantity: must be at least 1");
  if (event.time.micros < 0) return InvalidArgument("time: must not be before 1970");
  if (event.time > now + kClockSkew) {
    return InvalidArgument(
        fmt::format("time: {} is more than a day in the future", FormatTimestamp(event.time)));
  }
  return Status::Ok();
}

}  // namespace poise
