// SPDX-License-Identifier: Apache-2.0
#include "storage/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "base/rng.h"
#include "crypto/random.h"

namespace poise {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class TablesTest : public ::testing::Test {
 protected:
  TablesTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "poise-table-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    folder_ = pattern;
    Reopen();
  }
  ~TablesTest() override {
    tables_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Reopen(std::vector<std::string> names = {"items", "keys"}) {
    tables_.reset();
    auto opened = Tables::Open(path(), std::move(names));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    tables_ = *std::move(opened);
  }
  std::string path() const { return folder_ + "/poise.db"; }

  std::optional<std::string> Get(std::string_view table, std::string_view key) {
    auto value = tables_->Get(table, key);
    EXPECT_TRUE(value.ok()) << value.status().ToString();
    return value.ok() ? *value : std::nullopt;
  }

  // How often the bytes occur in the files as they lie on disk.
  int CountOnDisk(const std::string& bytes) const {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(file)), {});
      for (std::size_t at = content.find(bytes); at != std::string::npos;
           at = content.find(bytes, at + 1)) {
        ++count;
      }
    }
    return count;
  }

  std::string folder_;
  std::unique_ptr<Tables> tables_;
};

TEST_F(TablesTest, GivesBackWhatWasPutAlsoAfterReopening) {
  ASSERT_TRUE(tables_->Put("items", "a", "1").ok());
  ASSERT_TRUE(tables_->Put("items", "b", "").ok());
  ASSERT_TRUE(tables_->Put("items", "a", "2").ok());
  const std::string binary("\0\xff\x80", 3);
  ASSERT_TRUE(tables_->Put("keys", binary, binary).ok());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Get("items", "a"), "2");
    EXPECT_EQ(Get("items", "b"), "");
    EXPECT_EQ(Get("items", "c"), std::nullopt);
    EXPECT_EQ(Get("keys", "a"), std::nullopt);
    EXPECT_EQ(Get("keys", binary), binary);
    EXPECT_EQ(*tables_->Count("items"), 2u);
    Reopen();
  }
  ASSERT_TRUE(tables_->Delete("items", "a").ok());
  ASSERT_TRUE(tables_->Delete("items", "never there").ok());
  EXPECT_EQ(Get("items", "a"), std::nullopt);
}

TEST_F(TablesTest, AgreesWithAMapUnderRandomChanges) {
  constexpr std::uint64_t kSeed = 9;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::map<std::string, std::string> twin;
  for (int round = 0; round < 40; ++round) {
    std::vector<TableChange> changes;
    for (std::uint64_t n = rng.Below(30); n > 0; --n) {
      std::string key(1 + rng.Below(3), '\0');
      for (char& c : key) c = static_cast<char>(rng.Below(4) * 85);
      if (rng.Below(3) == 0) {
        changes.push_back({"items", key, std::nullopt});
        twin.erase(key);
      } else {
        const std::string value(rng.Below(6000), static_cast<char>(rng.Next()));
        changes.push_back({"items", key, value});
        twin[key] = value;
      }
    }
    ASSERT_TRUE(tables_->Apply(changes).ok());
    if (round % 10 == 3) {
      ASSERT_TRUE(tables_->Checkpoint().ok());
    }
    if (round % 10 == 7) Reopen();
  }
  EXPECT_EQ(*tables_->Count("items"), twin.size());
  std::vector<TableRow> paged;
  std::string start;
  while (true) {
    auto page = tables_->Scan("items", start, 5);
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    EXPECT_LE(page->size(), 5u);
    paged.insert(paged.end(), page->begin(), page->end());
    start = page->back().key + '\0';
  }
  ASSERT_EQ(paged.size(), twin.size());
  auto expected = twin.begin();
  for (const TableRow& row : paged) {
    EXPECT_EQ(row.key, expected->first);
    EXPECT_EQ(row.value, expected->second);
    ++expected;
  }
}

TEST_F(TablesTest, AScanStaysBelowItsEnd) {
  for (const char* key : {"user/1", "user/2", "user0"}) {
    ASSERT_TRUE(tables_->Put("items", key, "x").ok());
  }
  auto rows = tables_->Scan("items", "user/", 100, "user0");
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->size(), 2u);
  EXPECT_THAT(*tables_->Scan("items", "v", 100), IsEmpty());
  EXPECT_THAT(*tables_->Scan("items", "", 0), IsEmpty());
}

TEST_F(TablesTest, ATransactionIsAppliedWholeOrNotAtAll) {
  const std::vector<TableChange> changes = {
      {"items", "a", "1"}, {"keys", "a", "2"}, {"elsewhere", "a", "3"}};
  const Status refused = tables_->Apply(changes);
  EXPECT_EQ(refused.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("'elsewhere' is unknown; known are: items, keys"));
  EXPECT_EQ(Get("items", "a"), std::nullopt);
  ASSERT_TRUE(tables_->Apply(std::span(changes).first(2)).ok());
  EXPECT_EQ(Get("items", "a"), "1");
  EXPECT_EQ(Get("keys", "a"), "2");
  EXPECT_TRUE(tables_->Apply({}).ok());
}

