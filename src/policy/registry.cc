// SPDX-License-Identifier: Apache-2.0
#include "policy/registry.h"

#include <string>

namespace poise {

// One row a policy: the name before "Kind" in its header. The row declares it and lists it.
#define POISE_POLICIES(row) \
  row(Greedy) row(EpsilonGreedy) row(PlackettLuce) row(OptimisticPlackettLuce)

#define POISE_DECLARE_POLICY(name) extern const PolicyKind k##name##Kind;
POISE_POLICIES(POISE_DECLARE_POLICY)

std::span<const PolicyKind* const> PolicyKinds() {
#define POISE_LIST_POLICY(name) &k##name##Kind,
  static constexpr const PolicyKind* kKinds[] = {POISE_POLICIES(POISE_LIST_POLICY)};
  return kKinds;
}

Result<const PolicyKind*> FindPolicyKind(std::string_view name) {
  std::string known;
  for (const PolicyKind* kind : PolicyKinds()) {
    if (kind->name == name) return kind;
    if (!known.empty()) known += ", ";
    known += kind->name;
  }
  return InvalidArgument("policy: unknown name '" + std::string(name) + "'; known are " + known);
}

Result<std::unique_ptr<const Policy>> MakePolicy(std::string_view name,
                                                 const ParameterTexts& parameters) {
  POISE_ASSIGN_OR_RETURN(const PolicyKind* kind, FindPolicyKind(name));
  return kind->make(parameters);
}

}  // namespace poise
