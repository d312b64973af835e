// SPDX-License-Identifier: Apache-2.0
#include "catalog/catalog_view.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "catalog/catalog_view_builder.h"
#include "catalog/name_store.h"

namespace poise {

CatalogView::CatalogView(std::shared_ptr<const NameStore> items,
                         std::shared_ptr<const NameStore> categories)
    : items_(std::move(items)), categories_(std::move(categories)) {}
CatalogView::~CatalogView() = default;
CatalogView::CatalogView(const CatalogView&) = default;

std::optional<ItemRow> CatalogView::Find(std::string_view item_id) const {
  const auto number = items_->Find(item_id);
  // Named after this view was made: not in it.
  if (!number || *number >= row_count_) return std::nullopt;
  return static_cast<ItemRow>(*number);
}

std::optional<CategoryRow> CatalogView::FindCategory(std::string_view name) const {
  const auto number = categories_->Find(name);
  if (!number || *number >= category_count_) return std::nullopt;
  return static_cast<CategoryRow>(*number);
}

std::vector<std::string> CatalogView::Categories() const {
  std::vector<std::string> names;
  names.reserve(category_count_);
  for (std::uint32_t i = 0; i < category_count_; ++i) names.emplace_back(categories_->At(i));
  return names;
}

std::string CatalogView::CategoryName(CategoryRow category) const {
  POISE_CHECK(Index(category) < category_count_);
  return std::string(categories_->At(Index(category)));
}

std::string CatalogView::Id(ItemRow row) const {
  POISE_CHECK(Index(row) < row_count_);
  return std::string(items_->At(Index(row)));
}

std::string_view CatalogView::Title(ItemRow row) const {
  const Entry& entry = At(row);
  return std::string_view(ChunkOf(row).titles).substr(entry.title_begin, entry.title_size);
}

std::span<const CategoryRow> CatalogView::CategoriesOf(ItemRow row) const {
  const Entry& entry = At(row);
  return {ChunkOf(row).categories.data() + entry.category_begin, entry.category_count};
}

CatalogViewBuilder::CatalogViewBuilder(const CatalogView& base,
                                       std::shared_ptr<NameStore> categories)
    : next_(std::make_shared<CatalogView>(base)), categories_(std::move(categories)) {}

CatalogView::Chunk& CatalogViewBuilder::Touch(ItemRow row) {
  const std::size_t index = Index(row) >> CatalogView::kChunkBits;
  std::shared_ptr<CatalogView::Chunk>& chunk = touched_[index];
  if (chunk == nullptr) {
    if (index < next_->chunks_.size() && next_->chunks_[index] != nullptr) {
      chunk = std::make_shared<CatalogView::Chunk>(*next_->chunks_[index]);
    } else {
      chunk = std::make_shared<CatalogView::Chunk>();
      chunk->entries.resize(CatalogView::kChunkItems);
    }
  }
  next_->row_count_ = std::max<std::size_t>(next_->row_count_, std::size_t{Index(row)} + 1);
  return *chunk;
}

void CatalogViewBuilder::Set(ItemRow row, const ItemRecord& record, bool is_undescribed) {
  CatalogView::Chunk& chunk = Touch(row);
  CatalogView::Entry& entry = chunk.entries[Index(row) & (CatalogView::kChunkItems - 1)];
  if (!entry.exists) ++next_->item_count_;
  entry.price = record.price;
  entry.created_s = static_cast<std::uint32_t>(std::clamp<std::int64_t>(
      record.created.seconds(), 0, std::numeric_limits<std::uint32_t>::max()));
  entry.title_begin = static_cast<std::uint32_t>(chunk.titles.size());
  entry.title_size = static_cast<std::uint32_t>(record.title.size());
  chunk.titles += record.title;
  entry.category_begin = static_cast<std::uint32_t>(chunk.categories.size());
  entry.category_count = static_cast<std::uint16_t>(record.categories.size());
  for (const std::string& name : record.categories) {
    chunk.categories.push_back(static_cast<CategoryRow>(categories_->Intern(name)));
  }
  entry.exists = true;
  entry.is_available = record.is_available;
  entry.is_undescribed = is_undescribed;
}

void CatalogViewBuilder::Erase(ItemRow row) {
  CatalogView::Chunk& chunk = Touch(row);
  CatalogView::Entry& entry = chunk.entries[Index(row) & (CatalogView::kChunkItems - 1)];
  if (entry.exists) --next_->item_count_;
  entry = CatalogView::Entry{};
}

void CatalogViewBuilder::Compact(CatalogView::Chunk& chunk) {
  std::size_t title_bytes = 0;
  std::size_t category_count = 0;
  for (const CatalogView::Entry& entry : chunk.entries) {
    title_bytes += entry.title_size;
    category_count += entry.category_count;
  }
  if (chunk.titles.size() <= 2 * title_bytes + 1024 &&
      chunk.categories.size() <= 2 * category_count + 256) {
    return;
  }
  std::string titles;
  titles.reserve(title_bytes);
  std::vector<CategoryRow> categories;
  categories.reserve(category_count);
  for (CatalogView::Entry& entry : chunk.entries) {
    const auto title_begin = static_cast<std::uint32_t>(titles.size());
    titles.append(chunk.titles, entry.title_begin, entry.title_size);
    entry.title_begin = title_begin;
    const auto category_begin = static_cast<std::uint32_t>(categories.size());
    const auto begin = chunk.categories.begin() + entry.category_begin;
    categories.insert(categories.end(), begin, begin + entry.category_count);
    entry.category_begin = category_begin;
  }
  chunk.titles = std::move(titles);
  chunk.categories = std::move(categories);
}

std::shared_ptr<const CatalogView> CatalogViewBuilder::Build() {
  const std::size_t chunk_count =
      (next_->row_count_ + CatalogView::kChunkItems - 1) >> CatalogView::kChunkBits;
  next_->chunks_.resize(chunk_count);
  for (auto& [index, chunk] : touched_) {
    Compact(*chunk);
    next_->chunks_[index] = std::move(chunk);
  }
  touched_.clear();
  for (auto& chunk : next_->chunks_) {
    if (chunk != nullptr) continue;
    auto empty = std::make_shared<CatalogView::Chunk>();
    empty->entries.resize(CatalogView::kChunkItems);
    chunk = std::move(empty);
  }
  next_->category_count_ = categories_->size();
  ++next_->version_;
  return std::move(next_);
}

}  // namespace poise
