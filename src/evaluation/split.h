// SPDX-License-Identifier: Apache-2.0
//
// Split: what is learned from and what is held out of it.
//
//   random:F         a random share F of all interactions is held out: a Fisher-Yates shuffle of
//                    the file's order from the last row down, rows swapped with Rng(seed).Below(),
//                    of which the first floor(F N) are taken. Equal seeds cut equally, everywhere.
//   leave-last-out   of each user with two interactions or more, the last
//   time:F           the latest share F of all interactions; ties in time in the file's order
//   files            as the given files say
//
// Place    EvaluationSet -> [Cut] -> evaluate.h
// Shapes   Both sides have the set's user and item counts; interactions by user, oldest first.
// Errors   kInvalidArgument: an unknown split (lists the known ones), a share outside (0, 1);
//          kFailedPrecondition: a side would be empty.
// Threads  A value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "evaluation/dataset.h"
#include "features/training_view.h"

namespace poise {

enum class SplitKind { kRandom, kLeaveLastOut, kTime, kFiles };

struct SplitSpec {
  SplitKind kind = SplitKind::kRandom;
  double held_out_share = 0.2;  // of random and time
};

// Reads "random:0.2", "leave-last-out", "time:0.2", "files".
Result<SplitSpec> ParseSplit(std::string_view text);
std::string SplitName(const SplitSpec& spec);

struct Split {
  TrainingView train;  // as of its latest interaction
  TrainingView test;
};

Result<Split> Cut(const EvaluationSet& set, const SplitSpec& spec, std::uint64_t seed);

// The training side of `set` under `spec`, as a set of its own: cut it again to tune without ever
// looking at the test side.
Result<EvaluationSet> TrainingSide(const EvaluationSet& set, const SplitSpec& spec,
                                   std::uint64_t seed);

}  // namespace poise
