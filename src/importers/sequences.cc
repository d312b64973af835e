// SPDX-License-Identifier: Apache-2.0
//
// Data sets of bare ids: "user item" lines in the order of time (SASRec), and "user item item ..."
// lines without any order (LightGCN).
#include <fmt/format.h>

#include "importers/files.h"
#include "importers/formats.h"

namespace poise {
namespace {

// These files have no times. The order is kept by a second for each row from here on.
constexpr Timestamp kFirstRow = {1'262'304'000'000'000};  // 2010-01-01

Timestamp TimeOfRow(std::uint64_t row) {
  return kFirstRow + std::chrono::seconds(static_cast<std::int64_t>(row));
}

constexpr std::string_view kOrderNote =
    "the file has no times: events are one second apart in its order, from 2010-01-01 on";

Status ReadUserLines(const std::string& path, EventType type, ImportRun& run) {
  std::vector<std::string_view> words;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    SplitWords(line, words);
    // A user without items is how these sets write "none in this part".
    for (std::size_t i = 1; i < words.size(); ++i) {
      Event event;
      event.user.value = words[0];
      event.item.value = words[i];
      event.type = type;
      event.time = TimeOfRow(run.row());
      POISE_RETURN_IF_ERROR(run.Add(std::move(event), words[i]));
      POISE_RETURN_IF_ERROR(run.MayFlush());
    }
    return Status::Ok();
  });
}

}  // namespace

Status ReadSasrec(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const EventType type, MappedType(run, EventType::kFavourite));
  POISE_RETURN_IF_ERROR(run.Expect({path}));
  run.Note(std::string(kOrderNote));
  std::vector<std::string_view> words;
  return ForEachLine(path, 0, run, [&](std::string_view line) -> Status {
    SplitWords(line, words);
    if (words.size() != 2) {
      return run.RejectRow("", fmt::format("expected user and item, got {} words", words.size()));
    }
    Event event;
    event.user.value = words[0];
    event.item.value = words[1];
    event.type = type;
    event.time = TimeOfRow(run.row());
    return run.Add(std::move(event), line);
  });
}

Status ReadLightgcn(const std::string& path, ImportRun& run) {
  POISE_ASSIGN_OR_RETURN(const EventType type, MappedType(run, EventType::kFavourite));
  std::vector<std::string> files;
  if (IsFolder(path)) {
    for (const std::string_view name : {"train.txt", "valid.txt", "test.txt"}) {
      if (IsFile(Join(path, name))) files.push_back(Join(path, name));
    }
    if (files.empty()) {
      return NotFound(path + ": holds none of train.txt, valid.txt, test.txt");
    }
  } else {
    files.push_back(path);
  }
  POISE_RETURN_IF_ERROR(run.Expect(files));
  run.Note("the files have no times: the events of row n are at 2010-01-01 plus n seconds");
  for (const std::string& file : files) {
    POISE_RETURN_IF_ERROR(ReadUserLines(file, type, run));
  }
  return Status::Ok();
}

}  // namespace poise
