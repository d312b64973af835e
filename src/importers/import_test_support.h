// SPDX-License-Identifier: Apache-2.0
//
// For the tests of importers/: a folder of their own, and a sink that remembers.
#pragma once

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "importers/import.h"

namespace poise {

class Scratch {
 public:
  Scratch() {
    static std::atomic<int> count{0};
    path_ = (std::filesystem::temp_directory_path() /
             ("poise-import-" + std::to_string(getpid()) + "-" + std::to_string(count++)))
                .string();
    std::filesystem::create_directories(path_);
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name, std::ios::binary) << text;
    return path_ + "/" + name;
  }
  static std::string ReadFile(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }

 private:
  std::string path_;
};

class RecordingSink final : public ImportSink {
 public:
  std::vector<ItemRecord> items;
  std::vector<UserRecord> users;
  std::vector<Event> events;
  std::vector<std::string> tokens;
  std::size_t call_count = 0;
  std::size_t fail_after_calls = 0;  // 0: never; a call that fails takes nothing

  Status Items(std::span<ItemRecord> batch) override { return Take(batch, items); }
  Status Users(std::span<UserRecord> batch) override { return Take(batch, users); }
  Status Events(std::span<Event> batch) override { return Take(batch, events); }
  Status Checkpoint(std::string_view token) override {
    tokens.emplace_back(token);
    return Status::Ok();
  }

 private:
  template <typename Record>
  Status Take(std::span<Record> batch, std::vector<Record>& out) {
    ++call_count;
    if (fail_after_calls != 0 && call_count >= fail_after_calls) {
      return Unavailable("the sink is told to fail");
    }
    out.insert(out.end(), std::make_move_iterator(batch.begin()),
               std::make_move_iterator(batch.end()));
    return Status::Ok();
  }
};

}  // namespace poise
