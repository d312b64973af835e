// SPDX-License-Identifier: Apache-2.0
#include "evaluation/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace poise {

Status EvaluationSetBuilder::Add(const Event& event, FilePart part) {
  constexpr auto kMaxRows = std::numeric_limits<std::uint32_t>::max();
  if (next_user_ == kMaxRows || items_.size() == kMaxRows) {
    return ResourceExhausted(fmt::format("more than {} users or items", kMaxRows));
  }
  const bool is_anonymous = event.user.value.empty();
  Rows& users = is_anonymous ? sessions_ : users_;
  const std::string& id = is_anonymous ? event.session : event.user.value;
  auto user = users.find(id);
  if (user == users.end()) user = users.emplace(id, next_user_++).first;
  auto item = items_.find(event.item.value);
  if (item == items_.end()) {
    item = items_.emplace(event.item.value, static_cast<std::uint32_t>(items_.size())).first;
  }
  const std::int64_t seconds =
      std::clamp<std::int64_t>(event.time.seconds(), 0, std::numeric_limits<std::uint32_t>::max());
  set_.rows.push_back({UserRow{user->second},
                       {ItemRow{item->second}, static_cast<std::uint32_t>(seconds),
                        event.type == EventType::kRating ? static_cast<float>(event.value)
                                                         : static_cast<float>(event.quantity),
                        event.type},
                       part});
  return Status::Ok();
}

EvaluationSet EvaluationSetBuilder::Build() {
  set_.user_count = next_user_;
  set_.item_count = items_.size();
  EvaluationSet out = std::move(set_);
  *this = EvaluationSetBuilder();
  return out;
}

}  // namespace poise
