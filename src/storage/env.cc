// SPDX-License-Identifier: Apache-2.0
#include "storage/env.h"

#include <algorithm>

namespace poise {

std::string DirectoryOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<std::string> ReadFile(Env& env, const std::string& path, std::uint64_t max_bytes) {
  POISE_ASSIGN_OR_RETURN(auto file, env.Open(path, OpenMode::kRead));
  POISE_ASSIGN_OR_RETURN(const std::uint64_t size, file->Size());
  if (size > max_bytes) {
    return InvalidArgument(path + ": " + std::to_string(size) + " bytes, at most " +
                           std::to_string(max_bytes) + " are read");
  }
  std::string bytes(size, '\0');
  POISE_ASSIGN_OR_RETURN(const std::size_t got, file->ReadAt(0, bytes));
  bytes.resize(got);
  return bytes;
}

Status WriteFileAtomically(Env& env, const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".tmp";
  const auto write = [&]() -> Status {
    POISE_ASSIGN_OR_RETURN(auto file, env.Open(temporary, OpenMode::kCreateAlways));
    POISE_RETURN_IF_ERROR(file->WriteAt(0, bytes));
    return file->Sync();
  };
  Status status = write();
  if (status.ok()) status = env.Rename(temporary, path);
  if (!status.ok()) {
    static_cast<void>(env.Remove(temporary));
    return status;
  }
  return env.SyncDirectory(DirectoryOf(path));
}

}  // namespace poise
