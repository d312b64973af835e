// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "scenarios/stage.h"

namespace poise {
namespace {

Status No(std::string what) { return FailedPrecondition(std::move(what)); }

Status Unknown(const WordReader& words, std::string_view known) {
  return InvalidArgument(fmt::format("'{}': expected {}", words.Peek(), known));
}

Status Compare(const Bound& bound, double actual, std::string_view what) {
  if (bound.Holds(actual)) return Status::Ok();
  return No(fmt::format("{}: it is {}, not {}", what, actual, bound.ToString()));
}

Status ExpectCount(WordReader& words, double actual, std::string_view what) {
  POISE_ASSIGN_OR_RETURN(const Bound bound, words.ReadBound());
  return Compare(bound, actual, what);
}

Status ExpectWordsIn(WordReader& words, std::string_view message) {
  for (const std::string& word : words.Rest()) {
    if (message.find(word) == std::string_view::npos) {
      return No(fmt::format("the message has no '{}': {}", word, message));
    }
  }
  return Status::Ok();
}

Status ExpectError(WordReader& words, const StageRecord& record) {
  POISE_ASSIGN_OR_RETURN(const std::string code, words.Word("a code such as invalid_argument"));
  if (StatusCodeName(record.status.code()) != code) {
    return No(fmt::format("the status is {}", record.status.ToString()));
  }
  return ExpectWordsIn(words, record.status.message());
}

std::string_view OutcomeName(EventResult::Outcome outcome) {
  switch (outcome) {
    case EventResult::Outcome::kAccepted:
      return "accepted";
    case EventResult::Outcome::kDuplicate:
      return "duplicate";
    case EventResult::Outcome::kRejected:
      return "rejected";
  }
  return "";
}

// "expect event duplicate" of the last event; "expect events accepted >= 3" of the last batch.
Status ExpectEvent(WordReader& words, const StageRecord& record) {
  if (record.event_results.empty()) return No("no event was sent");
  const EventResult& last = record.event_results.back();
  POISE_ASSIGN_OR_RETURN(const std::string outcome, words.Word("accepted, duplicate or rejected"));
  if (OutcomeName(last.outcome) != outcome) {
    return No(fmt::format("the event was {}{}{}", OutcomeName(last.outcome),
                          last.status.ok() ? "" : ": ", last.status.message()));
  }
  return ExpectWordsIn(words, last.status.message());
}

Status ExpectEvents(WordReader& words, const StageRecord& record) {
  POISE_ASSIGN_OR_RETURN(const std::string outcome, words.Word("accepted, duplicate or rejected"));
  const auto count = std::ranges::count_if(record.event_results, [&](const EventResult& result) {
    return OutcomeName(result.outcome) == outcome;
  });
  return ExpectCount(words, static_cast<double>(count), fmt::format("events {}", outcome));
}

std::vector<std::string> Names(const std::vector<RecommendedItem>& items) {
  std::vector<std::string> names;
  for (const RecommendedItem& item : items) names.push_back(item.item.value);
  return names;
}

std::vector<std::string> Names(const std::vector<ScoredItem>& items) {
  std::vector<std::string> names;
  for (const ScoredItem& item : items) names.push_back(item.item.value);
  return names;
}

// contains, lacks, is, starts, size
Status ExpectNames(WordReader& words, const std::vector<std::string>& names) {
  const std::string listed = names.empty() ? "empty" : fmt::format("{}", fmt::join(names, " "));
  const auto has = [&](const std::string& name) {
    return std::ranges::find(names, name) != names.end();
  };
  if (words.Take("size")) return ExpectCount(words, static_cast<double>(names.size()), "size");
  if (words.Take("contains")) {
    for (const std::string& name : words.Rest()) {
      if (!has(name)) return No(fmt::format("it is {}", listed));
    }
    return Status::Ok();
  }
  if (words.Take("lacks")) {
    for (const std::string& name : words.Rest()) {
      if (has(name)) return No(fmt::format("it is {}", listed));
    }
    return Status::Ok();
  }
  if (words.Take("is")) {
    if (words.Rest() != names) return No(fmt::format("it is {}", listed));
    return Status::Ok();
  }
  if (words.Take("starts")) {
    const std::vector<std::string> start = words.Rest();
    if (start.size() > names.size() || !std::equal(start.begin(), start.end(), names.begin())) {
      return No(fmt::format("it is {}", listed));
    }
    return Status::Ok();
  }
  return Unknown(words, "contains, lacks, is, starts or size");
}

// contains ID..., lacks ID..., is ID..., starts ID..., size N: of every repetition.
Status ExpectSlate(WordReader& words, const StageRecord& record) {
  if (record.responses.empty()) return No("nothing was recommended");
  const WordReader start = words;
  for (const RecommendResponse& response : record.responses) {
    words = start;
    POISE_RETURN_IF_ERROR(ExpectNames(words, Names(response.items)));
  }
  return Status::Ok();
}

Status ExpectPropensities(WordReader& words, const StageRecord& record) {
  if (words.Rest() != std::vector<std::string>{"in", "(0,", "1]"}) {
    return InvalidArgument("expected 'propensities in (0, 1]'");
  }
  if (record.responses.empty()) return No("nothing was recommended");
  for (const RecommendResponse& response : record.responses) {
    for (const RecommendedItem& item : response.items) {
      if (!(item.propensity > 0 && item.propensity <= 1)) {
        return No(fmt::format("{} in slot {} has {}", item.item.value, item.slot, item.propensity));
      }
    }
  }
  return Status::Ok();
}

template <typename Predicate>
double CountItems(const StageRecord& record, Predicate predicate) {
  double count = 0;
  for (const RecommendResponse& response : record.responses) {
    count += static_cast<double>(std::ranges::count_if(response.items, predicate));
  }
  return count;
}

// no unavailable item | no item of category C | no repeated item
Status ExpectNo(WordReader& words, const StageRecord& record) {
  if (record.responses.empty()) return No("nothing was recommended");
  std::string category;
  enum class Kind { kUnavailable, kCategory, kRepeated } kind = Kind::kUnavailable;
  if (words.Take("unavailable")) {
    if (!words.Take("item")) return Unknown(words, "item");
  } else if (words.Take("repeated")) {
    if (!words.Take("item")) return Unknown(words, "item");
    kind = Kind::kRepeated;
  } else if (words.Take("item") && words.Take("of") && words.Take("category")) {
    kind = Kind::kCategory;
    POISE_ASSIGN_OR_RETURN(category, words.Word("a category"));
  } else {
    return Unknown(words, "unavailable item, repeated item, or item of category C");
  }
  for (const RecommendResponse& response : record.responses) {
    std::set<std::string> shown;
    for (const RecommendedItem& item : response.items) {
      const auto known = record.items.find(item.item.value);
      const bool is_known = known != record.items.end();
      const bool is_breach =
          kind == Kind::kRepeated ? !shown.insert(item.item.value).second
          : kind == Kind::kUnavailable
              ? is_known && !known->second.is_available
              : is_known && std::ranges::count(known->second.categories, category) > 0;
      if (is_breach) return No(fmt::format("{} is in slot {}", item.item.value, item.slot));
    }
  }
  return Status::Ok();
}

// every item of category C
Status ExpectEvery(WordReader& words, const StageRecord& record) {
  if (!words.Take("item") || !words.Take("of") || !words.Take("category")) {
    return Unknown(words, "item of category C");
  }
  POISE_ASSIGN_OR_RETURN(const std::string category, words.Word("a category"));
  if (record.responses.empty()) return No("nothing was recommended");
  for (const RecommendResponse& response : record.responses) {
    for (const RecommendedItem& item : response.items) {
      const auto known = record.items.find(item.item.value);
      if (known == record.items.end() ||
          std::ranges::count(known->second.categories, category) == 0) {
        return No(fmt::format("{} is in slot {}", item.item.value, item.slot));
      }
    }
  }
  return Status::Ok();
}

// shown ID N: in how many repetitions it was in the slate.
Status ExpectShown(WordReader& words, const StageRecord& record) {
  POISE_ASSIGN_OR_RETURN(const std::string id, words.Word("an item's id"));
  return ExpectCount(
      words, CountItems(record, [&](const RecommendedItem& item) { return item.item.value == id; }),
      fmt::format("slates that show {}", id));
}

// different items N: how many items the repetitions showed in all.
Status ExpectDifferent(WordReader& words, const StageRecord& record) {
  if (!words.Take("items")) return Unknown(words, "items");
  std::set<std::string> shown;
  for (const RecommendResponse& response : record.responses) {
    for (const RecommendedItem& item : response.items) shown.insert(item.item.value);
  }
  return ExpectCount(words, static_cast<double>(shown.size()), "different items");
}

// reason of ID CODE | source of ID SOURCE | text of ID WORD...
Status ExpectReason(WordReader& words, const StageRecord& record, std::string_view what) {
  if (!words.Take("of")) return Unknown(words, "of ID");
  POISE_ASSIGN_OR_RETURN(const std::string id, words.Word("an item's id"));
  for (const RecommendResponse& response : record.responses) {
    for (const RecommendedItem& item : response.items) {
      if (item.item.value != id) continue;
      if (what == "text") return ExpectWordsIn(words, item.reason);
      POISE_ASSIGN_OR_RETURN(const std::string name, words.Word("a name"));
      const bool is_so =
          what == "reason" ? item.reason_code == name : std::ranges::count(item.sources, name) > 0;
      if (is_so) return Status::Ok();
      return No(fmt::format("its reason is {} ({}), its sources are {}", item.reason_code,
                            item.reason, fmt::join(item.sources, " ")));
    }
  }
  return No(fmt::format("{} is not in the slate", id));
}

Status ExpectState(WordReader& words, Engine& engine) {
  const EngineState state = engine.State();
  if (words.Take("items")) {
    return ExpectCount(words, static_cast<double>(state.item_count), "items");
  }
  if (words.Take("users")) {
    return ExpectCount(words, static_cast<double>(state.user_count), "users");
  }
  if (words.Take("events")) {
    return ExpectCount(words, static_cast<double>(state.event_count), "events");
  }
  if (words.Take("version")) {
    return ExpectCount(words, static_cast<double>(state.model_version), "model version");
  }
  if (words.Take("ready")) {
    return state.is_ready ? Status::Ok() : No(state.not_ready_because);
  }
  return Unknown(words, "items, users, events, version or ready");
}

Status ExpectModel(WordReader& words, Engine& engine) {
  POISE_ASSIGN_OR_RETURN(const std::string name, words.Word("a model's name"));
  std::string serving;
  for (const ModelDescription& model : engine.Models()) {
    if (!model.is_serving) continue;
    if (model.name == name) return Status::Ok();
    serving += " " + model.name;
  }
  return No(fmt::format("serving are{}", serving.empty() ? " none" : serving));
}

// What `poise export` would write: events N | user ID N | item ID N (of events, or 0 for none).
Status ExpectExported(WordReader& words, Engine& engine) {
  const bool is_user = words.Take("user");
  const bool is_item = !is_user && words.Take("item");
  if (!is_user && !is_item && !words.Take("events")) return Unknown(words, "events, user or item");
  std::string id;
  if (is_user || is_item) {
    POISE_ASSIGN_OR_RETURN(id, words.Word("an id"));
  }
  double count = 0;
  ExportSink sink;
  sink.on_item = [](const ItemRecord&) { return Status::Ok(); };
  sink.on_user = [](const UserRecord&) { return Status::Ok(); };
  sink.on_event = [&](const Event& event) {
    if (!is_user && !is_item) ++count;
    if (is_user && event.user.value == id) ++count;
    if (is_item && event.item.value == id) ++count;
    return Status::Ok();
  };
  POISE_RETURN_IF_ERROR(engine.Export(sink));
  return ExpectCount(words, count, "exported events");
}

// bytes lack WORD: no file of the data directory has it.
Status ExpectBytes(WordReader& words, const std::string& directory) {
  const bool is_lack = words.Take("lack");
  if (!is_lack && !words.Take("hold")) return Unknown(words, "lack or hold");
  POISE_ASSIGN_OR_RETURN(const std::string text, words.Word("what to look for"));
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory, error)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (bytes.find(text) == std::string::npos) continue;
    if (!is_lack) return Status::Ok();
    return No(fmt::format("{} has it", entry.path().filename().string()));
  }
  if (error) return Internal(error.message());
  return is_lack ? Status::Ok() : No("no file has it");
}

