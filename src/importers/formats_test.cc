// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "importers/import.h"
#include "importers/import_test_support.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ImportReport MustImport(const std::string& format, const std::string& path, RecordingSink& sink,
                        ImportOptions options = {}) {
  const ManualClock clock;
  auto report = Import({format, path}, options, sink, clock);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : ImportReport{};
}

std::vector<std::string> Reasons(const ImportReport& report) {
  std::vector<std::string> out;
  for (const Reject& reject : report.first_rejects) {
    out.push_back(
        fmt::format("{}:{} {}: {}", reject.file, reject.row, reject.column, reject.reason));
  }
  return out;
}

TEST(MovieLens100k, ReadsRatingsFilmsAndPeopleFromTheFolder) {
  Scratch scratch;
  scratch.Write("u.data", "1\t10\t4\t881250949\n2\t10\t6\t881250950\n2\t11\tx\t1\n2\t11\t3\n");
  scratch.Write("u.item",
                "10|L\xe9on (1994)|01-Feb-1994||http://films.example/leon|"
                "0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0\n"
                "11|Old One (1931)|01-Jan-1931|||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n");
  scratch.Write("u.user", "1|24|M|writer|85711\n");
  RecordingSink sink;
  const ImportReport report = MustImport("movielens-100k", scratch.path(), sink);
  ASSERT_EQ(sink.items.size(), 2U);
  EXPECT_EQ(sink.items[0].title, "Léon (1994)");
  EXPECT_THAT(sink.items[0].categories, ElementsAre("Action", "Thriller"));
  EXPECT_EQ(FormatTimestamp(sink.items[0].created), "1994-02-01T00:00:00Z");
  EXPECT_EQ(std::get<double>(sink.items[0].attributes.at("year")), 1994);
  EXPECT_GT(sink.items[1].created, Timestamp{});
  ASSERT_EQ(sink.users.size(), 1U);
  EXPECT_EQ(std::get<double>(sink.users[0].attributes.at("age")), 24);
  ASSERT_EQ(sink.events.size(), 1U);
  EXPECT_EQ(sink.events[0].user.value, "1");
  EXPECT_EQ(sink.events[0].item.value, "10");
  EXPECT_EQ(sink.events[0].type, EventType::kRating);
  EXPECT_EQ(sink.events[0].value, 4);
  EXPECT_EQ(sink.events[0].time, Timestamp::FromSeconds(881250949));
  EXPECT_THAT(Reasons(report), ElementsAre("u.data:2 rating: must be in [0, 5]",
                                           "u.data:3 rating: expected a finite number",
                                           "u.data:4 : expected 4 fields, got 3"));
}

TEST(MovieLens100k, ReadsOneSplitFileByItself) {
  Scratch scratch;
  const auto path = scratch.Write("u1.base", "1\t10\t4\t881250949\r\n");
  RecordingSink sink;
  MustImport("movielens-100k", path, sink);
  EXPECT_EQ(sink.events.size(), 1U);
  EXPECT_TRUE(sink.items.empty());
  const ManualClock clock;
  EXPECT_EQ(Import({"movielens-100k", scratch.path()}, {}, sink, clock).status().code(),
            StatusCode::kNotFound);
}

TEST(MovieLens1m, ReadsTheOriginalAndTheRebuiltRatings) {
  Scratch scratch;
  scratch.Write("movies.dat",
                "1::Toys (1995)::Animation|Comedy\n2::Caf\xe9 :: Bar (1999)::Drama\n");
  scratch.Write("users.dat", "1::F::1::10::48067\n");
  const auto original = scratch.Write("ratings.dat", "1::1::5::978824351\n1::2::bad::1\n");
  const auto rebuilt =
      scratch.Write("ratings_rebuilt.tsv",
                    "user_id\tmovie_id\trating\ttimestamp\tts_exact\n1\t1\t5\t978824351\t0\n");
  for (const std::string& path : {original, rebuilt, scratch.path()}) {
    RecordingSink sink;
    const ImportReport report = MustImport("movielens-1m", path, sink);
    ASSERT_EQ(sink.events.size(), 1U) << path;
    EXPECT_EQ(sink.events[0].value, 5);
    EXPECT_EQ(sink.events[0].time, Timestamp::FromSeconds(978824351));
    ASSERT_EQ(sink.items.size(), 1U);
    EXPECT_THAT(sink.items[0].categories, ElementsAre("Animation", "Comedy"));
    ASSERT_EQ(sink.users.size(), 1U);
    EXPECT_EQ(std::get<std::string>(sink.users[0].attributes.at("age")), "under 18");
    EXPECT_EQ(std::get<std::string>(sink.users[0].attributes.at("occupation")), "K-12 student");
    EXPECT_EQ(report.first_rejects.at(0).reason, "expected 3 fields, got 4");
  }
}

