// SPDX-License-Identifier: Apache-2.0
#include "storage/segment_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <latch>
#include <map>
#include <set>
#include <thread>

#include "base/log.h"
#include "base/rng.h"
#include "storage/fault_env.h"
#include "storage/segment_format.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFolder[] = "log";

// Failures are provoked by the thousand here; their lines would bury a real one.
const bool kIsQuiet = [] {
  SetLogLevel(LogLevel::kOff);
  return true;
}();

SegmentLog::Options Small(std::uint64_t segment_bytes = 4096) {
  SegmentLog::Options options;
  options.segment_bytes = segment_bytes;
  options.reserve_bytes = 0;
  return options;
}

LogBatch Batch(const std::vector<std::string>& payloads, Timestamp time = {}) {
  LogBatch batch(time);
  for (const std::string& payload : payloads) {
    if (!batch.Add(7, payload).ok()) std::abort();
  }
  return batch;
}

std::unique_ptr<SegmentLog> MustOpen(Env& env, SegmentLog::Options options = Small(),
                                     RecoveryReport* report = nullptr) {
  auto log = SegmentLog::Open(env, kFolder, options, report);
  EXPECT_TRUE(log.ok()) << log.status().ToString();
  return log.ok() ? *std::move(log) : nullptr;
}

std::vector<std::string> Payloads(const SegmentLog& log, LogPosition from = {}) {
  std::vector<std::string> payloads;
  std::uint64_t expected = std::max(from.value, log.begin().value);
  const Status status = log.Scan(from, [&](const LogRecord& record) {
    EXPECT_EQ(record.position.value, expected++);
    payloads.emplace_back(record.payload);
    return true;
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return payloads;
}

std::string FilePath(std::uint64_t ordinal) {
  return std::string(kFolder) + "/" + segment_format::FileName(ordinal);
}

std::string Contents(Env& env, const std::string& path) {
  auto bytes = ReadFile(env, path, 1 << 30);
  EXPECT_TRUE(bytes.ok()) << bytes.status().ToString();
  return bytes.ok() ? *bytes : "";
}

TEST(SegmentLog, GivesBackWhatWasAppendedInOrder) {
  FaultEnv env(1);
  auto log = MustOpen(env);
  EXPECT_EQ(log->begin(), LogPosition{1});
  EXPECT_EQ(log->end(), LogPosition{1});
  auto first = log->Append(Batch({"a", "b", ""}));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(first->value, 1u);
  first = log->Append(Batch({"c"}));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->value, 4u);
  EXPECT_EQ(log->end(), LogPosition{5});
  EXPECT_THAT(Payloads(*log), ElementsAre("a", "b", "", "c"));
  EXPECT_THAT(Payloads(*log, {3}), ElementsAre("", "c"));
  EXPECT_THAT(Payloads(*log, {5}), IsEmpty());
  EXPECT_THAT(Payloads(*log, {500}), IsEmpty());
}

TEST(SegmentLog, KeepsKindsAndReadsSingleRecords) {
  FaultEnv env(1);
  auto log = MustOpen(env);
  LogBatch batch;
  ASSERT_TRUE(batch.Add(0, "zero").ok());
  ASSERT_TRUE(batch.Add(255, "last").ok());
  ASSERT_TRUE(log->Append(std::move(batch)).ok());
  auto record = log->Read({2});
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->first, 255);
  EXPECT_EQ(record->second, "last");
  EXPECT_EQ(log->Read({3}).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(log->Read({0}).status().code(), StatusCode::kNotFound);
}

TEST(SegmentLog, AScanStopsWhenItIsTold) {
  FaultEnv env(1);
  auto log = MustOpen(env);
  ASSERT_TRUE(log->Append(Batch({"a", "b", "c"})).ok());
  int count = 0;
  ASSERT_TRUE(log->Scan({}, [&](const LogRecord&) { return ++count < 2; }).ok());
  EXPECT_EQ(count, 2);
}

TEST(SegmentLog, GoesOnAfterReopeningAcrossManySegments) {
  FaultEnv env(1);
  std::vector<std::string> expected;
  for (int round = 0; round < 6; ++round) {
    RecoveryReport report;
    auto log = MustOpen(env, Small(), &report);
    EXPECT_EQ(report.record_count, expected.size());
    EXPECT_EQ(report.torn_bytes, 0u);
    EXPECT_EQ(report.detail, "");
    for (int i = 0; i < 40; ++i) {
      const std::string payload = std::to_string(round) + std::string(150, 'x') + std::to_string(i);
      auto first = log->Append(Batch({payload}));
      ASSERT_TRUE(first.ok()) << first.status().ToString();
      expected.push_back(payload);
      EXPECT_EQ(first->value, expected.size());
    }
    EXPECT_EQ(Payloads(*log), expected);
  }
  auto log = MustOpen(env);
  EXPECT_GT(log->Segments().size(), 5u);
  EXPECT_EQ(Payloads(*log), expected);
  for (std::uint64_t from = 1; from <= expected.size(); from += 17) {
    EXPECT_EQ(Payloads(*log, {from}).size(), expected.size() - from + 1);
  }
}

TEST(SegmentLog, TakesRecordsAndBatchesLargerThanASegment) {
  FaultEnv env(1);
  const std::string large(100'000, 'L');
  {
    auto log = MustOpen(env);
    ASSERT_TRUE(log->Append(Batch({large})).ok());
    ASSERT_TRUE(log->Append(Batch({"small"})).ok());
    ASSERT_TRUE(log->Append(Batch({large, large})).ok());
  }
  auto log = MustOpen(env);
  EXPECT_THAT(Payloads(*log), ElementsAre(large, "small", large, large));
}

TEST(SegmentLog, RefusesWhatIsOverItsLimit) {
  FaultEnv env(1);
  auto log = MustOpen(env);
  LogBatch batch;
  EXPECT_EQ(batch.Add(1, std::string(LogBatch::kMaxPayloadBytes + 1, 'x')).code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(log->Append(std::move(batch)).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(log->AppendBuffered(1, std::string(LogBatch::kMaxPayloadBytes + 1, 'x')).code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(log->Append(Batch({std::string(LogBatch::kMaxPayloadBytes, 'x')})).ok());
}

TEST(SegmentLog, IsOpenOnlyOnce) {
  FaultEnv env(1);
  auto log = MustOpen(env);
  EXPECT_EQ(SegmentLog::Open(env, kFolder, Small(), nullptr).status().code(),
            StatusCode::kFailedPrecondition);
  log.reset();
  EXPECT_TRUE(SegmentLog::Open(env, kFolder, Small(), nullptr).ok());
}

TEST(SegmentLog, BufferedRecordsAreDurableAfterFlushAndKeepTheirOrder) {
  FaultEnv env(1);
  SegmentLog::Options options = Small(64 * 1024);
  options.buffered_commit_delay = std::chrono::hours(1);
  {
    auto log = MustOpen(env, options);
    ASSERT_TRUE(log->AppendBuffered(1, "a").ok());
    ASSERT_TRUE(log->AppendBuffered(1, "b").ok());
    ASSERT_TRUE(log->Flush().ok());
    EXPECT_THAT(Payloads(*log), ElementsAre("a", "b"));
    ASSERT_TRUE(log->AppendBuffered(1, "c").ok());
    // The next group takes it along.
    auto first = log->Append(Batch({"d"}));
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first->value, 4u);
    EXPECT_THAT(Payloads(*log), ElementsAre("a", "b", "c", "d"));
    ASSERT_TRUE(log->Flush().ok());
  }
  env.Crash();
  EXPECT_THAT(Payloads(*MustOpen(env)), ElementsAre("a", "b", "c", "d"));
}

TEST(SegmentLog, BufferedRecordsBecomeDurableByThemselves) {
  FaultEnv env(1);
  SegmentLog::Options options = Small();
  options.buffered_commit_delay = std::chrono::milliseconds(1);
  auto log = MustOpen(env, options);
  ASSERT_TRUE(log->AppendBuffered(1, "a").ok());
  while (log->end() == LogPosition{1}) std::this_thread::yield();
  EXPECT_THAT(Payloads(*log), ElementsAre("a"));
}

TEST(SegmentLog, ClosingMakesBufferedRecordsDurable) {
  FaultEnv env(1);
  SegmentLog::Options options = Small();
  options.buffered_commit_delay = std::chrono::hours(1);
  {
    auto log = MustOpen(env, options);
    ASSERT_TRUE(log->AppendBuffered(1, "a").ok());
  }
  env.Crash();
  EXPECT_THAT(Payloads(*MustOpen(env)), ElementsAre("a"));
}

// A batch that waits in `done` holds the commit thread, so that the queue can be filled at leisure.
class HeldCommit {
 public:
  explicit HeldCommit(SegmentLog& log) {
    const Status status =
        log.AppendAsync(Batch({"held"}), [latches = latches_](Result<LogPosition>) {
          latches->entered.count_down();
          latches->released.wait();
        });
    if (!status.ok()) std::abort();
    latches_->entered.wait();
  }
  ~HeldCommit() { Release(); }
  void Release() {
    if (!latches_->released.try_wait()) latches_->released.count_down();
  }

 private:
  struct Latches {
    std::latch entered{1};
    std::latch released{1};
  };
  // Shared with the commit thread, which may still be leaving wait() when this object is gone.
  const std::shared_ptr<Latches> latches_ = std::make_shared<Latches>();
};

TEST(SegmentLog, AFullQueueIsRefusedAtTheDoorAndDoneIsNotCalled) {
  FaultEnv env(1);
  SegmentLog::Options options = Small(64 * 1024);
  options.max_queue_bytes = 1000;
  auto log = MustOpen(env, options);
  std::atomic<int> done_count = 0;
  const auto done = [&](const Result<LogPosition>& first) { done_count += first.ok() ? 1 : 100; };
  {
    HeldCommit held(*log);
    ASSERT_TRUE(log->AppendAsync(Batch({std::string(900, 'x')}), done).ok());
    EXPECT_EQ(log->AppendAsync(Batch({std::string(200, 'x')}), done).code(),
              StatusCode::kResourceExhausted);
    EXPECT_EQ(log->AppendBuffered(1, std::string(200, 'x')).code(), StatusCode::kResourceExhausted);
    held.Release();
  }
  ASSERT_TRUE(log->Flush().ok());
  EXPECT_EQ(done_count, 1);
  EXPECT_EQ(Payloads(*log).size(), 2u);
  EXPECT_EQ(log->counters().queued_bytes, 0u);
}

TEST(SegmentLog, ConcurrentAppendersShareASync) {
  FaultEnv env(1);
  auto log = MustOpen(env, Small(1 << 20));
  std::set<std::uint64_t> positions;
  std::mutex mutex;
  {
    HeldCommit held(*log);
    for (int i = 0; i < 100; ++i) {
      ASSERT_TRUE(log->AppendAsync(Batch({std::to_string(i)}),
                                   [&](Result<LogPosition> first) {
                                     const std::lock_guard lock(mutex);
                                     ASSERT_TRUE(first.ok());
                                     positions.insert(first->value);
                                   })
                      .ok());
    }
    const std::uint64_t syncs = env.sync_count();
    held.Release();
    ASSERT_TRUE(log->Flush().ok());
    EXPECT_LE(env.sync_count(), syncs + 2);
  }
  EXPECT_EQ(positions.size(), 100u);
  EXPECT_EQ(*positions.rbegin(), 101u);
}

TEST(SegmentLog, AppendersAndScannersRunSideBySide) {
  FaultEnv env(1);
  auto log = MustOpen(env, Small(8192));
  std::atomic<bool> is_over = false;
  std::vector<std::vector<std::uint64_t>> positions(4);
  {
    std::jthread scanner([&] {
      while (!is_over) {
        const std::uint64_t end = log->end().value;
        EXPECT_GE(Payloads(*log).size(), end - 1);
      }
    });
    {
      std::vector<std::jthread> appenders;
      for (std::size_t t = 0; t < positions.size(); ++t) {
        appenders.emplace_back([&, t] {
          for (int i = 0; i < 150; ++i) {
            auto first =
                log->Append(Batch({std::to_string(t) + ":" + std::to_string(i), "second"}));
            ASSERT_TRUE(first.ok());
            positions[t].push_back(first->value);
            EXPECT_EQ(log->Read(*first)->second, std::to_string(t) + ":" + std::to_string(i));
          }
        });
      }
    }
    is_over = true;
  }
  const auto payloads = Payloads(*log);
  ASSERT_EQ(payloads.size(), 1200u);
  for (std::size_t t = 0; t < positions.size(); ++t) {
    EXPECT_TRUE(std::is_sorted(positions[t].begin(), positions[t].end()));
    for (std::size_t i = 0; i < positions[t].size(); ++i) {
      EXPECT_EQ(payloads[positions[t][i] - 1], std::to_string(t) + ":" + std::to_string(i));
      EXPECT_EQ(payloads[positions[t][i]], "second");
    }
  }
}

TEST(SegmentLog, SummariesKnowPositionsAndTimesAlsoAfterReopening) {
  FaultEnv env(1);
  std::vector<SegmentSummary> before;
  {
    auto log = MustOpen(env);
    for (int i = 1; i <= 60; ++i) {
      ASSERT_TRUE(log->Append(Batch({std::string(200, 'x')}, Timestamp::FromSeconds(i))).ok());
    }
    before = log->Segments();
  }
  auto log = MustOpen(env);
  const auto after = log->Segments();
  ASSERT_EQ(after.size(), before.size());
  ASSERT_GE(after.size(), 3u);
  EXPECT_EQ(after.front().first, LogPosition{1});
  EXPECT_EQ(after.back().end, LogPosition{61});
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].first, before[i].first);
    EXPECT_EQ(after[i].end, before[i].end);
    EXPECT_EQ(after[i].first_time,
              Timestamp::FromSeconds(static_cast<std::int64_t>(after[i].first.value)));
    EXPECT_EQ(after[i].last_time,
              Timestamp::FromSeconds(static_cast<std::int64_t>(after[i].end.value) - 1));
    if (i > 0) {
      EXPECT_EQ(after[i].first, after[i - 1].end);
    }
  }
}

TEST(SegmentLog, RetentionDropsWholeOldSegmentsAndPositionsGoOn) {
  FaultEnv env(1);
  {
    auto log = MustOpen(env);
    for (int i = 1; i <= 100; ++i) ASSERT_TRUE(log->Append(Batch({std::string(200, 'x')})).ok());
    const auto segments = log->Segments();
    ASSERT_GT(segments.size(), 4u);
    // One position short of the third segment's end keeps it.
    ASSERT_TRUE(log->DropSegmentsBefore({segments[2].end.value - 1}).ok());
    EXPECT_EQ(log->begin(), segments[2].first);
    EXPECT_EQ(Payloads(*log).size(), 101 - segments[2].first.value);
    EXPECT_EQ(log->Read({1}).status().code(), StatusCode::kNotFound);
  }
  env.Crash();
  {
    auto log = MustOpen(env);
    ASSERT_TRUE(log->DropSegmentsBefore({1000}).ok());
    EXPECT_EQ(log->Segments().size(), 1u);
    EXPECT_EQ(log->end(), LogPosition{101});
  }
  auto log = MustOpen(env);
  auto first = log->Append(Batch({"next"}));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->value, 101u);
}

