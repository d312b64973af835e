// SPDX-License-Identifier: Apache-2.0
#include "importers/csv_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "importers/line_reader.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using Table = std::vector<std::vector<std::string>>;

// A rejected row is {"!"}.
const std::vector<std::string> kRejected = {"!"};

Table Read(std::string_view text, CsvOptions options = {.delimiter = ','},
           std::size_t step = static_cast<std::size_t>(-1)) {
  MemorySource source(text, step);
  CsvReader csv(source, options);
  Table table;
  while (true) {
    switch (csv.Next()) {
      case CsvReader::Outcome::kRow:
        table.emplace_back(csv.fields().begin(), csv.fields().end());
        break;
      case CsvReader::Outcome::kReject:
        table.push_back(kRejected);
        break;
      case CsvReader::Outcome::kEnd:
        return table;
      case CsvReader::Outcome::kFailed:
        ADD_FAILURE() << csv.status().ToString();
        return table;
    }
  }
}

// The same, one character after another, with the whole text at hand.
Table ReadSlowly(const std::string& text, char delimiter) {
  Table table;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t start = at;
    std::vector<std::string> row;
    bool is_bad = false;
    bool last_is_quoted = false;
    while (true) {
      std::string field;
      last_is_quoted = at < text.size() && text[at] == '"';
      if (last_is_quoted) {
        ++at;
        bool is_closed = false;
        while (at < text.size() && !is_closed) {
          if (text[at] != '"') {
            field += text[at++];
          } else if (at + 1 < text.size() && text[at + 1] == '"') {
            field += '"';
            at += 2;
          } else {
            is_closed = true;
            ++at;
          }
        }
        if (at < text.size() && text[at] == '\r' &&
            (at + 1 == text.size() || text[at + 1] == '\n')) {
          ++at;
        }
        is_bad = !is_closed || (at < text.size() && text[at] != delimiter && text[at] != '\n');
      } else {
        while (at < text.size() && text[at] != delimiter && text[at] != '\n') field += text[at++];
      }
      row.push_back(field);
      if (is_bad || at >= text.size()) break;
      if (text[at++] == '\n') break;
    }
    if (is_bad) {
      table.push_back(kRejected);
      const std::size_t newline = text.find('\n', start);
      at = newline == std::string::npos ? text.size() : newline + 1;
      continue;
    }
    if (!last_is_quoted && !row.back().empty() && row.back().back() == '\r') row.back().pop_back();
    if (row.size() == 1 && row[0].empty() && !last_is_quoted) continue;
    table.push_back(row);
  }
  return table;
}

