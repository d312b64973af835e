// SPDX-License-Identifier: Apache-2.0
//
// Publication: the interest models that were trained together and serve together.
//
// A request takes one publication at its start and is answered from exactly that; the one before it
// stays on disk, so that going back is a matter of one pointer. What a forgotten person taught
// lives on in models until the next publication: from that moment no older publication is kept.
//
// Place    models/ -> [PublicationStore] -> serve/
// Shapes   U users as trained: trained_event_counts [U]; repeat_rates [I] or shorter
// Errors   kNotFound: nothing was published yet; kFailedPrecondition: nothing to go back to;
//          kDataLoss: a model file is damaged (the one before is tried by Load).
// Threads  A Publication is immutable; the store may be used from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "models/interest_model.h"

namespace poise {

class Env;
class Tables;

struct PublishedModel {
  std::shared_ptr<const InterestModel> model;
  double train_seconds = 0;
};

struct Publication {
  std::uint64_t version = 0;
  Timestamp trained;
  std::uint64_t interaction_count = 0;
  // Which counting of UserRows the models speak of (EventStore::row_epoch()).
  std::uint64_t row_epoch = 0;
  std::vector<PublishedModel> models;
  // How many events of each user the models have seen: a user with more is folded in.
  std::vector<std::uint32_t> trained_event_counts;
  // By ItemRow: the share of an item's buyers who bought it again.
  std::vector<float> repeat_rates;

  const InterestModel* Find(std::string_view name) const;
  // The first model with item vectors, with neighbours: what retrieval works from. Null if none.
  const InterestModel* WithItemVectors() const;
  const InterestModel* WithNeighbours() const;
};

class PublicationStore {
 public:
  static constexpr std::string_view kTable = "publications";

  // Requires  `tables` has kTable. `directory` holds a file for each model of each version. `key`
  // seals the models
  //           that hold people's histories; empty: nothing is sealed.
  PublicationStore(Env& env, Tables& tables, std::string directory, SecretBytes key,
                   std::size_t kept_versions);

  // Gives `publication` the next version, writes it and makes it current; then removes what is no
  // longer kept.
  Status Publish(Publication& publication);

  // The current publication; the one before if its files are damaged (logged).
  Result<std::shared_ptr<const Publication>> Load();

  // Makes the version before the current one current. Errors  kFailedPrecondition.
  Result<std::shared_ptr<const Publication>> RollBack();

  // From now on older publications may not come back: the next Publish() removes them all.
  Status ForgetOlder();

 private:
  struct Manifest;

  Result<std::vector<Manifest>> Manifests() const;
  Result<std::uint64_t> CurrentVersion() const;
  Result<std::shared_ptr<const Publication>> LoadVersion(const Manifest& manifest) const;
  std::string PathOf(std::uint64_t version, std::string_view name) const;
  Status Remove(std::uint64_t version);

  Env& env_;
  Tables& tables_;
  const std::string directory_;
  const SecretBytes key_;
  const std::size_t kept_versions_;
  std::mutex mutex_;
};

}  // namespace poise