// ---------------------------------------------------------------- crashes

// Everything acknowledged is there, nothing twice, order kept; whatever else is there was sent.
class CrashHistory {
 public:
  std::string Next() {
    ++sent_;
    return "r" + std::to_string(sent_) + std::string(sent_ * 37 % 300, 'p');
  }
  void Acknowledged(std::uint64_t position, const std::string& payload) {
    EXPECT_TRUE(acknowledged_.emplace(position, payload).second) << "position given twice";
  }
  void Check(const SegmentLog& log) const {
    const auto payloads = Payloads(log);
    std::set<std::string> seen;
    for (const std::string& payload : payloads) {
      EXPECT_TRUE(seen.insert(payload).second) << "twice: " << payload.substr(0, 10);
    }
    for (const auto& [position, payload] : acknowledged_) {
      ASSERT_LE(position, payloads.size());
      EXPECT_EQ(payloads[position - 1], payload);
    }
    EXPECT_EQ(log.end().value, payloads.size() + 1);
  }

 private:
  std::uint64_t sent_ = 0;
  std::map<std::uint64_t, std::string> acknowledged_;
};

TEST(SegmentLogCrash, LosesNothingAcknowledgedAndGivesNothingTwice) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultEnv env(seed);
    Rng rng(MixSeed(seed, 1));
    CrashHistory history;
    for (int life = 0; life < 4; ++life) {
      auto log = MustOpen(env, Small(1024 + rng.Below(6000)));
      ASSERT_NE(log, nullptr);
      history.Check(*log);
      env.DieAfter(rng.Below(60));
      for (int i = 0; i < 40; ++i) {
        const std::vector<std::string> payloads{history.Next(), history.Next()};
        auto first = log->Append(Batch(payloads));
        if (!first.ok()) continue;
        history.Acknowledged(first->value, payloads[0]);
        history.Acknowledged(first->value + 1, payloads[1]);
      }
      env.Crash();
      log.reset();
    }
    history.Check(*MustOpen(env));
    if (HasFailure()) break;
  }
}

