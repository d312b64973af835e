// SPDX-License-Identifier: Apache-2.0
//
// ImportFormat: a row for each format that Import() knows. A new format is a function here, its
// file, and its row in import.cc.
#pragma once

#include <string>
#include <string_view>

#include "importers/import_run.h"

namespace poise {

struct ImportFormat {
  std::string_view name;
  std::string_view path;
  std::string_view sentence;
  std::string_view mapping;  // the mapping keys it takes, separated by spaces; "*": any
  Status (*read)(const std::string& path, ImportRun& run);
};

Status ReadMovieLens100k(const std::string& path, ImportRun& run);
Status ReadMovieLens1m(const std::string& path, ImportRun& run);
Status ReadOnlineRetail(const std::string& path, ImportRun& run);
Status ReadSasrec(const std::string& path, ImportRun& run);
Status ReadLightgcn(const std::string& path, ImportRun& run);
Status ReadCsv(const std::string& path, ImportRun& run);
Status ReadJsonLines(const std::string& path, ImportRun& run);
Status ReadPoiseExport(const std::string& path, ImportRun& run);

// The event type that a mapping asks for with "type" = "=word", or `otherwise`.
Result<EventType> MappedType(const ImportRun& run, EventType otherwise);

}  // namespace poise