std::string AttributeText(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return fmt::format("{}", fmt::join(std::get<std::vector<std::string>>(value), " "));
}

// title T | attribute NAME VALUE | available | unavailable
Status ExpectItem(WordReader& words, const ItemRecord& item) {
  if (words.Take("title")) {
    POISE_ASSIGN_OR_RETURN(const std::string title, words.Word("a title"));
    return title == item.title ? Status::Ok() : No(fmt::format("it is '{}'", item.title));
  }
  if (words.Take("available")) return item.is_available ? Status::Ok() : No("it is unavailable");
  if (words.Take("unavailable")) return item.is_available ? No("it is available") : Status::Ok();
  return Unknown(words, "title, available or unavailable");
}

Status ExpectAttribute(WordReader& words, const Attributes& attributes) {
  POISE_ASSIGN_OR_RETURN(const std::string name, words.Word("an attribute's name"));
  POISE_ASSIGN_OR_RETURN(const std::string value, words.Word("its value"));
  const auto found = attributes.find(name);
  if (found == attributes.end()) return No(fmt::format("there is no {}", name));
  const std::string text = AttributeText(found->second);
  return text == value ? Status::Ok() : No(fmt::format("it is '{}'", text));
}

// score of A > score of B, in the last slate or list.
Status ExpectScore(WordReader& words, const StageRecord& record) {
  std::map<std::string, double> scores;
  for (const ScoredItem& item : record.list) scores[item.item.value] = item.score;
  if (!record.responses.empty()) {
    for (const RecommendedItem& item : record.responses.back().items) {
      scores[item.item.value] = item.score;
    }
  }
  const auto read = [&]() -> Result<double> {
    if (!words.Take("of")) return Unknown(words, "of ID");
    POISE_ASSIGN_OR_RETURN(const std::string id, words.Word("an item's id"));
    const auto found = scores.find(id);
    if (found == scores.end()) return No(fmt::format("{} is not in the slate or list", id));
    return found->second;
  };
  POISE_ASSIGN_OR_RETURN(const double left, read());
  Bound bound;
  POISE_ASSIGN_OR_RETURN(bound.comparison, words.Word("a comparison"));
  if (!words.Take("score")) return Unknown(words, "score of ID");
  POISE_ASSIGN_OR_RETURN(bound.value, read());
  return Compare(bound, left, "score");
}

}  // namespace

