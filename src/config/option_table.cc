// SPDX-License-Identifier: Apache-2.0
#include "config/option_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace poise {
namespace {

template <auto Section, auto Member>
constexpr auto& In(Configuration& configuration) {
  return configuration.*Section.*Member;
}

template <auto Member>
constexpr auto& Top(Configuration& configuration) {
  return configuration.*Member;
}

constexpr double kLongText = 4096;
constexpr double kBillion = 1e9;

#define POISE_SERVER(member) (&In<&Configuration::server, &ServerSection::member>)
#define POISE_LIMITS(member) (&In<&Configuration::limits, &LimitsSection::member>)
#define POISE_STORAGE(member) (&In<&Configuration::storage, &StorageSection::member>)
#define POISE_EVENTS(member) (&In<&Configuration::events, &EventsSection::member>)
#define POISE_CANDIDATES(member) (&In<&Configuration::candidates, &CandidatesSection::member>)
#define POISE_FILTERS(member) (&In<&Configuration::filters, &FiltersSection::member>)
#define POISE_POLICY(member) (&In<&Configuration::policy, &PolicySection::member>)
#define POISE_FEEDBACK(member) (&In<&Configuration::feedback, &FeedbackSection::member>)
#define POISE_TRAINING(member) (&In<&Configuration::training, &TrainingSection::member>)

constexpr OptionRow kOptions[] = {
    {"", "data_dir", &Top<&Configuration::data_dir>, "", 1, kLongText, "",
     "folder that holds everything Poise keeps"},
    {"", "log_level", &Top<&Configuration::log_level>, "", 0, 16, "debug info warning error off",
     "least severe message that is logged"},

    {"server", "address", POISE_SERVER(address), "", 0, 256, "",
     "address to listen on; loopback unless said otherwise"},
    {"server", "port", POISE_SERVER(port), "", 0, 65535, "", "TCP port; 0: any free one"},
    {"server", "threads", POISE_SERVER(threads), "", 0, 1024, "",
     "threads that serve requests; 0: one per core"},
    {"server", "idle_timeout_s", POISE_SERVER(idle_timeout_s), "s", 1, 86400, "",
     "how long a silent connection is kept"},
    {"server", "authentication", POISE_SERVER(authentication), "", 0, 0, "",
     "whether requests need a key; switch off only behind a door that checks them"},

    {"limits", "body_bytes", POISE_LIMITS(body_bytes), "bytes", 1024, 1 << 30, "",
     "largest request body"},
    {"limits", "batch_size", POISE_LIMITS(batch_size), "", 1, 1'000'000, "",
     "most events, items or users in one request"},
    {"limits", "slots", POISE_LIMITS(slots), "", 1, 1000, "", "most slots in one slate"},
    {"limits", "connections", POISE_LIMITS(connections), "", 1, 1'000'000, "",
     "most connections at a time"},
    {"limits", "requests_per_second", POISE_LIMITS(requests_per_second), "1/s", 0, kBillion, "",
     "steady rate of one key; 0: no limit"},
    {"limits", "burst", POISE_LIMITS(burst), "", 1, kBillion, "",
     "requests a key may save up beyond its steady rate"},

    {"storage", "master_key_file", POISE_STORAGE(master_key_file), "", 0, kLongText, "",
     "file with the master key, best on another disk than the data; empty: master.key in data_dir"},
    {"storage", "sealed", POISE_STORAGE(sealed), "", 0, 0, "",
     "whether personal fields are sealed; switch off only to measure what sealing costs"},
    {"storage", "sync", POISE_STORAGE(sync), "", 0, 0, "",
     "whether an acknowledgement waits for the disk; switch off only to measure what that costs"},
    {"storage", "segment_mib", POISE_STORAGE(segment_mib), "MiB", 1, 4096, "",
     "size of one file of the log"},
    {"storage", "commit_delay_us", POISE_STORAGE(commit_delay_us), "us", 0, 1'000'000, "",
     "longest an event waits for others to be committed with; 0: only while a commit is running"},
    {"storage", "decision_delay_ms", POISE_STORAGE(decision_delay_ms), "ms", 1, 10'000, "",
     "longest a logged decision may be lost to a power cut"},
    {"storage", "queue_mib", POISE_STORAGE(queue_mib), "MiB", 1, 65536, "",
     "most bytes that wait to be committed; beyond it new events are refused for a moment"},
    {"storage", "snapshot_interval_s", POISE_STORAGE(snapshot_interval_s), "s", 1, kBillion, "",
     "time between snapshots of the live state, which make starting fast"},
    {"storage", "event_retention_days", POISE_STORAGE(event_retention_days), "days", 0, 36500, "",
     "how long events are kept; 0: for ever"},
    {"storage", "decision_retention_days", POISE_STORAGE(decision_retention_days), "days", 0, 36500,
     "", "how long decisions are kept; 0: for ever"},

    {"events", "session_gap_s", POISE_EVENTS(session_gap_s), "s", 1, kBillion, "",
     "a pause longer than this starts a new session"},
    {"events", "history_length", POISE_EVENTS(history_length), "", 1, 10'000, "",
     "latest interactions of a user that are held in memory"},
    {"events", "weight_view", POISE_EVENTS(weight_view), "", -100, 100, "",
     "how much a view says about interest"},
    {"events", "weight_click", POISE_EVENTS(weight_click), "", -100, 100, "",
     "how much a click says about interest"},
    {"events", "weight_favourite", POISE_EVENTS(weight_favourite), "", -100, 100, "",
     "how much a favourite says about interest"},
    {"events", "weight_cart", POISE_EVENTS(weight_cart), "", -100, 100, "",
     "how much putting into the cart says about interest"},
    {"events", "weight_purchase", POISE_EVENTS(weight_purchase), "", -100, 100, "",
     "how much a purchase says about interest"},
    {"events", "weight_rating", POISE_EVENTS(weight_rating), "", -100, 100, "",
     "how much a rating says about interest"},
    {"events", "weight_return", POISE_EVENTS(weight_return), "", -100, 100, "",
     "how much a return says about interest; negative takes back what the purchase said"},
    {"events", "weight_custom", POISE_EVENTS(weight_custom), "", -100, 100, "",
     "how much an event of the shop's own kind says about interest"},

    {"candidates", "personal", POISE_CANDIDATES(personal), "", 0, 10'000, "",
     "items whose vector is near the user's"},
    {"candidates", "similar", POISE_CANDIDATES(similar), "", 0, 10'000, "",
     "neighbours of what the user did"},
    {"candidates", "repeat", POISE_CANDIDATES(repeat), "", 0, 10'000, "",
     "items that the user bought and others buy again"},
    {"candidates", "trending", POISE_CANDIDATES(trending), "", 0, 10'000, "",
     "items that are rising now"},
    {"candidates", "popular", POISE_CANDIDATES(popular), "", 0, 10'000, "", "items liked by most"},
    {"candidates", "fresh", POISE_CANDIDATES(fresh), "", 0, 10'000, "",
     "items that are new or hardly ever shown; these exist to learn"},
    {"candidates", "uncertain", POISE_CANDIDATES(uncertain), "", 0, 10'000, "",
     "items of which least is known; these exist to learn"},
    {"candidates", "random", POISE_CANDIDATES(random), "", 0, 10'000, "",
     "items drawn from the whole catalog; these exist to learn"},
    {"candidates", "total", POISE_CANDIDATES(total), "", 1, 50'000, "",
     "most candidates that reach the policy"},

    {"filters", "unavailable", POISE_FILTERS(unavailable), "", 0, 0, "",
     "whether items that are out of stock are left out"},
    {"filters", "seen", POISE_FILTERS(seen), "", 0, 0, "",
     "whether items that the user has already looked at are left out"},
    {"filters", "bought", POISE_FILTERS(bought), "", 0, 0, "",
     "whether items that the user has already bought are left out"},
    {"filters", "bought_within_days", POISE_FILTERS(bought_within_days), "days", 0, 36500, "",
     "how long ago a purchase still leaves an item out; 0: however long ago"},

    {"policy", "name", POISE_POLICY(name), "", 1, 64, "",
     "how slates are drawn: greedy, epsilon-greedy, plackett-luce or optimistic-pl"},
    {"policy", "parameters", POISE_POLICY(parameters), "", 0, 0, "",
     "the policy's own parameters, such as tau = 0.1"},

    {"feedback", "attribution_window_s", POISE_FEEDBACK(attribution_window_s), "s", 1, kBillion, "",
     "an interaction this long after an impression is still its outcome"},
    {"feedback", "no_outcome_after_s", POISE_FEEDBACK(no_outcome_after_s), "s", 1, kBillion, "",
     "an impression without an outcome after this long counts as passed over, until one comes"},
    {"feedback", "reward_click", POISE_FEEDBACK(reward_click), "", 0, 1e6, "",
     "reward of a click or a view"},
    {"feedback", "reward_favourite", POISE_FEEDBACK(reward_favourite), "", 0, 1e6, "",
     "reward of a favourite"},
    {"feedback", "reward_cart", POISE_FEEDBACK(reward_cart), "", 0, 1e6, "",
     "reward of putting into the cart"},
    {"feedback", "reward_purchase", POISE_FEEDBACK(reward_purchase), "", 0, 1e6, "",
     "reward of a purchase"},

    {"training", "enabled", POISE_TRAINING(enabled), "", 0, 0, "",
     "whether models are trained in the background"},
    {"training", "interval_s", POISE_TRAINING(interval_s), "s", 1, kBillion, "",
     "least time between the starts of two trainings"},
    {"training", "min_new_events", POISE_TRAINING(min_new_events), "", 0, kBillion, "",
     "fewest new events that make a training worth while"},
    {"training", "models", POISE_TRAINING(models), "", 1, 32, "", "models that are trained"},
    {"training", "parameters", POISE_TRAINING(parameters), "", 0, 0, "",
     "parameters of the models, such as ials.dim = 64"},
    {"training", "threads", POISE_TRAINING(threads), "", 0, 1024, "",
     "threads that train; 0: half of the cores"},
    {"training", "seed", POISE_TRAINING(seed), "", 0, 2147483647, "",
     "same seed, same threads, same events: the same model, byte for byte"},
    {"training", "kept_versions", POISE_TRAINING(kept_versions), "", 1, 100, "",
     "versions of the models that are kept to roll back to"},
};

#undef POISE_SERVER
#undef POISE_LIMITS
#undef POISE_STORAGE
#undef POISE_EVENTS
#undef POISE_CANDIDATES
#undef POISE_FILTERS
#undef POISE_POLICY
#undef POISE_FEEDBACK
#undef POISE_TRAINING

std::string Joined(const OptionRow& row, char between) {
  std::string text(row.section);
  if (!text.empty()) text += between;
  return text + std::string(row.name);
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

Status Set(const OptionRow& row, std::string_view name, std::string_view text,
           std::vector<std::string>& out) {
  std::vector<std::string> words;
  for (std::string_view rest = text; !Trimmed(rest).empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view word = Trimmed(rest.substr(0, comma));
    if (word.empty()) return InvalidArgument(fmt::format("{}: an empty word in the list", name));
    words.emplace_back(word);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  const auto count = static_cast<double>(words.size());
  if (count < row.min || count > row.max) {
    return InvalidArgument(
        fmt::format("{}: needs {} to {} words, got {}", name, row.min, row.max, words.size()));
  }
  out = std::move(words);
  return Status::Ok();
}

Status Set(const OptionRow&, std::string_view name, std::string_view text, ParameterTexts& out) {
  ParameterTexts pairs;
  for (std::string_view rest = text; !Trimmed(rest).empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view pair = Trimmed(rest.substr(0, comma));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return InvalidArgument(
          fmt::format("{}: expected name=value pairs with commas between, got \"{}\"", name, pair));
    }
    pairs.emplace_back(Trimmed(pair.substr(0, equals)), Trimmed(pair.substr(equals + 1)));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  out = std::move(pairs);
  return Status::Ok();
}

Status Set(const OptionRow& row, std::string_view name, std::string_view text, std::string& out) {
  if (static_cast<double>(text.size()) < row.min) {
    return InvalidArgument(fmt::format("{}: must not be empty", name));
  }
  if (!row.choices.empty()) {
    bool is_known = false;
    for (std::string_view rest = row.choices; !rest.empty();) {
      const std::size_t space = std::min(rest.find(' '), rest.size());
      is_known = is_known || rest.substr(0, space) == text;
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    if (!is_known) {
      return InvalidArgument(
          fmt::format("{}: expected one of {}, got \"{}\"", name, row.choices, text));
    }
  }
  return ParseInto(text, name, row.min, row.max, out);
}

template <typename T>
Status Set(const OptionRow& row, std::string_view name, std::string_view text, T& out) {
  return ParseInto(text, name, row.min, row.max, out);
}

}  // namespace

std::span<const OptionRow> OptionTable() { return kOptions; }

std::string OptionKey(const OptionRow& row) { return Joined(row, '.'); }

std::string OptionFlag(const OptionRow& row) {
  std::string flag = "--" + Joined(row, '-');
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string OptionEnvironment(const OptionRow& row) {
  std::string name = "POISE_" + Joined(row, '_');
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return name;
}

Status SetOption(const OptionRow& row, std::string_view name, std::string_view text,
                 Configuration& out) {
  return std::visit([&](auto field) { return Set(row, name, text, field(out)); }, row.field);
}

}  // namespace poise
