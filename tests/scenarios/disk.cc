// SPDX-License-Identifier: Apache-2.0
#include "scenarios/disk.h"

namespace poise {
namespace {

// Not in the door's words, so that translating them is tried too.
Status Full() { return ResourceExhausted("write: no space left on device"); }

class SwitchedFile final : public File {
 public:
  SwitchedFile(std::unique_ptr<File> file, const SwitchedDisk& disk)
      : file_(std::move(file)), disk_(disk) {}

  Status WriteAt(std::uint64_t offset, std::span<const std::string_view> parts) override {
    if (disk_.is_full) return Full();
    return file_->WriteAt(offset, parts);
  }
  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<char> out) const override {
    return file_->ReadAt(offset, out);
  }
  Status Preallocate(std::uint64_t size) override {
    if (disk_.is_full) return Full();
    return file_->Preallocate(size);
  }
  Status Truncate(std::uint64_t size) override { return file_->Truncate(size); }
  Status Sync() override {
    if (disk_.is_sync_failing) return Unavailable("sync: input/output error");
    return file_->Sync();
  }
  Result<std::uint64_t> Size() const override { return file_->Size(); }

 private:
  std::unique_ptr<File> file_;
  const SwitchedDisk& disk_;
};

}  // namespace

Result<std::unique_ptr<File>> SwitchedDisk::Open(const std::string& path, OpenMode mode) {
  if (is_full && (mode == OpenMode::kCreate || mode == OpenMode::kCreateAlways)) return Full();
  POISE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, disk_.Open(path, mode));
  return std::unique_ptr<File>(std::make_unique<SwitchedFile>(std::move(file), *this));
}
Result<std::unique_ptr<MappedFile>> SwitchedDisk::Map(const std::string& path) {
  return disk_.Map(path);
}
Status SwitchedDisk::Rename(const std::string& from, const std::string& to) {
  return disk_.Rename(from, to);
}
Status SwitchedDisk::Remove(const std::string& path) { return disk_.Remove(path); }
Result<std::vector<std::string>> SwitchedDisk::List(const std::string& directory) {
  return disk_.List(directory);
}
bool SwitchedDisk::Exists(const std::string& path) { return disk_.Exists(path); }
Status SwitchedDisk::MakeDirectories(const std::string& directory) {
  return disk_.MakeDirectories(directory);
}
Status SwitchedDisk::SyncDirectory(const std::string& directory) {
  if (is_sync_failing) return Unavailable("sync: input/output error");
  return disk_.SyncDirectory(directory);
}
Result<std::unique_ptr<FileLock>> SwitchedDisk::Lock(const std::string& path) {
  return disk_.Lock(path);
}
Result<std::uint64_t> SwitchedDisk::FreeBytes(const std::string& path) {
  if (is_full) return std::uint64_t{0};
  return disk_.FreeBytes(path);
}

}  // namespace poise