TEST(CsvReader, ReadsPlainRowsWithEitherLineEnd) {
  EXPECT_THAT(Read("a,b\n1,2\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Read("a,b\r\n1,2\r\n"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Read("a,b\n1,2"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Read("a,b\r\n1,2\r"), ElementsAre(ElementsAre("a", "b"), ElementsAre("1", "2")));
  EXPECT_THAT(Read(",\n,,"), ElementsAre(ElementsAre("", ""), ElementsAre("", "", "")));
}

TEST(CsvReader, AnEmptyFileAndBlankLinesGiveNoRows) {
  EXPECT_TRUE(Read("").empty());
  EXPECT_TRUE(Read("\n\r\n\n").empty());
  EXPECT_TRUE(Read("\xef\xbb\xbf").empty());
  EXPECT_THAT(Read("\"\"\n"), ElementsAre(ElementsAre("")));
}

TEST(CsvReader, AByteOrderMarkIsNotPartOfTheFirstName) {
  EXPECT_THAT(Read("\xef\xbb\xbf"
                   "a,b\n"),
              ElementsAre(ElementsAre("a", "b")));
}

TEST(CsvReader, QuotedFieldsKeepNewlinesDelimitersAndDoubledQuotes) {
  EXPECT_THAT(Read("\"a\nb\",\"c,d\",\"e\"\"f\"\r\nx,\"\",\"\"\"\"\n"),
              ElementsAre(ElementsAre("a\nb", "c,d", "e\"f"), ElementsAre("x", "", "\"")));
  EXPECT_THAT(Read("\"a\r\n\"\r\n"), ElementsAre(ElementsAre("a\r\n")));
}

TEST(CsvReader, AQuoteInTheMiddleOfAFieldStandsForItself) {
  EXPECT_THAT(Read("FRAME 7\" SINGLE,1\n"), ElementsAre(ElementsAre("FRAME 7\" SINGLE", "1")));
  EXPECT_THAT(Read("\"7\n\"8\n", {.delimiter = ',', .has_quotes = false}),
              ElementsAre(ElementsAre("\"7"), ElementsAre("\"8")));
}

TEST(CsvReader, OneStrayQuoteCostsOneRow) {
  EXPECT_EQ(Read("a,b\n\"x,1\ny,2\nz,3\n"), (Table{{"a", "b"}, kRejected, {"y", "2"}, {"z", "3"}}));
  EXPECT_EQ(Read("\"x\"y,1\nz,3\n"), (Table{kRejected, {"z", "3"}}));
}

TEST(CsvReader, ARaggedRowIsRejectedWithItsNumberAndTheReason) {
  MemorySource source("a,b\n\n1\n2,3\n4,5,6\n");
  CsvReader csv(source, {.delimiter = ','});
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kRow);
  csv.ExpectColumns(csv.fields().size());
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kReject);
  EXPECT_EQ(csv.row(), 3U);
  EXPECT_EQ(csv.reason(), "expected 2 fields, got 1");
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kRow);
  EXPECT_EQ(csv.row(), 4U);
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kReject);
  EXPECT_EQ(csv.reason(), "expected 2 fields, got 3");
  EXPECT_EQ(csv.Next(), CsvReader::Outcome::kEnd);
  EXPECT_EQ(csv.Next(), CsvReader::Outcome::kEnd);
}

TEST(CsvReader, TheDelimiterIsFoundOutsideQuotes) {
  for (const auto& [text, delimiter] :
       std::vector<std::pair<std::string, char>>{{"a,b\n", ','},
                                                 {"a;b;c\n1,5;2;3\n", ';'},
                                                 {"a\tb\n", '\t'},
                                                 {"a|b|c\n", '|'},
                                                 {"\"x;y;z\",b\n", ','},
                                                 {"alone\n", ','}}) {
    MemorySource source(text);
    CsvReader csv(source);
    ASSERT_EQ(csv.Next(), CsvReader::Outcome::kRow);
    EXPECT_EQ(csv.delimiter(), delimiter) << text;
  }
}

TEST(CsvReader, TheDelimiterFoundDoesNotDependOnHowTheBytesArrive) {
  const std::string text = "\"a\nb\";c;d\n1;2;3\n";
  const Table expected = {{"a\nb", "c", "d"}, {"1", "2", "3"}};
  EXPECT_EQ(Read(text, {}, 3), expected);
  EXPECT_EQ(Read(text, {}), expected);
}

TEST(CsvReader, LongFieldsAndRowsAreRejectedAndReadingGoesOn) {
  const std::string field(100, 'x');
  const CsvOptions options{.delimiter = ',', .max_field_bytes = 50, .max_row_bytes = 1000};
  EXPECT_EQ(Read("a," + field + "\nb,c\n", options), (Table{kRejected, {"b", "c"}}));
  const std::string row(5000, 'y');
  EXPECT_EQ(Read(row + "\nb,c\n", options), (Table{kRejected, {"b", "c"}}));
  EXPECT_EQ(Read(row, options), (Table{kRejected}));
  EXPECT_EQ(Read("\"" + row + "\"\nb,c\n", options), (Table{kRejected, {"b", "c"}}));
  const std::string columns(CsvReader::kMaxColumns + 10, ',');
  EXPECT_EQ(Read(columns + "\nb,c\n"), (Table{kRejected, {"b", "c"}}));
}

TEST(CsvReader, Utf16IsRefusedClearly) {
  MemorySource source(
      std::string_view("\xff\xfe"
                       "a\0,\0",
                       6));
  CsvReader csv(source);
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kFailed);
  EXPECT_THAT(csv.status().message(), testing::HasSubstr("UTF-16"));
}

