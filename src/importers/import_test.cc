// SPDX-License-Identifier: Apache-2.0
#include "importers/import.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "importers/export_writer.h"
#include "importers/import_test_support.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kHeader = "user,item,type,time\n";

ImportReport MustImport(const Scratch& scratch, const ImportSource& source, RecordingSink& sink,
                        ImportOptions options = {}) {
  const ManualClock clock;
  auto report = Import(source, options, sink, clock);
  EXPECT_TRUE(report.ok()) << report.status().ToString() << scratch.path();
  return report.ok() ? *report : ImportReport{};
}

Status ErrorOf(const ImportSource& source, ImportOptions options = {}) {
  RecordingSink sink;
  const ManualClock clock;
  const auto report = Import(source, options, sink, clock);
  return report.ok() ? Status::Ok() : report.status();
}

std::vector<std::string> Reasons(const ImportReport& report) {
  std::vector<std::string> out;
  for (const Reject& reject : report.first_rejects) {
    out.push_back(fmt::format("{} {}: {}", reject.row, reject.column, reject.reason));
  }
  return out;
}

TEST(Import, AnUnknownFormatListsTheKnownOnes) {
  EXPECT_THAT(ParseImportSource("xls:a").status().message(),
              testing::AllOf(HasSubstr("\"xls\""), HasSubstr("movielens-100k"),
                             HasSubstr("online-retail"), HasSubstr("jsonl")));
  EXPECT_FALSE(ParseImportSource("csv").ok());
  EXPECT_FALSE(ParseImportSource("csv:").ok());
  const auto source = ParseImportSource("csv:/a:b");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(source->path, "/a:b");
}

TEST(Import, ReadsCsvEventsByCommonNames) {
  Scratch scratch;
  const auto path = scratch.Write("e.csv",
                                  "\xef\xbb\xbf"
                                  "Customer_ID,SKU,Action,Timestamp,Qty,price\r\n"
                                  "ann,tea,buy,2023-01-02T03:04:05Z,2,4.5\r\n"
                                  "bob,\"cup,\nblue\",view,1672628646,,\r\n");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"csv", path}, sink);
  EXPECT_EQ(report.rows, 2U);
  EXPECT_EQ(report.events, 1U);
  // A newline inside an id is no id.
  EXPECT_THAT(report.reject_counts, testing::SizeIs(1));
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].user.value, "ann");
  EXPECT_EQ(sink.events[0].item.value, "tea");
  EXPECT_EQ(sink.events[0].type, EventType::kPurchase);
  EXPECT_EQ(sink.events[0].quantity, 2U);
  EXPECT_EQ(sink.events[0].value, 4.5);
  EXPECT_EQ(FormatTimestamp(sink.events[0].time), "2023-01-02T03:04:05Z");
}

TEST(Import, AMappingNamesColumnsAndSetsConstants) {
  Scratch scratch;
  const auto path = scratch.Write("e.csv", "who;what;when;user\nann;tea;2023-01-02;x\n");
  RecordingSink sink;
  ImportOptions options;
  options.mapping = *ParseMapping("user=who,item=what,time=when,type==purchase,quantity==3");
  const ImportReport report = MustImport(scratch, {"csv", path}, sink, options);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].user.value, "ann");
  EXPECT_EQ(sink.events[0].quantity, 3U);
  EXPECT_EQ(sink.events[0].type, EventType::kPurchase);
  EXPECT_THAT(report.notes, ElementsAre("columns not read: user"));
}

TEST(Import, ARatingColumnIsItsOwnEventType) {
  Scratch scratch;
  const auto path = scratch.Write("r.csv", "userId,movieId,rating,timestamp\n1,2,3.5,100\n");
  RecordingSink sink;
  MustImport(scratch, {"csv", path}, sink);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].type, EventType::kRating);
  EXPECT_EQ(sink.events[0].value, 3.5);
}

