// SPDX-License-Identifier: Apache-2.0
#include "models/interest_model.h"

#include <string>

namespace poise {

Status InterestModel::UserVector(const UserView&, std::span<float>) const {
  return FailedPrecondition(std::string(Name()) + " has no user vectors");
}

}  // namespace poise
