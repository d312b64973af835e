// SPDX-License-Identifier: Apache-2.0
//
// ProblemOf: a Status as the client reads it; the one table from status codes to HTTP.
//
// Errors   400 with the field that the message begins with ("events[3].value: must be finite");
//          404, 409 (right request, wrong time), 504, 503 with Retry-After (queue full, try again),
//          507 (disk full), 500, 501.
#pragma once

#include <string_view>

#include "base/status.h"
#include "http/server/message.h"

namespace poise {

// Requires  !status.ok().
int HttpStatusOf(const Status& status);
HttpResponse ProblemOf(const Status& status);

// "items[2].price: must be finite" is about "items[2].price"; a message without a path in front is
// about nothing in particular.
struct FieldAndDetail {
  std::string_view field;
  std::string_view detail;
};
FieldAndDetail SplitField(std::string_view message);

}  // namespace poise
