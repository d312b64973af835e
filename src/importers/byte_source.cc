// SPDX-License-Identifier: Apache-2.0
#include "importers/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace poise {
namespace {

class FileSource final : public ByteSource {
 public:
  FileSource(int file, std::string path, std::uint64_t size)
      : file_(file), path_(std::move(path)), size_(size) {}
  ~FileSource() override { close(file_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  Result<std::size_t> Read(char* out, std::size_t size) override {
    while (true) {
      const ssize_t got = read(file_, out, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) {
        return Unavailable(fmt::format("{}: reading failed: {}", path_, std::strerror(errno)));
      }
    }
  }

  Status Seek(std::uint64_t offset) override {
    if (lseek(file_, static_cast<off_t>(offset), SEEK_SET) < 0) {
      return Unavailable(fmt::format("{}: seeking failed: {}", path_, std::strerror(errno)));
    }
    return Status::Ok();
  }

  std::uint64_t size() const override { return size_; }

 private:
  int file_;
  std::string path_;
  std::uint64_t size_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> OpenFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return NotFound(fmt::format("{}: cannot be opened: {}", path, std::strerror(errno)));
  }
  struct stat about {};
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
    close(file);
    return InvalidArgument(fmt::format("{}: not a regular file", path));
  }
  std::unique_ptr<ByteSource> source =
      std::make_unique<FileSource>(file, path, static_cast<std::uint64_t>(about.st_size));
  return source;
}

Result<std::size_t> MemorySource::Read(char* out, std::size_t size) {
  const std::size_t count = std::min({size, step_, bytes_.size() - at_});
  if (count > 0) std::memcpy(out, bytes_.data() + at_, count);  // an empty view may be null
  at_ += count;
  return count;
}

Status MemorySource::Seek(std::uint64_t offset) {
  at_ = static_cast<std::size_t>(std::min<std::uint64_t>(offset, bytes_.size()));
  return Status::Ok();
}

}  // namespace poise
