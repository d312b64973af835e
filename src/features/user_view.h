// SPDX-License-Identifier: Apache-2.0
//
// UserView: what is known of one user as of a request, borrowed for its duration.
#pragma once

#include <optional>
#include <span>

#include "base/clock.h"
#include "domain/event.h"

namespace poise {

struct UserView {
  std::optional<UserRow> row = std::nullopt;  // none for a visitor who was never stored
  std::span<const Interaction> history = {};  // oldest first; the latest ones only
  Timestamp now = {};
  // True if the history is not the one the model was trained on: a model that keeps something per
  // row folds the history in instead of using its row.
  bool has_changed = false;
};

}  // namespace poise