constexpr std::string_view kInvoices =
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    "1,22,WHITE  LAMP ,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"      // 2
    "1,22,WHITE LAMP,1,12/2/2010 8:26,2.75,17850.0,United Kingdom\n"      // 3
    "2,22,lamp,1,12/1/2010 9:00,2.5,,France\n"                            // 4
    "2,33a,\"BIG, BLUE BOWL\",2,12/1/2010 9:00,9,,France\n"               // 5
    "C3,22,WHITE LAMP,-2,12/3/2010 10:00,2.55,17850,United Kingdom\n"     // 6
    "4,POST,POSTAGE,1,12/3/2010 10:00,18,17850,United Kingdom\n"          // 7
    "5,BANK CHARGES,Bank Charges,1,12/3/2010 10:00,18,,United Kingdom\n"  // 8
    "6,22,check,-5,12/4/2010 10:00,0,,United Kingdom\n"                   // 9
    "A7,B,Adjust bad debt,1,12/4/2010 10:00,-11062.06,,United Kingdom\n"  // 10
    "8,22,WHITE LAMP,0,12/4/2010 10:00,1,1,United Kingdom\n"              // 11
    "8,22,WHITE LAMP,1,2010/13/01,1,1,United Kingdom\n"                   // 12
    "8,22,WHITE LAMP,x,12/4/2010 10:00,1,1,United Kingdom\n"              // 13
    "8,22\n"                                                              // 14
    "C9,33A,BOWL,-1,12/4/2010 10:00,9,,France\n";                         // 15

TEST(OnlineRetail, ReadsSalesAndReturnsAsAShopWould) {
  Scratch scratch;
  const auto path = scratch.Write("retail.csv", std::string(kInvoices));
  RecordingSink sink;
  const ImportReport report = MustImport("online-retail", path, sink);
  ASSERT_EQ(sink.events.size(), 6U);
  EXPECT_EQ(sink.events[0].user.value, "17850");
  EXPECT_EQ(sink.events[0].type, EventType::kPurchase);
  EXPECT_EQ(sink.events[0].quantity, 6U);
  EXPECT_EQ(sink.events[0].value, 2.55);
  EXPECT_EQ(FormatTimestamp(sink.events[0].time), "2010-12-01T08:26:00Z");
  EXPECT_EQ(sink.events[1].user.value, "17850");
  EXPECT_EQ(sink.events[2].user.value, "");
  EXPECT_EQ(sink.events[2].session, "invoice-2");
  EXPECT_EQ(sink.events[3].session, "invoice-2");
  EXPECT_EQ(sink.events[3].item.value, "33A");
  EXPECT_EQ(sink.events[4].type, EventType::kReturn);
  EXPECT_EQ(sink.events[4].quantity, 2U);
  EXPECT_EQ(sink.events[5].type, EventType::kReturn);
  EXPECT_EQ(sink.events[5].session, "invoice-C9");
  EXPECT_EQ(report.rows, 14U);
  EXPECT_THAT(
      Reasons(report),
      ElementsAre(
          "retail.csv:7 StockCode: not a product: postage, a fee, a discount or a correction",
          "retail.csv:8 StockCode: not a product: postage, a fee, a discount or a correction",
          "retail.csv:9 UnitPrice: 0: written off or given away, not sold",
          "retail.csv:10 UnitPrice: negative: a correction of the accounts",
          "retail.csv:11 Quantity: 0: nothing was sold or returned",
          "retail.csv:12 InvoiceDate: expected a date and a time",
          "retail.csv:13 Quantity: expected a whole number",
          "retail.csv:14 : expected 8 fields, got 2"));
  std::set<std::string> keys;
  for (const Event& event : sink.events) EXPECT_TRUE(keys.insert(event.idempotency_key).second);
}

