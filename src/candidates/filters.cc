// SPDX-License-Identifier: Apache-2.0
#include "candidates/filters.h"

#include <algorithm>
#include <array>
#include <bit>

#include "catalog/catalog_view.h"

namespace poise {
namespace {

// A set of rows asked about by many candidates, few of which are in it: a bitmap of hashes says no
// at once, the sorted rows say yes.
class RowSet {
 public:
  void Clear() {
    rows_.clear();
    bits_.fill(0);
  }
  void Add(ItemRow row) { rows_.push_back(Index(row)); }
  void Finish() {
    std::sort(rows_.begin(), rows_.end());
    for (const std::uint32_t row : rows_) bits_[Word(row)] |= Bit(row);
  }
  bool Contains(ItemRow row) const {
    return (bits_[Word(Index(row))] & Bit(Index(row))) != 0 &&
           std::binary_search(rows_.begin(), rows_.end(), Index(row));
  }

 private:
  static constexpr std::size_t kWords = 128;
  static std::size_t Word(std::uint32_t row) { return Mix(row) >> 6; }
  static std::uint64_t Bit(std::uint32_t row) { return std::uint64_t{1} << (Mix(row) & 63); }
  static std::uint32_t Mix(std::uint32_t row) {
    return (row * 0x9e3779b1U) >> (32 - std::bit_width(kWords * 64 - 1));
  }

  std::vector<std::uint32_t> rows_;
  std::array<std::uint64_t, kWords> bits_{};
};

bool HasCategories(const HardFilters& filters, std::span<const CategoryRow> categories) {
  const auto has = [&](CategoryRow category) {
    return std::find(categories.begin(), categories.end(), category) != categories.end();
  };
  if (!filters.any_categories.empty() &&
      std::none_of(filters.any_categories.begin(), filters.any_categories.end(), has)) {
    return false;
  }
  return std::all_of(filters.all_categories.begin(), filters.all_categories.end(), has);
}

// All that depends on the item alone, exclusions aside.
bool PassesItself(const HardFilters& filters, const CatalogView& catalog, ItemRow row,
                  bool asks_categories) {
  if (filters.only_available ? !catalog.IsAvailable(row) : !catalog.Exists(row)) return false;
  if (filters.created_since_s != 0 && catalog.CreatedSeconds(row) < filters.created_since_s) {
    return false;
  }
  return !asks_categories || HasCategories(filters, catalog.CategoriesOf(row));
}

bool AsksCategories(const HardFilters& filters) {
  return !filters.any_categories.empty() || !filters.all_categories.empty();
}

}  // namespace

bool HardFilters::IsNarrow() const {
  return has_unknown_category || created_since_s != 0 || AsksCategories(*this);
}

void FilterCandidates(std::span<const Candidate> candidates, const HardFilters& filters,
                      const CatalogView& catalog, std::span<const Interaction> history,
                      std::vector<Candidate>& out) {
  out.clear();
  if (filters.has_unknown_category) return;
  out.reserve(candidates.size());
  thread_local RowSet hidden;  // seen or excluded
  thread_local RowSet bought;
  hidden.Clear();
  bought.Clear();
  for (const ItemRow row : filters.excluded) hidden.Add(row);
  if (filters.exclude_seen) {
    for (const Interaction& each : history) hidden.Add(each.item);
  }
  if (filters.exclude_bought) {
    // The latest word counts: what was returned is not owned.
    thread_local std::vector<ItemRow> returned;
    returned.clear();
    for (auto each = history.rbegin(); each != history.rend(); ++each) {
      if (each->type == EventType::kReturn) {
        returned.push_back(each->item);
      } else if (each->type == EventType::kPurchase && each->time_s >= filters.bought_since_s) {
        const auto found = std::find(returned.begin(), returned.end(), each->item);
        if (found == returned.end()) {
          bought.Add(each->item);
        } else {
          returned.erase(found);
        }
      }
    }
  }
  hidden.Finish();
  bought.Finish();
  const bool asks_categories = AsksCategories(filters);
  const SourceMask kept_sources = filters.keep_repeats ? Bit(Source::kRepeat) : SourceMask{0};
  for (const Candidate& candidate : candidates) {
    if (hidden.Contains(candidate.item)) continue;
    if ((candidate.sources & kept_sources) == 0 && bought.Contains(candidate.item)) continue;
    if (!PassesItself(filters, catalog, candidate.item, asks_categories)) continue;
    out.push_back(candidate);
  }
}

std::string FilterNames(const HardFilters& filters) {
  std::string names;
  const auto add = [&](bool applies, std::string_view name) {
    if (!applies) return;
    if (!names.empty()) names += ',';
    names += name;
  };
  add(filters.only_available, "available");
  add(!filters.any_categories.empty() || filters.has_unknown_category, "any_category");
  add(!filters.all_categories.empty(), "all_categories");
  add(filters.exclude_seen, "unseen");
  add(filters.exclude_bought, filters.keep_repeats ? "unbought_or_repeat" : "unbought");
  add(filters.created_since_s != 0, "created_since");
  add(!filters.excluded.empty(), "not_excluded");
  return names;
}

std::vector<std::uint64_t> AllowedRows(const HardFilters& filters, const CatalogView& catalog) {
  // Never empty: that would mean that all are.
  std::vector<std::uint64_t> allowed(std::max<std::size_t>(1, (catalog.row_count() + 63) / 64));
  if (filters.has_unknown_category) return allowed;
  const bool asks_categories = AsksCategories(filters);
  for (std::size_t index = 0; index < catalog.row_count(); ++index) {
    const ItemRow row{static_cast<std::uint32_t>(index)};
    if (PassesItself(filters, catalog, row, asks_categories)) {
      allowed[index / 64] |= std::uint64_t{1} << (index % 64);
    }
  }
  for (const ItemRow row : filters.excluded) {
    if (Index(row) < catalog.row_count()) {
      allowed[Index(row) / 64] &= ~(std::uint64_t{1} << (Index(row) % 64));
    }
  }
  return allowed;
}

}  // namespace poise
