// SPDX-License-Identifier: Apache-2.0
#include "crypto/master_key.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "crypto/random.h"

namespace poise {

namespace {

struct Descriptor {
  int fd = -1;
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

struct FreeKdf {
  void operator()(EVP_KDF* kdf) const { EVP_KDF_free(kdf); }
  void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

Status SystemError(const std::string& path, const char* what) {
  const int error = errno;
  std::string message = "master key " + path + ": " + what + ": " + std::strerror(error);
  if (error == ENOENT) return NotFound(std::move(message));
  if (error == ENOSPC || error == EDQUOT) return ResourceExhausted(std::move(message));
  if (error == EACCES || error == EPERM || error == EROFS) {
    return FailedPrecondition(std::move(message));
  }
  return Unavailable(std::move(message));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string ToHex(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size() + 1);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string DirectoryPart(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes the file under a name of its own and links it to `path`, so that a crash leaves a whole key
// or none, and so that of two processes that start at once one wins and both use its key.
Status CreateKeyFile(const std::string& path) {
  std::array<std::uint8_t, 8> suffix;
  RandomBytes(suffix);
  const std::string temporary =
      path + "." +
      ToHex(std::string_view(reinterpret_cast<const char*>(suffix.data()), suffix.size())) + ".tmp";
  std::string key = RandomKey();
  std::string text = ToHex(key);
  text.push_back('\n');
  const SecretBytes secret(text);
  WipeMemory(key.data(), key.size());
  WipeMemory(text.data(), text.size());

  Status status;
  {
    const Descriptor file(
        open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.fd < 0) return SystemError(temporary, "cannot be created");
    std::string_view rest = secret.view();
    while (status.ok() && !rest.empty()) {
      const ssize_t written = write(file.fd, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        status = SystemError(temporary, "cannot be written");
      } else {
        rest.remove_prefix(static_cast<std::size_t>(written));
      }
    }
    if (status.ok() && fchmod(file.fd, 0600) != 0) {
      status = SystemError(temporary, "cannot be protected");
    }
    if (status.ok() && fsync(file.fd) != 0) status = SystemError(temporary, "cannot be synced");
  }
  if (status.ok() && link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    status = SystemError(path, "cannot be created");
  }
  unlink(temporary.c_str());
  POISE_RETURN_IF_ERROR(status);
  const Descriptor directory(open(DirectoryPart(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.fd < 0 || fsync(directory.fd) != 0) {
    return SystemError(path, "its folder cannot be synced");
  }
  return Status::Ok();
}

}  // namespace

Result<MasterKey> MasterKey::FromHex(std::string_view hex) {
  if (hex.size() != 2 * kKeyBytes) {
    return InvalidArgument("master key: must be 64 hexadecimal digits, is " +
                           std::to_string(hex.size()) + " characters");
  }
  std::array<char, kKeyBytes> key;
  for (std::size_t i = 0; i < kKeyBytes; ++i) {
    const int high = HexDigit(hex[2 * i]);
    const int low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      WipeMemory(key.data(), key.size());
      return InvalidArgument("master key: character " + std::to_string(2 * i + (high < 0 ? 0 : 1)) +
                             " is not a hexadecimal digit");
    }
    key[i] = static_cast<char>(high * 16 + low);
  }
  MasterKey master(SecretBytes(std::string_view(key.data(), key.size())));
  WipeMemory(key.data(), key.size());
  return master;
}

Result<MasterKey> MasterKey::Load(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd < 0) return SystemError(path, "cannot be opened");
  struct stat attributes {};
  if (fstat(file.fd, &attributes) != 0) return SystemError(path, "cannot be read");
  if (!S_ISREG(attributes.st_mode)) {
    return FailedPrecondition("master key " + path + ": is not a plain file");
  }
  if ((attributes.st_mode & 077) != 0) {
    return FailedPrecondition("master key " + path +
                              ": group or others have access to it; say: chmod 600 " + path);
  }
  std::array<char, 2 * kKeyBytes + 3> text{};
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "cannot be read");
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  std::string_view hex(text.data(), size);
  while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\r')) hex.remove_suffix(1);
  auto master = FromHex(hex);
  WipeMemory(text.data(), text.size());
  if (!master.ok()) {
    return DataLoss("master key " + path + ": does not hold a key: " + master.status().message());
  }
  return master;
}

Result<MasterKey> MasterKey::LoadOrCreate(const std::string& path) {
  auto master = Load(path);
  if (master.ok() || master.status().code() != StatusCode::kNotFound) return master;
  POISE_RETURN_IF_ERROR(CreateKeyFile(path));
  return Load(path);
}

SecretBytes MasterKey::Derive(std::string_view purpose) const {
  static const std::unique_ptr<EVP_KDF, FreeKdf> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  POISE_CHECK(kdf != nullptr);
  const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context(EVP_KDF_CTX_new(kdf.get()));
  POISE_CHECK(context != nullptr);
  char digest[] = "SHA256";
  std::string key(key_.view());
  std::string info = "poise/" + std::string(purpose);
  const std::array<OSSL_PARAM, 4> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end()};
  std::array<unsigned char, kKeyBytes> derived;
  POISE_CHECK(EVP_KDF_derive(context.get(), derived.data(), derived.size(), parameters.data()) ==
              1);
  WipeMemory(key.data(), key.size());
  SecretBytes secret(
      std::string_view(reinterpret_cast<const char*>(derived.data()), derived.size()));
  WipeMemory(derived.data(), derived.size());
  return secret;
}

}  // namespace poise