TEST(OnlineRetail, AnItemTakesItsMostCommonTitleAndItsLatestPrice) {
  Scratch scratch;
  RecordingSink sink;
  MustImport("online-retail", scratch.Write("retail.csv", std::string(kInvoices)), sink);
  ASSERT_EQ(sink.items.size(), 2U);
  const ItemRecord& lamp = sink.items[0].id.value == "22" ? sink.items[0] : sink.items[1];
  EXPECT_EQ(lamp.title, "WHITE LAMP");
  EXPECT_EQ(lamp.price, 2.75);
  EXPECT_EQ(FormatTimestamp(lamp.created), "2010-12-01T08:26:00Z");
  ASSERT_EQ(sink.users.size(), 1U);
  EXPECT_EQ(std::get<std::string>(sink.users[0].attributes.at("country")), "United Kingdom");
}

TEST(OnlineRetail, WithoutCodesAndInvoicesTheDescriptionNamesTheItemAndTheTillTheVisitor) {
  Scratch scratch;
  const auto path =
      scratch.Write("retail.tsv",
                    "Description\tQuantity\tInvoiceDate\tUnitPrice\tCustomerID\tCountry\n"
                    "FRAME 7\" SINGLE \t6\t2010-12-01T08:26:00\t2.55\t17850\tEIRE\n"
                    "\"QUOTED\" BAG\t1\t2010-12-01T08:27:00\t3\t\tEIRE\n"
                    "POSTAGE\t1\t2010-12-01T08:27:00\t3\t\tEIRE\n"
                    "\t1\t2010-12-01T08:27:00\t3\t\tEIRE\n");
  RecordingSink sink;
  const ImportReport report = MustImport("online-retail", path, sink);
  ASSERT_EQ(sink.events.size(), 2U);
  EXPECT_EQ(sink.events[0].item.value, "frame-7-single");
  EXPECT_EQ(sink.events[1].item.value, "quoted-bag");
  EXPECT_EQ(sink.events[1].session, "till-2010-12-01T08:27:00Z-eire");
  EXPECT_EQ(report.rejected, 2U);
  std::set<std::string> titles;
  for (const ItemRecord& item : sink.items) titles.insert(item.title);
  EXPECT_THAT(titles, ElementsAre("\"QUOTED\" BAG", "FRAME 7\" SINGLE"));
}

TEST(OnlineRetail, AMissingColumnIsNamedWithWhatIsThere) {
  Scratch scratch;
  RecordingSink sink;
  const ManualClock clock;
  const auto path = scratch.Write("r.csv", "Description,Quantity,UnitPrice\na,1,1\n");
  EXPECT_THAT(Import({"online-retail", path}, {}, sink, clock).status().message(),
              testing::AllOf(HasSubstr("no column InvoiceDate"), HasSubstr("UnitPrice")));
}

TEST(OnlineRetail, CutOffAnywhereItGoesOnWithTheWholeCatalog) {
  Scratch scratch;
  std::string text = "Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n";
  for (int i = 0; i < 60; ++i) {
    text += fmt::format("ITEM {},1,2010-12-01T08:{:02}:00,2.5,c{}\n", i % 11, i, i % 7);
  }
  const auto path = scratch.Write("r.csv", text);
  ImportOptions options;
  options.batch_size = 4;
  RecordingSink whole;
  MustImport("online-retail", path, whole, options);
  ASSERT_EQ(whole.items.size(), 11U);
  ASSERT_EQ(whole.users.size(), 7U);
  ASSERT_EQ(whole.events.size(), 60U);
  for (std::size_t calls = 1; calls <= whole.call_count; ++calls) {
    RecordingSink sink;
    sink.fail_after_calls = calls;
    const ManualClock clock;
    ASSERT_FALSE(Import({"online-retail", path}, options, sink, clock).ok());
    sink.fail_after_calls = 0;
    ImportOptions rest = options;
    rest.resume_from = sink.tokens.empty() ? "" : sink.tokens.back();
    MustImport("online-retail", path, sink, rest);
    std::set<std::string> items;
    std::set<std::string> users;
    std::set<std::string> keys;
    for (const ItemRecord& item : sink.items) items.insert(item.id.value);
    for (const UserRecord& user : sink.users) users.insert(user.id.value);
    for (const Event& event : sink.events) keys.insert(event.idempotency_key);
    EXPECT_EQ(items.size(), 11U) << calls;
    EXPECT_EQ(users.size(), 7U) << calls;
    EXPECT_EQ(keys.size(), 60U) << calls;
  }
}

