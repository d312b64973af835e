// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/rng.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "storage/crc32c.h"
#include "storage/fault_env.h"

namespace poise {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kPath[] = "model.snapshot";

std::vector<float> Numbers(std::size_t count) {
  std::vector<float> numbers(count);
  for (std::size_t i = 0; i < count; ++i) numbers[i] = static_cast<float>(i) * 0.5f;
  return numbers;
}

Status Write(Env& env, std::string_view key = {}, std::size_t count = 1000) {
  SnapshotWriter writer;
  writer.AddSection("names", "alpha beta");
  writer.AddArray("factors", Numbers(count));
  writer.AddSection("empty", "");
  return writer.WriteTo(env, kPath, "model:test", 3, key);
}

class SnapshotTest : public ::testing::TestWithParam<bool> {
 protected:
  std::string key() const { return GetParam() ? std::string(32, 'k') : std::string(); }
};

INSTANTIATE_TEST_SUITE_P(PlainAndSealed, SnapshotTest, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Sealed" : "Plain"; });

TEST_P(SnapshotTest, GivesBackItsSectionsAlsoAfterACrash) {
  FaultEnv env(1);
  // More than two chunks of a sealed section, and not a whole number of them.
  ASSERT_TRUE(Write(env, key(), 700'000).ok());
  env.Crash();
  auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ((*reader)->kind_version(), 3u);
  EXPECT_THAT((*reader)->SectionNames(), ElementsAre("names", "factors", "empty"));
  EXPECT_EQ(*(*reader)->Section("names"), "alpha beta");
  EXPECT_EQ(*(*reader)->Section("empty"), "");
  auto factors = (*reader)->Array<float>("factors", 700'000);
  ASSERT_TRUE(factors.ok()) << factors.status().ToString();
  const auto expected = Numbers(700'000);
  EXPECT_TRUE(std::equal(factors->begin(), factors->end(), expected.begin(), expected.end()));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(factors->data()) % 64, 0u);
  EXPECT_TRUE((*reader)->Verify().ok());
}

TEST_P(SnapshotTest, NamesTheSectionThatIsAbsentOrOfAnotherSize) {
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key()).ok());
  auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
  ASSERT_TRUE(reader.ok());
  const auto absent = (*reader)->Section("biases");
  EXPECT_EQ(absent.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(absent.status().message(), HasSubstr("'biases'"));
  EXPECT_THAT(absent.status().message(), HasSubstr("names, factors, empty"));
  const auto wrong_count = (*reader)->Array<float>("factors", 999);
  EXPECT_EQ(wrong_count.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(wrong_count.status().message(), HasSubstr(kPath));
  EXPECT_EQ((*reader)->Array<double>("names").status().code(), StatusCode::kInvalidArgument);
}

TEST_P(SnapshotTest, RefusesAnotherKindAndSaysWhatItHolds) {
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key()).ok());
  const auto other = SnapshotReader::Open(env, kPath, "live-state", key());
  EXPECT_EQ(other.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(other.status().message(), HasSubstr("'model:test'"));
  EXPECT_EQ(SnapshotReader::Open(env, "absent", "model:test", key()).status().code(),
            StatusCode::kNotFound);
}

TEST_P(SnapshotTest, RefusesEveryTruncation) {
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key(), 100).ok());
  const std::string bytes = *ReadFile(env, kPath, 1 << 20);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    auto file = env.Open(kPath, OpenMode::kCreateAlways);
    ASSERT_TRUE((*file)->WriteAt(0, std::string_view(bytes).substr(0, size)).ok());
    const auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
    EXPECT_EQ(reader.status().code(), StatusCode::kDataLoss) << size;
  }
}

TEST_P(SnapshotTest, NoticesEveryFlippedBitThatMatters) {
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key(), 60).ok());
  const std::string bytes = *ReadFile(env, kPath, 1 << 20);
  std::size_t unnoticed = 0;
  for (std::size_t offset = 0; offset < bytes.size(); ++offset) {
    ASSERT_TRUE(env.FlipBit(kPath, offset, static_cast<int>(offset % 8)).ok());
    auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
    const Status status = reader.ok() ? (*reader)->Verify() : reader.status();
    if (status.ok()) ++unnoticed;
    EXPECT_THAT(status.code(), AnyOf(StatusCode::kOk, StatusCode::kDataLoss)) << status.ToString();
    ASSERT_TRUE(env.FlipBit(kPath, offset, static_cast<int>(offset % 8)).ok());
  }
  // Only the gaps between sections may change unnoticed: three of less than 64 bytes.
  EXPECT_LT(unnoticed, 3u * 64u);
}

TEST_P(SnapshotTest, ACrashOrAFailureWhileWritingLeavesTheOldOneWhole) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    FaultEnv env(seed);
    Rng rng(seed);
    ASSERT_TRUE(Write(env, key(), 10).ok());
    env.DieAfter(rng.Below(9));
    const Status second = Write(env, key(), 20);
    env.Crash();
    auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
    ASSERT_TRUE(reader.ok()) << reader.status().ToString();
    ASSERT_TRUE((*reader)->Verify().ok());
    const std::size_t size = (*reader)->Section("factors")->size();
    EXPECT_TRUE(size == 80 || (size == 40 && !second.ok())) << size;
  }
}

TEST_P(SnapshotTest, AFullDiskLeavesNothingOfTheNewFile) {
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key(), 10).ok());
  env.SetCapacity(2000);
  EXPECT_EQ(Write(env, key(), 1000).code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(*env.List("."), ElementsAre(kPath));
  EXPECT_TRUE(SnapshotReader::Open(env, kPath, "model:test", key()).ok());
}

