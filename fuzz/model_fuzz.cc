// SPDX-License-Identifier: Apache-2.0
//
// Model files with sound checksums and damaged contents: whatever a loader accepts can be asked
// everything without a read outside its arrays.
//
// The input: which model, then edits of its sections, five bytes each: section, kind of edit, two
// bytes of place, value.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "features/training_view.h"
#include "features/user_view.h"
#include "models/registry.h"
#include "storage/fault_env.h"
#include "storage/snapshot.h"

namespace {

using namespace poise;

// The target's own ground must hold; what does not is told before the end.
void Require(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "model_fuzz: %s\n", status.ToString().c_str());
  std::abort();
}

constexpr std::uint32_t kStart = 1'700'000'000;

struct SavedModel {
  std::string_view name;
  std::vector<std::pair<std::string, std::string>> sections;
};

TrainingView TinyView() {
  TrainingViewBuilder builder;
  for (std::uint32_t user = 0; user < 9; ++user) {
    for (std::uint32_t item = 0; item < 7; ++item) {
      if ((user * 5 + item * 3) % 4 == 0) continue;
      const Interaction rating{ItemRow{item}, kStart + user * 60 + item,
                               static_cast<float>(1 + (user + item) % 5), EventType::kRating};
      builder.Add(UserRow{user}, rating);
      builder.Add(UserRow{user}, {rating.item, rating.time_s, 1, EventType::kPurchase});
    }
  }
  return builder.Build(Timestamp::FromSeconds(kStart + 10'000), 9, 7);
}

void MakeSaved(std::vector<SavedModel>& saved, const ModelKind& kind, Task task) {
  FaultEnv env(1);
  Require(env.MakeDirectories("m"));
  ThreadPool pool(1);
  const auto trainer = MakeTrainer(kind.name, {}, task);
  Require(trainer.status());
  const auto model = (*trainer)->Train(TinyView(), {.pool = pool});
  Require(model.status());
  Require(SaveModel(**model, env, "m/model"));
  const auto reader = SnapshotReader::Open(env, "m/model", "model:" + std::string(kind.name));
  Require(reader.status());
  SavedModel out{kind.name, {}};
  for (const std::string& name : (*reader)->SectionNames()) {
    const auto bytes = (*reader)->Section(name);
    Require(bytes.status());
    out.sections.emplace_back(name, std::string(*bytes));
  }
  saved.push_back(std::move(out));
}

const std::vector<SavedModel>& SavedModels() {
  static const std::vector<SavedModel> saved = [] {
    std::vector<SavedModel> all;
    for (const ModelKind& kind : ModelKinds()) {
      if (kind.can_rank) MakeSaved(all, kind, Task::kRanking);
      if (kind.can_rate) MakeSaved(all, kind, Task::kRating);
    }
    return all;
  }();
  return saved;
}

void Edit(std::string& section, unsigned kind, std::size_t place, char value) {
  place = section.empty() ? 0 : place % section.size();
  switch (kind % 5) {
    case 0:
      if (!section.empty()) section[place] = value;
      break;
    case 1:
      section.resize(place);
      break;
    case 2:
      section.insert(place, 4 * (1 + static_cast<unsigned char>(value) % 8U), value);
      break;
    case 3:
      for (std::size_t i = place & ~std::size_t{3}; i < place + 4 && i < section.size(); ++i) {
        section[i] = value;
      }
      break;
    default:
      for (std::size_t i = place & ~std::size_t{7}; i < place + 8 && i < section.size(); ++i) {
        section[i] = value;
      }
  }
}

void AskEverything(const InterestModel& model) {
  // A damaged count may be large; whatever has been accepted is backed by an array of that length.
  std::vector<float> scores(model.ItemCount());
  const Interaction history[] = {{ItemRow{0}, kStart, 5, EventType::kRating},
                                 {ItemRow{6}, kStart + 9, 1, EventType::kPurchase},
                                 {ItemRow{1'000'000}, kStart + 10, 1, EventType::kView}};
  for (const std::uint32_t row : {0U, 8U, 4'000'000'000U}) {
    for (const bool has_changed : {false, true}) {
      const UserView user{.row = UserRow{row},
                          .history = history,
                          .now = Timestamp::FromSeconds(kStart + 100),
                          .has_changed = has_changed};
      (void)model.ScoreAll(user, scores);
      const ItemRow items[] = {ItemRow{0}, ItemRow{6}, ItemRow{2}};
      float some[3];
      (void)model.Score(user, items, some);
      if (const auto vectors = model.ItemVectors()) {
        std::vector<float> vector(vectors->dim);
        (void)model.UserVector(user, vector);
      }
    }
  }
  double sum = 0;
  if (const auto vectors = model.ItemVectors()) {
    for (std::size_t row = 0; row < vectors->row_count; ++row) {
      for (const float value : vectors->Row(row)) sum += value;
    }
  }
  if (const auto neighbours = model.Neighbours()) {
    for (std::size_t i = 0; i < neighbours->items.size(); ++i) {
      if (Index(neighbours->items[i]) >= model.ItemCount()) std::abort();
      sum += neighbours->similarities[i];
    }
  }
  volatile double kept = sum;
  (void)kept;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::vector<SavedModel>& models = SavedModels();
  const SavedModel& saved = models[data[0] % models.size()];
  auto sections = saved.sections;
  for (std::size_t at = 1; at + 5 <= size && at < 1 + 5 * 16; at += 5) {
    auto& [name, bytes] = sections[data[at] % sections.size()];
    Edit(bytes, data[at + 1], data[at + 2] | (static_cast<std::size_t>(data[at + 3]) << 8),
         static_cast<char>(data[at + 4]));
  }
  FaultEnv env(1);
  Require(env.MakeDirectories("m"));
  SnapshotWriter writer;
  for (const auto& [name, bytes] : sections) writer.AddSection(name, bytes);
  Require(writer.WriteTo(env, "m/model", "model:" + std::string(saved.name), 1));
  const auto model = LoadModel(saved.name, env, "m/model");
  if (model.ok()) AskEverything(**model);
  return 0;
}
