// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a decision in the log: docs/formats/decision.md.
//
// Id and user stand beside the payload in the log's record, so they are not repeated here.
//
// Place    serve/ -> [here] -> events/ (sealed) -> log; and back for feedback/, explain/, audits
// Units    Everything that Decide() wrote comes back bit for bit: it rounded with RoundForLog().
//          Other floats come back rounded so.
// Errors   kDataLoss: truncated, trailing bytes, an unknown version, a propensity outside (0, 1].
// Cost     Some 300 bytes and .3 us for 10 slots.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "domain/decision.h"

namespace poise {

// Appends to `out`.
void EncodeDecision(const Decision& decision, std::string& out);

Result<Decision> DecodeDecision(const DecisionId& id, const UserKey& user, std::string_view bytes);

}  // namespace poise