TEST(SegmentLogCrash, FailingSyncsAndWritesLoseNothingAcknowledgedAndGiveNothingTwice) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultEnv env(seed);
    Rng rng(MixSeed(seed, 2));
    CrashHistory history;
    for (int life = 0; life < 3; ++life) {
      auto log = MustOpen(env, Small(1024 + rng.Below(6000)));
      ASSERT_NE(log, nullptr);
      history.Check(*log);
      for (int i = 0; i < 40; ++i) {
        if (rng.Below(5) == 0) {
          constexpr std::array kFaults = {FaultEnv::Fault::kSyncFails, FaultEnv::Fault::kWriteFails,
                                          FaultEnv::Fault::kWriteIsShort, FaultEnv::Fault::kNoSpace,
                                          FaultEnv::Fault::kDirectorySyncFails};
          env.Inject(kFaults[rng.Below(kFaults.size())], rng.Below(4), 1 + rng.Below(3));
        }
        const std::string payload = history.Next();
        auto first = log->Append(Batch({payload}));
        if (first.ok()) history.Acknowledged(first->value, payload);
      }
      env.Heal();
      // Whatever failed before, the log works again by itself.
      const std::string payload = history.Next();
      auto first = log->Append(Batch({payload}));
      ASSERT_TRUE(first.ok()) << first.status().ToString();
      history.Acknowledged(first->value, payload);
      history.Check(*log);
      if (rng.Bernoulli(0.5)) log.reset();
      env.Crash();
    }
    history.Check(*MustOpen(env));
    if (HasFailure()) break;
  }
}

