// SPDX-License-Identifier: Apache-2.0
#include "scenarios/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace poise {

struct Stage::ActionRow {
  std::string_view word;
  Action action;
  bool is_setup;  // said before the engine opens
};

std::span<const Stage::ActionRow> Stage::Actions() {
  static constexpr ActionRow kActions[] = {{"advance", &Stage::Advance, false},
                                           {"config", &Stage::Config, true},
                                           {"delete", &Stage::DeleteThing, false},
                                           {"disk", &Stage::Disk, false},
                                           {"event", &Stage::EventLine, false},
                                           {"forget", &Stage::ForgetUser, false},
                                           {"get", &Stage::Get, false},
                                           {"item", &Stage::ItemLine, false},
                                           {"kill", &Stage::Kill, false},
                                           {"outcome", &Stage::OutcomeLine, false},
                                           {"popular", &Stage::Popular, false},
                                           {"recommend", &Stage::Recommend, false},
                                           {"rerank", &Stage::Rerank, false},
                                           {"restart", &Stage::Restart, false},
                                           {"rollback", &Stage::RollBack, false},
                                           {"settle", &Stage::Settle, false},
                                           {"similar", &Stage::Similar, false},
                                           {"train", &Stage::Train, false},
                                           {"trending", &Stage::Trending, false},
                                           {"user", &Stage::UserLine, false}};
  return kActions;
}

Stage::Stage(std::string directory)
    : root_(std::move(directory)), directory_(root_ + "/life-0"), clock_() {}

Stage::~Stage() {
  if (engine_ != nullptr) (void)engine_->Close();
}

Status Stage::Play(std::span<const ScriptLine> lines) {
  for (const ScriptLine& line : lines) {
    if (Status status = PlayLine(line); !status.ok()) {
      if (status.message().starts_with("line ")) return status;
      return {status.code(),
              fmt::format("line {}: {}: {}", line.number, line.text, status.message())};
    }
  }
  POISE_RETURN_IF_ERROR(SendEvents());
  return Unexpected();
}

Status Stage::PlayLine(const ScriptLine& line) {
  WordReader words(line.words);
  POISE_ASSIGN_OR_RETURN(const std::string verb, words.Word("a verb"));
  if (verb != "event") POISE_RETURN_IF_ERROR(SendEvents());
  if (verb == "expect") {
    POISE_RETURN_IF_ERROR(Open());
    is_expected_ = is_expected_ || words.Peek() == "error" || words.Peek() == "event" ||
                   words.Peek() == "events";
    POISE_RETURN_IF_ERROR(Unexpected());
    POISE_RETURN_IF_ERROR(Expect(words, record_, *engine_, directory_));
    return words.Finish();
  }
  if (pending_events_.empty()) {
    POISE_RETURN_IF_ERROR(Unexpected());
    action_line_ = line.number;
  }
  for (const ActionRow& row : Actions()) {
    if (row.word != verb) continue;
    if (!row.is_setup) POISE_RETURN_IF_ERROR(Open());
    POISE_RETURN_IF_ERROR((this->*row.action)(words));
    return words.Finish();
  }
  std::string known;
  for (const ActionRow& row : Actions()) known += fmt::format(" {}", row.word);
  return InvalidArgument(fmt::format("no such verb; known are expect{}", known));
}

Status Stage::Open() {
  if (engine_ != nullptr) return Status::Ok();
  ConfigurationSources sources;
  sources.flags = options_;
  sources.flags.emplace_back("data_dir", directory_);
  POISE_ASSIGN_OR_RETURN(const LoadedConfiguration loaded, LoadConfiguration(sources));
  POISE_ASSIGN_OR_RETURN(engine_, Engine::Open(loaded.values, disk_, clock_, metrics_));
  return Status::Ok();
}

