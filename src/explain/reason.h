// SPDX-License-Identifier: Apache-2.0
//
// Reason: why an item was shown, told from what the decision logged; never guessed afterwards.
//
// Place    domain/decision.h (Choice), catalog/ (titles) -> [ExplainChoice] -> serve/
// Units    odds: the propensity, in percent of this slot given the slots before
// Threads  A pure function.
#pragma once

#include <string>
#include <string_view>

#include "domain/decision.h"
#include "domain/event.h"

namespace poise {

struct Reason {
  std::string code;     // stable: "because_bought", "popular", ...; listed in reason.cc
  std::string english;  // "because you bought Blue Mug"
  std::string chinese;
};

// What a choice alone does not know.
struct ReasonContext {
  // Title of the history item that `anchor` points at, and what the user did with it. Empty: the
  // item is gone or has no title; the reason then says less, not something else.
  std::string_view anchor_title;
  EventType anchor_type = EventType::kView;
};

// An explored choice says that it was shown to learn, with its odds, and which source proposed it.
// Otherwise the reason is of the most personal source that proposed it.
Reason ExplainChoice(const Choice& choice, const ReasonContext& context);

}  // namespace poise
