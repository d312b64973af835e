// SPDX-License-Identifier: Apache-2.0
//
// A real full disk: a small file system in memory, mounted in a namespace of a child process. Where
// the system forbids that, the tests are skipped.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>

#include "base/log.h"
#include "storage/segment_log.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr int kSkipped = 77;

// Ends the child at the first thing that is not as it should be.
void Expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "full disk: %s\n", what);
  _exit(1);
}

void FillUp(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT, 0600);
  const std::string bytes(4096, 'f');
  while (write(fd, bytes.data(), bytes.size()) > 0) {
  }
  close(fd);
}

void OnSmallDisk(const std::function<void(const std::string& folder)>& body) {
  std::string folder = (std::filesystem::temp_directory_path() / "poise-full-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool has_namespace =
        unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
    if (!has_namespace || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=8m") != 0) {
      _exit(kSkipped);
    }
    SetLogLevel(LogLevel::kOff);
    body(folder);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  std::filesystem::remove_all(folder);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped) {
    GTEST_SKIP() << "no permission to mount a small file system";
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(FullDisk, TablesRefuseWritesClearlyGoOnReadingAndRecoverByThemselves) {
  OnSmallDisk([](const std::string& folder) {
    auto opened = Tables::Open(folder + "/poise.db", {"items"});
    Expect(opened.ok(), "open");
    Tables& tables = **opened;
    Expect(tables.Put("items", "first", "1").ok(), "first put");
    Status status;
    int written = 0;
    for (; status.ok(); ++written) {
      status = tables.Put("items", "k" + std::to_string(written), std::string(20'000, 'x'));
    }
    Expect(status.code() == StatusCode::kResourceExhausted, status.ToString().c_str());
    FillUp(folder + "/filler");
    Expect(tables.Put("items", "refused", std::string(20'000, 'x')).code() ==
               StatusCode::kResourceExhausted,
           "put on a full disk");
    auto refused = tables.Get("items", "refused");
    Expect(refused.ok() && !refused->has_value(), "nothing of the refused put");
    auto first = tables.Get("items", "first");
    Expect(first.ok() && *first == "1", "get on a full disk");
    auto last = tables.Get("items", "k" + std::to_string(written - 2));
    Expect(last.ok() && last->has_value(), "the last acknowledged put");
    Expect(tables.Scan("items", "", 10).ok(), "scan on a full disk");
    unlink((folder + "/filler").c_str());
    Expect(mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0, "more room");
    Expect(tables.Put("items", "again", "2").ok(), "put with room again");
    Expect(tables.Checkpoint().ok(), "checkpoint with room again");
    auto count = tables.Count("items");
    Expect(count.ok() && *count >= static_cast<std::uint64_t>(written), "count");
  });
}

TEST(FullDisk, TheLogRefusesClearlyAndRecoversByItself) {
  OnSmallDisk([](const std::string& folder) {
    PosixEnv env;
    SegmentLog::Options options;
    options.reserve_bytes = 1024 * 1024;
    RecoveryReport report;
    std::uint64_t acknowledged = 0;
    {
      auto log = SegmentLog::Open(env, folder + "/log", options, &report);
      Expect(log.ok(), "open");
      const auto append = [&] {
        LogBatch batch;
        Expect(batch.Add(1, std::string(50'000, 'x')).ok(), "batch");
        auto first = (*log)->Append(std::move(batch));
        if (first.ok()) Expect(first->value == ++acknowledged, "position");
        return first.ok() ? Status::Ok() : first.status();
      };
      Status status;
      while (status.ok()) status = append();
      Expect(status.code() == StatusCode::kResourceExhausted, status.ToString().c_str());
      Expect(acknowledged > 50, "segments smaller than usual are used before giving up");
      auto free_bytes = env.FreeBytes(folder);
      Expect(free_bytes.ok() && *free_bytes >= options.reserve_bytes, "the reserve is kept");
      FillUp(folder + "/filler");
      Expect(append().code() == StatusCode::kResourceExhausted, "append on a full disk");
      std::uint64_t scanned = 0;
      Expect((*log)->Scan({}, [&](const LogRecord&) { return ++scanned > 0; }).ok(), "scan");
      Expect(scanned == acknowledged, "everything acknowledged is there");
    }
    {
      auto log = SegmentLog::Open(env, folder + "/log", options, &report);
      Expect(log.ok() && report.record_count == acknowledged, "open on a full disk");
      unlink((folder + "/filler").c_str());
      Expect(mount("tmpfs", folder.c_str(), "tmpfs", MS_REMOUNT, "size=32m") == 0, "more room");
      LogBatch batch;
      Expect(batch.Add(1, "room again").ok(), "batch");
      Expect((*log)->Append(std::move(batch)).ok(), "append with room again");
    }
  });
}

}  // namespace
}  // namespace poise
