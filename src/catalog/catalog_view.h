// SPDX-License-Identifier: Apache-2.0
//
// CatalogView: what could be shown, as of one moment; immutable, shared by every reader.
//
// Views share what did not change between them: an upsert copies the chunk of its item and the list
// of chunks, never the catalog. Identity is append-only (an ItemRow means one ItemId for ever), so
// ids live in one store that all views share.
//
// Place    Catalog -> [here] -> candidates/, serve/, models/ (titles and categories)
// Shapes   rows [0, row_count()); categories [0, category_count()), numbered anew at each start
// Units    price in the shop's currency, 0: not known; created_s unix seconds
// Threads  Immutable. What Find() and Id() read is shared with the writer, under a lock held for
//          tens of nanoseconds.
// Cost     Reading by row: two dependent loads, no lock but Id's. Some 70 bytes an item beside its
//          id and title.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "domain/ids.h"

namespace poise {

enum class CategoryRow : std::uint32_t {};
constexpr std::uint32_t Index(CategoryRow row) { return static_cast<std::uint32_t>(row); }

// Names in the order in which they came, found by name or by number; only grows.
class NameStore;

class CatalogView {
 public:
  CatalogView(std::shared_ptr<const NameStore> items, std::shared_ptr<const NameStore> categories);
  ~CatalogView();
  CatalogView(const CatalogView&);
  CatalogView& operator=(const CatalogView&) = delete;

  // One more than the highest row; rows of deleted items included.
  std::size_t row_count() const { return row_count_; }
  // Items that exist, deleted ones not counted.
  std::size_t item_count() const { return item_count_; }
  std::size_t category_count() const { return category_count_; }
  // Grows with every publication.
  std::uint64_t version() const { return version_; }

  std::optional<ItemRow> Find(std::string_view item_id) const;
  std::optional<CategoryRow> FindCategory(std::string_view name) const;
  std::vector<std::string> Categories() const;
  // Requires  category < category_count().
  std::string CategoryName(CategoryRow category) const;

  // True for a row below row_count() whose item was not deleted.
  bool Exists(ItemRow row) const {
    const Entry* entry = Find(row);
    return entry != nullptr && entry->exists;
  }
  // Exists and may be shown.
  bool IsAvailable(ItemRow row) const {
    const Entry* entry = Find(row);
    return entry != nullptr && entry->exists && entry->is_available;
  }
  // Known only from events: nobody has described it yet.
  bool IsUndescribed(ItemRow row) const {
    const Entry* entry = Find(row);
    return entry != nullptr && entry->is_undescribed;
  }

  // Requires, all of these  Index(row) < row_count(). A deleted item has an id and nothing else.
  std::string Id(ItemRow row) const;
  std::string_view Title(ItemRow row) const;
  std::span<const CategoryRow> CategoriesOf(ItemRow row) const;
  double Price(ItemRow row) const { return At(row).price; }
  std::uint32_t CreatedSeconds(ItemRow row) const { return At(row).created_s; }

 private:
  friend class CatalogViewBuilder;

  static constexpr std::size_t kChunkBits = 8;
  static constexpr std::size_t kChunkItems = 1 << kChunkBits;

  struct Entry {
    double price = 0;
    std::uint32_t created_s = 0;
    std::uint32_t title_begin = 0;
    std::uint32_t title_size = 0;
    std::uint32_t category_begin = 0;
    std::uint16_t category_count = 0;
    bool exists = false;
    bool is_available = false;
    bool is_undescribed = false;
  };
  struct Chunk {
    std::vector<Entry> entries;  // [kChunkItems]
    std::string titles;
    std::vector<CategoryRow> categories;
  };

  const Chunk& ChunkOf(ItemRow row) const { return *chunks_[Index(row) >> kChunkBits]; }
  const Entry& At(ItemRow row) const {
    return ChunkOf(row).entries[Index(row) & (kChunkItems - 1)];
  }
  const Entry* Find(ItemRow row) const { return Index(row) < row_count_ ? &At(row) : nullptr; }

  std::shared_ptr<const NameStore> items_;
  std::shared_ptr<const NameStore> categories_;
  std::vector<std::shared_ptr<const Chunk>> chunks_;
  std::size_t row_count_ = 0;
  std::size_t item_count_ = 0;
  std::size_t category_count_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace poise
