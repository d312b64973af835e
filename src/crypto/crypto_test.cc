// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/hmac.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "base/rng.h"
#include "crypto/keyed_hash.h"
#include "crypto/master_key.h"
#include "crypto/random.h"
#include "crypto/seal.h"

namespace poise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string FromHexText(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

template <std::size_t N>
std::string AsText(const std::array<std::uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "poise-crypto-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

TEST(Seal, OpensWhatWasSealedAtEveryLength) {
  const Sealer sealer{SecretBytes(RandomKey())};
  for (std::size_t size = 0; size < 300; ++size) {
    const std::string plain(size, static_cast<char>(size));
    const std::string sealed = sealer.Seal(plain, "place");
    EXPECT_EQ(sealed.size(), size + kSealOverheadBytes);
    auto opened = sealer.Open(sealed, "place");
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    EXPECT_EQ(*opened, plain);
  }
}

TEST(Seal, ReadsTheBytesOfVersionOneForever) {
  // Key 00..1f, nonce 00..0b, associated "user/7", plain "hello": made with another implementation
  // of AES-256-GCM (python-cryptography), the version byte being the first associated byte.
  std::string key;
  for (int i = 0; i < 32; ++i) key.push_back(static_cast<char>(i));
  const std::string sealed = FromHexText(
      "01"
      "000102030405060708090a0b"
      "2f67ba77aafdfa97eb137aa85394b67437abf708b9");
  std::string plain;
  const Status status = OpenTo(plain, key, sealed, "user/7");
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(plain, "hello");
}

TEST(Seal, RefusesEveryChangedBitAndEveryTruncation) {
  const Sealer sealer{SecretBytes(RandomKey())};
  const std::string sealed = sealer.Seal("a person's address", "user/1");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = sealed;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      EXPECT_EQ(sealer.Open(changed, "user/1").status().code(), StatusCode::kDataLoss) << i;
    }
    EXPECT_EQ(sealer.Open(std::string_view(sealed).substr(0, i), "user/1").status().code(),
              StatusCode::kDataLoss);
  }
  EXPECT_EQ(sealer.Open(sealed + "x", "user/1").status().code(), StatusCode::kDataLoss);
}

