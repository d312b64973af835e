// SPDX-License-Identifier: Apache-2.0
// The CSV reader: whatever the bytes, it comes to an end, its rows and offsets only grow, its
// fields keep their bounds, and it reads the same however the bytes arrive.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "importers/csv_reader.h"

namespace {

std::string Transcript(std::string_view bytes, std::size_t step) {
  constexpr poise::CsvOptions kOptions{
      .delimiter = 0, .has_quotes = true, .max_field_bytes = 64, .max_row_bytes = 256};
  poise::MemorySource source(bytes, step);
  poise::CsvReader csv(source, kOptions);
  std::string transcript;
  std::uint64_t row = 0;
  std::uint64_t offset = 0;
  while (true) {
    const poise::CsvReader::Outcome outcome = csv.Next();
    if (outcome == poise::CsvReader::Outcome::kEnd) return transcript;
    if (outcome == poise::CsvReader::Outcome::kFailed) return transcript + "failed";
    POISE_CHECK(csv.row() > row);
    POISE_CHECK(csv.next_offset() > offset && csv.next_offset() <= bytes.size());
    row = csv.row();
    offset = csv.next_offset();
    transcript += std::to_string(row);
    if (outcome == poise::CsvReader::Outcome::kReject) {
      transcript += '!';
      continue;
    }
    for (const std::string_view field : csv.fields()) {
      POISE_CHECK(field.size() <= kOptions.max_field_bytes);
      transcript += '[';
      transcript += field;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  POISE_CHECK(Transcript(bytes, size + 1) == Transcript(bytes, 3));
  return 0;
}
