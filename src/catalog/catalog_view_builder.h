// SPDX-License-Identifier: Apache-2.0
//
// CatalogViewBuilder: the next CatalogView, made from the one before. Inside catalog/ only.
//
// Threads  One object, one thread.
#pragma once

#include <memory>
#include <unordered_map>

#include "catalog/catalog_view.h"
#include "domain/item.h"

namespace poise {

class CatalogViewBuilder {
 public:
  CatalogViewBuilder(const CatalogView& base, std::shared_ptr<NameStore> categories);

  void Set(ItemRow row, const ItemRecord& record, bool is_undescribed);
  // Keeps the row, without an item.
  void Erase(ItemRow row);

  std::shared_ptr<const CatalogView> Build();

 private:
  CatalogView::Chunk& Touch(ItemRow row);
  static void Compact(CatalogView::Chunk& chunk);

  std::shared_ptr<CatalogView> next_;
  std::shared_ptr<NameStore> categories_;
  std::unordered_map<std::size_t, std::shared_ptr<CatalogView::Chunk>> touched_;
};

}  // namespace poise
