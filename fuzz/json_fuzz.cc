// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as JSON: parsing never reads outside its memory, and what was parsed is written as JSON
// that parses to the same again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "json/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto document = poise::JsonDocument::Parse(text);
  if (!document.ok()) return 0;
  const poise::JsonValue root = document->root();
  if (root.type() == poise::JsonType::kObject) {
    for (const poise::JsonField field : *root.GetObject()) {
      (void)field.value.GetInt64();
      (void)field.value.Path();
    }
    double number = 0;
    std::string words;
    poise::ObjectReader reader(root);
    reader.Optional("value", number).Optional("userId", words);
    (void)reader.Finish();
  }
  const std::string written = root.ToJson();
  const auto again = poise::JsonDocument::Parse(written);
  if (!again.ok() || again->root().ToJson() != written) std::abort();
  return 0;
}