TEST(Import, BadMappingsAreNamed) {
  Scratch scratch;
  const auto path = scratch.Write("e.csv", "a,b\n1,2\n");
  const auto error = [&](std::string_view mapping) {
    ImportOptions options;
    options.mapping = *ParseMapping(mapping);
    return ErrorOf({"csv", path}, options).message();
  };
  EXPECT_THAT(error("usr=a"), testing::AllOf(HasSubstr("\"usr\""), HasSubstr("user, session")));
  EXPECT_THAT(error("user=nosuch"), testing::AllOf(HasSubstr("\"nosuch\""), HasSubstr("a, b")));
  EXPECT_THAT(error("user=a,item=b"), HasSubstr("no column for the event type"));
  EXPECT_THAT(error("user=a,item=b,type==view"), HasSubstr("no column for the time"));
  EXPECT_THAT(error("user=a,item=a"), HasSubstr("named twice"));
  EXPECT_THAT(error("kind=things"), HasSubstr("events, items or users"));
  EXPECT_THAT(error("delimiter=xyz"), HasSubstr("delimiter"));
  EXPECT_THAT(error("encoding=ebcdic"), HasSubstr("encoding"));
  EXPECT_THAT(error("user="), HasSubstr("names no column"));
  EXPECT_THAT(error("user=a,item=b,type==glance,time==1"), HasSubstr("unknown event type"));
  EXPECT_FALSE(ParseMapping("user").ok());
  EXPECT_FALSE(ParseMapping("=a").ok());
  ImportOptions options;
  options.mapping = {{"user", "a"}};
  EXPECT_THAT(ErrorOf({"sasrec", path}, options).message(), HasSubstr("sasrec takes type"));
}

TEST(Import, EachBadRowIsRejectedWithItsRowColumnAndReason) {
  Scratch scratch;
  const std::string long_id(4096, 'u');
  const std::string text =
      "user,item,type,value,quantity,time\n"
      "ann,,view,,,100\n"               // 2
      ",tea,view,,,100\n"               // 3
      "ann,tea,glance,,,100\n"          // 4
      "ann,tea,rating,nan,,100\n"       // 5
      "ann,tea,rating,,,100\n"          // 6
      "ann,tea,view,,-1,100\n"          // 7
      "ann,tea,view,,1.5,100\n"         // 8
      "ann,tea,view,,,yesterday\n"      // 9
      "ann,tea,view,,,2999-01-01\n"     // 10
      "ann,tea,view,,,\n"               // 11
      "ann,tea\n"                       // 12
      "\"ann,tea,view,,,100\n"          // 13
      "ann,te\xff,view,,,100\n"         // 14
      + long_id + ",tea,view,,,100\n"   // 15: as long as an id may be
      + long_id + "u,tea,view,,,100\n"  // 16
      + "u,t,view,,,100\n"              // 17: as short as an id may be
      + "ann,tea,rating,inf,,100\n"     // 18
      + "ann,tea,rating,1e300,,100\n";  // 19
  const auto path = scratch.Write("e.csv", text);
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"csv", path}, sink);
  EXPECT_EQ(report.rows, 18U);
  EXPECT_EQ(report.events, 2U);
  EXPECT_EQ(report.rejected, 16U);
  EXPECT_THAT(Reasons(report),
              ElementsAre("2 item: missing", "3 user: missing, and no session either",
                          "4 type: unknown event type", "5 value: expected a finite number",
                          "6 value: missing: a rating needs one",
                          "7 quantity: expected a whole number of at least 1",
                          "8 quantity: expected a whole number of at least 1",
                          "9 time: expected RFC 3339 or unix seconds",
                          "10 time: more than a day in the future", "11 time: missing",
                          "12 : expected 6 fields, got 2", "13 : a quote is never closed",
                          testing::StartsWith("14 item: "), testing::StartsWith("16 user: "),
                          "18 value: expected a finite number", testing::StartsWith("19 value: ")));
  std::uint64_t counted = 0;
  for (const RejectCount& row : report.reject_counts) counted += row.count;
  EXPECT_EQ(counted, report.rejected);
  EXPECT_THAT(ReportText(report), HasSubstr("e.csv:4: type: unknown event type (\"glance\")"));
}

TEST(Import, ARejectNeverShowsWhoTheUserIs) {
  Scratch scratch;
  std::string text(kHeader);
  text += "secret-ann\x01,tea,view,100\nsecret-bob,tea\nsecret-eve,tea,view,never\n";
  const auto path = scratch.Write("e.csv", text);
  RecordingSink sink;
  ImportOptions options;
  options.rejects_file = scratch.path() + "/rejects.csv";
  const ImportReport report = MustImport(scratch, {"csv", path}, sink, options);
  EXPECT_EQ(report.rejected, 3U);
  EXPECT_THAT(ReportText(report), testing::Not(HasSubstr("secret")));
  EXPECT_THAT(ReportJson(report), testing::Not(HasSubstr("secret")));
  const std::string file = Scratch::ReadFile(options.rejects_file);
  EXPECT_THAT(file, testing::Not(HasSubstr("secret")));
  EXPECT_THAT(file, HasSubstr("e.csv,4,time,expected RFC 3339 or unix seconds,never"));
}

