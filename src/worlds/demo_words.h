// SPDX-License-Identifier: Apache-2.0
//
// The words of the demo shop: departments, their sections, and what is sold in each, in English and
// Chinese. Lists are separated by bars; the lists of the two languages have equal length.
#pragma once

#include <span>
#include <string_view>

namespace poise {

struct Words {
  std::string_view english;
  std::string_view chinese;
};

// What a size counts: "40 cm", "180 ml", "set of 4", "320 pages".
struct SizeKind {
  Words format;             // {} is the number
  std::string_view values;  // from small to large
};

struct DemoSection {
  Words name;
  Words materials;
  Words nouns;
  std::string_view prices;  // typical price of each noun
  const SizeKind* sizes;
};

struct DemoDepartment {
  Words name;
  Words adjectives;
  Words uses;  // "for {}": ends a description
  DemoSection sections[3];
};

std::span<const DemoDepartment> DemoDepartments();

}  // namespace poise
