// SPDX-License-Identifier: Apache-2.0
//
// The registry of policies: one row a policy, and the only place that lists them.
//
// Adding a policy: its header, source and test here, one row in registry.cc, one line in
// CMakeLists.txt.
//
// Errors   kInvalidArgument: an unknown name (lists the known ones), an unknown parameter, a value
//          out of range.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "policy/policy.h"

namespace poise {

inline constexpr std::string_view kDefaultPolicy = "optimistic-pl";

std::span<const PolicyKind* const> PolicyKinds();
Result<const PolicyKind*> FindPolicyKind(std::string_view name);

Result<std::unique_ptr<const Policy>> MakePolicy(std::string_view name,
                                                 const ParameterTexts& parameters = {});

}  // namespace poise
