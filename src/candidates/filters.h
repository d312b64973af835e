// SPDX-License-Identifier: Apache-2.0
//
// Hard filters: what may not be shown, decided before the sampler and never after it.
//
// Place    retriever.h, catalog/ -> [filters] -> policy/
// Units    times: unix seconds
// Threads  Pure functions on immutable inputs.
// Cost     Some 5 ns a candidate, beside the cache misses of the catalog's rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "domain/candidate.h"
#include "domain/event.h"

namespace poise {

class CatalogView;
enum class CategoryRow : std::uint32_t;

struct HardFilters {
  bool only_available = true;
  std::vector<CategoryRow> any_categories;  // empty: any
  std::vector<CategoryRow> all_categories;
  bool has_unknown_category = false;  // a category was asked for that no item has: admits nothing
  bool exclude_seen = false;          // items the user interacted with, as far as history goes
  bool exclude_bought = false;
  bool keep_repeats = false;          // what the repeat source proposes stays, bought or not
  std::uint32_t bought_since_s = 0;   // purchases before it do not count
  std::uint32_t created_since_s = 0;  // 0: of any age
  std::vector<ItemRow> excluded;

  // True if few items may pass: then sources should look among AllowedRows().
  bool IsNarrow() const;
};

// Writes what passes into `out`, in order. Items that the catalog does not hold, or no longer,
// never pass. `history` is the user's.
void FilterCandidates(std::span<const Candidate> candidates, const HardFilters& filters,
                      const CatalogView& catalog, std::span<const Interaction> history,
                      std::vector<Candidate>& out);

// The names of the filters that applied, for the log: "available,any_category,unseen".
std::string FilterNames(const HardFilters& filters);

// The rows that the filters on items themselves admit, as RetrieveInput::allowed wants them: for
// requests that admit few. Cost  O(items).
std::vector<std::uint64_t> AllowedRows(const HardFilters& filters, const CatalogView& catalog);

}  // namespace poise