TEST(Sasrec, KeepsTheOrderOfTheFile) {
  Scratch scratch;
  const auto path = scratch.Write("s.txt", "1 5\n1 3\n\n2 5\n2\n1 2 3\n");
  RecordingSink sink;
  const ImportReport report = MustImport("sasrec", path, sink);
  ASSERT_EQ(sink.events.size(), 3U);
  EXPECT_EQ(sink.events[0].type, EventType::kFavourite);
  EXPECT_LT(sink.events[0].time, sink.events[1].time);
  EXPECT_LT(sink.events[1].time, sink.events[2].time);
  EXPECT_EQ(report.rejected, 2U);
  ImportOptions options;
  options.mapping = *ParseMapping("type==purchase");
  RecordingSink bought;
  MustImport("sasrec", path, bought, options);
  EXPECT_EQ(bought.events.at(0).type, EventType::kPurchase);
  EXPECT_EQ(bought.events.at(0).time, sink.events[0].time);
}

TEST(Lightgcn, ReadsAllPartsOfTheFolderInBatchesThatAreBounded) {
  Scratch scratch;
  std::string train = "0";
  for (int i = 0; i < 100; ++i) train += fmt::format(" {}", i);
  scratch.Write("train.txt", train + "\n1 5 6\n");
  scratch.Write("valid.txt", "1 7\n2\n");
  scratch.Write("test.txt", "1 8 \n");
  ImportOptions options;
  options.batch_size = 10;
  RecordingSink sink;
  const ImportReport report = MustImport("lightgcn", scratch.path(), sink, options);
  EXPECT_EQ(sink.events.size(), 104U);
  EXPECT_EQ(report.rejected, 0U);
  EXPECT_GE(sink.call_count, 10U);
  std::set<std::pair<std::string, std::string>> keys;
  for (const Event& event : sink.events) {
    EXPECT_TRUE(keys.emplace(event.user.value, event.idempotency_key).second);
  }
  RecordingSink one;
  MustImport("lightgcn", scratch.path() + "/test.txt", one);
  EXPECT_EQ(one.events.size(), 1U);
}

TEST(Formats, EveryFormatRefusesAnEmptyFileAndANameThatIsNotThere) {
  Scratch scratch;
  const auto empty = scratch.Write("empty", "");
  const ManualClock clock;
  for (const ImportFormatDescription& format : DescribeImportFormats()) {
    RecordingSink sink;
    const auto nothing = Import({std::string(format.name), empty}, {}, sink, clock);
    EXPECT_THAT(nothing.status().message(), HasSubstr("is empty")) << format.name;
    const auto absent =
        Import({std::string(format.name), scratch.path() + "/absent"}, {}, sink, clock);
    EXPECT_EQ(absent.status().code(), StatusCode::kNotFound) << format.name;
    EXPECT_EQ(sink.call_count, 0U);
  }
}

TEST(Formats, EveryFormatSurvivesRubbish) {
  Scratch scratch;
  std::string rubbish;
  for (int i = 0; i < 4096; ++i) rubbish += static_cast<char>((i * 131 + i / 7) % 256);
  const auto path = scratch.Write("rubbish", rubbish);
  const ManualClock clock;
  for (const ImportFormatDescription& format : DescribeImportFormats()) {
    RecordingSink sink;
    const auto report = Import({std::string(format.name), path}, {}, sink, clock);
    EXPECT_TRUE(!report.ok() || report->rejected > 0) << format.name;
    EXPECT_TRUE(sink.events.empty()) << format.name;
  }
}

}  // namespace
}  // namespace poise