TEST(Import, AnEmptyFileIsAnErrorAndAHeaderAloneIsNot) {
  Scratch scratch;
  EXPECT_THAT(ErrorOf({"csv", scratch.Write("e", "")}).message(), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf({"jsonl", scratch.Write("e", "")}).message(), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf({"csv", scratch.Write("e", "\n\n")}).message(), HasSubstr("blank"));
  EXPECT_EQ(ErrorOf({"csv", scratch.path() + "/nosuch"}).code(), StatusCode::kNotFound);
  EXPECT_EQ(ErrorOf({"csv", scratch.path()}).code(), StatusCode::kInvalidArgument);
  RecordingSink sink;
  const ImportReport report =
      MustImport(scratch, {"csv", scratch.Write("h", std::string(kHeader))}, sink);
  EXPECT_EQ(report.rows, 0U);
  EXPECT_EQ(report.events, 0U);
}

TEST(Import, ADryRunReportsTheSameAndTouchesNoSink) {
  Scratch scratch;
  std::string text(kHeader);
  for (int i = 0; i < 50; ++i) text += fmt::format("u{},i,view,{}\n", i, i % 7 == 0 ? "x" : "9");
  const auto path = scratch.Write("e.csv", text);
  RecordingSink sink;
  RecordingSink untouched;
  ImportOptions options;
  options.batch_size = 10;
  const ImportReport real = MustImport(scratch, {"csv", path}, sink, options);
  options.mode = ImportMode::kDryRun;
  const ImportReport dry = MustImport(scratch, {"csv", path}, untouched, options);
  EXPECT_EQ(dry.events, real.events);
  EXPECT_EQ(dry.rejected, real.rejected);
  EXPECT_EQ(sink.events.size(), real.events);
  EXPECT_EQ(untouched.call_count, 0U);
  EXPECT_THAT(ReportText(dry), HasSubstr("dry run"));
}

TEST(Import, EventsCarryKeysThatStayTheSameWhenTheFileIsImportedAgainOrHasGrown) {
  Scratch scratch;
  std::string text(kHeader);
  for (int i = 0; i < 300; ++i) text += fmt::format("u{},i{},view,100\n", i % 3, i % 2);
  RecordingSink first;
  MustImport(scratch, {"csv", scratch.Write("a.csv", text)}, first);
  RecordingSink second;
  MustImport(scratch, {"csv", scratch.Write("b.csv", text + "u9,i9,view,100\n")}, second);
  std::set<std::string> keys;
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_TRUE(keys.insert(first.events[i].idempotency_key).second);
    EXPECT_EQ(first.events[i].idempotency_key, second.events[i].idempotency_key);
  }
  EXPECT_TRUE(keys.insert(second.events[300].idempotency_key).second);
}

TEST(Import, AKeyOfTheCallersOwnIsKept) {
  Scratch scratch;
  const auto path =
      scratch.Write("e.csv", "user,item,type,time,event_id\nann,tea,view,100,order-7\n");
  RecordingSink sink;
  MustImport(scratch, {"csv", path}, sink);
  EXPECT_EQ(sink.events.at(0).idempotency_key, "order-7");
}

TEST(Import, AnImportThatWasCutOffGoesOnFromAnyCheckpointAndLosesNothing) {
  Scratch scratch;
  // Newlines in quotes make rows and lines differ.
  std::string text = "user,item,type,time,note\n";
  for (int i = 0; i < 97; ++i) {
    text += i % 10 == 3 ? "bad row\n" : fmt::format("u,i{},view,100,\"two\nlines\"\n", i);
  }
  const auto path = scratch.Write("e.csv", text);
  ImportOptions options;
  options.batch_size = 7;
  RecordingSink whole;
  MustImport(scratch, {"csv", path}, whole, options);
  ASSERT_GT(whole.tokens.size(), 5U);
  for (std::size_t calls = 1; calls <= whole.tokens.size(); ++calls) {
    RecordingSink sink;
    sink.fail_after_calls = calls;
    const ManualClock clock;
    const auto cut = Import({"csv", path}, options, sink, clock);
    if (cut.ok()) continue;
    EXPECT_EQ(cut.status().code(), StatusCode::kUnavailable);
    sink.fail_after_calls = 0;
    ImportOptions rest = options;
    rest.resume_from = sink.tokens.empty() ? "" : sink.tokens.back();
    MustImport(scratch, {"csv", path}, sink, rest);
    ASSERT_EQ(sink.events.size(), whole.events.size()) << "cut after " << calls;
    for (std::size_t i = 0; i < whole.events.size(); ++i) {
      ASSERT_EQ(sink.events[i].item, whole.events[i].item);
      ASSERT_EQ(sink.events[i].idempotency_key, whole.events[i].idempotency_key);
    }
  }
}

