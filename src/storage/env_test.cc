// SPDX-License-Identifier: Apache-2.0
#include "storage/env.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "storage/fault_env.h"

namespace poise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The contract that every Env keeps: the real one and the one that tests crash.
class EnvTest : public ::testing::TestWithParam<bool> {
 protected:
  EnvTest() {
    if (GetParam()) {
      env_ = std::make_unique<FaultEnv>(1);
      folder_ = "folder";
      if (!env_->MakeDirectories(folder_).ok()) std::abort();
      return;
    }
    std::string pattern = (std::filesystem::temp_directory_path() / "poise-env-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    env_ = std::make_unique<PosixEnv>();
  }
  ~EnvTest() override {
    if (!GetParam()) std::filesystem::remove_all(folder_);
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::unique_ptr<File> Open(const std::string& name, OpenMode mode) {
    auto file = env_->Open(Path(name), mode);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    return file.ok() ? *std::move(file) : nullptr;
  }

  std::unique_ptr<Env> env_;
  std::string folder_;
};

INSTANTIATE_TEST_SUITE_P(RealAndFault, EnvTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Fault" : "Real"; });

TEST_P(EnvTest, WritesPartsOneAfterTheOtherAndReadsShortOnlyAtTheEnd) {
  auto file = Open("a", OpenMode::kCreate);
  std::vector<std::string_view> parts(700, "xy");
  parts.insert(parts.begin() + 3, "");
  ASSERT_TRUE(file->WriteAt(5, parts).ok());
  EXPECT_EQ(*file->Size(), 1405u);
  std::array<char, 10> out;
  EXPECT_EQ(*file->ReadAt(0, out), 10u);
  EXPECT_EQ(std::string(out.data(), 10), std::string(5, '\0') + "xyxyx");
  EXPECT_EQ(*file->ReadAt(1400, out), 5u);
  EXPECT_EQ(*file->ReadAt(1405, out), 0u);
  EXPECT_EQ(*file->ReadAt(9999, out), 0u);
  EXPECT_TRUE(file->Sync().ok());
}

TEST_P(EnvTest, PreallocatedBytesAreZeros) {
  auto file = Open("a", OpenMode::kCreate);
  ASSERT_TRUE(file->WriteAt(0, "abc").ok());
  ASSERT_TRUE(file->Preallocate(100'000).ok());
  EXPECT_EQ(*file->Size(), 100'000u);
  EXPECT_EQ(*ReadFile(*env_, Path("a"), 1 << 20), "abc" + std::string(99'997, '\0'));
  ASSERT_TRUE(file->Truncate(2).ok());
  EXPECT_EQ(*ReadFile(*env_, Path("a"), 1 << 20), "ab");
}

TEST_P(EnvTest, OpenModesMeanWhatTheySay) {
  EXPECT_EQ(env_->Open(Path("a"), OpenMode::kRead).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->Open(Path("a"), OpenMode::kReadWrite).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->Open(Path("no/a"), OpenMode::kCreate).status().code(), StatusCode::kNotFound);
  { ASSERT_TRUE(Open("a", OpenMode::kCreate)->WriteAt(0, "text").ok()); }
  EXPECT_EQ(env_->Open(Path("a"), OpenMode::kCreate).status().code(),
            StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Open("a", OpenMode::kRead)->WriteAt(0, "x").ok());
  EXPECT_EQ(*Open("a", OpenMode::kReadWrite)->Size(), 4u);
  EXPECT_EQ(*Open("a", OpenMode::kCreateAlways)->Size(), 0u);
}

TEST_P(EnvTest, ListsRenamesRemovesAndMaps) {
  for (const char* name : {"b", "a", "c"}) {
    ASSERT_TRUE(WriteFileAtomically(*env_, Path(name), std::string("in ") + name).ok());
  }
  EXPECT_THAT(*env_->List(folder_), ElementsAre("a", "b", "c"));
  ASSERT_TRUE(env_->Rename(Path("a"), Path("b")).ok());
  ASSERT_TRUE(env_->Remove(Path("c")).ok());
  EXPECT_THAT(*env_->List(folder_), ElementsAre("b"));
  EXPECT_EQ((*env_->Map(Path("b")))->bytes(), "in a");
  EXPECT_TRUE(env_->Exists(Path("b")));
  EXPECT_FALSE(env_->Exists(Path("a")));
  EXPECT_EQ(env_->Remove(Path("a")).code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->Rename(Path("a"), Path("z")).code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->Map(Path("a")).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(env_->List(Path("nowhere")).status().code(), StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(*env_, Path("empty"), "").ok());
  EXPECT_EQ((*env_->Map(Path("empty")))->bytes(), "");
}

TEST_P(EnvTest, MakesFoldersAndTheirParentsOnceAndAgain) {
  ASSERT_TRUE(env_->MakeDirectories(Path("x/y/z")).ok());
  ASSERT_TRUE(env_->MakeDirectories(Path("x/y/z")).ok());
  EXPECT_TRUE(env_->SyncDirectory(Path("x/y")).ok());
  ASSERT_TRUE(WriteFileAtomically(*env_, Path("x/y/z/f"), "1").ok());
  EXPECT_GT(*env_->FreeBytes(folder_), 0u);
}

TEST_P(EnvTest, ALockIsHeldByOneAtATime) {
  auto first = env_->Lock(Path("LOCK"));
  ASSERT_TRUE(first.ok());
  const auto second = env_->Lock(Path("LOCK"));
  EXPECT_EQ(second.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.status().message(), HasSubstr("LOCK"));
  first->reset();
  EXPECT_TRUE(env_->Lock(Path("LOCK")).ok());
}

TEST_P(EnvTest, ReadFileRefusesWhatIsTooLong) {
  ASSERT_TRUE(WriteFileAtomically(*env_, Path("a"), "12345").ok());
  EXPECT_EQ(*ReadFile(*env_, Path("a"), 5), "12345");
  EXPECT_EQ(ReadFile(*env_, Path("a"), 4).status().code(), StatusCode::kInvalidArgument);
}

TEST(FaultEnv, ACrashKeepsWhatWasSyncedAndMayLoseTheRest) {
  int kept = 0;
  int lost = 0;
  int torn = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    FaultEnv env(seed);
    ASSERT_TRUE(WriteFileAtomically(env, "a", std::string(2000, 's')).ok());
    auto file = env.Open("a", OpenMode::kReadWrite);
    ASSERT_TRUE((*file)->WriteAt(2000, std::string(2000, 'u')).ok());
    env.Crash();
    EXPECT_EQ((*file)->Sync().code(), StatusCode::kUnavailable);
    const std::string bytes = *ReadFile(env, "a", 1 << 20);
    EXPECT_EQ(bytes.substr(0, 2000), std::string(2000, 's'));
    const std::string rest = bytes.substr(2000);
    if (rest == std::string(2000, 'u')) {
      ++kept;
    } else if (rest.empty()) {
      ++lost;
    } else {
      ++torn;
    }
  }
  EXPECT_GT(kept, 20);
  EXPECT_GT(lost, 20);
  EXPECT_GT(torn, 20);
}

TEST(FaultEnv, ANameMayBeLostUntilItsFolderIsSynced) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    FaultEnv env(seed);
    { ASSERT_TRUE((*env.Open("a", OpenMode::kCreate))->Sync().ok()); }
    env.Crash();
    lost += env.Exists("a") ? 0 : 1;
  }
  EXPECT_GT(lost, 10);
  EXPECT_LT(lost, 90);
}

TEST(FaultEnv, WhatAFailedSyncCoveredMayBeLostThoughALaterSyncSucceeds) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    FaultEnv env(seed);
    ASSERT_TRUE(WriteFileAtomically(env, "a", "").ok());
    auto file = env.Open("a", OpenMode::kReadWrite);
    ASSERT_TRUE((*file)->WriteAt(0, "x").ok());
    env.Inject(FaultEnv::Fault::kSyncFails, 0);
    EXPECT_FALSE((*file)->Sync().ok());
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_EQ(*ReadFile(env, "a", 10), "x");
    env.Crash();
    lost += *ReadFile(env, "a", 10) == "x" ? 0 : 1;
  }
  EXPECT_GT(lost, 10);
}

TEST(FaultEnv, ACapacityFillsUpAndAWriteOverItIsShort) {
  FaultEnv env(1);
  env.SetCapacity(10);
  auto file = env.Open("a", OpenMode::kCreate);
  EXPECT_EQ((*file)->WriteAt(0, "0123456789ab").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(*ReadFile(env, "a", 100), "0123456789");
  EXPECT_EQ(*env.FreeBytes("a"), 0u);
  EXPECT_TRUE((*file)->WriteAt(0, "xxxx").ok());
}

}  // namespace
}  // namespace poise
