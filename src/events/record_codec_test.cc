// SPDX-License-Identifier: Apache-2.0
#include "events/record_codec.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace poise {
namespace {

UserKey TestUser() { return UserKey::FromBytes("0123456789abcdef"); }
PersonKey TestKey() { return {0x01020304, std::string(32, 'k')}; }

EventPayload FullPayload() {
  EventPayload event;
  event.item = ItemRow{300};
  event.type = EventType::kCustom;
  event.custom_type = "wish";
  event.value = 2.5;
  event.quantity = 3;
  event.session = "s1";
  event.idempotency_key = "k1";
  event.decision = DecisionId{0x1122334455667788, 0x99aabbccddeeff00};
  event.time = {1'700'000'000'123'456};
  return event;
}

void ExpectEqual(const EventPayload& a, const EventPayload& b) {
  EXPECT_EQ(a.item, b.item);
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.custom_type, b.custom_type);
  EXPECT_EQ(a.value, b.value);
  EXPECT_EQ(a.quantity, b.quantity);
  EXPECT_EQ(a.session, b.session);
  EXPECT_EQ(a.idempotency_key, b.idempotency_key);
  EXPECT_EQ(a.decision, b.decision);
  EXPECT_EQ(a.time, b.time);
}

std::string Encoded(const EventPayload& event, Sealing sealing) {
  std::string record;
  EXPECT_TRUE(EncodeEventRecord(TestUser(), TestKey(), event, sealing, record).ok());
  return record;
}

TEST(RecordCodecTest, AnEventComesBackSealedAndPlain) {
  EventPayload smallest;
  smallest.time = {5};
  for (const Sealing sealing : {Sealing::kSealed, Sealing::kPlain}) {
    for (const EventPayload& event : {FullPayload(), smallest}) {
      const std::string record = Encoded(event, sealing);
      const auto head = DecodeRecordHead(1, record);
      ASSERT_TRUE(head.ok()) << head.status().ToString();
      EXPECT_EQ(head->user, TestUser());
      EXPECT_EQ(head->generation, 0x01020304U);
      std::string scratch;
      const auto body = OpenRecordBody(*head, TestKey(), scratch);
      ASSERT_TRUE(body.ok()) << body.status().ToString();
      const auto back = DecodeEventBody(*body);
      ASSERT_TRUE(back.ok()) << back.status().ToString();
      ExpectEqual(*back, event);
    }
  }
}

TEST(RecordCodecTest, ASealedRecordShowsNothingOfWhatHappened) {
  const std::string record = Encoded(FullPayload(), Sealing::kSealed);
  EXPECT_EQ(record.find("wish"), std::string::npos);
  EXPECT_EQ(record.find("s1"), std::string::npos);
  EXPECT_NE(Encoded(FullPayload(), Sealing::kPlain).find("wish"), std::string::npos);
}

TEST(RecordCodecTest, ADecisionAndAMarkerComeBack) {
  std::string record;
  const DecisionId id{7, 9};
  ASSERT_TRUE(
      EncodeDecisionRecord(TestUser(), TestKey(), id, "payload", Sealing::kSealed, record).ok());
  const auto head = DecodeRecordHead(2, record);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->decision, id);
  std::string scratch;
  EXPECT_EQ(*OpenRecordBody(*head, TestKey(), scratch), "payload");

  std::string marker;
  EncodeForgottenRecord(TestUser(), 77, {123}, marker);
  const auto marker_head = DecodeRecordHead(3, marker);
  ASSERT_TRUE(marker_head.ok());
  EXPECT_EQ(marker_head->user, TestUser());
  EXPECT_EQ(marker_head->generation, 77U);
  EXPECT_EQ(marker_head->time, Timestamp{123});
}

// docs/formats/events.md, version 1. These bytes are read for ever.
TEST(RecordCodecTest, VersionOneHasTheseBytes) {
  const std::string golden(
      "\x01\x00"
      "0123456789abcdef"
      "\x04\x03\x02\x01"
      "\x3f\x07\xac\x02"
      "\xc0\xc4\x80\xc1\xc1\xc4\x82\x03"
      "\x00\x00\x00\x00\x00\x00\x04\x40"
      "\x03"
      "\x02s1"
      "\x02k1"
      "\x88\x77\x66\x55\x44\x33\x22\x11\x00\xff\xee\xdd\xcc\xbb\xaa\x99"
      "\x04wish",
      70);
  EXPECT_EQ(Encoded(FullPayload(), Sealing::kPlain), golden);
  const auto head = DecodeRecordHead(1, golden);
  ASSERT_TRUE(head.ok());
  const auto back = DecodeEventBody(head->body);
  ASSERT_TRUE(back.ok());
  ExpectEqual(*back, FullPayload());

  std::string marker;
  EncodeForgottenRecord(TestUser(), 0x01020304, {258}, marker);
  EXPECT_EQ(marker, std::string("\x01\x00"
                                "0123456789abcdef"
                                "\x04\x03\x02\x01"
                                "\x02\x01\x00\x00\x00\x00\x00\x00",
                                30));
}

TEST(RecordCodecTest, EveryFlippedBitOfASealedRecordIsRefused) {
  const std::string record = Encoded(FullPayload(), Sealing::kSealed);
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    std::string bad = record;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    const auto head = DecodeRecordHead(1, bad);
    // Somebody else's, or of another generation: known before it is opened.
    if (!head.ok() || head->generation != TestKey().generation()) continue;
    // The flag that says it is sealed: then the body is no event.
    std::string scratch;
    const auto body = OpenRecordBody(*head, TestKey(), scratch);
    EXPECT_TRUE(!body.ok() || !DecodeEventBody(*body).ok()) << bit;
  }
}

TEST(RecordCodecTest, CutAndForeignBytesAreRefused) {
  const std::string record = Encoded(FullPayload(), Sealing::kPlain);
  for (std::size_t size = 0; size < record.size(); ++size) {
    const auto head = DecodeRecordHead(1, std::string_view(record).substr(0, size));
    EXPECT_TRUE(!head.ok() || !DecodeEventBody(head->body).ok()) << size;
  }
  EXPECT_FALSE(DecodeRecordHead(0, record).ok());
  EXPECT_FALSE(DecodeRecordHead(4, record).ok());
  std::string newer = record;
  newer[0] = 2;
  EXPECT_NE(DecodeRecordHead(1, newer).status().message().find("version 2"), std::string::npos);

  constexpr std::uint64_t kSeed = 3;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (int i = 0; i < 50'000; ++i) {
    std::string noise(rng.Below(60), '\0');
    for (char& c : noise) c = static_cast<char>(rng.Below(256));
    const auto event = DecodeEventBody(noise);
    if (!event.ok()) continue;
    EXPECT_LT(Index(event->item), 1U << 24);
    EXPECT_GE(event->quantity, 1U);
  }
}

TEST(RecordCodecTest, ARatingIsItsStarsAndAllElseItsQuantity) {
  EventPayload event = FullPayload();
  event.type = EventType::kRating;
  EXPECT_EQ(event.AsInteraction().value, 2.5F);
  event.type = EventType::kPurchase;
  EXPECT_EQ(event.AsInteraction().value, 3);
  EXPECT_EQ(event.AsInteraction().time_s, 1'700'000'000U);
}

}  // namespace
}  // namespace poise