TEST(Import, ATokenOfAnotherFileOrFormatIsRefused) {
  Scratch scratch;
  std::string text(kHeader);
  for (int i = 0; i < 50; ++i) text += fmt::format("u,i{},view,100\n", i);
  ImportOptions options;
  options.batch_size = 10;
  RecordingSink sink;
  const auto path = scratch.Write("e.csv", text);
  MustImport(scratch, {"csv", path}, sink, options);
  options.resume_from = sink.tokens.at(1);
  EXPECT_TRUE(ErrorOf({"csv", scratch.Write("same.csv", text + "u,i,view,100\n")}, options).ok());
  text[30] = '#';
  EXPECT_EQ(ErrorOf({"csv", scratch.Write("other.csv", text)}, options).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorOf({"csv", scratch.Write("short.csv", std::string(kHeader))}, options).code(),
            StatusCode::kFailedPrecondition);
  EXPECT_EQ(ErrorOf({"jsonl", path}, options).code(), StatusCode::kInvalidArgument);
  options.resume_from = "poise-import-1 csv 0 x";
  EXPECT_EQ(ErrorOf({"csv", path}, options).code(), StatusCode::kInvalidArgument);
}

TEST(Import, TheSinksRefusalEndsTheImport) {
  Scratch scratch;
  const auto path = scratch.Write("e.csv", std::string(kHeader) + "u,i,view,100\n");
  RecordingSink sink;
  sink.fail_after_calls = 1;
  const ManualClock clock;
  EXPECT_EQ(Import({"csv", path}, {}, sink, clock).status().code(), StatusCode::kUnavailable);
}

TEST(Import, ReadsCsvItemsWithAttributes) {
  Scratch scratch;
  const auto path = scratch.Write("i.csv",
                                  "sku,name,category,price,in_stock,colour,weight,code,created\n"
                                  "t1,Green Tea,Tea|Green,4.50,no,green,12.5,007,2020-05-06\n"
                                  "t2,Black Tea,Tea;Black,-1,yes,,,,\n"
                                  "t3,White Tea,,,perhaps,,,,\n");
  ImportOptions options;
  options.mapping = *ParseMapping("kind=items");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"csv", path}, sink, options);
  ASSERT_EQ(sink.items.size(), 1U);
  const ItemRecord& item = sink.items[0];
  EXPECT_EQ(item.id.value, "t1");
  EXPECT_EQ(item.title, "Green Tea");
  EXPECT_THAT(item.categories, ElementsAre("Tea", "Green"));
  EXPECT_EQ(item.price, 4.5);
  EXPECT_FALSE(item.is_available);
  EXPECT_EQ(std::get<std::string>(item.attributes.at("colour")), "green");
  EXPECT_EQ(std::get<double>(item.attributes.at("weight")), 12.5);
  EXPECT_EQ(std::get<std::string>(item.attributes.at("code")), "007");
  EXPECT_EQ(FormatTimestamp(item.created), "2020-05-06T00:00:00Z");
  EXPECT_THAT(Reasons(report),
              ElementsAre(testing::StartsWith("3 price: "), "4 in_stock: expected true or false"));
}

TEST(Import, ReadsCsvUsersInLatin1) {
  Scratch scratch;
  const auto path = scratch.Write("u.csv", "id\tcity\n1\tZ\xfcrich\n");
  ImportOptions options;
  options.mapping = *ParseMapping("kind=users,encoding=latin-1,delimiter=tab");
  RecordingSink sink;
  MustImport(scratch, {"csv", path}, sink, options);
  ASSERT_EQ(sink.users.size(), 1U);
  EXPECT_EQ(std::get<std::string>(sink.users[0].attributes.at("city")), "Zürich");
}

