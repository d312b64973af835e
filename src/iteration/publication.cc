// SPDX-License-Identifier: Apache-2.0
#include "iteration/publication.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/log.h"
#include "models/registry.h"
#include "storage/env.h"
#include "storage/snapshot.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::string_view kCurrentKey = "current";
constexpr std::string_view kForgetKey = "forget_before";
constexpr std::string_view kManifestPrefix = "version-";
constexpr std::string_view kCountsKind = "publication-counts";
constexpr std::string_view kCountsName = "counts";

std::string ManifestKey(std::uint64_t version) {
  return fmt::format("{}{:020}", kManifestPrefix, version);
}

std::string FilePrefix(std::uint64_t version) { return fmt::format("{:08}-", version); }

std::string FileName(std::uint64_t version, std::string_view name) {
  return fmt::format("{}{}.snapshot", FilePrefix(version), name);
}

}  // namespace

struct PublicationStore::Manifest {
  struct Model {
    std::string name;
    double train_seconds = 0;
  };
  std::uint64_t version = 0;
  Timestamp trained;
  std::uint64_t interaction_count = 0;
  std::uint64_t row_epoch = 0;
  std::vector<Model> models;

  std::string Encode() const {
    ByteWriter out;
    out.Varint(1);
    out.Varint(version);
    out.Fixed(trained.micros);
    out.Varint(interaction_count);
    out.Varint(row_epoch);
    out.Varint(models.size());
    for (const Model& model : models) {
      out.Text(model.name);
      out.Fixed(model.train_seconds);
    }
    return out.Take();
  }

  static Result<Manifest> Decode(std::string_view bytes) {
    ByteReader in(bytes);
    Manifest manifest;
    const std::uint64_t format = in.Varint();
    manifest.version = in.Varint();
    manifest.trained.micros = in.Fixed<std::int64_t>();
    manifest.interaction_count = in.Varint();
    manifest.row_epoch = in.Varint();
    for (std::uint64_t left = in.Varint(); left > 0 && in.ok(); --left) {
      Model model;
      model.name = std::string(in.Text());
      model.train_seconds = in.Fixed<double>();
      manifest.models.push_back(std::move(model));
    }
    if (format != 1 || !in.ok() || !in.IsAtEnd()) {
      return DataLoss("publications: a manifest cannot be read");
    }
    return manifest;
  }
};

const InterestModel* Publication::Find(std::string_view name) const {
  for (const PublishedModel& each : models) {
    if (each.model->Name() == name) return each.model.get();
  }
  return nullptr;
}

const InterestModel* Publication::WithItemVectors() const {
  for (const PublishedModel& each : models) {
    if (each.model->ItemVectors().has_value()) return each.model.get();
  }
  return nullptr;
}

const InterestModel* Publication::WithNeighbours() const {
  for (const PublishedModel& each : models) {
    if (each.model->Neighbours().has_value()) return each.model.get();
  }
  return nullptr;
}

PublicationStore::PublicationStore(Env& env, Tables& tables, std::string directory, SecretBytes key,
                                   std::size_t kept_versions)
    : env_(env),
      tables_(tables),
      directory_(std::move(directory)),
      key_(std::move(key)),
      kept_versions_(std::max<std::size_t>(kept_versions, 1)) {}

std::string PublicationStore::PathOf(std::uint64_t version, std::string_view name) const {
  return fmt::format("{}/{}", directory_, FileName(version, name));
}

Result<std::vector<PublicationStore::Manifest>> PublicationStore::Manifests() const {
  constexpr std::size_t kMost = 1000;
  POISE_ASSIGN_OR_RETURN(const std::vector<TableRow> rows,
                         tables_.Scan(kTable, kManifestPrefix, kMost));
  std::vector<Manifest> manifests;
  for (const TableRow& row : rows) {
    if (!row.key.starts_with(kManifestPrefix)) break;
    POISE_ASSIGN_OR_RETURN(Manifest manifest, Manifest::Decode(row.value));
    manifests.push_back(std::move(manifest));
  }
  return manifests;
}

Result<std::uint64_t> PublicationStore::CurrentVersion() const {
  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> text, tables_.Get(kTable, kCurrentKey));
  if (!text.has_value()) return NotFound("no model was published yet: train first");
  ByteReader in(*text);
  const std::uint64_t version = in.Varint();
  if (!in.ok()) return DataLoss("publications: the current version cannot be read");
  return version;
}