TEST(SegmentLogCrash, AFailedSyncFailsItsBatchAndTheNextSucceedsInANewSegment) {
  FaultEnv env(5);
  auto log = MustOpen(env, Small(64 * 1024));
  ASSERT_TRUE(log->Append(Batch({"good"})).ok());
  env.Inject(FaultEnv::Fault::kSyncFails, 0, 1);
  const auto failed = log->Append(Batch({"failed"}));
  EXPECT_EQ(failed.status().code(), StatusCode::kUnavailable);
  auto first = log->Append(Batch({"retried"}));
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(log->Segments().size(), 2u);
  EXPECT_THAT(Payloads(*log), ElementsAre("good", "retried"));
  EXPECT_EQ(log->counters().failed_group_count, 1u);
  env.Crash();
  log.reset();
  EXPECT_THAT(Payloads(*MustOpen(env)), ElementsAre("good", "retried"));
}

TEST(SegmentLogCrash, AFailedBufferedRecordIsCountedAndReportedByFlush) {
  FaultEnv env(5);
  SegmentLog::Options options = Small(64 * 1024);
  options.buffered_commit_delay = std::chrono::hours(1);
  auto log = MustOpen(env, options);
  ASSERT_TRUE(log->Append(Batch({"good"})).ok());
  ASSERT_TRUE(log->AppendBuffered(1, "lost").ok());
  env.Inject(FaultEnv::Fault::kSyncFails, 0, 1);
  EXPECT_EQ(log->Flush().code(), StatusCode::kUnavailable);
  EXPECT_EQ(log->counters().lost_buffered_record_count, 1u);
  EXPECT_TRUE(log->Flush().ok());
}

