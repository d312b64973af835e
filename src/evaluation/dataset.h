// SPDX-License-Identifier: Apache-2.0
//
// EvaluationSet: the interactions of a file with dense rows, in the order of the file; what splits
// are cut from.
//
// Place    apps/ (importers' events) -> [EvaluationSetBuilder] -> split.h
// Shapes   N interactions; user_count and item_count cover both sides of every split
// Errors   kResourceExhausted: more users or items than rows can number.
// Threads  One thread builds; what was built is a value.
// Cost     24 bytes an interaction, and the ids while building.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "domain/event.h"

namespace poise {

// Which of the given files an interaction comes from, for Split kFiles.
enum class FilePart : std::uint8_t { kTrain = 0, kTest = 1 };

struct EvaluationSet {
  struct Row {
    UserRow user{};
    Interaction interaction;
    FilePart part = FilePart::kTrain;
  };
  std::vector<Row> rows;
  std::size_t user_count = 0;
  std::size_t item_count = 0;
};

class EvaluationSetBuilder {
 public:
  // An anonymous visitor's session counts as a user of its own.
  Status Add(const Event& event, FilePart part = FilePart::kTrain);

  // Leaves the builder empty.
  EvaluationSet Build();

 private:
  using Rows = std::unordered_map<std::string, std::uint32_t>;

  Rows users_;
  Rows sessions_;
  Rows items_;
  std::uint32_t next_user_ = 0;
  EvaluationSet set_;
};

}  // namespace poise
