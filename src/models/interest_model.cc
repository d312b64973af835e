// SPDX-License-Identifier: Apache-2.0
#include "models/interest_model.h"

#include <fmt/format.h>

#include <string>

#include "base/check.h"

namespace poise {

Status InterestModel::UserVector(const UserView&, std::span<float>) const {
  return FailedPrecondition(std::string(Name()) + " has no user vectors");
}

Status CheckItems(std::span<const ItemRow> items, std::span<float> scores, std::size_t item_count) {
  POISE_CHECK(items.size() == scores.size());
  for (std::size_t n = 0; n < items.size(); ++n) {
    if (Index(items[n]) >= item_count) {
      return InvalidArgument(fmt::format("items[{}]: row {} is outside the {} trained items", n,
                                         Index(items[n]), item_count));
    }
  }
  return Status::Ok();
}

Status NothingToLearn(std::string_view name, std::string_view needed) {
  return FailedPrecondition(fmt::format("{}: nothing to learn from: needs {}", name, needed));
}

}  // namespace poise