Status Stage::Unexpected() const {
  if (is_expected_) return Status::Ok();
  std::string what = record_.status.ToString();
  if (record_.status.ok()) {
    for (const EventResult& result : record_.event_results) {
      if (result.outcome == EventResult::Outcome::kDuplicate) what = "a duplicate event";
      if (result.outcome == EventResult::Outcome::kRejected) what = result.status.ToString();
    }
  }
  return FailedPrecondition(fmt::format("line {}: nobody expected: {}", action_line_, what));
}

void Stage::Note(Status status) {
  is_expected_ = status.ok();
  record_.status = std::move(status);
}

Status Stage::SendEvents() {
  if (pending_events_.empty()) return Status::Ok();
  record_.event_results = engine_->RecordEventsAndWait(std::move(pending_events_));
  pending_events_.clear();
  record_.status = Status::Ok();
  is_expected_ = true;
  for (const EventResult& result : record_.event_results) {
    if (result.outcome != EventResult::Outcome::kAccepted) is_expected_ = false;
    if (result.outcome == EventResult::Outcome::kRejected && record_.status.ok()) {
      record_.status = result.status;
    }
  }
  return engine_->Settle();
}

Status Stage::Config(WordReader& words) {
  if (engine_ != nullptr) {
    return InvalidArgument("the configuration is said first, or just before a restart");
  }
  POISE_ASSIGN_OR_RETURN(std::string key, words.Word("an option, such as policy.name"));
  POISE_ASSIGN_OR_RETURN(std::string value, words.Word("the option's value"));
  std::erase_if(options_, [&](const auto& option) { return option.first == key; });
  options_.emplace_back(std::move(key), std::move(value));
  return Status::Ok();
}

namespace {

// "true", "no", a number or a word.
AttributeValue ReadAttribute(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  WordReader number(std::span<const std::string>(&text, 1));
  if (const auto value = number.Number("a number"); value.ok()) return *value;
  return text;
}

Status ReadAttributes(WordReader& words, Attributes& attributes) {
  POISE_ASSIGN_OR_RETURN(const std::string name, words.Word("the attribute's name"));
  POISE_ASSIGN_OR_RETURN(const std::string value, words.Word("the attribute's value"));
  attributes[name] = ReadAttribute(value);
  return Status::Ok();
}

Status Unknown(const WordReader& words, std::string_view known) {
  return InvalidArgument(fmt::format("'{}': expected {}", words.Peek(), known));
}

}  // namespace

Status Stage::ItemLine(WordReader& words) {
  ItemRecord item;
  POISE_ASSIGN_OR_RETURN(item.id.value, words.Word("the item's id"));
  item.created = clock_.Now();
  while (!words.done()) {
    if (words.Take("title")) {
      POISE_ASSIGN_OR_RETURN(item.title, words.Word("a title"));
    } else if (words.Take("description")) {
      POISE_ASSIGN_OR_RETURN(item.description, words.Word("a description"));
    } else if (words.Take("category")) {
      POISE_ASSIGN_OR_RETURN(std::string category, words.Word("a category"));
      item.categories.push_back(std::move(category));
    } else if (words.Take("price")) {
      POISE_ASSIGN_OR_RETURN(item.price, words.Number("a price"));
    } else if (words.Take("unavailable")) {
      item.is_available = false;
    } else if (words.Take("attribute")) {
      POISE_RETURN_IF_ERROR(ReadAttributes(words, item.attributes));
    } else if (words.Take("age")) {
      POISE_ASSIGN_OR_RETURN(const auto age, words.Duration());
      item.created = clock_.Now() - age;
    } else {
      return Unknown(words, "title description category price unavailable attribute age");
    }
  }
  if (item.title.empty()) item.title = item.id.value;
  const std::vector<Status> statuses = engine_->UpsertItems({&item, 1});
  Note(statuses.size() == 1 ? statuses[0] : Internal("not one status for one item"));
  if (record_.status.ok()) record_.items[item.id.value] = item;
  return Status::Ok();
}

