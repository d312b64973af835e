// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "storage/env.h"

namespace poise {

namespace {

Status SystemError(const std::string& path, const char* what, int error = errno) {
  std::string message = path + ": " + what + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
      return NotFound(std::move(message));
    case EEXIST:
      return FailedPrecondition(std::move(message));
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return ResourceExhausted(std::move(message));
    default:
      return Unavailable(std::move(message));
  }
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : descriptor_(fd), path_(std::move(path)) {}

  Status WriteAt(std::uint64_t offset, std::span<const std::string_view> parts) override {
    constexpr std::size_t kPartsAtOnce = 256;
    std::array<iovec, kPartsAtOnce> vectors;
    while (!parts.empty()) {
      const std::size_t count = std::min(parts.size(), kPartsAtOnce);
      for (std::size_t i = 0; i < count; ++i) {
        vectors[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
      }
      POISE_RETURN_IF_ERROR(WriteVectors(offset, std::span(vectors).first(count)));
      for (std::size_t i = 0; i < count; ++i) offset += parts[i].size();
      parts = parts.subspan(count);
    }
    return Status::Ok();
  }

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<char> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = pread(descriptor_.get(), out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return SystemError(path_, "cannot be read");
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Status Preallocate(std::uint64_t size) override {
    int error = 0;
    do {
      error = fallocate(descriptor_.get(), 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == 0) return Status::Ok();
    if (error != EOPNOTSUPP && error != ENOSYS) {
      return SystemError(path_, "cannot be given space", error);
    }
    POISE_ASSIGN_OR_RETURN(std::uint64_t at, Size());
    const std::string zeros(1 << 20, '\0');
    while (at < size) {
      const std::size_t step = std::min<std::uint64_t>(zeros.size(), size - at);
      POISE_RETURN_IF_ERROR(File::WriteAt(at, std::string_view(zeros).substr(0, step)));
      at += step;
    }
    return Status::Ok();
  }

  Status Truncate(std::uint64_t size) override {
    if (ftruncate(descriptor_.get(), static_cast<off_t>(size)) != 0) {
      return SystemError(path_, "cannot be truncated");
    }
    return Status::Ok();
  }

  Status Sync() override {
    if (fdatasync(descriptor_.get()) != 0) return SystemError(path_, "cannot be synced");
    return Status::Ok();
  }

  Result<std::uint64_t> Size() const override {
    struct stat attributes {};
    if (fstat(descriptor_.get(), &attributes) != 0) return SystemError(path_, "has no size");
    return static_cast<std::uint64_t>(attributes.st_size);
  }

 private:
  Status WriteVectors(std::uint64_t offset, std::span<iovec> vectors) {
    while (!vectors.empty()) {
      const ssize_t written = pwritev(descriptor_.get(), vectors.data(),
                                      static_cast<int>(vectors.size()), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return SystemError(path_, "cannot be written");
      offset += static_cast<std::uint64_t>(written);
      auto rest = static_cast<std::size_t>(written);
      while (!vectors.empty() && rest >= vectors.front().iov_len) {
        rest -= vectors.front().iov_len;
        vectors = vectors.subspan(1);
      }
      if (vectors.empty()) break;
      if (written == 0) return SystemError(path_, "cannot be written", EIO);
      vectors.front().iov_base = static_cast<char*>(vectors.front().iov_base) + rest;
      vectors.front().iov_len -= rest;
    }
    return Status::Ok();
  }

  Descriptor descriptor_;
  std::string path_;
};

class PosixMappedFile final : public MappedFile {
 public:
  PosixMappedFile(void* address, std::size_t size) : address_(address), size_(size) {}
  ~PosixMappedFile() override {
    if (size_ > 0) munmap(address_, size_);
  }
  std::string_view bytes() const override { return {static_cast<const char*>(address_), size_}; }

 private:
  void* address_;
  std::size_t size_;
};

class PosixFileLock final : public FileLock {
 public:
  explicit PosixFileLock(int fd) : descriptor_(fd) {}

 private:
  Descriptor descriptor_;
};

int Flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR;
    case OpenMode::kCreate:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::kCreateAlways:
      return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> PosixEnv::Open(const std::string& path, OpenMode mode) {
  const int fd = open(path.c_str(), Flags(mode) | O_CLOEXEC, 0600);
  if (fd < 0) return SystemError(path, "cannot be opened");
  return std::unique_ptr<File>(std::make_unique<PosixFile>(fd, path));
}

Result<std::unique_ptr<MappedFile>> PosixEnv::Map(const std::string& path) {
  const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) return SystemError(path, "cannot be opened");
  struct stat attributes {};
  if (fstat(descriptor.get(), &attributes) != 0) return SystemError(path, "has no size");
  const auto size = static_cast<std::size_t>(attributes.st_size);
  void* address = nullptr;
  if (size > 0) {
    address = mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.get(), 0);
    if (address == MAP_FAILED) return SystemError(path, "cannot be mapped");
  }
  return std::unique_ptr<MappedFile>(std::make_unique<PosixMappedFile>(address, size));
}

Status PosixEnv::Rename(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return SystemError(from, "cannot be renamed");
  return Status::Ok();
}

Status PosixEnv::Remove(const std::string& path) {
  if (unlink(path.c_str()) != 0) return SystemError(path, "cannot be removed");
  return Status::Ok();
}

Result<std::vector<std::string>> PosixEnv::List(const std::string& directory) {
  DIR* handle = opendir(directory.c_str());
  if (handle == nullptr) return SystemError(directory, "cannot be listed");
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(handle)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  closedir(handle);
  if (error != 0) return SystemError(directory, "cannot be listed", error);
  std::sort(names.begin(), names.end());
  return names;
}

bool PosixEnv::Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Status PosixEnv::MakeDirectories(const std::string& directory) {
  if (directory.empty() || directory == "." || directory == "/") return Status::Ok();
  struct stat attributes {};
  if (stat(directory.c_str(), &attributes) == 0) {
    if (S_ISDIR(attributes.st_mode)) return Status::Ok();
    return SystemError(directory, "is not a folder", ENOTDIR);
  }
  const std::string parent = DirectoryOf(directory);
  if (parent != directory) POISE_RETURN_IF_ERROR(MakeDirectories(parent));
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(directory, "cannot be created");
  }
  return SyncDirectory(parent);
}

Status PosixEnv::SyncDirectory(const std::string& directory) {
  const Descriptor descriptor(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() < 0) return SystemError(directory, "cannot be opened");
  if (fsync(descriptor.get()) != 0) return SystemError(directory, "cannot be synced");
  return Status::Ok();
}

Result<std::unique_ptr<FileLock>> PosixEnv::Lock(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return SystemError(path, "cannot be opened");
  auto lock = std::make_unique<PosixFileLock>(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return FailedPrecondition(path + ": is held by another process or store");
    }
    return SystemError(path, "cannot be locked");
  }
  return std::unique_ptr<FileLock>(std::move(lock));
}

Result<std::uint64_t> PosixEnv::FreeBytes(const std::string& path) {
  struct statvfs attributes {};
  if (statvfs(path.c_str(), &attributes) != 0) return SystemError(path, "has no file system");
  return static_cast<std::uint64_t>(attributes.f_bavail) * attributes.f_frsize;
}

}  // namespace poise
