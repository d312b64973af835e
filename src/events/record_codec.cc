// SPDX-License-Identifier: Apache-2.0
#include "events/record_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/seal.h"

namespace poise {
namespace {

constexpr std::uint8_t kVersion = 1;

// Of the record's second byte.
constexpr std::uint8_t kIsSealed = 1;

// Of an event body's flags: what is not the usual, and so is written.
constexpr std::uint8_t kHasValue = 1;
constexpr std::uint8_t kHasQuantity = 2;
constexpr std::uint8_t kHasSession = 4;
constexpr std::uint8_t kHasIdempotencyKey = 8;
constexpr std::uint8_t kHasDecision = 16;
constexpr std::uint8_t kHasCustomType = 32;
constexpr std::uint8_t kKnownFlags = 63;

constexpr std::size_t kUserKeyBytes = sizeof(UserKey{}.bytes);

void WriteHead(const UserKey& user, std::uint32_t generation, Sealing sealing, ByteWriter& out) {
  out.Fixed(kVersion);
  out.Fixed(static_cast<std::uint8_t>(sealing == Sealing::kSealed ? kIsSealed : 0));
  out.Raw(user.view());
  out.Fixed(generation);
}

Status AppendBody(const PersonKey& key, std::string_view clear, std::string_view body,
                  Sealing sealing, std::string& out) {
  out += clear;
  if (sealing == Sealing::kSealed) return SealTo(out, key.view(), body, clear);
  out += body;
  return Status::Ok();
}

std::uint8_t FlagsOf(const EventPayload& event) {
  return static_cast<std::uint8_t>(
      (event.value != 0 ? kHasValue : 0) | (event.quantity != 1 ? kHasQuantity : 0) |
      (!event.session.empty() ? kHasSession : 0) |
      (!event.idempotency_key.empty() ? kHasIdempotencyKey : 0) |
      (event.decision ? kHasDecision : 0) | (!event.custom_type.empty() ? kHasCustomType : 0));
}

Status Damaged(std::string_view what) { return DataLoss(fmt::format("{} is damaged", what)); }

}  // namespace

Interaction EventPayload::AsInteraction() const {
  Interaction interaction;
  interaction.item = item;
  interaction.type = type;
  interaction.time_s = static_cast<std::uint32_t>(
      std::min<std::int64_t>(time.seconds(), std::numeric_limits<std::uint32_t>::max()));
  interaction.value =
      type == EventType::kRating ? static_cast<float>(value) : static_cast<float>(quantity);
  return interaction;
}

Status EncodeEventRecord(const UserKey& user, const PersonKey& key, const EventPayload& event,
                         Sealing sealing, std::string& out) {
  ByteWriter body;
  const std::uint8_t flags = FlagsOf(event);
  body.Fixed(flags);
  body.Fixed(static_cast<std::uint8_t>(event.type));
  body.Varint(Index(event.item));
  body.Varint(static_cast<std::uint64_t>(event.time.micros));
  if (flags & kHasValue) body.Fixed(event.value);
  if (flags & kHasQuantity) body.Varint(event.quantity);
  if (flags & kHasSession) body.Text(event.session);
  if (flags & kHasIdempotencyKey) body.Text(event.idempotency_key);
  if (flags & kHasDecision) {
    body.Fixed(event.decision->high);
    body.Fixed(event.decision->low);
  }
  if (flags & kHasCustomType) body.Text(event.custom_type);
  ByteWriter clear;
  WriteHead(user, key.generation(), sealing, clear);
  return AppendBody(key, clear.bytes(), body.bytes(), sealing, out);
}

Status EncodeDecisionRecord(const UserKey& user, const PersonKey& key, const DecisionId& id,
                            std::string_view payload, Sealing sealing, std::string& out) {
  ByteWriter clear;
  WriteHead(user, key.generation(), sealing, clear);
  clear.Fixed(id.high);
  clear.Fixed(id.low);
  return AppendBody(key, clear.bytes(), payload, sealing, out);
}

void EncodeForgottenRecord(const UserKey& user, std::uint32_t generation, Timestamp time,
                           std::string& out) {
  ByteWriter record;
  WriteHead(user, generation, Sealing::kPlain, record);
  record.Fixed(time.micros);
  out += record.bytes();
}

Result<RecordHead> DecodeRecordHead(std::uint8_t kind, std::string_view record) {
  RecordHead head;
  ByteReader in(record);
  const auto version = in.Fixed<std::uint8_t>();
  if (in.ok() && version != kVersion) {
    return DataLoss(
        fmt::format("record: format version {} is not known to this program", unsigned{version}));
  }
  const auto flags = in.Fixed<std::uint8_t>();
  const std::string_view user = in.Raw(kUserKeyBytes);
  head.generation = in.Fixed<std::uint32_t>();
  head.kind = static_cast<RecordKind>(kind);
  head.is_sealed = (flags & kIsSealed) != 0;
  bool is_good = in.ok() && (flags & ~kIsSealed) == 0;
  switch (head.kind) {
    case RecordKind::kEvent:
      break;
    case RecordKind::kDecision:
      head.decision.high = in.Fixed<std::uint64_t>();
      head.decision.low = in.Fixed<std::uint64_t>();
      break;
    case RecordKind::kForgotten:
      head.time = {in.Fixed<std::int64_t>()};
      is_good = is_good && in.IsAtEnd() && !head.is_sealed;
      break;
    default:
      return DataLoss(fmt::format("record: kind {} is not known to this program", unsigned{kind}));
  }
  if (!is_good || !in.ok()) return Damaged("record");
  head.user = UserKey::FromBytes(user);
  head.body = in.rest();
  head.clear = record.substr(0, record.size() - head.body.size());
  return head;
}

Result<std::string_view> OpenRecordBody(const RecordHead& head, const PersonKey& key,
                                        std::string& scratch) {
  POISE_CHECK(head.generation == key.generation());
  if (!head.is_sealed) return head.body;
  scratch.clear();
  POISE_RETURN_IF_ERROR(OpenTo(scratch, key.view(), head.body, head.clear));
  return std::string_view(scratch);
}

Result<EventPayload> DecodeEventBody(std::string_view body) {
  ByteReader in(body);
  EventPayload event;
  const auto flags = in.Fixed<std::uint8_t>();
  const auto type = in.Fixed<std::uint8_t>();
  const std::uint64_t item = in.Varint();
  const std::uint64_t micros = in.Varint();
  if (flags & kHasValue) event.value = in.Fixed<double>();
  std::uint64_t quantity = 1;
  if (flags & kHasQuantity) quantity = in.Varint();
  if (flags & kHasSession) event.session = in.Text();
  if (flags & kHasIdempotencyKey) event.idempotency_key = in.Text();
  if (flags & kHasDecision) {
    DecisionId decision;
    decision.high = in.Fixed<std::uint64_t>();
    decision.low = in.Fixed<std::uint64_t>();
    event.decision = decision;
  }
  if (flags & kHasCustomType) event.custom_type = in.Text();
  // An item beyond 24 bits would not fit live state; quantity and time have narrower types here.
  constexpr std::uint64_t kItemLimit = std::uint64_t{1} << 24;
  const bool is_good =
      in.ok() && in.IsAtEnd() && (flags & ~kKnownFlags) == 0 && type < kEventTypeCount &&
      item < kItemLimit && quantity >= 1 && quantity <= std::numeric_limits<std::uint32_t>::max() &&
      micros <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) &&
      std::isfinite(event.value);
  if (!is_good) return Damaged("event");
  event.type = static_cast<EventType>(type);
  event.item = static_cast<ItemRow>(item);
  event.time = {static_cast<std::int64_t>(micros)};
  event.quantity = static_cast<std::uint32_t>(quantity);
  return event;
}

}  // namespace poise
