// SPDX-License-Identifier: Apache-2.0
#include "iteration/publication.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "crypto/random.h"
#include "iteration/training.h"
#include "storage/env.h"
#include "storage/table.h"

namespace poise {
namespace {

class PublicationTest : public testing::Test {
 protected:
  PublicationTest() {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    auto tables =
        Tables::Open(directory_ + "/tables.sqlite", {std::string(PublicationStore::kTable)});
    EXPECT_TRUE(tables.ok()) << tables.status().message();
    tables_ = *std::move(tables);
  }
  ~PublicationTest() override {
    tables_.reset();
    std::filesystem::remove_all(directory_);
  }

  PublicationStore Store(std::size_t kept_versions = 2) {
    return {env_, *tables_, directory_ + "/models", key_, kept_versions};
  }

  // Three users; item 1 is what two of them wanted.
  static TrainingView View() {
    TrainingViewBuilder builder;
    builder.Add(UserRow{0}, {ItemRow{1}, 10, 1, EventType::kClick});
    builder.Add(UserRow{1}, {ItemRow{1}, 20, 1, EventType::kPurchase});
    builder.Add(UserRow{1}, {ItemRow{0}, 30, 1, EventType::kView});
    return builder.Build(Timestamp::FromSeconds(100), 3, 2);
  }

  Publication Train() {
    ThreadPool pool(1);
    const ModelSpecification specifications[] = {{"popularity", {}}};
    auto trained = TrainPublication(specifications, View(), {.pool = pool, .weights = {}}, clock_);
    EXPECT_TRUE(trained.ok()) << trained.status().message();
    return *std::move(trained);
  }

  const std::string directory_ = testing::TempDir() + "publication_" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name() +
                                 "_" + std::to_string(getpid());
  ManualClock clock_;
  PosixEnv env_;
  SecretBytes key_{RandomKey()};
  std::unique_ptr<Tables> tables_;
};

TEST_F(PublicationTest, WhatWasPublishedIsLoadedByAnotherStore) {
  Publication published = Train();
  ASSERT_TRUE(Store().Publish(published).ok());
  EXPECT_EQ(published.version, 1U);

  const auto loaded = Store().Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ((*loaded)->version, 1U);
  EXPECT_EQ((*loaded)->interaction_count, 3U);
  EXPECT_EQ((*loaded)->trained_event_counts, (std::vector<std::uint32_t>{1, 2, 0}));
  const InterestModel* model = (*loaded)->Find("popularity");
  ASSERT_NE(model, nullptr);
  std::vector<float> scores(2);
  ASSERT_TRUE(model->ScoreAll({}, scores).ok());
  EXPECT_GT(scores[1], scores[0]);
}

TEST_F(PublicationTest, NothingPublishedIsNotFound) {
  EXPECT_EQ(Store().Load().status().code(), StatusCode::kNotFound);
  EXPECT_EQ(Store().RollBack().status().code(), StatusCode::kNotFound);
}

TEST_F(PublicationTest, RollsBackToTheVersionBeforeAndNoFurtherThanIsKept) {
  for (int i = 0; i < 3; ++i) {
    Publication publication = Train();
    ASSERT_TRUE(Store(/*kept_versions=*/2).Publish(publication).ok());
  }
  const auto back = Store().RollBack();
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ((*back)->version, 2U);
  EXPECT_EQ((*Store().Load())->version, 2U);
  EXPECT_EQ(Store().RollBack().status().code(), StatusCode::kFailedPrecondition);

  Publication next = Train();
  ASSERT_TRUE(Store().Publish(next).ok());
  EXPECT_EQ(next.version, 4U) << "a version is never used twice";
  EXPECT_EQ((*Store().Load())->version, 4U);
}

TEST_F(PublicationTest, AfterAPersonIsForgottenNoOlderPublicationStays) {
  for (int i = 0; i < 2; ++i) {
    Publication publication = Train();
    ASSERT_TRUE(Store().Publish(publication).ok());
    if (i == 0) {
      ASSERT_TRUE(Store().ForgetOlder().ok());
    }
  }
  EXPECT_EQ(Store().RollBack().status().code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/models/00000001-popularity.snapshot"));
}

TEST_F(PublicationTest, ADamagedModelFallsBackToTheVersionBefore) {
  for (int i = 0; i < 2; ++i) {
    Publication publication = Train();
    ASSERT_TRUE(Store().Publish(publication).ok());
  }
  std::filesystem::resize_file(directory_ + "/models/00000002-popularity.snapshot", 20);
  const auto loaded = Store().Load();
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ((*loaded)->version, 1U);
}

TEST_F(PublicationTest, AnUnknownModelListsTheKnownOnesAndPublishesNothing) {
  ThreadPool pool(1);
  const ModelSpecification specifications[] = {{"popularity", {}}, {"oracle", {}}};
  const auto trained =
      TrainPublication(specifications, View(), {.pool = pool, .weights = {}}, clock_);
  EXPECT_EQ(trained.status().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(trained.status().message().find("popularity"), std::string::npos);
}

}  // namespace
}  // namespace poise