Status PublicationStore::Publish(Publication& publication) {
  const std::lock_guard lock(mutex_);
  POISE_ASSIGN_OR_RETURN(const std::vector<Manifest> manifests, Manifests());
  publication.version = manifests.empty() ? 1 : manifests.back().version + 1;

  POISE_RETURN_IF_ERROR(env_.MakeDirectories(directory_));
  Manifest manifest{publication.version,
                    publication.trained,
                    publication.interaction_count,
                    publication.row_epoch,
                    {}};
  for (const PublishedModel& each : publication.models) {
    const std::string name(each.model->Name());
    POISE_RETURN_IF_ERROR(
        SaveModel(*each.model, env_, PathOf(publication.version, name), key_.view()));
    manifest.models.push_back({name, each.train_seconds});
  }
  SnapshotWriter counts;
  counts.AddArray("event_counts", publication.trained_event_counts);
  counts.AddArray("repeat_rates", publication.repeat_rates);
  POISE_RETURN_IF_ERROR(
      counts.WriteTo(env_, PathOf(publication.version, kCountsName), kCountsKind, 1, key_.view()));
  POISE_RETURN_IF_ERROR(env_.SyncDirectory(directory_));

  ByteWriter current;
  current.Varint(publication.version);
  const TableChange changes[] = {
      {std::string(kTable), ManifestKey(publication.version), manifest.Encode()},
      {std::string(kTable), std::string(kCurrentKey), current.bytes()}};
  POISE_RETURN_IF_ERROR(tables_.Apply(changes));

  POISE_ASSIGN_OR_RETURN(const std::optional<std::string> forget, tables_.Get(kTable, kForgetKey));
  const std::size_t kept = forget.has_value() ? 1 : kept_versions_;
  const std::size_t total = manifests.size() + 1;
  for (std::size_t i = 0; i + kept < total; ++i) {
    POISE_RETURN_IF_ERROR(Remove(manifests[i].version));
  }
  if (forget.has_value()) POISE_RETURN_IF_ERROR(tables_.Delete(kTable, kForgetKey));
  return Status::Ok();
}

Result<std::shared_ptr<const Publication>> PublicationStore::LoadVersion(
    const Manifest& manifest) const {
  auto publication = std::make_shared<Publication>();
  publication->version = manifest.version;
  publication->trained = manifest.trained;
  publication->interaction_count = manifest.interaction_count;
  publication->row_epoch = manifest.row_epoch;
  for (const Manifest::Model& each : manifest.models) {
    POISE_ASSIGN_OR_RETURN(
        std::unique_ptr<const InterestModel> model,
        LoadModel(each.name, env_, PathOf(manifest.version, each.name), key_.view()));
    publication->models.push_back({std::move(model), each.train_seconds});
  }
  POISE_ASSIGN_OR_RETURN(
      const std::shared_ptr<const SnapshotReader> counts,
      SnapshotReader::Open(env_, PathOf(manifest.version, kCountsName), kCountsKind, key_.view()));
  POISE_ASSIGN_OR_RETURN(const std::span<const std::uint32_t> values,
                         counts->Array<std::uint32_t>("event_counts"));
  publication->trained_event_counts.assign(values.begin(), values.end());
  POISE_ASSIGN_OR_RETURN(const std::span<const float> rates, counts->Array<float>("repeat_rates"));
  publication->repeat_rates.assign(rates.begin(), rates.end());
  return std::shared_ptr<const Publication>(std::move(publication));
}

Result<std::shared_ptr<const Publication>> PublicationStore::Load() {
  const std::lock_guard lock(mutex_);
  POISE_ASSIGN_OR_RETURN(const std::uint64_t current, CurrentVersion());
  POISE_ASSIGN_OR_RETURN(std::vector<Manifest> manifests, Manifests());
  Status first_failure = NotFound("no model was published yet: train first");
  for (auto manifest = manifests.rbegin(); manifest != manifests.rend(); ++manifest) {
    if (manifest->version > current) continue;
    auto loaded = LoadVersion(*manifest);
    if (loaded.ok()) return loaded;
    LogError(fmt::format("models of version {} cannot be loaded: {}", manifest->version,
                         loaded.status().message()));
    if (manifest->version == current) first_failure = loaded.status();
  }
  return first_failure;
}

Result<std::shared_ptr<const Publication>> PublicationStore::RollBack() {
  const std::lock_guard lock(mutex_);
  POISE_ASSIGN_OR_RETURN(const std::uint64_t current, CurrentVersion());
  POISE_ASSIGN_OR_RETURN(std::vector<Manifest> manifests, Manifests());
  for (auto manifest = manifests.rbegin(); manifest != manifests.rend(); ++manifest) {
    if (manifest->version >= current) continue;
    POISE_ASSIGN_OR_RETURN(std::shared_ptr<const Publication> loaded, LoadVersion(*manifest));
    ByteWriter value;
    value.Varint(manifest->version);
    POISE_RETURN_IF_ERROR(tables_.Put(kTable, kCurrentKey, value.bytes()));
    return loaded;
  }
  return FailedPrecondition(fmt::format("there is no publication before version {}", current));
}

Status PublicationStore::ForgetOlder() { return tables_.Put(kTable, kForgetKey, "1"); }

Status PublicationStore::Remove(std::uint64_t version) {
  // The manifest goes first: a crash in between leaves files that nobody reads, never a manifest
  // without files.
  POISE_RETURN_IF_ERROR(tables_.Delete(kTable, ManifestKey(version)));
  POISE_ASSIGN_OR_RETURN(const std::vector<std::string> names, env_.List(directory_));
  const std::string prefix = FilePrefix(version);
  for (const std::string& name : names) {
    if (name.starts_with(prefix)) POISE_RETURN_IF_ERROR(env_.Remove(directory_ + "/" + name));
  }
  return Status::Ok();
}

}  // namespace poise