Status Stage::UserLine(WordReader& words) {
  UserRecord user;
  POISE_ASSIGN_OR_RETURN(user.id.value, words.Word("the user's id"));
  user.created = clock_.Now();
  while (!words.done()) {
    if (!words.Take("attribute")) return Unknown(words, "attribute");
    POISE_RETURN_IF_ERROR(ReadAttributes(words, user.attributes));
  }
  const std::vector<Status> statuses = engine_->UpsertUsers({&user, 1});
  Note(statuses.size() == 1 ? statuses[0] : Internal("not one status for one user"));
  return Status::Ok();
}

Status Stage::DeleteThing(WordReader& words) {
  const bool is_item = words.Take("item");
  if (!is_item && !words.Take("user")) return Unknown(words, "item or user");
  POISE_ASSIGN_OR_RETURN(std::string id, words.Word("an id"));
  if (is_item) record_.items.erase(id);
  Note(is_item ? engine_->DeleteItem(ItemId{std::move(id)})
               : engine_->DeleteUser(UserId{std::move(id)}));
  return Status::Ok();
}

Status Stage::Get(WordReader& words) {
  if (words.Take("decision")) {
    if (record_.responses.empty()) return InvalidArgument("nothing was recommended before");
    const RecommendResponse& response = record_.responses.back();
    const auto found = engine_->FindDecision(response.decision);
    Note(found.status());
    if (!found.ok()) return Status::Ok();
    if (found->items.size() != response.items.size()) {
      return FailedPrecondition("the decision on record has another number of slots");
    }
    for (std::size_t slot = 0; slot < found->items.size(); ++slot) {
      const Choice& choice = found->decision.slate[slot];
      const RecommendedItem& shown = response.items[slot];
      if (found->items[slot] != shown.item || choice.propensity != shown.propensity ||
          choice.explored != shown.explored) {
        return FailedPrecondition(fmt::format(
            "slot {} on record is {} at {}, the answer said {} at {}", slot,
            found->items[slot].value, choice.propensity, shown.item.value, shown.propensity));
      }
    }
    return Status::Ok();
  }
  const bool is_item = words.Take("item");
  if (!is_item && !words.Take("user")) return Unknown(words, "item, user or decision");
  POISE_ASSIGN_OR_RETURN(std::string id, words.Word("an id"));
  if (is_item) {
    auto item = engine_->GetItem(ItemId{std::move(id)});
    Note(item.status());
    if (item.ok()) record_.item = *std::move(item);
  } else {
    auto user = engine_->GetUser(UserId{std::move(id)});
    Note(user.status());
    if (user.ok()) record_.user = *std::move(user);
  }
  return Status::Ok();
}

Status Stage::EventLine(WordReader& words) {
  Event event;
  event.time = clock_.Now();
  if (words.Take("visitor")) {
    POISE_ASSIGN_OR_RETURN(event.session, words.Word("the visitor's session"));
  } else {
    POISE_ASSIGN_OR_RETURN(event.user.value, words.Word("a user's id, or visitor SESSION"));
  }
  POISE_ASSIGN_OR_RETURN(const std::string type, words.Word("an event type"));
  const auto known = ParseEventType(type);
  event.type = known.ok() ? *known : EventType::kCustom;
  if (!known.ok()) event.custom_type = type;
  POISE_ASSIGN_OR_RETURN(event.item.value, words.Word("an item's id"));
  while (!words.done()) {
    if (words.Take("value")) {
      POISE_ASSIGN_OR_RETURN(event.value, words.Number("a value"));
    } else if (words.Take("quantity")) {
      POISE_ASSIGN_OR_RETURN(const int quantity, words.Integer("a quantity"));
      event.quantity = static_cast<std::uint32_t>(quantity);
    } else if (words.Take("key")) {
      POISE_ASSIGN_OR_RETURN(event.idempotency_key, words.Word("an idempotency key"));
    } else if (words.Take("session")) {
      POISE_ASSIGN_OR_RETURN(event.session, words.Word("a session"));
    } else if (words.Take("ago")) {
      POISE_ASSIGN_OR_RETURN(const auto ago, words.Duration());
      event.time = clock_.Now() - ago;
    } else if (words.Take("ahead")) {
      POISE_ASSIGN_OR_RETURN(const auto ahead, words.Duration());
      event.time = clock_.Now() + ahead;
    } else {
      return Unknown(words, "value quantity key session ago ahead");
    }
  }
  pending_events_.push_back(std::move(event));
  return Status::Ok();
}