TEST(SegmentLogCrash, AFullDiskRefusesClearlyAndRecoversByItself) {
  FaultEnv env(3);
  auto log = MustOpen(env, Small(8192));
  env.SetCapacity(30'000);
  std::vector<std::string> acknowledged;
  Status refused;
  for (int i = 0; i < 500 && refused.ok(); ++i) {
    const std::string payload = std::to_string(i) + std::string(300, 'x');
    auto first = log->Append(Batch({payload}));
    if (first.ok()) {
      acknowledged.push_back(payload);
    } else {
      refused = first.status();
    }
  }
  EXPECT_EQ(refused.code(), StatusCode::kResourceExhausted) << refused.ToString();
  EXPECT_GT(acknowledged.size(), 20u);
  EXPECT_EQ(Payloads(*log), acknowledged);
  env.SetCapacity(200'000);
  ASSERT_TRUE(log->Append(Batch({"room again"})).ok());
  acknowledged.push_back("room again");
  EXPECT_EQ(Payloads(*log), acknowledged);
  // Opening needs no space.
  log.reset();
  env.SetCapacity(0);
  EXPECT_EQ(Payloads(*MustOpen(env)), acknowledged);
}

TEST(SegmentLogCrash, NewSegmentsLeaveTheReserveFree) {
  FaultEnv env(3);
  SegmentLog::Options options = Small(8192);
  options.reserve_bytes = 50'000;
  env.SetCapacity(80'000);
  auto log = MustOpen(env, options);
  Status status;
  while (status.ok()) status = log->Append(Batch({std::string(300, 'x')})).status();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("reserve"));
  EXPECT_GE(*env.FreeBytes(kFolder), 50'000u);
}

// ---------------------------------------------------------------- torn and damaged files

TEST(SegmentLogRecovery, CutsATornTailOffAtEveryLengthAndSaysSo) {
  FaultEnv env(1);
  std::uint64_t good_bytes = 0;
  {
    auto log = MustOpen(env, Small(8192));
    ASSERT_TRUE(log->Append(Batch({"first", "second"})).ok());
    good_bytes = log->Segments().back().size_bytes;
    ASSERT_TRUE(log->Append(Batch({"torn one", "torn two"})).ok());
  }
  const std::string whole = Contents(env, FilePath(1));
  const std::uint64_t end = whole.find_last_not_of('\0') + 1 - segment_format::kFrameHeaderBytes;
  for (std::uint64_t keep = good_bytes + 1; keep < end - 8; ++keep) {
    FaultEnv copy(1);
    ASSERT_TRUE(copy.MakeDirectories(kFolder).ok());
    {
      auto file = copy.Open(FilePath(1), OpenMode::kCreate);
      ASSERT_TRUE((*file)->WriteAt(0, whole.substr(0, keep)).ok());
      ASSERT_TRUE((*file)->Preallocate(whole.size()).ok());
      ASSERT_TRUE((*file)->Sync().ok());
      ASSERT_TRUE(copy.SyncDirectory(kFolder).ok());
    }
    RecoveryReport report;
    {
      auto log = MustOpen(copy, Small(8192), &report);
      ASSERT_NE(log, nullptr);
      EXPECT_THAT(Payloads(*log), ElementsAre("first", "second")) << keep;
      EXPECT_GT(report.torn_bytes, 0u);
      EXPECT_THAT(report.detail, HasSubstr("cut off"));
      auto first = log->Append(Batch({"third"}));
      ASSERT_TRUE(first.ok());
      EXPECT_EQ(first->value, 3u);
    }
    EXPECT_THAT(Payloads(*MustOpen(copy, Small(8192), &report)),
                ElementsAre("first", "second", "third"));
    EXPECT_EQ(report.torn_bytes, 0u);
  }
}

TEST(SegmentLogRecovery, RefusesADamagedMiddleWhereverABitFlipsAndNamesTheWayOut) {
  FaultEnv env(1);
  std::vector<std::string> payloads;
  {
    auto log = MustOpen(env, Small(2048));
    for (int i = 0; i < 24; ++i) {
      payloads.push_back(std::to_string(i) + std::string(150, 'x'));
      ASSERT_TRUE(log->Append(Batch({payloads.back()})).ok());
    }
    ASSERT_GE(log->Segments().size(), 3u);
  }
  const auto names = *env.List(kFolder);
  const std::string last_name = names.back();
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) continue;
    const std::string path = std::string(kFolder) + "/" + name;
    const std::size_t used = Contents(env, path).find_last_not_of('\0') + 1;
    const std::size_t checked = name == last_name ? used - segment_format::kFrameHeaderBytes : used;
    for (std::size_t offset = 0; offset < checked; offset += 5) {
      ASSERT_TRUE(env.FlipBit(path, offset, 3).ok());
      auto log = SegmentLog::Open(env, kFolder, Small(2048), nullptr);
      std::vector<std::string> read;
      Status status = log.status();
      if (log.ok()) {
        status = (*log)->Scan({}, [&](const LogRecord& record) {
          read.emplace_back(record.payload);
          return true;
        });
      }
      if (status.ok()) {
        // Only bytes that nothing depends on: padding, and the unused rest of the header.
        EXPECT_EQ(read, payloads) << path << " " << offset;
      } else {
        EXPECT_EQ(status.code(), StatusCode::kDataLoss) << status.ToString();
        EXPECT_THAT(status.message(), HasSubstr(".log"));
        EXPECT_THAT(status.message(), HasSubstr("salvage"));
        EXPECT_THAT(status.message(), HasSubstr("byte "));
        for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i], payloads[i]);
      }
      if (log.ok()) log->reset();
      ASSERT_TRUE(env.FlipBit(path, offset, 3).ok());
    }
  }
}

