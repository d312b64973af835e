// SPDX-License-Identifier: Apache-2.0
#include "models/registry.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "models/factorization/factorization.h"
#include "models/factorization/ials.h"
#include "models/neighbours/item_knn.h"
#include "models/neighbours/latent_knn.h"
#include "models/neighbours/user_knn.h"
#include "models/popularity/popularity.h"
#include "models/popularity/trending.h"

namespace poise {
namespace {

constexpr std::uint32_t kFormatVersion = 1;

constexpr ModelKind kModelKinds[] = {
    {"popularity", "what most users like, the same for everybody", /*can_rank=*/true,
     /*can_rate=*/true, MakePopularityTrainer, LoadPopularity, DescribePopularity},
    {"trending", "what users like lately, the same for everybody", /*can_rank=*/true,
     /*can_rate=*/false, MakeTrendingTrainer, LoadTrending, DescribeTrending},
    {"item-knn", "items like those that the user liked", /*can_rank=*/true, /*can_rate=*/true,
     MakeItemKnnTrainer, LoadItemKnn, DescribeItemKnn},
    {"user-knn", "what the users most like this one liked", /*can_rank=*/true, /*can_rate=*/true,
     MakeUserKnnTrainer, LoadUserKnn, DescribeUserKnn},
    {"latent-knn", "the stars of rated items that lie near in the factorization's space",
     /*can_rank=*/false, /*can_rate=*/true, MakeLatentKnnTrainer, LoadLatentKnn, DescribeLatentKnn},
    {"factorization", "the stars that vectors and biases of users and items foretell",
     /*can_rank=*/true, /*can_rate=*/true, MakeFactorizationTrainer, LoadFactorization,
     DescribeFactorization},
    {"ials", "vectors of users and items, learned from what was taken and what was not",
     /*can_rank=*/true, /*can_rate=*/false, MakeIalsTrainer, LoadIals, DescribeIals},
};

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