Status Stage::OutcomeLine(WordReader& words) {
  if (record_.responses.empty()) return InvalidArgument("nothing was recommended before");
  const RecommendResponse& response = record_.responses.back();
  Event event;
  event.user = last_user_;
  event.session = last_session_;
  event.time = clock_.Now();
  event.decision = response.decision;
  POISE_ASSIGN_OR_RETURN(const std::string type, words.Word("an event type"));
  POISE_ASSIGN_OR_RETURN(event.type, ParseEventType(type));
  if (words.Take("slot")) {
    POISE_ASSIGN_OR_RETURN(const int slot, words.Integer("a slot"));
    if (slot < 0 || static_cast<std::size_t>(slot) >= response.items.size()) {
      return InvalidArgument(fmt::format("the slate has {} slots", response.items.size()));
    }
    event.item = response.items[static_cast<std::size_t>(slot)].item;
  } else {
    POISE_ASSIGN_OR_RETURN(event.item.value, words.Word("slot N, or an item's id"));
  }
  pending_events_.push_back(std::move(event));
  return SendEvents();
}

Status Stage::Advance(WordReader& words) {
  POISE_ASSIGN_OR_RETURN(const auto duration, words.Duration());
  clock_.Advance(duration);
  Note(engine_->Tick());
  if (record_.status.ok()) Note(engine_->Settle());
  return Status::Ok();
}

Status Stage::Settle(WordReader&) {
  Note(engine_->Settle());
  return Status::Ok();
}

Status Stage::Train(WordReader&) {
  auto models = engine_->Train(nullptr);
  Note(models.status());
  if (models.ok()) record_.models = *std::move(models);
  return Status::Ok();
}

Status Stage::RollBack(WordReader&) {
  Note(engine_->RollBack());
  return Status::Ok();
}

Status Stage::Recommend(WordReader& words) {
  RecommendRequest request;
  int times = 1;
  if (words.Take("visitor")) {
    POISE_ASSIGN_OR_RETURN(request.session, words.Word("the visitor's session"));
  } else if (!words.Take("anonymous")) {
    POISE_ASSIGN_OR_RETURN(request.user.value,
                           words.Word("a user's id, visitor SESSION or anonymous"));
  }
  while (!words.done()) {
    if (words.Take("slots")) {
      POISE_ASSIGN_OR_RETURN(request.slots, words.Integer("how many slots"));
    } else if (words.Take("placement")) {
      POISE_ASSIGN_OR_RETURN(request.placement, words.Word("a placement"));
    } else if (words.Take("category")) {
      POISE_ASSIGN_OR_RETURN(std::string category, words.Word("a category"));
      request.categories.push_back(std::move(category));
    } else if (words.Take("exclude")) {
      POISE_ASSIGN_OR_RETURN(std::string id, words.Word("an item's id"));
      request.exclude.push_back(ItemId{std::move(id)});
    } else if (words.Take("unseen")) {
      request.exclude_seen = true;
    } else if (words.Take("bought")) {
      request.exclude_bought = false;
    } else if (words.Take("unbought")) {
      request.exclude_bought = true;
    } else if (words.Take("times")) {
      POISE_ASSIGN_OR_RETURN(times, words.Integer("how many times"));
    } else if (words.Take("history")) {
      for (std::string& id : words.Rest()) request.history.push_back(ItemId{std::move(id)});
    } else {
      return Unknown(words,
                     "slots placement category exclude unseen bought unbought times history");
    }
  }
  record_.responses.clear();
  last_user_ = request.user;
  last_session_ = request.session;
  for (int i = 0; i < times; ++i) {
    auto response = engine_->Recommend(request);
    Note(response.status());
    if (!response.ok()) break;
    record_.responses.push_back(*std::move(response));
  }
  return Status::Ok();
}

