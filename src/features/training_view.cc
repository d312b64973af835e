// SPDX-License-Identifier: Apache-2.0
#include "features/training_view.h"

#include <algorithm>

namespace poise {

TrainingView TrainingViewBuilder::Build(Timestamp as_of, std::size_t user_count,
                                        std::size_t item_count) {
  for (const Row& row : rows_) {
    user_count = std::max<std::size_t>(user_count, Index(row.user) + std::size_t{1});
    item_count = std::max<std::size_t>(item_count, Index(row.interaction.item) + std::size_t{1});
  }
  TrainingView view;
  view.as_of = as_of;
  view.item_count = item_count;
  view.user_begin.assign(user_count + 1, 0);
  for (const Row& row : rows_) ++view.user_begin[Index(row.user) + 1];
  for (std::size_t user = 0; user < user_count; ++user) {
    view.user_begin[user + 1] += view.user_begin[user];
  }
  view.interactions.resize(rows_.size());
  std::vector<std::uint64_t> next(view.user_begin.begin(), view.user_begin.end() - 1);
  for (const Row& row : rows_) view.interactions[next[Index(row.user)]++] = row.interaction;
  std::vector<Row>().swap(rows_);
  for (std::size_t user = 0; user < user_count; ++user) {
    const auto begin = view.interactions.begin();
    std::stable_sort(
        begin + static_cast<std::ptrdiff_t>(view.user_begin[user]),
        begin + static_cast<std::ptrdiff_t>(view.user_begin[user + 1]),
        [](const Interaction& a, const Interaction& b) { return a.time_s < b.time_s; });
  }
  return view;
}

}  // namespace poise
