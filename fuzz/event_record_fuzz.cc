// SPDX-License-Identifier: Apache-2.0
//
// Decodes the input as each kind of record: nothing may crash, and an event body that is accepted
// encodes to the bytes it came from, or to fewer (a varint may be written longer than need be).
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "events/record_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace poise;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const RecordKind kind :
       {RecordKind::kEvent, RecordKind::kDecision, RecordKind::kForgotten}) {
    const auto head = DecodeRecordHead(static_cast<std::uint8_t>(kind), input);
    if (!head.ok()) continue;
    POISE_CHECK(head->clear.size() + head->body.size() == input.size());
    const PersonKey key(head->generation, std::string(kKeyBytes, 'k'));
    std::string scratch;
    (void)OpenRecordBody(*head, key, scratch);
  }

  const auto event = DecodeEventBody(input);
  if (!event.ok()) return 0;
  const PersonKey key(1, std::string(kKeyBytes, 'k'));
  std::string record;
  POISE_CHECK(EncodeEventRecord(UserKey{}, key, *event, Sealing::kSealed, record).ok());
  const auto head = DecodeRecordHead(static_cast<std::uint8_t>(RecordKind::kEvent), record);
  POISE_CHECK(head.ok());
  std::string scratch;
  const auto body = OpenRecordBody(*head, key, scratch);
  POISE_CHECK(body.ok() && body->size() <= input.size());
  const auto again = DecodeEventBody(*body);
  POISE_CHECK(again.ok());
  POISE_CHECK(again->item == event->item && again->time == event->time &&
              again->value == event->value && again->quantity == event->quantity &&
              again->session == event->session && again->decision == event->decision);
  (void)event->AsInteraction();
  return 0;
}
