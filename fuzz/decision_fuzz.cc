// SPDX-License-Identifier: Apache-2.0
// The decision payload of the log: whatever the bytes, the decoder refuses or gives a decision that
// encodes and decodes to itself.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "policy/decision_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const poise::DecisionId id{0x018bcfe568000000, 5};
  const auto decoded = poise::DecodeDecision(id, {}, bytes);
  if (!decoded.ok()) return 0;
  for (const poise::Choice& choice : decoded->slate) {
    POISE_CHECK(choice.propensity > 0 && choice.propensity <= 1);
  }
  std::string first;
  poise::EncodeDecision(*decoded, first);
  const auto again = poise::DecodeDecision(id, {}, first);
  POISE_CHECK(again.ok());
  std::string second;
  poise::EncodeDecision(*again, second);
  POISE_CHECK(first == second);
  return 0;
}