TEST(Import, ReadsJsonLinesByNameByPathAndByMapping) {
  Scratch scratch;
  const auto path = scratch.Write(
      "e.jsonl",
      "{\"userId\": 7, \"type\": \"click\", \"payload\": {\"sku\": \"tea\"}, \"time\": 1600000000, "
      "\"rest\": [1]}\r\n"
      "\n"
      "{\"userId\": \"8\", \"type\": \"view\", \"payload\": {}, \"time\": \"2023-01-01\"}\n"
      "[1]\n"
      "{\"userId\": \n"
      "{\"userId\": {}, \"payload\": {\"sku\": \"a\"}}\n"
      "{\"userId\": \"a\", \"userId\": \"b\"}\n"
      "{\"userId\": \"a\\u0000\", \"type\": \"view\", \"payload\": {\"sku\": \"a\"}, \"time\": 1}\n"
      "{\"userId\": \"\xff\"}\n");
  ImportOptions options;
  options.mapping = *ParseMapping("item=payload.sku");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"jsonl", path}, sink, options);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].user.value, "7");
  EXPECT_EQ(sink.events[0].item.value, "tea");
  EXPECT_EQ(report.rows, 8U);
  EXPECT_THAT(
      Reasons(report),
      ElementsAre("3 itemId: missing", "4 : expected a JSON object", testing::StartsWith("5 : "),
                  "6 userId: expected a text or a number, got an object", "7 userId: given twice",
                  testing::StartsWith("8 userId: "), testing::StartsWith("9 : ")));
}

TEST(Import, JsonLinesTooDeepAreRejectedAndReadingGoesOn) {
  Scratch scratch;
  const auto path = scratch.Write(
      "e.jsonl", std::string(100'000, '[') +
                     "\n{\"user\":\"a\",\"item\":\"b\",\"type\":\"view\",\"time\":1}\n");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"jsonl", path}, sink);
  EXPECT_EQ(report.events, 1U);
  EXPECT_EQ(report.rejected, 1U);
}

TEST(Import, ReadsJsonLinesOfItems) {
  Scratch scratch;
  const auto path = scratch.Write(
      "i.jsonl",
      "{\"id\":\"t1\",\"title\":\"Tea\",\"categories\":[\"A\",\"B\"],\"price\":2.5,"
      "\"available\":false,\"attributes\":{\"leaf\":true},\"origin\":[\"x\",\"y\"],\"grams\":50}\n"
      "{\"id\":\"t2\",\"categories\":[{}]}\n"
      "{\"id\":\"t3\",\"attributes\":{\"a\":{}}}\n");
  ImportOptions options;
  options.mapping = *ParseMapping("kind=items");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"jsonl", path}, sink, options);
  ASSERT_EQ(sink.items.size(), 1U);
  const ItemRecord& item = sink.items[0];
  EXPECT_THAT(item.categories, ElementsAre("A", "B"));
  EXPECT_FALSE(item.is_available);
  EXPECT_TRUE(std::get<bool>(item.attributes.at("leaf")));
  EXPECT_EQ(std::get<double>(item.attributes.at("grams")), 50);
  EXPECT_THAT(std::get<std::vector<std::string>>(item.attributes.at("origin")),
              ElementsAre("x", "y"));
  EXPECT_THAT(Reasons(report), ElementsAre(testing::StartsWith("2 categories: "),
                                           testing::StartsWith("3 attributes.a: ")));
}

