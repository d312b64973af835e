// SPDX-License-Identifier: Apache-2.0
#include "http/api/schema.h"

namespace poise {

namespace {

constexpr Presence kRequired = Presence::kRequired;
constexpr Presence kOptional = Presence::kOptional;

constexpr SchemaField kItem[] = {
    {"itemId", "string", kOptional,
     "The item; needed in a batch, and equal to the path elsewhere."},
    {"title", "string", kOptional, "At most 1,024 bytes."},
    {"description", "string", kOptional, "At most 65,536 bytes."},
    {"categories", "[string]", kOptional, "At most 64."},
    {"price", "number", kOptional, "In the shop's own currency; 0: not known."},
    {"attributes", "attributes", kOptional, "Words, lists of words, numbers, true or false."},
    {"available", "boolean", kOptional, "False takes the item out of every recommendation."},
    {"created", "date-time", kOptional,
     "When it came into the catalog; the first upsert if absent."},
};
constexpr SchemaField kItemBatch[] = {
    {"items", "[Item]", kRequired, "At most 10,000; each is accepted or rejected alone."},
};
constexpr SchemaField kItemPage[] = {
    {"items", "[Item]", kRequired, "In order of itemId."},
    {"nextCursor", "string", kOptional, "Asks for the next page; absent on the last."},
};
constexpr SchemaField kUser[] = {
    {"userId", "string", kOptional,
     "The user; needed in a batch, and equal to the path elsewhere."},
    {"attributes", "attributes", kOptional, "Sealed at rest."},
    {"created", "date-time", kOptional, "When the user came; the first upsert if absent."},
};
constexpr SchemaField kUserBatch[] = {
    {"users", "[User]", kRequired, "At most 10,000; each is accepted or rejected alone."},
};
constexpr SchemaField kUserPage[] = {
    {"users", "[User]", kRequired, "In an order of their own."},
    {"nextCursor", "string", kOptional, "Asks for the next page; absent on the last."},
};
constexpr SchemaField kEvent[] = {
    {"userId", "string", kOptional,
     "Who; may be absent for an anonymous visitor with a sessionId."},
    {"sessionId", "string", kOptional, "The visit, or the anonymous visitor."},
    {"itemId", "string", kRequired, "On what."},
    {"type", "string", kRequired,
     "view, click, favourite, cart, purchase, rating, return or custom."},
    {"customType", "string", kOptional, "The caller's word, with type custom only."},
    {"value", "number", kOptional, "Stars of a rating, price of one piece of a purchase."},
    {"quantity", "integer", kOptional, "Pieces; 1 if absent."},
    {"idempotencyKey", "string", kOptional, "Equal keys of one user are one event."},
    {"decisionId", "string", kOptional, "The decision that showed the item."},
    {"time", "date-time", kOptional, "When it happened; now if absent."},
};
constexpr SchemaField kEventBatch[] = {
    {"events", "[Event]", kRequired, "At most 10,000; each is accepted or rejected alone."},
};
constexpr SchemaField kEventReceipt[] = {
    {"status", "string", kRequired, "accepted, or duplicate of an earlier one; either is on disk."},
};
constexpr SchemaField kBatchResult[] = {
    {"accepted", "integer", kRequired, "How many are new and on disk."},
    {"duplicates", "integer", kRequired, "How many were known by their idempotencyKey."},
    {"rejected", "integer", kRequired, "How many were refused; nothing of them is kept."},
    {"results", "[ElementResult]", kRequired, "One for each element, in order."},
};
constexpr SchemaField kElementResult[] = {
    {"index", "integer", kRequired, "The element's 0-based place in the batch."},
    {"status", "integer", kRequired, "As an HTTP status: 200, or why not."},
    {"code", "string", kRequired, "accepted, duplicate, or the kind of error."},
    {"detail", "string", kOptional, "What is wrong."},
    {"field", "string", kOptional, "Where in the element."},
};
constexpr SchemaField kRecommendRequest[] = {
    {"userId", "string", kOptional, "For whom; absent for an anonymous visitor."},
    {"sessionId", "string", kOptional, "Names an anonymous visitor across requests."},
    {"history", "[string]", kOptional, "What an anonymous visitor looked at, oldest first."},
    {"placement", "string", kOptional, "Where on the product: home if absent."},
    {"slots", "integer", kOptional, "How many items, 1 to 200; 10 if absent."},
    {"categories", "[string]", kOptional, "Any of these; all if absent."},
    {"exclude", "[string]", kOptional, "Items that must not be shown."},
    {"excludeSeen", "boolean", kOptional, "As configured if absent."},
    {"excludeBought", "boolean", kOptional, "As configured if absent."},
    {"deadlineMs", "integer", kOptional, "Answer by then, degraded if need be; 1 to 60,000."},
};
constexpr SchemaField kRecommendation[] = {
    {"decisionId", "string", kRequired, "Send it with the events that follow."},
    {"placement", "string", kRequired, "As asked."},
    {"policy", "string", kRequired, "What decided."},
    {"policyVersion", "string", kRequired, "Equal versions decide alike."},
    {"modelVersion", "integer", kRequired, "The publication of models that was used; 0: none yet."},
    {"eligibleCount", "integer", kRequired, "How many items it was chosen among."},
    {"items", "[RecommendedItem]", kRequired,
     "By slot; fewer than asked for when fewer are eligible."},
    {"degraded", "[Degradation]", kRequired, "Stages that were cut short; mostly empty."},
};
constexpr SchemaField kRecommendedItem[] = {
    {"itemId", "string", kRequired, "The item."},
    {"title", "string", kOptional, "Its title, where it has one."},
    {"slot", "integer", kRequired, "0-based place."},
    {"score", "number", kRequired, "The policy's, higher is more wanted; within this answer only."},
    {"propensity", "number", kRequired,
     "Probability of this item here, given the slots before; in (0, 1]."},
    {"explored", "boolean", kRequired, "Whether it is here to learn."},
    {"reason", "string", kRequired, "Why, for people."},
    {"reasonCode", "string", kRequired, "Why, for programs."},
    {"sources", "[string]", kRequired, "Who proposed it."},
};
constexpr SchemaField kDegradation[] = {
    {"stage", "string", kRequired, "What was cut short."},
    {"reason", "string", kRequired, "Why."},
};
constexpr SchemaField kRerankRequest[] = {
    {"userId", "string", kOptional, "For whom; absent for an anonymous visitor."},
    {"sessionId", "string", kOptional, "Names an anonymous visitor across requests."},
    {"items", "[string]", kRequired, "The caller's own list, 1 to 1,000."},
    {"placement", "string", kOptional, "Where on the product: rerank if absent."},
    {"slots", "integer", kOptional, "How many items, 1 to 200; 10 if absent."},
};
constexpr SchemaField kScoredItems[] = {
    {"items", "[ScoredItem]", kRequired, "Highest score first."},
};
constexpr SchemaField kScoredItem[] = {
    {"itemId", "string", kRequired, "The item."},
    {"title", "string", kOptional, "Its title, where it has one."},
    {"score", "number", kRequired, "Comparable within this answer only."},
};
constexpr SchemaField kDecision[] = {
    {"decisionId", "string", kRequired, "The decision."},
    {"userPseudonym", "string", kRequired, "The user, as a keyed hash."},
    {"placement", "string", kRequired, "Where."},
    {"time", "date-time", kRequired, "When."},
    {"policy", "string", kRequired, "What decided."},
    {"policyParameters", "string", kRequired, "With what parameters."},
    {"modelVersion", "integer", kRequired, "The publication of models that was used; 0: none yet."},
    {"seed", "string", kRequired, "What the draw can be replayed from, in decimal."},
    {"eligibleCount", "integer", kRequired, "How many items it was chosen among."},
    {"eligibleHash", "string", kRequired, "Of the eligible items in order, in hexadecimal."},
    {"filters", "string", kRequired, "Which hard filters applied."},
    {"slots", "[DecisionSlot]", kRequired, "What was shown."},
    {"degraded", "[Degradation]", kRequired, "Stages that were cut short."},
};
constexpr SchemaField kDecisionSlot[] = {
    {"slot", "integer", kRequired, "0-based place."},
    {"itemId", "string", kRequired, "What was shown."},
    {"score", "number", kRequired, "The policy's."},
    {"propensity", "number", kRequired, "In (0, 1]."},
    {"explored", "boolean", kRequired, "Whether it was shown to learn."},
    {"exploitItemId", "string", kOptional, "What pure exploitation would have shown."},
    {"expectedReward", "number", kRequired, "What was believed of it then: the mean"},
    {"rewardDeviation", "number", kRequired, "and the standard deviation."},
    {"sources", "[string]", kRequired, "Who proposed it."},
};
constexpr SchemaField kForgetReceipt[] = {
    {"userPseudonym", "string", kRequired, "Who, as a keyed hash: what an audit trail may keep."},
    {"forgotten", "date-time", kRequired, "When."},
    {"wasKnown", "boolean", kRequired, "Whether anything was kept about them."},
    {"modelErasure", "string", kRequired, "When models stop holding what they learned."},
};
constexpr SchemaField kModelList[] = {
    {"models", "[Model]", kRequired, "Of every kept publication."},
};
constexpr SchemaField kModel[] = {
    {"name", "string", kRequired, "The model."},
    {"version", "integer", kRequired, "The publication it belongs to."},
    {"trained", "date-time", kRequired, "When."},
    {"trainSeconds", "number", kRequired, "How long that took."},
    {"interactionCount", "integer", kRequired, "From how much."},
    {"serving", "boolean", kRequired, "Whether it answers requests now."},
};
constexpr SchemaField kTraining[] = {
    {"status", "string", kRequired, "training: see GET /api/v1/models for what comes of it."},
};
constexpr SchemaField kApiKeyRequest[] = {
    {"name", "string", kRequired, "What it is for, at most 200 bytes."},
    {"scopes", "[string]", kRequired, "Of ingest, recommend, read, admin."},
};
constexpr SchemaField kApiKey[] = {
    {"keyId", "string", kRequired, "Names the key without giving it away."},
    {"name", "string", kRequired, "What it is for."},
    {"scopes", "[string]", kRequired, "What it may."},
    {"created", "date-time", kRequired, "When."},
    {"key", "string", kOptional, "The key itself: shown once, when it is made."},
};
constexpr SchemaField kApiKeyList[] = {
    {"keys", "[ApiKey]", kRequired, "Oldest first."},
};
constexpr SchemaField kState[] = {
    {"ready", "boolean", kRequired, "Whether requests are served."},
    {"notReadyBecause", "string", kOptional, "What is missing."},
    {"itemCount", "integer", kRequired, "Items in the catalog."},
    {"userCount", "integer", kRequired, "Users known."},
    {"eventCount", "integer", kRequired, "Events kept."},
    {"decisionCount", "integer", kRequired, "Decisions since the start."},
    {"modelVersion", "integer", kRequired, "The publication that serves; 0: none yet."},
    {"modelTrained", "date-time", kOptional, "When it was trained."},
    {"training", "boolean", kRequired, "Whether a training is under way."},
    {"recovery", "string", kRequired, "What opening the data directory found."},
};
constexpr SchemaField kHealth[] = {
    {"status", "string", kRequired, "live, ready or not ready."},
    {"reason", "string", kOptional, "Why it is not ready."},
};
constexpr SchemaField kProblem[] = {
    {"type", "string", kRequired, "about:blank: the status says it all."},
    {"title", "string", kRequired, "The status in words."},
    {"status", "integer", kRequired, "The status."},
    {"detail", "string", kRequired, "What is wrong, and what would be right."},
    {"field", "string", kOptional, "The part of the request at fault: events[3].value."},
};

constexpr Schema kSchemas[] = {
    {"Item", "What can be shown.", kItem},
    {"ItemBatch", "Items to write.", kItemBatch},
    {"ItemPage", "Some items.", kItemPage},
    {"User", "Who is served.", kUser},
    {"UserBatch", "Users to write.", kUserBatch},
    {"UserPage", "Some users.", kUserPage},
    {"Event", "One thing that happened.", kEvent},
    {"EventBatch", "Events to record.", kEventBatch},
    {"EventReceipt", "What became of an event.", kEventReceipt},
    {"BatchResult", "What became of a batch: 200 all good, 207 some rejected, 400 all rejected.",
     kBatchResult},
    {"ElementResult", "What became of one element of a batch.", kElementResult},
    {"RecommendRequest", "What to recommend, and to whom.", kRecommendRequest},
    {"Recommendation", "A decision: a slate with its odds.", kRecommendation},
    {"RecommendedItem", "One slot of a slate.", kRecommendedItem},
    {"Degradation", "A stage that was cut short.", kDegradation},
    {"RerankRequest", "A list of the caller's, to be put in order.", kRerankRequest},
    {"ScoredItems", "Items that nobody decided about.", kScoredItems},
    {"ScoredItem", "An item and its score.", kScoredItem},
    {"Decision", "A decision as it was logged.", kDecision},
    {"DecisionSlot", "One slot of a logged decision.", kDecisionSlot},
    {"ForgetReceipt", "Proof of a person's erasure.", kForgetReceipt},
    {"ModelList", "Models.", kModelList},
    {"Model", "A trained model.", kModel},
    {"Training", "A training that was asked for.", kTraining},
    {"ApiKeyRequest", "A key to make.", kApiKeyRequest},
    {"ApiKey", "A key.", kApiKey},
    {"ApiKeyList", "Keys.", kApiKeyList},
    {"State", "How the engine is.", kState},
    {"Health", "Whether to send requests here.", kHealth},
    {"Problem", "An error (RFC 9457).", kProblem},
};

}  // namespace

std::span<const Schema> AllSchemas() { return kSchemas; }

const Schema* FindSchema(std::string_view name) {
  for (const Schema& schema : kSchemas) {
    if (schema.name == name) return &schema;
  }
  return nullptr;
}

}  // namespace poise