Status Stage::Rerank(WordReader& words) {
  RerankRequest request;
  POISE_ASSIGN_OR_RETURN(request.user.value, words.Word("a user's id"));
  if (words.Take("slots")) {
    POISE_ASSIGN_OR_RETURN(request.slots, words.Integer("how many slots"));
  }
  if (!words.Take("items")) return Unknown(words, "slots N, items ID...");
  for (std::string& id : words.Rest()) request.items.push_back(ItemId{std::move(id)});
  record_.responses.clear();
  last_user_ = request.user;
  last_session_.clear();
  auto response = engine_->Rerank(request);
  Note(response.status());
  if (response.ok()) record_.responses.push_back(*std::move(response));
  return Status::Ok();
}

Status Stage::Similar(WordReader& words) {
  POISE_ASSIGN_OR_RETURN(std::string id, words.Word("an item's id"));
  int limit = 10;
  if (words.Take("limit")) {
    POISE_ASSIGN_OR_RETURN(limit, words.Integer("how many"));
  }
  auto list = engine_->Similar(ItemId{std::move(id)}, limit);
  Note(list.status());
  record_.list = list.ok() ? *std::move(list) : std::vector<ScoredItem>();
  return Status::Ok();
}

Status Stage::Popular(WordReader& words) { return ListLine(words, false); }
Status Stage::Trending(WordReader& words) { return ListLine(words, true); }

Status Stage::ListLine(WordReader& words, bool is_trending) {
  std::string category;
  int limit = 10;
  while (!words.done()) {
    if (words.Take("category")) {
      POISE_ASSIGN_OR_RETURN(category, words.Word("a category"));
    } else if (words.Take("limit")) {
      POISE_ASSIGN_OR_RETURN(limit, words.Integer("how many"));
    } else {
      return Unknown(words, "category limit");
    }
  }
  auto list = is_trending ? engine_->Trending(category, limit) : engine_->Popular(category, limit);
  Note(list.status());
  record_.list = list.ok() ? *std::move(list) : std::vector<ScoredItem>();
  return Status::Ok();
}

Status Stage::ForgetUser(WordReader& words) {
  POISE_ASSIGN_OR_RETURN(std::string id, words.Word("a user's id"));
  auto receipt = engine_->Forget(UserId{std::move(id)});
  Note(receipt.status());
  if (receipt.ok()) record_.receipt = *std::move(receipt);
  return Status::Ok();
}

Status Stage::Disk(WordReader& words) {
  if (words.Take("full")) {
    disk_.is_full = true;
  } else if (words.Take("failing")) {
    disk_.is_sync_failing = true;
  } else if (words.Take("well")) {
    disk_.is_full = false;
    disk_.is_sync_failing = false;
  } else {
    return Unknown(words, "full, failing or well");
  }
  return Status::Ok();
}

Status Stage::Restart(WordReader& words) {
  const Status closed = engine_->Close();
  engine_.reset();
  // What follows in the line is configuration for the next life.
  while (!words.done()) POISE_RETURN_IF_ERROR(Config(words));
  Note(closed.ok() ? Open() : closed);
  return Status::Ok();
}

Status Stage::Kill(WordReader&) {
  // What a killed process leaves is what it had written until then: the files as they are now. The
  // old engine then closes over its own folder, too late to matter.
  const std::string next = fmt::format("{}/life-{}", root_, life_ + 1);
  std::error_code error;
  std::filesystem::copy(directory_, next, std::filesystem::copy_options::recursive, error);
  if (error) return Internal(fmt::format("copying {}: {}", directory_, error.message()));
  engine_.reset();
  std::filesystem::remove_all(directory_, error);
  directory_ = next;
  ++life_;
  Note(Open());
  return Status::Ok();
}

}  // namespace poise
