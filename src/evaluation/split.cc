// SPDX-License-Identifier: Apache-2.0
#include "evaluation/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "base/parameter.h"
#include "base/rng.h"

namespace poise {
namespace {

constexpr std::string_view kKnownSplits = "random:0.2, leave-last-out, time:0.2, files";
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

std::vector<bool> HoldOutRandomly(std::size_t count, double share, std::uint64_t seed) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  Rng rng(seed);
  for (std::size_t last = count; last > 1; --last) {
    std::swap(order[last - 1], order[rng.Below(last)]);
  }
  std::vector<bool> is_held_out(count);
  const auto taken = static_cast<std::size_t>(share * static_cast<double>(count));
  for (std::size_t n = 0; n < taken; ++n) is_held_out[order[n]] = true;
  return is_held_out;
}

std::vector<bool> HoldOutLast(const EvaluationSet& set) {
  std::vector<std::size_t> last(set.user_count, kNone);
  std::vector<std::size_t> counts(set.user_count, 0);
  for (std::size_t n = 0; n < set.rows.size(); ++n) {
    const std::size_t user = Index(set.rows[n].user);
    ++counts[user];
    if (last[user] == kNone ||
        set.rows[n].interaction.time_s >= set.rows[last[user]].interaction.time_s) {
      last[user] = n;
    }
  }
  std::vector<bool> is_held_out(set.rows.size());
  for (std::size_t user = 0; user < set.user_count; ++user) {
    if (counts[user] >= 2) is_held_out[last[user]] = true;
  }
  return is_held_out;
}

std::vector<bool> HoldOutLatest(const EvaluationSet& set, double share) {
  std::vector<std::size_t> order(set.rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return set.rows[a].interaction.time_s < set.rows[b].interaction.time_s;
  });
  std::vector<bool> is_held_out(set.rows.size());
  const auto taken = static_cast<std::size_t>(share * static_cast<double>(order.size()));
  for (std::size_t n = order.size() - taken; n < order.size(); ++n) is_held_out[order[n]] = true;
  return is_held_out;
}

std::vector<bool> HeldOut(const EvaluationSet& set, const SplitSpec& spec, std::uint64_t seed) {
  switch (spec.kind) {
    case SplitKind::kRandom:
      return HoldOutRandomly(set.rows.size(), spec.held_out_share, seed);
    case SplitKind::kLeaveLastOut:
      return HoldOutLast(set);
    case SplitKind::kTime:
      return HoldOutLatest(set, spec.held_out_share);
    case SplitKind::kFiles:
      break;
  }
  std::vector<bool> is_held_out(set.rows.size());
  for (std::size_t n = 0; n < set.rows.size(); ++n) {
    is_held_out[n] = set.rows[n].part == FilePart::kTest;
  }
  return is_held_out;
}

Status CheckSides(const std::vector<bool>& is_held_out, const SplitSpec& spec) {
  const auto held_out =
      static_cast<std::size_t>(std::count(is_held_out.begin(), is_held_out.end(), true));
  if (held_out == 0 || held_out == is_held_out.size()) {
    return FailedPrecondition(fmt::format("split: {} leaves nothing to {} of {} interactions",
                                          SplitName(spec), held_out == 0 ? "test on" : "learn from",
                                          is_held_out.size()));
  }
  return Status::Ok();
}

}  // namespace

Result<SplitSpec> ParseSplit(std::string_view text) {
  if (text == "leave-last-out") return SplitSpec{SplitKind::kLeaveLastOut, 0};
  if (text == "files") return SplitSpec{SplitKind::kFiles, 0};
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (name != "random" && name != "time") {
    return InvalidArgument(fmt::format("split: unknown \"{}\"; known: {}", text, kKnownSplits));
  }
  SplitSpec spec{name == "random" ? SplitKind::kRandom : SplitKind::kTime, 0.2};
  if (colon != std::string_view::npos) {
    POISE_RETURN_IF_ERROR(ParseInto(text.substr(colon + 1), fmt::format("split: {}", name), 0, 1,
                                    spec.held_out_share));
  }
  if (!(spec.held_out_share > 0 && spec.held_out_share < 1)) {
    return InvalidArgument(fmt::format("split: the share of {} must lie between 0 and 1", name));
  }
  return spec;
}

std::string SplitName(const SplitSpec& spec) {
  switch (spec.kind) {
    case SplitKind::kRandom:
      return fmt::format("random:{}", spec.held_out_share);
    case SplitKind::kLeaveLastOut:
      return "leave-last-out";
    case SplitKind::kTime:
      return fmt::format("time:{}", spec.held_out_share);
    case SplitKind::kFiles:
      break;
  }
  return "files";
}

Result<Split> Cut(const EvaluationSet& set, const SplitSpec& spec, std::uint64_t seed) {
  const std::vector<bool> is_held_out = HeldOut(set, spec, seed);
  POISE_RETURN_IF_ERROR(CheckSides(is_held_out, spec));
  TrainingViewBuilder train;
  TrainingViewBuilder test;
  std::uint32_t latest_train = 0;
  std::uint32_t latest = 0;
  train.Reserve(set.rows.size());
  for (std::size_t n = 0; n < set.rows.size(); ++n) {
    const EvaluationSet::Row& row = set.rows[n];
    (is_held_out[n] ? test : train).Add(row.user, row.interaction);
    latest = std::max(latest, row.interaction.time_s);
    if (!is_held_out[n]) latest_train = std::max(latest_train, row.interaction.time_s);
  }
  Split split;
  split.train = train.Build(Timestamp::FromSeconds(latest_train), set.user_count, set.item_count);
  split.test = test.Build(Timestamp::FromSeconds(latest), set.user_count, set.item_count);
  return split;
}

Result<EvaluationSet> TrainingSide(const EvaluationSet& set, const SplitSpec& spec,
                                   std::uint64_t seed) {
  const std::vector<bool> is_held_out = HeldOut(set, spec, seed);
  POISE_RETURN_IF_ERROR(CheckSides(is_held_out, spec));
  EvaluationSet out;
  out.user_count = set.user_count;
  out.item_count = set.item_count;
  for (std::size_t n = 0; n < set.rows.size(); ++n) {
    if (!is_held_out[n]) out.rows.push_back(set.rows[n]);
  }
  return out;
}

}  // namespace poise
