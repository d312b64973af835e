// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <limits>

#include "domain/decision.h"
#include "domain/event.h"
#include "domain/item.h"
#include "domain/text.h"

namespace poise {
namespace {

const Timestamp kNow = Timestamp::FromSeconds(1'700'000'000);

Event AnEvent() {
  return {.user = {"u"},
          .session = "",
          .item = {"i"},
          .custom_type = "",
          .idempotency_key = "",
          .decision = {},
          .time = kNow};
}

TEST(DecisionId, PrintsAndReadsBack) {
  const DecisionId id{0x0123456789abcdef, 7};
  EXPECT_EQ(FormatDecisionId(id), "0123456789abcdef0000000000000007");
  EXPECT_EQ(*ParseDecisionId(FormatDecisionId(id)), id);
  for (const char* text :
       {"", "12", "0123456789ABCDEF0000000000000007", "0123456789abcdef000000000000000g"}) {
    EXPECT_FALSE(ParseDecisionId(text).ok()) << text;
  }
}

TEST(Ids, FromOneByteToTheLimitAreWelcome) {
  EXPECT_TRUE(ValidateId("x", "userId").ok());
  EXPECT_TRUE(ValidateId(std::string(kMaxIdBytes, 'x'), "userId").ok());
  EXPECT_EQ(ValidateId("", "userId").message(), "userId: must not be empty");
  EXPECT_FALSE(ValidateId(std::string(kMaxIdBytes + 1, 'x'), "userId").ok());
  EXPECT_FALSE(ValidateId("a\nb", "userId").ok());
}

TEST(Text, KnowsUtf8) {
  for (const char* text :
       {"", "plain", "h\xc3\xa4ngelampe", "\xe9\x99\xb6\xe7\x93\xb7", "\xf0\x9f\x8f\xba"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text :
       {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe9\x99", "\xff", "\x80"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

TEST(Event, TypesHaveNames) {
  for (std::size_t i = 0; i < kEventTypeCount; ++i) {
    const auto type = static_cast<EventType>(i);
    EXPECT_EQ(*ParseEventType(EventTypeName(type)), type);
  }
  EXPECT_EQ(ParseEventType("look").status().message(),
            "type: unknown event type \"look\"; known: view, click, favourite, cart, purchase, "
            "rating, return, custom");
}

TEST(Event, ValidationNamesTheField) {
  EXPECT_TRUE(ValidateEvent(AnEvent(), kNow).ok());
  const auto field_of = [](auto change) {
    Event event = AnEvent();
    change(event);
    const std::string message = ValidateEvent(event, kNow).message();
    return message.substr(0, message.find(':'));
  };
  EXPECT_EQ(field_of([](Event& e) { e.user.value = ""; }), "userId");
  EXPECT_EQ(field_of([](Event& e) { e.item.value = "\xff"; }), "itemId");
  EXPECT_EQ(field_of([](Event& e) { e.value = std::numeric_limits<double>::quiet_NaN(); }),
            "value");
  EXPECT_EQ(field_of([](Event& e) { e.value = std::numeric_limits<double>::infinity(); }), "value");
  EXPECT_EQ(field_of([](Event& e) { e.quantity = 0; }), "quantity");
  EXPECT_EQ(field_of([](Event& e) { e.type = EventType::kCustom; }), "customType");
  EXPECT_EQ(field_of([](Event& e) { e.time = kNow + std::chrono::hours(25); }), "time");
  EXPECT_EQ(field_of([](Event& e) { e.time = Timestamp{-1}; }), "time");
  Event visitor = AnEvent();
  visitor.user.value = "";
  visitor.session = "visit-1";
  EXPECT_TRUE(ValidateEvent(visitor, kNow).ok());
}

TEST(Item, ValidationNamesTheField) {
  ItemRecord item;
  item.id.value = "i";
  EXPECT_TRUE(ValidateItem(item).ok());
  item.attributes["size"] = std::numeric_limits<double>::infinity();
  EXPECT_EQ(ValidateItem(item).message(), "attributes.size: must be finite");
  item.attributes.clear();
  item.price = -1;
  EXPECT_EQ(ValidateItem(item).message(), "price: must be finite and not negative");
}

}  // namespace
}  // namespace poise