TEST(SegmentLogRecovery, SalvageSkipsAndCountsWhatIsDamaged) {
  FaultEnv env(1);
  std::vector<std::uint64_t> frame_ends;
  {
    auto log = MustOpen(env, Small(16 * 1024));
    for (int i = 1; i <= 9; ++i) {
      ASSERT_TRUE(log->Append(Batch({std::to_string(i), std::string(100, 'x')})).ok());
      frame_ends.push_back(log->Segments().back().size_bytes);
    }
  }
  // The header of the third frame, and the second record of the sixth.
  ASSERT_TRUE(env.FlipBit(FilePath(1), frame_ends[1] + 9, 0).ok());
  ASSERT_TRUE(env.FlipBit(FilePath(1), frame_ends[5] - 20, 0).ok());
  EXPECT_EQ(SegmentLog::Open(env, kFolder, Small(), nullptr).status().code(),
            StatusCode::kDataLoss);
  SegmentLog::Options options = Small(16 * 1024);
  options.salvage = true;
  RecoveryReport report;
  auto log = MustOpen(env, options, &report);
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(report.damaged_records, 3u);
  EXPECT_EQ(report.record_count, 15u);
  EXPECT_GT(report.damaged_bytes, 0u);
  EXPECT_THAT(report.detail, HasSubstr("3 damaged records"));
  std::vector<std::uint64_t> positions;
  ASSERT_TRUE(log->Scan({},
                        [&](const LogRecord& record) {
                          positions.push_back(record.position.value);
                          return true;
                        })
                  .ok());
  EXPECT_THAT(positions, ElementsAre(1, 2, 3, 4, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18));
  auto first = log->Append(Batch({"next"}));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->value, 19u);
}