TEST(Seal, RefusesAnotherKeyAndAnotherPlace) {
  const Sealer sealer{SecretBytes(RandomKey())};
  const Sealer other{SecretBytes(RandomKey())};
  const std::string sealed = sealer.Seal("secret", "user/1");
  EXPECT_EQ(other.Open(sealed, "user/1").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(sealer.Open(sealed, "user/2").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(sealer.Open(sealed, "").status().code(), StatusCode::kDataLoss);
}

TEST(Seal, AppendsAndLeavesTheOutputAloneOnFailure) {
  const std::string key = RandomKey();
  std::string out = "before:";
  ASSERT_TRUE(SealTo(out, key, "plain", "").ok());
  EXPECT_EQ(out.substr(0, 7), "before:");
  std::string opened = "kept:";
  ASSERT_TRUE(OpenTo(opened, key, std::string_view(out).substr(7), "").ok());
  EXPECT_EQ(opened, "kept:plain");
  ASSERT_FALSE(OpenTo(opened, RandomKey(), std::string_view(out).substr(7), "").ok());
  EXPECT_EQ(opened, "kept:plain");
}

TEST(Seal, NamesAKeyOfTheWrongLength) {
  std::string out;
  const Status status = SealTo(out, "short", "plain", "");
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("32 bytes, is 5"));
  EXPECT_EQ(Sealer::Create("short").status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(WrapKey(RandomKey(), "short", "").status().code(), StatusCode::kInvalidArgument);
}

TEST(Seal, NeverRepeatsANonceAcrossThreads) {
  const Sealer sealer{SecretBytes(RandomKey())};
  std::vector<std::vector<std::string>> nonces(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : nonces) {
      threads.emplace_back([&mine, &sealer] {
        for (int i = 0; i < 2000; ++i) mine.push_back(sealer.Seal("", "").substr(1, kNonceBytes));
      });
    }
  }
  std::set<std::string> distinct;
  for (const auto& mine : nonces) distinct.insert(mine.begin(), mine.end());
  EXPECT_EQ(distinct.size(), 8000u);
}

TEST(Seal, AForkedChildDrawsOtherNoncesThanItsParent) {
  std::array<std::uint8_t, 12> warm;
  RandomNonceBytes(warm);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  std::array<std::uint8_t, 12> mine;
  RandomNonceBytes(mine);
  if (child == 0) {
    const ssize_t written = write(ends[1], mine.data(), mine.size());
    _exit(written == 12 ? 0 : 1);
  }
  std::array<std::uint8_t, 12> theirs{};
  EXPECT_EQ(read(ends[0], theirs.data(), theirs.size()), 12);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_NE(mine, theirs);
  close(ends[0]);
  close(ends[1]);
}

TEST(WrapKey, GivesTheKeyBackOnlyInItsPlace) {
  const std::string master = RandomKey();
  const std::string key = RandomKey();
  auto wrapped = WrapKey(master, key, "person/1");
  ASSERT_TRUE(wrapped.ok());
  auto unwrapped = UnwrapKey(master, *wrapped, "person/1");
  ASSERT_TRUE(unwrapped.ok());
  EXPECT_EQ(unwrapped->view(), key);
  EXPECT_EQ(UnwrapKey(master, *wrapped, "person/2").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(UnwrapKey(master, wrapped->substr(1), "person/1").status().code(),
            StatusCode::kDataLoss);
}

TEST(KeyedHash, IsHmacSha256OverDomainAndValue) {
  Rng rng(20'240'611);
  for (const std::size_t key_size : {1u, 32u, 64u, 65u, 131u}) {
    for (const std::size_t size : {0u, 1u, 36u, 63u, 64u, 200u, 4096u}) {
      std::string key(key_size, '\0');
      std::string value(size, '\0');
      for (char& c : key) c = static_cast<char>(rng.Next());
      for (char& c : value) c = static_cast<char>(rng.Next());
      std::string message = std::string(1, '\4') + "user" + value;
      unsigned char expected[32];
      unsigned int expected_size = 0;
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(), expected,
           &expected_size);
      EXPECT_EQ(AsText(KeyedHash(key, "user", value)),
                std::string(reinterpret_cast<char*>(expected), 16));
    }
  }
}

TEST(KeyedHash, SeparatesKeysDomainsAndTheirBoundary) {
  EXPECT_EQ(KeyedHash("k", "user", "1"), KeyedHash("k", "user", "1"));
  EXPECT_NE(KeyedHash("k", "user", "1"), KeyedHash("l", "user", "1"));
  EXPECT_NE(KeyedHash("k", "user", "1"), KeyedHash("k", "session", "1"));
  EXPECT_NE(KeyedHash("k", "user", "1"), KeyedHash("k", "user1", ""));
}

TEST(HashSecret, IsSha256) {
  EXPECT_EQ(AsText(HashSecret("abc")),
            FromHexText("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
}

TEST(ConstantTimeEqual, ComparesLengthAndBytes) {
  EXPECT_TRUE(ConstantTimeEqual("abc", "abc"));
  EXPECT_TRUE(ConstantTimeEqual("", ""));
  EXPECT_FALSE(ConstantTimeEqual("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEqual("abc", "ab"));
}

TEST(SecretBytes, AMovedFromSecretHoldsNothing) {
  SecretBytes secret("0123456789");
  const SecretBytes taken = std::move(secret);
  EXPECT_EQ(taken.view(), "0123456789");
  EXPECT_TRUE(secret.empty());  // NOLINT(bugprone-use-after-move)
}

TEST(WipeMemory, LeavesZeros) {
  std::string bytes = "secret";
  WipeMemory(bytes.data(), bytes.size());
  EXPECT_EQ(bytes, std::string(6, '\0'));
}

TEST(MasterKey, IsCreatedOnceProtectedAndReadBack) {
  const TemporaryFolder folder;
  const std::string path = folder.Path("master.key");
  EXPECT_EQ(MasterKey::Load(path).status().code(), StatusCode::kNotFound);
  auto created = MasterKey::LoadOrCreate(path);
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  struct stat attributes {};
  ASSERT_EQ(stat(path.c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 0777, 0600u);
  auto loaded = MasterKey::LoadOrCreate(path);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->Derive("pseudonym").view(), created->Derive("pseudonym").view());
  std::size_t file_count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.Path(""))) {
    EXPECT_EQ(entry.path().filename(), "master.key");
    ++file_count;
  }
  EXPECT_EQ(file_count, 1u);
}

TEST(MasterKey, OfManyStartersAtOnceAllGetTheSame) {
  const TemporaryFolder folder;
  std::vector<std::string> derived(8);
  {
    std::vector<std::jthread> threads;
    for (std::string& mine : derived) {
      threads.emplace_back([&] {
        auto key = MasterKey::LoadOrCreate(folder.Path("master.key"));
        if (key.ok()) mine = std::string(key->Derive("x").view());
      });
    }
  }
  EXPECT_EQ(derived[0].size(), kKeyBytes);
  for (const std::string& mine : derived) EXPECT_EQ(mine, derived[0]);
}

TEST(MasterKey, IsRefusedWhereOthersCanReadIt) {
  const TemporaryFolder folder;
  const std::string path = folder.Path("master.key");
  ASSERT_TRUE(MasterKey::LoadOrCreate(path).ok());
  for (const mode_t mode : {0640, 0604, 0660, 0620}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const auto loaded = MasterKey::LoadOrCreate(path);
    EXPECT_EQ(loaded.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(loaded.status().message(), HasSubstr("chmod 600"));
  }
}

TEST(MasterKey, IsRefusedWhereTheFileHoldsSomethingElse) {
  const TemporaryFolder folder;
  const std::string path = folder.Path("master.key");
  for (const std::string& text :
       {std::string(), std::string("abc"), std::string(64, 'g'), std::string(65, 'a'),
        std::string(200, 'a'), std::string(63, 'a') + '\n'}) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    EXPECT_EQ(MasterKey::LoadOrCreate(path).status().code(), StatusCode::kDataLoss) << text;
  }
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(MasterKey::LoadOrCreate(path).status().code(), StatusCode::kFailedPrecondition);
}

TEST(MasterKey, FromHexReadsBothCasesAndDoesNotEchoTheText) {
  const std::string hex = "00112233445566778899AABBCCDDEEFFffeeddccbbaa99887766554433221100";
  ASSERT_TRUE(MasterKey::FromHex(hex).ok());
  std::string bad = hex;
  bad[10] = '?';
  const auto refused = MasterKey::FromHex(bad);
  EXPECT_EQ(refused.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.status().message(), HasSubstr("character 10"));
  EXPECT_THAT(refused.status().message(), Not(HasSubstr("AABB")));
}

TEST(MasterKey, DerivesByHkdfSha256AndSeparatesPurposes) {
  const std::string zeros(64, '0');
  auto master = MasterKey::FromHex(zeros);
  ASSERT_TRUE(master.ok());
  // HKDF by hand: extract with a salt of zeros, then one block of expand.
  const auto hmac = [](std::string_view key, std::string_view message) {
    unsigned char digest[32];
    unsigned int size = 0;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(message.data()), message.size(), digest, &size);
    return std::string(reinterpret_cast<char*>(digest), size);
  };
  const std::string extracted = hmac(std::string(32, '\0'), std::string(32, '\0'));
  EXPECT_EQ(master->Derive("pseudonym").view(),
            hmac(extracted, std::string("poise/pseudonym") + '\1'));
  EXPECT_NE(master->Derive("pseudonym").view(), master->Derive("snapshot").view());
}

}  // namespace
}  // namespace poise