Status Expect(WordReader& words, const StageRecord& record, Engine& engine,
              const std::string& directory) {
  POISE_ASSIGN_OR_RETURN(const std::string noun, words.Word("what is expected"));
  if (noun == "error") return ExpectError(words, record);
  if (noun == "event") return ExpectEvent(words, record);
  if (noun == "events") return ExpectEvents(words, record);
  if (noun == "slate") return ExpectSlate(words, record);
  if (noun == "list") return ExpectNames(words, Names(record.list));
  if (noun == "propensities") return ExpectPropensities(words, record);
  if (noun == "explored") {
    return ExpectCount(
        words, CountItems(record, [](const RecommendedItem& item) { return item.explored; }),
        "explored slots");
  }
  if (noun == "no") return ExpectNo(words, record);
  if (noun == "every") return ExpectEvery(words, record);
  if (noun == "shown") return ExpectShown(words, record);
  if (noun == "different") return ExpectDifferent(words, record);
  if (noun == "reason" || noun == "source" || noun == "text") {
    return ExpectReason(words, record, noun);
  }
  if (noun == "score") return ExpectScore(words, record);
  if (noun == "state") return ExpectState(words, engine);
  if (noun == "model") return ExpectModel(words, engine);
  if (noun == "exported") return ExpectExported(words, engine);
  if (noun == "bytes") return ExpectBytes(words, directory);
  if (noun == "item") return ExpectItem(words, record.item);
  if (noun == "attribute") {
    return ExpectAttribute(
        words, record.user.id.value.empty() ? record.item.attributes : record.user.attributes);
  }
  if (noun == "degraded") {
    double count = 0;
    for (const auto& response : record.responses)
      count += static_cast<double>(response.degraded.size());
    return ExpectCount(words, count, "degraded stages");
  }
  if (noun == "forgotten") {
    if (words.Take("known")) return record.receipt.was_known ? Status::Ok() : No("it was not");
    if (words.Take("unknown")) return record.receipt.was_known ? No("it was") : Status::Ok();
    return Unknown(words, "known or unknown");
  }
  return InvalidArgument(fmt::format(
      "'{}': expected error event events slate list propensities explored no every shown different "
      "reason source text score state model exported bytes item attribute degraded forgotten",
      noun));
}

}  // namespace poise
