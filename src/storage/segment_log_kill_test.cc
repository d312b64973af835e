// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.h"
#include "storage/segment_log.h"

namespace poise {
namespace {

struct Acknowledgement {
  std::uint64_t position;
  std::uint32_t writer;
  std::uint32_t number;
};

std::string Payload(std::uint32_t writer, std::uint32_t number) {
  return std::to_string(writer) + ":" + std::to_string(number) + ":" +
         std::string(number % 120, 'k');
}

// Appends from several threads until it is killed, and tells what was acknowledged.
[[noreturn]] void RunVictim(const std::string& folder, int acknowledgements, std::uint32_t life) {
  PosixEnv env;
  SegmentLog::Options options;
  options.segment_bytes = 64 * 1024;
  auto log = SegmentLog::Open(env, folder, options, nullptr);
  if (!log.ok()) _exit(1);
  std::vector<std::thread> writers;
  for (std::uint32_t w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      const std::uint32_t writer = life * 10 + w;
      for (std::uint32_t number = 0;; ++number) {
        LogBatch batch;
        if (!batch.Add(1, Payload(writer, number)).ok()) _exit(2);
        auto first = (*log)->Append(std::move(batch));
        if (!first.ok()) _exit(3);
        const Acknowledgement acknowledgement{first->value, writer, number};
        if (write(acknowledgements, &acknowledgement, sizeof acknowledgement) !=
            sizeof acknowledgement) {
          _exit(4);
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  _exit(5);
}

TEST(SegmentLogKill, AKilledProcessLosesNothingAcknowledgedAndNothingIsThereTwice) {
  constexpr std::uint64_t kSeed = 31;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::string folder = (std::filesystem::temp_directory_path() / "poise-kill-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  std::vector<Acknowledgement> acknowledged;
  for (std::uint32_t life = 0; life < 6; ++life) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t victim = fork();
    ASSERT_GE(victim, 0);
    if (victim == 0) {
      close(ends[0]);
      RunVictim(folder + "/log", ends[1], life);
    }
    close(ends[1]);
    // The kill falls after so many acknowledgements, wherever the process is just then.
    std::uint64_t until_kill = 20 + rng.Below(1500);
    Acknowledgement acknowledgement{};
    while (read(ends[0], &acknowledgement, sizeof acknowledgement) == sizeof acknowledgement) {
      acknowledged.push_back(acknowledgement);
      if (--until_kill == 0) kill(victim, SIGKILL);
    }
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(victim, &status, 0), victim);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the victim ended by itself: " << status;

    PosixEnv env;
    auto log = SegmentLog::Open(env, folder + "/log", {}, nullptr);
    ASSERT_TRUE(log.ok()) << log.status().ToString();
    std::vector<std::string> payloads{""};
    std::vector<std::uint32_t> next_number(100, 0);
    ASSERT_TRUE((*log)
                    ->Scan({},
                           [&](const LogRecord& record) {
                             EXPECT_EQ(record.position.value, payloads.size());
                             payloads.emplace_back(record.payload);
                             // Each writer's records in the order it sent them, none twice.
                             const auto writer =
                                 static_cast<std::size_t>(std::stoi(payloads.back()));
                             EXPECT_EQ(payloads.back(), Payload(static_cast<std::uint32_t>(writer),
                                                                next_number[writer]++));
                             return true;
                           })
                    .ok());
    for (const Acknowledgement& one : acknowledged) {
      ASSERT_LT(one.position, payloads.size());
      ASSERT_EQ(payloads[one.position], Payload(one.writer, one.number));
    }
  }
  EXPECT_GT(acknowledged.size(), 120u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace poise