TEST(CsvReader, AgreesWithASlowReaderOnAnyTextHoweverItArrives) {
  constexpr std::uint64_t kSeed = 20240611;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  constexpr std::string_view kAlphabet = "ab,\"\n\r,\"\n";
  std::size_t rejected = 0;
  std::size_t accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    const std::uint64_t size = rng.Below(40);
    for (std::uint64_t i = 0; i < size; ++i) text += kAlphabet[rng.Below(kAlphabet.size())];
    const std::size_t step = 1 + rng.Below(5);
    const Table expected = ReadSlowly(text, ',');
    ASSERT_EQ(Read(text, {.delimiter = ','}, step), expected)
        << testing::PrintToString(text) << " in steps of " << step;
    for (const auto& row : expected) ++(row == kRejected ? rejected : accepted);
  }
  EXPECT_GT(rejected, 1000U);
  EXPECT_GT(accepted, 1000U);
}

TEST(CsvReader, WhatCsvFieldWritesIsReadBack) {
  constexpr std::uint64_t kSeed = 20240612;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  constexpr std::string_view kAlphabet = "ab,\"\n\r ";
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> row;
    std::string text;
    for (std::uint64_t i = 0; i < 1 + rng.Below(4); ++i) {
      std::string field = "f";
      for (std::uint64_t k = rng.Below(6); k > 0; --k) field += kAlphabet[rng.Below(7)];
      text += (i == 0 ? "" : ",") + CsvField(field);
      row.push_back(field);
    }
    ASSERT_EQ(Read(text + "\r\n"), Table{row}) << testing::PrintToString(text);
  }
}

TEST(CsvReader, SeekingToARowGoesOnFromIt) {
  const std::string text = "a,b\n\"1\n\",2\n3,4\n5,6\n";
  MemorySource source(text);
  CsvReader csv(source, {.delimiter = ','});
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kRow);
  ASSERT_EQ(csv.Next(), CsvReader::Outcome::kRow);
  const std::uint64_t offset = csv.next_offset();
  const std::uint64_t row = csv.row();
  MemorySource again(text);
  CsvReader second(again, {.delimiter = ','});
  ASSERT_TRUE(second.Seek(offset, row).ok());
  ASSERT_EQ(second.Next(), CsvReader::Outcome::kRow);
  EXPECT_THAT(second.fields(), ElementsAre("3", "4"));
  EXPECT_EQ(second.row(), 3U);
}

TEST(LineReader, ReadsLinesOfEitherEndWithoutAByteOrderMark) {
  for (const std::size_t step : {1U, 2U, 100U}) {
    MemorySource source("\xef\xbb\xbfone\r\n\ntwo\nthree", step);
    LineReader lines(source);
    std::vector<std::string> read;
    while (lines.Next() == LineReader::Outcome::kLine) read.emplace_back(lines.line());
    EXPECT_THAT(read, ElementsAre("one", "", "two", "three"));
    EXPECT_EQ(lines.row(), 4U);
  }
}

TEST(LineReader, ALineThatIsTooLongIsPassedOver) {
  MemorySource source(std::string_view("0123456789\nab\n"), 3);
  LineReader lines(source, 8);
  EXPECT_EQ(lines.Next(), LineReader::Outcome::kReject);
  ASSERT_EQ(lines.Next(), LineReader::Outcome::kLine);
  EXPECT_EQ(lines.line(), "ab");
  EXPECT_EQ(lines.row(), 2U);
}

TEST(Text, Latin1BecomesUtf8AndUtf8StaysWhatItIs) {
  EXPECT_EQ(Latin1OrUtf8("Les Mis\xe9rables"), "Les Misérables");
  EXPECT_EQ(Latin1OrUtf8("Les Misérables"), "Les Misérables");
}

TEST(Text, OnlyAWholeFiniteNumberIsANumber) {
  double value = 0;
  EXPECT_TRUE(ParseFinite("+1.5", value));
  EXPECT_EQ(value, 1.5);
  for (const char* text : {"", "nan", "inf", "-inf", "1e999", "1,5", "1 ", "x1"}) {
    EXPECT_FALSE(ParseFinite(text, value)) << text;
  }
}

}  // namespace
}  // namespace poise
