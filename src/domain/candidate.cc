// SPDX-License-Identifier: Apache-2.0
#include "domain/candidate.h"

namespace poise {

std::string_view SourceName(Source source) {
  constexpr std::array<std::string_view, kSourceCount> kNames = {"personal",  "similar", "repeat",
                                                                 "trending",  "popular", "fresh",
                                                                 "uncertain", "random",  "given"};
  return kNames[static_cast<std::size_t>(source)];
}

}  // namespace poise
