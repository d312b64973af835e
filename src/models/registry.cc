// SPDX-License-Identifier: Apache-2.0
#include "models/registry.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace poise {

// clang-format off
// One row a model: the word in Make<word>Trainer(), Load<word>() and Describe<word>(), which its
// header declares; its name; whether it ranks, foretells ratings, or both; what it goes by.
#define POISE_MODELS(row) \
  row(Popularity, "popularity", kBoth, "what most users like, the same for everybody") \
  row(Trending, "trending", kRanks, "what users like lately, the same for everybody") \
  row(ItemKnn, "item-knn", kBoth, "items like those that the user liked") \
  row(UserKnn, "user-knn", kBoth, "what the users most like this one liked") \
  row(LatentKnn, "latent-knn", kRates, "the stars of rated items that lie near in the factorization's space") \
  row(Factorization, "factorization", kBoth, "the stars that vectors and biases of users and items foretell") \
  row(Ials, "ials", kRanks, "vectors of users and items, learned from what was taken and what was not")
// clang-format on

#define POISE_DECLARE_MODEL(word, name, task, sentence)                                           \
  Result<std::unique_ptr<const Trainer>> Make##word##Trainer(const ParameterTexts&, Task);        \
  Result<std::unique_ptr<const InterestModel>> Load##word(std::shared_ptr<const SnapshotReader>); \
  std::vector<ParameterDescription> Describe##word();
POISE_MODELS(POISE_DECLARE_MODEL)

namespace {

constexpr std::uint32_t kFormatVersion = 1;

enum Tasks { kRanks, kRates, kBoth };

#define POISE_LIST_MODEL(word, name, tasks, sentence)                                    \
  {name,       sentence,      (tasks) != kRates, (tasks) != kRanks, Make##word##Trainer, \
   Load##word, Describe##word},
constexpr ModelKind kModelKinds[] = {POISE_MODELS(POISE_LIST_MODEL)};

std::string SnapshotKind(std::string_view name) { return fmt::format("model:{}", name); }

}  // namespace

std::span<const ModelKind> ModelKinds() { return kModelKinds; }

Result<const ModelKind*> FindModelKind(std::string_view name) {
  std::vector<std::string_view> known;
  for (const ModelKind& kind : kModelKinds) {
    if (kind.name == name) return &kind;
    known.push_back(kind.name);
  }
  return InvalidArgument(
      fmt::format("model: unknown name \"{}\"; known: {}", name, fmt::join(known, ", ")));
}

Result<std::unique_ptr<const Trainer>> MakeTrainer(std::string_view name,
                                                   const ParameterTexts& parameters, Task task) {
  POISE_ASSIGN_OR_RETURN(const ModelKind* kind, FindModelKind(name));
  if (task == Task::kRanking && !kind->can_rank) {
    return InvalidArgument(fmt::format("model: {} predicts ratings only, it cannot rank", name));
  }
  if (task == Task::kRating && !kind->can_rate) {
    return InvalidArgument(fmt::format("model: {} ranks only, it cannot predict ratings", name));
  }
  auto trainer = kind->make_trainer(parameters, task);
  if (!trainer.ok()) {
    return Status(trainer.status().code(), fmt::format("{}.{}", name, trainer.status().message()));
  }
  return trainer;
}

Status SaveModel(const InterestModel& model, Env& env, const std::string& path,
                 std::string_view key) {
  SnapshotWriter writer;
  POISE_RETURN_IF_ERROR(model.Save(writer));
  return writer.WriteTo(env, path, SnapshotKind(model.Name()), kFormatVersion, key);
}

Result<std::unique_ptr<const InterestModel>> LoadModel(std::string_view name, Env& env,
                                                       const std::string& path,
                                                       std::string_view key) {
  POISE_ASSIGN_OR_RETURN(const ModelKind* kind, FindModelKind(name));
  POISE_ASSIGN_OR_RETURN(std::shared_ptr<const SnapshotReader> snapshot,
                         SnapshotReader::Open(env, path, SnapshotKind(name), key));
  if (snapshot->kind_version() > kFormatVersion) {
    return InvalidArgument(
        fmt::format("{}: format {} of {} is newer than {}, which this program "
                    "reads",
                    path, snapshot->kind_version(), name, kFormatVersion));
  }
  return kind->load(std::move(snapshot));
}

}  // namespace poise