TEST_P(SnapshotTest, SurvivesGarbage) {
  constexpr std::uint64_t kSeed = 4711;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  FaultEnv env(1);
  ASSERT_TRUE(Write(env, key(), 30).ok());
  const std::string good = *ReadFile(env, kPath, 1 << 20);
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good;
    for (std::uint64_t n = rng.Below(20); n > 0; --n) {
      bytes[rng.Below(bytes.size())] = static_cast<char>(rng.Next());
    }
    // Checksums made right again let the garbage through to what lies behind them.
    const std::uint64_t directory = [&] {
      std::uint64_t offset;
      std::memcpy(&offset, bytes.data() + 16, 8);
      return offset;
    }();
    if (directory <= bytes.size()) {
      const std::uint32_t crc = Crc32c(std::string_view(bytes).substr(directory));
      std::memcpy(bytes.data() + 56, &crc, 4);
    }
    const std::uint32_t header_crc = Crc32c(std::string_view(bytes).substr(0, 60));
    std::memcpy(bytes.data() + 60, &header_crc, 4);
    auto file = env.Open(kPath, OpenMode::kCreateAlways);
    ASSERT_TRUE((*file)->WriteAt(0, bytes).ok());
    auto reader = SnapshotReader::Open(env, kPath, "model:test", key());
    if (!reader.ok()) continue;
    for (const std::string& name : (*reader)->SectionNames()) {
      auto section = (*reader)->Section(name);
      EXPECT_TRUE(!section.ok() || section->size() <= bytes.size());
    }
    static_cast<void>((*reader)->Verify());
  }
}

TEST(SealedSnapshot, OpensOnlyWithItsKeyAndShowsNothing) {
  FaultEnv env(1);
  const std::string key = RandomKey();
  ASSERT_TRUE(Write(env, key).ok());
  const auto no_key = SnapshotReader::Open(env, kPath, "model:test");
  EXPECT_EQ(no_key.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(no_key.status().message(), HasSubstr("no key"));
  const auto wrong_key = SnapshotReader::Open(env, kPath, "model:test", RandomKey());
  EXPECT_EQ(wrong_key.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(wrong_key.status().message(), HasSubstr("this key"));
  EXPECT_EQ(SnapshotReader::Open(env, kPath, "model:test", "short").status().code(),
            StatusCode::kInvalidArgument);
  const std::string bytes = *ReadFile(env, kPath, 1 << 20);
  for (const char* plain : {"alpha", "names", "factors", "model:test"}) {
    EXPECT_THAT(bytes, Not(HasSubstr(plain)));
  }
  ASSERT_TRUE(Write(env).ok());
  EXPECT_EQ(SnapshotReader::Open(env, kPath, "model:test", key).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(Snapshot, WithoutSectionsIsASnapshotToo) {
  FaultEnv env(1);
  ASSERT_TRUE(SnapshotWriter().WriteTo(env, kPath, "nothing", 1).ok());
  auto reader = SnapshotReader::Open(env, kPath, "nothing");
  ASSERT_TRUE(reader.ok());
  EXPECT_THAT((*reader)->SectionNames(), IsEmpty());
}

TEST(Snapshot, BytesOfVersionOneStayReadableForever) {
  const auto bytes_of = [](std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
  };
  FaultEnv env(1);
  {
    auto file = env.Open(kPath, OpenMode::kCreate);
    ASSERT_TRUE((*file)
                    ->WriteAt(0, bytes_of("504f495345534e500100000000000000800000000000000025000000"
                                          "00000000a500000000000000"
                                          "000102030405060708090a0b0c0d0e0fe8f3927e6f66842a73656374"
                                          "696f6e000000000000000000"
                                          "00000000000000000000000000000000000000000000000000000000"
                                          "000000000000000000000000"
                                          "0000000000000000016b070000000101734000000000000000070000"
                                          "000000000007000000000000"
                                          "003b00dc95"))
                    .ok());
  }
  auto reader = SnapshotReader::Open(env, kPath, "k");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ((*reader)->kind_version(), 7u);
  EXPECT_EQ(*(*reader)->Section("s"), "section");
  EXPECT_TRUE((*reader)->Verify().ok());
}

TEST(Snapshot, SealedBytesOfVersionOneStayReadableForever) {
  const auto bytes_of = [](std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
      bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
    }
    return bytes;
  };
  FaultEnv env(1);
  {
    auto file = env.Open(kPath, OpenMode::kCreate);
    ASSERT_TRUE(
        (*file)
            ->WriteAt(
                0, bytes_of("504f495345534e50010000000100000080000000000000004200000000000000c20000"
                            "0000000000"
                            "000102030405060708090a0b0c0d0e0f5261a17ee6095d9a0105050505050505050505"
                            "0505c8e27c"
                            "94e790007f7ae2a3c37b2af2b452a382cb1e8480000000000000000000000000000000"
                            "0000000000"
                            "000000000000000001060606060606060606060606e2ee722987a92a5717f23b099384"
                            "69f77c9e32"
                            "5b2cf04a329bea79b9c1f1b3984f21c28792d661b419745d22cffa7105e60f092d70"))
            .ok());
  }
  auto reader = SnapshotReader::Open(env, kPath, "k", std::string(32, 'K'));
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ(*(*reader)->Section("s"), "section");
  EXPECT_TRUE((*reader)->Verify().ok());
}

}  // namespace
}  // namespace poise