TEST(SegmentLogRecovery, RefusesAMissingSegmentInTheMiddle) {
  FaultEnv env(1);
  {
    auto log = MustOpen(env, Small(2048));
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(log->Append(Batch({std::string(150, 'x')})).ok());
  }
  ASSERT_TRUE(env.Remove(FilePath(2)).ok());
  const auto refused = SegmentLog::Open(env, kFolder, Small(2048), nullptr);
  EXPECT_EQ(refused.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(refused.status().message(), HasSubstr("0000000000000002.log"));
  EXPECT_THAT(refused.status().message(), HasSubstr("missing"));
  SegmentLog::Options options = Small(2048);
  options.salvage = true;
  RecoveryReport report;
  auto log = MustOpen(env, options, &report);
  ASSERT_NE(log, nullptr);
  EXPECT_GT(report.damaged_records, 0u);
  EXPECT_EQ(report.record_count + report.damaged_records, 40u);
  std::uint64_t read_count = 0;
  ASSERT_TRUE(log->Scan({}, [&](const LogRecord&) { return ++read_count > 0; }).ok());
  EXPECT_EQ(read_count, report.record_count);
}

TEST(SegmentLogRecovery, RefusesATruncatedOlderSegment) {
  FaultEnv env(1);
  {
    auto log = MustOpen(env, Small(2048));
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(log->Append(Batch({std::string(150, 'x')})).ok());
  }
  auto file = env.Open(FilePath(1), OpenMode::kReadWrite);
  ASSERT_TRUE((*file)->Truncate(700).ok());
  const auto refused = SegmentLog::Open(env, kFolder, Small(2048), nullptr);
  EXPECT_EQ(refused.status().code(), StatusCode::kDataLoss);
}

TEST(SegmentLogRecovery, ARecordThatHoldsLogBytesIsNotTakenForOne) {
  FaultEnv env(1);
  std::string frames;
  {
    auto log = MustOpen(env, Small(16 * 1024));
    ASSERT_TRUE(log->Append(Batch({"inner"})).ok());
    frames = Contents(env, FilePath(1)).substr(0, 400);
    ASSERT_TRUE(log->Append(Batch({frames, frames + "the end of it"})).ok());
  }
  const std::size_t end = Contents(env, FilePath(1)).find_last_not_of('\0') + 1;
  // Tear the last frame and drop the closing one: copies inside its records must not look like
  // good frames behind a bad one.
  auto file = env.Open(FilePath(1), OpenMode::kReadWrite);
  const std::string zeros(segment_format::kFrameHeaderBytes + 16, '\0');
  ASSERT_TRUE((*file)->WriteAt(end - zeros.size(), zeros).ok());
  RecoveryReport report;
  EXPECT_THAT(Payloads(*MustOpen(env, Small(16 * 1024), &report)), ElementsAre("inner"));
  EXPECT_GT(report.torn_bytes, 0u);
}

TEST(SegmentLogRecovery, SurvivesFilesOfGarbage) {
  constexpr std::uint64_t kSeed = 77;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  for (int i = 0; i < 200; ++i) {
    FaultEnv env(1);
    ASSERT_TRUE(env.MakeDirectories(kFolder).ok());
    {
      auto file = env.Open(FilePath(1 + rng.Below(3)), OpenMode::kCreate);
      std::string bytes = i % 2 == 0 ? segment_format::EncodeHeader({1, 5}) : "";
      if (i % 4 == 0) bytes += segment_format::EncodeLink({.first_sequence = 1 + rng.Below(2)}, 5);
      const std::size_t size = rng.Below(3000);
      while (bytes.size() < size) bytes.push_back(static_cast<char>(rng.Next()));
      ASSERT_TRUE((*file)->WriteAt(0, bytes).ok());
    }
    auto log = SegmentLog::Open(env, kFolder, Small(), nullptr);
    if (!log.ok()) {
      EXPECT_EQ(log.status().code(), StatusCode::kDataLoss) << log.status().ToString();
      continue;
    }
    EXPECT_THAT(Payloads(**log), IsEmpty());
    EXPECT_TRUE((*log)->Append(Batch({"x"})).ok());
  }
}

TEST(SegmentLogRecovery, RefusesAFileOfANewerVersion) {
  FaultEnv env(1);
  { ASSERT_TRUE(MustOpen(env)->Append(Batch({"x"})).ok()); }
  std::string header = Contents(env, FilePath(1)).substr(0, 64);
  header[8] = 2;
  // The checksum must be right for the version to be believed.
  const std::string crc_of = header.substr(0, 60);
  std::uint32_t crc = 0xffffffff;
  for (const char c : crc_of) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  crc = ~crc;
  std::memcpy(header.data() + 60, &crc, 4);
  auto file = env.Open(FilePath(1), OpenMode::kReadWrite);
  ASSERT_TRUE((*file)->WriteAt(0, header).ok());
  const auto refused = SegmentLog::Open(env, kFolder, Small(), nullptr);
  EXPECT_EQ(refused.status().code(), StatusCode::kUnimplemented);
  EXPECT_THAT(refused.status().message(), HasSubstr("version 2"));
}

// ---------------------------------------------------------------- format

TEST(SegmentFormat, BytesOfVersionOneStayReadableForever) {
  const auto bytes_of = [](std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
  };
  std::string built = segment_format::EncodeHeader({.ordinal = 1, .salt = 0x1122334455667788}) +
                      segment_format::EncodeLink({.first_sequence = 1}, 0x1122334455667788) +
                      segment_format::EncodeFrameHeader({.first_sequence = 1,
                                                         .body_bytes = 25,
                                                         .record_count = 2,
                                                         .first_micros = 1'700'000'000'000'000,
                                                         .last_micros = 1'700'000'000'000'000},
                                                        0x1122334455667788, 128);
  segment_format::AppendRecord(built, 1, "event");
  segment_format::AppendRecord(built, 2, "de");
  const std::string golden = bytes_of(
      "504f4953454c4f470100000000000000010000000000000088776655443322110000000000000000"
      "0000000000000000000000000000000000000000d003a05f01000000000000000000000000000000"
      "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
      "00000000ee3dfd2e7f4ae4b14652414d0100000000000000190000000200000000401e18240a0600"
      "00401e18240a060044408e7801050000006576656e749a50952a02020000006465");
  EXPECT_EQ(built, golden);
  FaultEnv env(1);
  ASSERT_TRUE(env.MakeDirectories(kFolder).ok());
  {
    auto file = env.Open(FilePath(1), OpenMode::kCreate);
    ASSERT_TRUE((*file)->WriteAt(0, golden).ok());
    ASSERT_TRUE((*file)->Preallocate(4096).ok());
  }
  auto log = MustOpen(env);
  EXPECT_THAT(Payloads(*log), ElementsAre("event", "de"));
  EXPECT_EQ(log->Segments()[0].first_time, Timestamp::FromSeconds(1'700'000'000));
}

TEST(SegmentFormat, FileNamesAreReadBackAndNothingElseIs) {
  EXPECT_EQ(segment_format::FileName(12), "0000000000000012.log");
  EXPECT_EQ(segment_format::OrdinalOf("0000000000000012.log"), 12u);
  for (const char* name : {"LOCK", "12.log", "0000000000000000.log", "000000000000001x.log",
                           "0000000000000012.log.tmp", "00000000000000012.log", ""}) {
    EXPECT_FALSE(segment_format::OrdinalOf(name)) << name;
  }
}

}  // namespace
}  // namespace poise
