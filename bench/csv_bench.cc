// SPDX-License-Identifier: Apache-2.0
// How fast the CSV reader reads plain and quoted rows from memory, beside memchr() counting the
// same lines: the least that any reader of lines must do. Medians of interleaved rounds.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/rng.h"
#include "importers/csv_reader.h"

namespace {

using poise::CsvReader;

enum class Quotes { kNone, kTitles };

std::string Rows(std::size_t bytes, Quotes quotes) {
  poise::Rng rng(1);
  std::string text = "user,item,type,title,time\n";
  while (text.size() < bytes) {
    text += fmt::format(
        "{},{},purchase,{},{}\n", rng.Below(100'000), rng.Below(20'000),
        quotes == Quotes::kNone ? "WHITE HANGING HEART LAMP" : "\"LAMP, \"\"WHITE\"\" HEART\"",
        1'600'000'000 + rng.Below(10'000'000));
  }
  return text;
}

std::size_t CountRows(std::string_view text) {
  poise::MemorySource source(text);
  CsvReader csv(source);
  std::size_t count = 0;
  for (CsvReader::Outcome outcome = csv.Next(); outcome != CsvReader::Outcome::kEnd;
       outcome = csv.Next()) {
    POISE_CHECK(outcome == CsvReader::Outcome::kRow && csv.fields().size() == 5);
    ++count;
  }
  return count;
}

std::size_t CountLines(std::string_view text) {
  std::size_t count = 0;
  for (const char* at = text.data();
       (at = static_cast<const char*>(std::memchr(
            at, '\n', static_cast<std::size_t>(text.data() + text.size() - at)))) != nullptr;
       ++at) {
    ++count;
  }
  return count;
}

template <typename Work>
double Seconds(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  constexpr std::size_t kBytes = 32 << 20;
  constexpr int kRounds = 7;
  for (const Quotes quotes : {Quotes::kNone, Quotes::kTitles}) {
    const std::string text = Rows(kBytes, quotes);
    std::vector<double> reader;
    std::vector<double> lines;
    for (int round = 0; round < kRounds; ++round) {
      std::size_t rows = 0;
      std::size_t newlines = 0;
      reader.push_back(Seconds([&] { rows = CountRows(text); }));
      lines.push_back(Seconds([&] { newlines = CountLines(text); }));
      POISE_CHECK(rows == newlines);
    }
    const double megabytes = static_cast<double>(text.size()) / 1e6;
    fmt::print("{}: {:.0f} MB/s, memchr over the lines {:.0f} MB/s, ratio {:.2f}\n",
               quotes == Quotes::kNone ? "plain rows" : "quoted titles", megabytes / Median(reader),
               megabytes / Median(lines), Median(lines) / Median(reader));
  }
  return 0;
}
