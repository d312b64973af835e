// SPDX-License-Identifier: Apache-2.0
//
// Candidate: an item that may be shown, with what is believed of it and where it came from.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "domain/ids.h"

namespace poise {

// Who proposed a candidate. The numbers are bits of a mask in files: append only.
enum class Source : std::uint8_t {
  kPersonal = 0,   // exploit: the user's vector against the items' vectors
  kSimilar = 1,    // exploit: neighbours of what the user did
  kRepeat = 2,     // exploit: bought before, and bought again by others
  kTrending = 3,   // exploit: rising now
  kPopular = 4,    // exploit: liked by most
  kFresh = 5,      // explore: new in the catalog or hardly ever shown
  kUncertain = 6,  // explore: widest posterior
  kRandom = 7,     // explore: support for everything
  kGiven = 8,      // the caller's own list (rerank)
};
inline constexpr std::size_t kSourceCount = 9;

std::string_view SourceName(Source source);

using SourceMask = std::uint16_t;
constexpr SourceMask Bit(Source source) {
  return static_cast<SourceMask>(1U << static_cast<unsigned>(source));
}
// Sources that exist to learn, not to please.
inline constexpr SourceMask kExploreSources =
    Bit(Source::kFresh) | Bit(Source::kUncertain) | Bit(Source::kRandom);

// One array of these a request: 500 candidates are 8 kB, read once.
struct Candidate {
  ItemRow item{};
  float relevance = 0;  // the models' wish, merged and scaled to [0, 1] within the set
  SourceMask sources = 0;
  std::uint16_t anchor =
      0;  // 1 + place in the user's history of the item that explains it, 0: none
};

// What is believed of the reward of showing it: both in units of reward.
struct Belief {
  float mean = 0;
  float sd = 0;
};

}  // namespace poise
