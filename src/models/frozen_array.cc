// SPDX-License-Identifier: Apache-2.0
#include "models/frozen_array.h"

#include <algorithm>

namespace poise {

bool IsRowIndex(std::span<const std::uint64_t> row_begin, std::size_t entry_count) {
  return !row_begin.empty() && row_begin.front() == 0 && row_begin.back() == entry_count &&
         std::is_sorted(row_begin.begin(), row_begin.end());
}

bool AreBelow(std::span<const std::uint32_t> indices, std::size_t bound) {
  return std::all_of(indices.begin(), indices.end(),
                     [bound](std::uint32_t index) { return index < bound; });
}

}  // namespace poise
