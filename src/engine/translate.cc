// SPDX-License-Identifier: Apache-2.0
#include "engine/translate.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/registry.h"

namespace poise {

EventWeights EventWeightsOf(const EventsSection& section) {
  EventWeights weights;
  const auto set = [&](EventType type, double weight) {
    weights.by_type[static_cast<std::size_t>(type)] = static_cast<float>(weight);
  };
  set(EventType::kView, section.weight_view);
  set(EventType::kClick, section.weight_click);
  set(EventType::kFavourite, section.weight_favourite);
  set(EventType::kCart, section.weight_cart);
  set(EventType::kPurchase, section.weight_purchase);
  set(EventType::kRating, section.weight_rating);
  set(EventType::kReturn, section.weight_return);
  set(EventType::kCustom, section.weight_custom);
  return weights;
}

JoinerOptions JoinerOptionsOf(const FeedbackSection& section) {
  JoinerOptions options;
  const auto set = [&](EventType type, double reward) {
    options.reward_by_type[static_cast<std::size_t>(type)] = static_cast<float>(reward);
  };
  set(EventType::kClick, section.reward_click);
  set(EventType::kFavourite, section.reward_favourite);
  set(EventType::kCart, section.reward_cart);
  set(EventType::kPurchase, section.reward_purchase);
  options.outcome_window = std::chrono::seconds(section.no_outcome_after_s);
  options.attribution_window = std::chrono::seconds(section.attribution_window_s);
  return options;
}

RetrieverOptions RetrieverOptionsOf(const CandidatesSection& section, const EventWeights& weights) {
  return {.personal = section.personal,
          .similar = section.similar,
          .repeat = section.repeat,
          .trending = section.trending,
          .popular = section.popular,
          .fresh = section.fresh,
          .uncertain = section.uncertain,
          .random = section.random,
          .total = section.total,
          .weights = weights};
}

RecommenderOptions RecommenderOptionsOf(const Configuration& configuration) {
  return {.max_slots = configuration.limits.slots,
          .only_available = configuration.filters.unavailable,
          .exclude_seen = configuration.filters.seen,
          .exclude_bought = configuration.filters.bought,
          .bought_within = std::chrono::hours(24 * configuration.filters.bought_within_days)};
}

SegmentLog::Options LogOptionsOf(const StorageSection& section) {
  SegmentLog::Options options;
  options.segment_bytes = static_cast<std::uint64_t>(section.segment_mib) << 20;
  options.max_commit_delay = std::chrono::microseconds(section.commit_delay_us);
  options.buffered_commit_delay = std::chrono::milliseconds(section.decision_delay_ms);
  options.max_queue_bytes = static_cast<std::size_t>(section.queue_mib) << 20;
  options.fsync = section.sync;
  return options;
}

EventStore::Options StoreOptionsOf(const Configuration& configuration) {
  EventStore::Options options;
  options.snapshot_directory = configuration.data_dir + "/state";
  options.history_length = static_cast<std::size_t>(configuration.events.history_length);
  options.sealing = configuration.storage.sealed ? Sealing::kSealed : Sealing::kPlain;
  return options;
}

Result<std::vector<ModelSpecification>> ModelSpecificationsOf(const TrainingSection& section) {
  std::vector<ModelSpecification> specifications;
  for (const std::string& name : section.models) specifications.push_back({name, {}});
  for (const auto& [key, text] : section.parameters) {
    const std::size_t dot = key.find('.');
    const std::string model = key.substr(0, dot);
    const auto found = std::ranges::find(specifications, model, &ModelSpecification::name);
    if (dot == std::string::npos || found == specifications.end()) {
      return InvalidArgument(fmt::format(
          "training.parameters: \"{}\" must be MODEL.PARAMETER of a model in training.models",
          key));
    }
    found->parameters.emplace_back(key.substr(dot + 1), text);
  }
  for (const ModelSpecification& each : specifications) {
    const auto trainer = MakeTrainer(each.name, each.parameters, Task::kRanking);
    if (!trainer.ok()) {
      return Status(trainer.status().code(), "training.models: " + trainer.status().message());
    }
  }
  return specifications;
}

}  // namespace poise