TEST(Export, WhatIsWrittenIsReadBackTheSame) {
  Scratch scratch;
  const std::string path = scratch.path() + "/out.jsonl";
  const ManualClock clock;
  ItemRecord item;
  item.id.value = "i \"1\"";
  item.title = "手工青瓷茶杯";
  item.description = "Two\nlines";
  item.categories = {"Tea", "Cups"};
  item.price = 12.75;
  item.is_available = false;
  item.attributes = {{"word", std::string("a")},
                     {"words", std::vector<std::string>{"b", "c"}},
                     {"number", 0.1},
                     {"flag", true}};
  item.created = Timestamp{1'600'000'000'123'456};
  UserRecord user;
  user.id.value = "u";
  user.attributes = {{"age", 41.0}};
  user.created = Timestamp::FromSeconds(5);
  Event event;
  event.user.value = "u";
  event.session = "s";
  event.item.value = "i \"1\"";
  event.type = EventType::kCustom;
  event.custom_type = "gift";
  event.value = -2.5;
  event.quantity = 3;
  event.idempotency_key = "k";
  event.decision = DecisionId{0x0123456789abcdef, 42};
  event.time = Timestamp{1'600'000'001'000'001};
  {
    auto writer = ExportWriter::Create(path, clock);
    ASSERT_TRUE(writer.ok());
    ASSERT_TRUE((*writer)->Write(item).ok());
    ASSERT_TRUE((*writer)->Write(user).ok());
    ASSERT_TRUE((*writer)->Write(event).ok());
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE((*writer)->Finish().ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".part"));
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"poise", path}, sink);
  EXPECT_EQ(report.rejected, 0U) << ReportText(report);
  ASSERT_EQ(sink.items.size(), 1U);
  EXPECT_EQ(sink.items[0].id, item.id);
  EXPECT_EQ(sink.items[0].title, item.title);
  EXPECT_EQ(sink.items[0].description, item.description);
  EXPECT_EQ(sink.items[0].categories, item.categories);
  EXPECT_EQ(sink.items[0].price, item.price);
  EXPECT_EQ(sink.items[0].is_available, item.is_available);
  EXPECT_EQ(sink.items[0].attributes, item.attributes);
  EXPECT_EQ(sink.items[0].created, item.created);
  ASSERT_EQ(sink.users.size(), 1U);
  EXPECT_EQ(sink.users[0].attributes, user.attributes);
  EXPECT_EQ(sink.users[0].created, user.created);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].user, event.user);
  EXPECT_EQ(sink.events[0].session, event.session);
  EXPECT_EQ(sink.events[0].custom_type, event.custom_type);
  EXPECT_EQ(sink.events[0].value, event.value);
  EXPECT_EQ(sink.events[0].quantity, event.quantity);
  EXPECT_EQ(sink.events[0].idempotency_key, event.idempotency_key);
  EXPECT_EQ(sink.events[0].decision, event.decision);
  EXPECT_EQ(sink.events[0].time, event.time);
}

TEST(Export, AWriterThatIsGivenUpLeavesNothingBehind) {
  Scratch scratch;
  const ManualClock clock;
  { ASSERT_TRUE(ExportWriter::Create(scratch.path() + "/out", clock).ok()); }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  EXPECT_FALSE(ExportWriter::Create(scratch.path() + "/no/such/folder", clock).ok());
}

TEST(Export, RowsThatAreNotAnExportsAreRejectedWithTheField) {
  Scratch scratch;
  const auto path =
      scratch.Write("x.jsonl",
                    "{\"kind\":\"poise-export\",\"version\":1}\n"
                    "{\"kind\":\"event\",\"userId\":\"u\",\"itemId\":\"i\",\"type\":\"view\"}\n"
                    "{\"kind\":\"event\",\"userId\":\"u\",\"itemId\":\"i\",\"type\":\"view\","
                    "\"time\":\"2020-01-01\","
                    "\"quantity\":-1}\n"
                    "{\"kind\":\"item\",\"itemId\":\"i\",\"colour\":1}\n"
                    "{\"kind\":\"shop\"}\n"
                    "{\"kind\":\"user\",\"userId\":\"u\",\"userId\":\"v\"}\n"
                    "7\n");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"poise", path}, sink);
  EXPECT_THAT(Reasons(report),
              ElementsAre("2 time: missing", testing::StartsWith("3 quantity: "),
                          HasSubstr("colour"), "5 kind: expected item, user or event",
                          HasSubstr("userId"), "7 : expected a JSON object"));
  EXPECT_EQ(sink.call_count, 0U);
  EXPECT_EQ(
      ErrorOf({"poise", scratch.Write("y", "{\"kind\":\"poise-export\",\"version\":2}\n")}).code(),
      StatusCode::kInvalidArgument);
}

TEST(Report, TheJsonHoldsWhatTheTextHolds) {
  Scratch scratch;
  const auto path = scratch.Write("e.csv", std::string(kHeader) + "u,i,view,100\nu,i,peek,1\n");
  RecordingSink sink;
  const ImportReport report = MustImport(scratch, {"csv", path}, sink);
  const std::string json = ReportJson(report);
  EXPECT_THAT(json, HasSubstr("\"events\": 1"));
  EXPECT_THAT(json, HasSubstr("\"excerpt\": \"peek\""));
  EXPECT_THAT(json, HasSubstr("\"view\": 1"));
}

}  // namespace
}  // namespace poise
