// SPDX-License-Identifier: Apache-2.0
//
// RecordCodec: events and decisions as records of the log, and back.
//
// Who is in the clear as a pseudonym with the generation of their key, so that a record can be
// attributed, and known as forgotten, without opening it; what they did is sealed under their key,
// with the clear part authenticated (docs/formats/events.md).
//
// Place    EventStore -> [Encode] -> storage/segment_log -> [Decode] -> EventStore
// Errors   kDataLoss: not a record of ours, newer than this program, or it does not open.
// Threads  All functions may be called concurrently.
// Cost     Encode and seal, or open and decode: some .5 us an event; 21 + 30 bytes beside the
//          payload of about 15 to 60.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "catalog/person_keys.h"
#include "domain/event.h"

namespace poise {

// Stand in files: append only.
enum class RecordKind : std::uint8_t { kEvent = 1, kDecision = 2, kForgotten = 3 };

enum class Sealing {
  kSealed,
  kPlain,  // only to measure what sealing costs; pseudonyms stay
};

// What is sealed of an event. Borrows its texts.
struct EventPayload {
  ItemRow item{};
  EventType type = EventType::kView;
  std::string_view custom_type;
  double value = 0;
  std::uint32_t quantity = 1;
  std::string_view session;
  std::string_view idempotency_key;
  std::optional<DecisionId> decision;
  Timestamp time;

  // The event as models see it: stars of a rating, otherwise the quantity.
  Interaction AsInteraction() const;
};

// The clear part of a record, and what follows it; borrows from the record.
struct RecordHead {
  RecordKind kind = RecordKind::kEvent;
  UserKey user;
  std::uint32_t generation = 0;
  bool is_sealed = false;
  DecisionId decision;     // of kDecision
  Timestamp time;          // of kForgotten
  std::string_view clear;  // what is authenticated with the body
  std::string_view body;   // sealed or plain
};

// Append the record to `out`.
Status EncodeEventRecord(const UserKey& user, const PersonKey& key, const EventPayload& event,
                         Sealing sealing, std::string& out);
Status EncodeDecisionRecord(const UserKey& user, const PersonKey& key, const DecisionId& id,
                            std::string_view payload, Sealing sealing, std::string& out);
void EncodeForgottenRecord(const UserKey& user, std::uint32_t generation, Timestamp time,
                           std::string& out);

Result<RecordHead> DecodeRecordHead(std::uint8_t kind, std::string_view record);

// The body in the clear: a view into `head.body`, or into `scratch`, which is overwritten.
// Requires  head.generation == key.generation().
Result<std::string_view> OpenRecordBody(const RecordHead& head, const PersonKey& key,
                                        std::string& scratch);

// Borrows from `body`.
Result<EventPayload> DecodeEventBody(std::string_view body);

}  // namespace poise
