// SPDX-License-Identifier: Apache-2.0
#include "importers/files.h"

#include <sys/stat.h>

namespace poise {

bool IsFolder(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

bool IsFile(const std::string& path) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

std::string Join(const std::string& folder, std::string_view name) {
  return (folder.empty() || folder.back() == '/' ? folder : folder + "/") + std::string(name);
}

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

}  // namespace poise
