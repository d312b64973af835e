// SPDX-License-Identifier: Apache-2.0
//
// ExportWriter: writes items, users and events as JSON Lines that the importer "poise" reads back.
//
// The file appears under its name only when it is whole and on disk; until then it is NAME.part.
// Format: docs/formats/export.md.
//
// Errors   kInvalidArgument: the file cannot be created. kResourceExhausted: the disk is full.
// Threads  One thread at a time.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "domain/event.h"
#include "domain/item.h"

namespace poise {

class ExportWriter {
 public:
  static Result<std::unique_ptr<ExportWriter>> Create(std::string path, const Clock& clock);
  // Without Finish() nothing stays behind.
  ~ExportWriter();
  ExportWriter(const ExportWriter&) = delete;
  ExportWriter& operator=(const ExportWriter&) = delete;

  Status Write(const ItemRecord& item);
  Status Write(const UserRecord& user);
  Status Write(const Event& event);

  Status Finish();

 private:
  ExportWriter(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}
  std::string PartPath() const { return path_ + ".part"; }
  Status Put(std::string line);
  Status Full() const;

  std::string path_;
  std::FILE* file_;
};

}  // namespace poise
