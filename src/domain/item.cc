// SPDX-License-Identifier: Apache-2.0
#include "domain/item.h"

#include <fmt/format.h>

#include <cmath>

#include "domain/text.h"

namespace poise {
namespace {

constexpr std::size_t kMaxWordBytes = 1024;

Status ValidateAttributes(const Attributes& attributes) {
  if (attributes.size() > kMaxAttributes) {
    return InvalidArgument(
        fmt::format("attributes: at most {}, got {}", kMaxAttributes, attributes.size()));
  }
  for (const auto& [name, value] : attributes) {
    if (name.empty()) return InvalidArgument("attributes: a name must not be empty");
    POISE_RETURN_IF_ERROR(ValidateText(name, kMaxWordBytes, TextLines::kOne, "attributes"));
    const std::string field = "attributes." + name;
    if (const auto* number = std::get_if<double>(&value); number && !std::isfinite(*number)) {
      return InvalidArgument(field + ": must be finite");
    }
    if (const auto* word = std::get_if<std::string>(&value)) {
      POISE_RETURN_IF_ERROR(ValidateText(*word, kMaxDescriptionBytes, TextLines::kMany, field));
    }
    if (const auto* words = std::get_if<std::vector<std::string>>(&value)) {
      if (words->size() > kMaxAttributes) {
        return InvalidArgument(
            fmt::format("{}: at most {} words, got {}", field, kMaxAttributes, words->size()));
      }
      for (const std::string& word : *words) {
        POISE_RETURN_IF_ERROR(ValidateText(word, kMaxWordBytes, TextLines::kMany, field));
      }
    }
  }
  return Status::Ok();
}

}  // namespace

Status ValidateItem(const ItemRecord& item) {
  POISE_RETURN_IF_ERROR(ValidateId(item.id.value, "itemId"));
  POISE_RETURN_IF_ERROR(ValidateText(item.title, kMaxTitleBytes, TextLines::kMany, "title"));
  POISE_RETURN_IF_ERROR(
      ValidateText(item.description, kMaxDescriptionBytes, TextLines::kMany, "description"));
  if (item.categories.size() > kMaxCategories) {
    return InvalidArgument(
        fmt::format("categories: at most {}, got {}", kMaxCategories, item.categories.size()));
  }
  for (const std::string& category : item.categories) {
    if (category.empty()) return InvalidArgument("categories: a name must not be empty");
    POISE_RETURN_IF_ERROR(ValidateText(category, kMaxWordBytes, TextLines::kOne, "categories"));
  }
  if (!std::isfinite(item.price) || item.price < 0) {
    return InvalidArgument("price: must be finite and not negative");
  }
  return ValidateAttributes(item.attributes);
}

Status ValidateUser(const UserRecord& user) {
  POISE_RETURN_IF_ERROR(ValidateId(user.id.value, "userId"));
  return ValidateAttributes(user.attributes);
}

}  // namespace poise