TEST_F(TablesTest, RefusesBadNamesAndKeys) {
  for (const char* name : {"", "Items", "a b", "1a", "a;drop", "_a"}) {
    EXPECT_EQ(Tables::Open(folder_ + "/other.db", {name}).status().code(),
              StatusCode::kInvalidArgument)
        << name;
  }
  EXPECT_EQ(tables_->Put("items", "", "x").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(tables_->Put("items", std::string(Tables::kMaxKeyBytes + 1, 'k'), "x").code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(tables_->Put("items", std::string(Tables::kMaxKeyBytes, 'k'), "x").ok());
  EXPECT_EQ(tables_->Get("nowhere", "x").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(tables_->Count("nowhere").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(TablesTest, LaterOpeningsMayAddTables) {
  ASSERT_TRUE(tables_->Put("items", "a", "1").ok());
  Reopen({"items", "added"});
  ASSERT_TRUE(tables_->Put("added", "b", "2").ok());
  EXPECT_EQ(Get("items", "a"), "1");
}

TEST_F(TablesTest, RefusesADamagedFile) {
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(tables_->Put("items", std::to_string(i), std::string(500, 'x')).ok());
  }
  ASSERT_TRUE(tables_->ErasePhysically().ok());
  tables_.reset();
  {
    std::fstream file(path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(0);
    file << "this is no database";
  }
  EXPECT_EQ(Tables::Open(path(), {"items"}).status().code(), StatusCode::kDataLoss);
}

TEST_F(TablesTest, ConcurrentWritersAndReadersSeeWholeTransactions) {
  std::atomic<bool> is_over = false;
  {
    std::vector<std::jthread> readers;
    for (int r = 0; r < 2; ++r) {
      readers.emplace_back([&] {
        while (!is_over) {
          auto rows = tables_->Scan("items", "", 100);
          ASSERT_TRUE(rows.ok()) << rows.status().ToString();
          // Each writer puts its two rows together.
          EXPECT_EQ(rows->size() % 2, 0u);
          for (std::size_t i = 0; i + 1 < rows->size(); i += 2) {
            EXPECT_EQ((*rows)[i].value, (*rows)[i + 1].value);
          }
        }
      });
    }
    {
      std::vector<std::jthread> writers;
      for (int w = 0; w < 4; ++w) {
        writers.emplace_back([&, w] {
          for (int i = 0; i < 50; ++i) {
            const std::string value = std::to_string(i);
            const std::vector<TableChange> changes = {{"items", std::to_string(w) + "a", value},
                                                      {"items", std::to_string(w) + "b", value}};
            ASSERT_TRUE(tables_->Apply(changes).ok());
            EXPECT_EQ(*tables_->Get("items", std::to_string(w) + "a"), value);
          }
        });
      }
      writers.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          ASSERT_TRUE(tables_->Checkpoint().ok());
          if (i % 5 == 0) {
            ASSERT_TRUE(tables_->ErasePhysically().ok());
          }
        }
      });
    }
    is_over = true;
  }
  EXPECT_EQ(*tables_->Count("items"), 8u);
}

TEST_F(TablesTest, ErasedValuesAreInNoFile) {
  constexpr std::uint64_t kSeed = 12;
  SCOPED_TRACE(kSeed);
  Rng rng(kSeed);
  std::map<std::string, std::string> secrets;
  for (int i = 0; i < 600; ++i) {
    const std::string key = "person/" + std::to_string(rng.Next());
    secrets[key] = RandomKey();
    ASSERT_TRUE(tables_->Put("keys", key, secrets[key]).ok());
    if (i % 150 == 149) {
      ASSERT_TRUE(tables_->Checkpoint().ok());
    }
  }
  // Rewriting some and deleting half makes pages split, merge and move.
  std::vector<std::string> gone;
  for (auto& [key, secret] : secrets) {
    const std::uint64_t choice = rng.Below(4);
    if (choice == 0) {
      gone.push_back(secret);
      secret = RandomKey();
      ASSERT_TRUE(tables_->Put("keys", key, secret).ok());
    } else if (choice < 3) {
      gone.push_back(secret);
      secret.clear();
      ASSERT_TRUE(tables_->Delete("keys", key).ok());
    }
  }
  EXPECT_GT(CountOnDisk(gone[0]) + CountOnDisk(gone[1]) + CountOnDisk(gone[2]), 0);
  ASSERT_TRUE(tables_->ErasePhysically().ok());
  for (const std::string& secret : gone) EXPECT_EQ(CountOnDisk(secret), 0);
  for (const auto& [key, secret] : secrets) {
    if (!secret.empty()) {
      EXPECT_EQ(Get("keys", key), secret);
    }
  }
}

TEST_F(TablesTest, CheckpointEmptiesTheChangeLogInTheEnd) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(tables_->Put("items", std::to_string(i), std::string(4000, 'x')).ok());
  }
  EXPECT_GT(tables_->change_log_bytes(), 50u * 4000u);
  ASSERT_TRUE(tables_->Checkpoint().ok());
  const std::uint64_t size = tables_->change_log_bytes();
  // Moved changes are overwritten from the start, so the log grows no further.
  ASSERT_TRUE(tables_->Put("items", "again", std::string(4000, 'x')).ok());
  EXPECT_EQ(tables_->change_log_bytes(), size);
  ASSERT_TRUE(tables_->ErasePhysically().ok());
  EXPECT_EQ(tables_->change_log_bytes(), 0u);
}

}  // namespace
}  // namespace poise
