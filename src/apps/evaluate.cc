// SPDX-License-Identifier: Apache-2.0
#include "apps/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "apps/command.h"
#include "evaluation/dataset.h"
#include "evaluation/evaluate.h"
#include "evaluation/report.h"
#include "evaluation/split.h"
#include "importers/import.h"
#include "models/registry.h"

namespace poise {
namespace {

constexpr std::string_view kFilesPrefix = "files:";

class SetSink final : public ImportSink {
 public:
  SetSink(EvaluationSetBuilder& builder, FilePart part) : builder_(builder), part_(part) {}
  Status Items(std::span<ItemRecord>) override { return Status::Ok(); }
  Status Users(std::span<UserRecord>) override { return Status::Ok(); }
  Status Events(std::span<Event> events) override {
    for (const Event& event : events) POISE_RETURN_IF_ERROR(builder_.Add(event, part_));
    return Status::Ok();
  }
  Status Checkpoint(std::string_view) override { return Status::Ok(); }

 private:
  EvaluationSetBuilder& builder_;
  FilePart part_;
};

struct PartFile {
  std::string path;
  FilePart part = FilePart::kTrain;
};

std::vector<std::string> SplitText(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

// The files of "files:TRAIN[+TRAIN],TEST", which stand in the source's folder or beside its file.
Result<std::vector<PartFile>> NamedFiles(const std::string& path, std::string_view names) {
  const std::vector<std::string> sides = SplitText(names, ',');
  if (sides.size() != 2 || sides[0].empty() || sides[1].empty()) {
    return InvalidArgument(fmt::format(
        "--split: expected files:TRAIN,TEST or files:TRAIN+TRAIN,TEST, got \"files:{}\"", names));
  }
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::is_directory(path, error)
                                           ? std::filesystem::path(path)
                                           : std::filesystem::path(path).parent_path();
  std::vector<PartFile> files;
  for (const std::string& name : SplitText(sides[0], '+')) {
    files.push_back({(folder / name).string(), FilePart::kTrain});
  }
  files.push_back({(folder / sides[1]).string(), FilePart::kTest});
  return files;
}

// What plain "files" means: the format's own split, train.txt, valid.txt and test.txt.
Result<std::vector<PartFile>> UsualFiles(const std::string& path, bool is_validation) {
  const std::filesystem::path folder(path);
  const auto named = [&](const char* name) { return (folder / name).string(); };
  std::error_code error;
  if (!std::filesystem::exists(folder / "train.txt", error)) {
    return InvalidArgument(
        fmt::format("--split files: {} holds no train.txt; name the files: --split "
                    "files:TRAIN,TEST",
                    path));
  }
  const bool has_validation = std::filesystem::exists(folder / "valid.txt", error);
  if (is_validation) {
    if (!has_validation) return InvalidArgument("--validation: " + path + " holds no valid.txt");
    return std::vector<PartFile>{{named("train.txt"), FilePart::kTrain},
                                 {named("valid.txt"), FilePart::kTest}};
  }
  std::vector<PartFile> files = {{named("train.txt"), FilePart::kTrain}};
  if (has_validation) files.push_back({named("valid.txt"), FilePart::kTrain});
  files.push_back({named("test.txt"), FilePart::kTest});
  return files;
}

Result<std::vector<PartFile>> FilesOf(const EvaluateFlags& flags, const std::string& path) {
  if (flags.split == "files") return UsualFiles(path, flags.is_validation);
  if (flags.split.compare(0, kFilesPrefix.size(), kFilesPrefix) == 0) {
    if (flags.is_validation) {
      return InvalidArgument("--validation: name the validation file as TEST in --split files:");
    }
    return NamedFiles(path, std::string_view(flags.split).substr(kFilesPrefix.size()));
  }
  return std::vector<PartFile>{{path, FilePart::kTrain}};
}

Result<EvaluationSet> ReadSet(const EvaluateFlags& flags, const Clock& clock) {
  POISE_ASSIGN_OR_RETURN(const ImportSource source, ParseImportSource(flags.source));
  POISE_ASSIGN_OR_RETURN(const std::vector<PartFile> files, FilesOf(flags, source.path));
  EvaluationSetBuilder builder;
  for (const PartFile& file : files) {
    ImportOptions options;
    options.progress_out = flags.is_json ? nullptr : stderr;
    if (!flags.mapping.empty()) {
      POISE_ASSIGN_OR_RETURN(options.mapping, ParseMapping(flags.mapping));
    }
    SetSink sink(builder, file.part);
    POISE_ASSIGN_OR_RETURN(const ImportReport report,
                           Import({source.format, file.path}, options, sink, clock));
    if (report.rejected > 0) {
      fmt::print(stderr, "{}: {} of {} rows rejected; poise import --dry-run says why\n", file.path,
                 report.rejected, report.rows);
    }
  }
  return builder.Build();
}

Result<std::vector<ModelSpec>> ModelsOf(const EvaluateFlags& flags) {
  std::vector<ModelSpec> models;
  for (const std::string& name : flags.models) {
    POISE_RETURN_IF_ERROR(FindModelKind(name).status());
    models.push_back({name, {}});
  }
  for (const std::string& text : flags.parameters) {
    const std::size_t dot = text.find('.');
    const std::size_t equals = text.find('=');
    if (dot == std::string::npos || equals == std::string::npos || dot > equals) {
      return InvalidArgument(
          fmt::format("--parameters: expected MODEL.PARAMETER=VALUE, got \"{}\"", text));
    }
    const std::string name = text.substr(0, dot);
    POISE_RETURN_IF_ERROR(FindModelKind(name).status());
    const auto model = std::find_if(models.begin(), models.end(),
                                    [&](const ModelSpec& spec) { return spec.name == name; });
    if (model == models.end()) {
      return InvalidArgument(fmt::format("--parameters: {} is not among --models", name));
    }
    model->parameters.emplace_back(text.substr(dot + 1, equals - dot - 1), text.substr(equals + 1));
  }
  return models;
}

std::string ModelList() {
  std::string text = "Models:\n";
  for (const ModelKind& kind : ModelKinds()) {
    text += fmt::format("  {:<14} {} ({})\n", kind.name, kind.sentence,
                        !kind.can_rate   ? "ranking"
                        : !kind.can_rank ? "ratings"
                                         : "ranking, ratings");
    for (const ParameterDescription& parameter : kind.describe()) {
      text += fmt::format("    {:<20} {} [{}]\n", parameter.name, parameter.sentence,
                          parameter.default_value);
    }
  }
  return text +
         "\nSplits: random:SHARE, leave-last-out, time:SHARE, files (train.txt, valid.txt and\n"
         "test.txt of the folder), files:TRAIN[+TRAIN],TEST.";
}

void AddTask(CLI::App& parent, const char* name, const char* sentence, Task task, int& exit_code) {
  CLI::App* command = parent.add_subcommand(name, sentence);
  auto flags = std::make_shared<EvaluateFlags>();
  flags->task = task;
  flags->models = task == Task::kRating
                      ? std::vector<std::string>{"popularity", "item-knn"}
                      : std::vector<std::string>{"popularity", "item-knn", "ials"};
  command->add_option("source", flags->source, "the file and its format, e.g. movielens-1m:FOLDER")
      ->required()
      ->type_name("FORMAT:PATH");
  command->add_option("--split", flags->split, "how to hold out")
      ->type_name("SPLIT")
      ->capture_default_str();
  command->add_option("--seed", flags->seed, "of the split and of the models")
      ->capture_default_str();
  command->add_option("--models", flags->models, "names; popularity always comes first")
      ->delimiter(',')
      ->type_name("MODEL,...")
      ->capture_default_str();
  command
      ->add_option("--metrics", flags->metrics,
                   task == Task::kRating ? "mse, rmse, mae"
                                         : "recall@20, ndcg@10, hr@10, mrr, precision@10, "
                                           "coverage@10, novelty@10, gini@10")
      ->delimiter(',')
      ->type_name("METRIC,...");
  command->add_option("--parameters", flags->parameters, "e.g. item-knn.neighbours=50")
      ->delimiter(',')
      ->type_name("MODEL.PARAMETER=VALUE,...");
  command->add_option("--map", flags->mapping, "columns of csv and jsonl: user=customer_id,...")
      ->type_name("FIELD=COLUMN,...");
  command->add_option("--threads", flags->threads, "0: one a processor")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  if (task == Task::kRanking) {
    command->add_flag("--rank-seen", flags->ranks_seen,
                      "also rank what a user had before: where people buy again");
  }
  command->add_flag("--validation", flags->is_validation,
                    "to tune: hold out from the training side, never look at the test side");
  command->add_flag("--json", flags->is_json, "an array of rows on standard output");
  command->footer(ModelList);
  command->callback([flags, &exit_code] { exit_code = ExitCode(RunEvaluate(*flags, stdout)); });
}

}  // namespace

Status RunEvaluate(const EvaluateFlags& flags, std::FILE* out) {
  const bool has_files = flags.split.compare(0, 5, "files") == 0;
  POISE_ASSIGN_OR_RETURN(
      const SplitSpec split_spec,
      ParseSplit(flags.split.compare(0, kFilesPrefix.size(), kFilesPrefix) == 0 ? "files"
                                                                                : flags.split));
  EvaluationOptions options{.task = flags.task,
                            .seen = flags.ranks_seen ? SeenItems::kRank : SeenItems::kLeaveOut,
                            .seed = flags.seed};
  POISE_ASSIGN_OR_RETURN(options.models, ModelsOf(flags));
  for (const std::string& name : flags.metrics) {
    POISE_ASSIGN_OR_RETURN(const Metric metric, ParseMetric(name));
    options.metrics.push_back(metric);
  }
  if (options.metrics.empty()) options.metrics = DefaultMetrics(flags.task);

  const SystemClock clock;
  Split split;
  {
    POISE_ASSIGN_OR_RETURN(EvaluationSet set, ReadSet(flags, clock));
    if (flags.is_validation && !has_files) {
      POISE_ASSIGN_OR_RETURN(set, TrainingSide(set, split_spec, flags.seed));
    }
    POISE_ASSIGN_OR_RETURN(split, Cut(set, split_spec, flags.seed));
  }
  if (!flags.is_json) {
    fmt::print(out,
               "{} users, {} items; {} interactions to learn from, {} held out ({}, seed {})\n",
               WithThousands(split.train.user_count()), WithThousands(split.train.item_count),
               WithThousands(split.train.interactions.size()),
               WithThousands(split.test.interactions.size()), flags.split, flags.seed);
    fmt::print(out, "{}\n", TableHeading(options.metrics));
    std::fflush(out);
  }
  ThreadPool pool(static_cast<std::size_t>(flags.threads));
  const auto print_line = [&](const EvaluationRow& row) {
    if (flags.is_json) return;
    fmt::print(out, "{}\n", TableLine(row));
    std::fflush(out);
  };
  POISE_ASSIGN_OR_RETURN(const std::vector<EvaluationRow> rows,
                         Evaluate(split, options, pool, clock, print_line));
  if (flags.is_json) fmt::print(out, "{}\n", EvaluationJson(rows));
  return Status::Ok();
}

void AddEvaluateCommand(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("evaluate", "Measure models on held-out ratings or rankings of a file");
  command->require_subcommand(1);
  AddTask(*command, "ratings", "how far predicted stars are off", Task::kRating, exit_code);
  AddTask(*command, "ranking", "how high what was wanted next is ranked", Task::kRanking,
          exit_code);
}

}  // namespace poise
