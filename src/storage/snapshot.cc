// SPDX-License-Identifier: Apache-2.0
#include "storage/snapshot.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <optional>

#include "base/bytes.h"
#include "base/check.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "storage/crc32c.h"
#include "storage/env.h"

namespace poise {

namespace {

constexpr std::string_view kMagic = "POISESNP";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kSealedFlag = 1;
constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kChunkBytes = 1024 * 1024;
constexpr std::size_t kMaxDirectoryBytes = 64 * 1024 * 1024;
constexpr std::size_t kFileIdBytes = 16;

// Header, at byte 0: magic 8, version u32, flags u32, directory offset u64, stored directory bytes
// u64, file bytes u64, file id 16, reserved u32, CRC-32C u32.
struct Header {
  std::uint32_t flags = 0;
  std::uint64_t directory_offset = 0;
  std::uint64_t directory_bytes = 0;
  std::uint64_t file_bytes = 0;
  std::string file_id;
  std::uint32_t directory_crc = 0;
  bool is_sealed() const { return (flags & kSealedFlag) != 0; }
};

struct Entry {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t stored_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint32_t crc = 0;  // of the plain bytes
};

struct Directory {
  std::string kind;
  std::uint32_t kind_version = 0;
  std::vector<Entry> entries;
};

std::uint64_t Aligned(std::uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

std::string EncodeHeader(const Header& header) {
  ByteWriter writer;
  writer.Raw(kMagic);
  writer.Fixed<std::uint32_t>(kVersion);
  writer.Fixed<std::uint32_t>(header.flags);
  writer.Fixed<std::uint64_t>(header.directory_offset);
  writer.Fixed<std::uint64_t>(header.directory_bytes);
  writer.Fixed<std::uint64_t>(header.file_bytes);
  writer.Raw(header.file_id);
  writer.Fixed<std::uint32_t>(header.directory_crc);
  writer.Fixed<std::uint32_t>(Crc32c(writer.bytes()));
  return writer.Take();
}

std::string EncodeDirectory(const Directory& directory) {
  ByteWriter writer;
  writer.Text(directory.kind);
  writer.Fixed<std::uint32_t>(directory.kind_version);
  writer.Varint(directory.entries.size());
  for (const Entry& entry : directory.entries) {
    writer.Text(entry.name);
    writer.Fixed<std::uint64_t>(entry.offset);
    writer.Fixed<std::uint64_t>(entry.stored_bytes);
    writer.Fixed<std::uint64_t>(entry.size_bytes);
    writer.Fixed<std::uint32_t>(entry.crc);
  }
  return writer.Take();
}

std::optional<Directory> DecodeDirectory(std::string_view bytes) {
  ByteReader reader(bytes);
  Directory directory;
  directory.kind = reader.Text();
  directory.kind_version = reader.Fixed<std::uint32_t>();
  const std::uint64_t count = reader.Varint();
  for (std::uint64_t i = 0; i < count && reader.ok(); ++i) {
    Entry entry;
    entry.name = reader.Text();
    entry.offset = reader.Fixed<std::uint64_t>();
    entry.stored_bytes = reader.Fixed<std::uint64_t>();
    entry.size_bytes = reader.Fixed<std::uint64_t>();
    entry.crc = reader.Fixed<std::uint32_t>();
    directory.entries.push_back(std::move(entry));
  }
  if (!reader.ok() || !reader.IsAtEnd()) return std::nullopt;
  return directory;
}

// A chunk opens only at its place in its file.
std::string ChunkPlace(std::string_view file_id, std::uint64_t section, std::uint64_t chunk) {
  ByteWriter writer;
  writer.Raw("poise snapshot");
  writer.Raw(file_id);
  writer.Fixed(section);
  writer.Fixed(chunk);
  return writer.Take();
}

constexpr std::uint64_t kDirectorySection = std::numeric_limits<std::uint64_t>::max();

std::uint64_t SealedBytes(std::uint64_t size_bytes) {
  const std::uint64_t chunk_count = (size_bytes + kChunkBytes - 1) / kChunkBytes;
  return size_bytes + chunk_count * kSealOverheadBytes;
}

Status Damaged(const std::string& path, std::string_view what) {
  return DataLoss("snapshot " + path + ": " + std::string(what));
}

}  // namespace

struct SnapshotWriter::Section {
  std::string name;
  std::string bytes;
};

SnapshotWriter::SnapshotWriter() = default;
SnapshotWriter::~SnapshotWriter() = default;

void SnapshotWriter::AddSection(std::string_view name, std::string_view bytes) {
  for (const Section& section : sections_) POISE_CHECK(section.name != name);
  sections_.push_back({std::string(name), std::string(bytes)});
}

Status SnapshotWriter::WriteTo(Env& env, const std::string& path, std::string_view kind,
                               std::uint32_t kind_version, std::string_view key) const {
  if (!key.empty() && key.size() != kKeyBytes) {
    return InvalidArgument("key: must be empty or " + std::to_string(kKeyBytes) + " bytes, is " +
                           std::to_string(key.size()));
  }
  const bool is_sealed = !key.empty();
  const std::string temporary = path + ".tmp";

  const auto write = [&]() -> Status {
    POISE_ASSIGN_OR_RETURN(const auto file, env.Open(temporary, OpenMode::kCreateAlways));
    Header header;
    header.flags = is_sealed ? kSealedFlag : 0;
    std::array<std::uint8_t, kFileIdBytes> file_id;
    RandomBytes(file_id);
    header.file_id.assign(reinterpret_cast<const char*>(file_id.data()), file_id.size());

    Directory directory{std::string(kind), kind_version, {}};
    std::uint64_t at = kHeaderBytes;
    std::string sealed;
    for (std::size_t i = 0; i < sections_.size(); ++i) {
      const std::string_view bytes = sections_[i].bytes;
      Entry entry{sections_[i].name, at, bytes.size(), bytes.size(), Crc32c(bytes)};
      if (!is_sealed) {
        POISE_RETURN_IF_ERROR(file->WriteAt(at, bytes));
      } else {
        entry.stored_bytes = SealedBytes(bytes.size());
        std::uint64_t to = at;
        for (std::uint64_t chunk = 0; chunk * kChunkBytes < bytes.size(); ++chunk) {
          sealed.clear();
          POISE_RETURN_IF_ERROR(SealTo(sealed, key, bytes.substr(chunk * kChunkBytes, kChunkBytes),
                                       ChunkPlace(header.file_id, i, chunk)));
          POISE_RETURN_IF_ERROR(file->WriteAt(to, sealed));
          to += sealed.size();
        }
      }
      at = Aligned(at + entry.stored_bytes);
      directory.entries.push_back(std::move(entry));
    }

    std::string encoded = EncodeDirectory(directory);
    if (encoded.size() > kMaxDirectoryBytes) return InvalidArgument("snapshot: too many sections");
    if (is_sealed) {
      sealed.clear();
      POISE_RETURN_IF_ERROR(
          SealTo(sealed, key, encoded, ChunkPlace(header.file_id, kDirectorySection, 0)));
      encoded = sealed;
    }
    header.directory_offset = at;
    header.directory_bytes = encoded.size();
    header.directory_crc = Crc32c(encoded);
    header.file_bytes = at + encoded.size();
    POISE_RETURN_IF_ERROR(file->WriteAt(at, encoded));
    POISE_RETURN_IF_ERROR(file->WriteAt(0, EncodeHeader(header)));
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

namespace {

class Reader final : public SnapshotReader {
 public:
  Reader(std::string path, std::unique_ptr<MappedFile> map, Header header, Directory directory,
         std::string_view key)
      : path_(std::move(path)),
        map_(std::move(map)),
        header_(std::move(header)),
        directory_(std::move(directory)),
        key_(key) {
    for (std::size_t i = 0; i < directory_.entries.size(); ++i) {
      by_name_.emplace(directory_.entries[i].name, i);
    }
  }

  std::uint32_t kind_version() const override { return directory_.kind_version; }

  std::vector<std::string> SectionNames() const override {
    std::vector<std::string> names;
    for (const Entry& entry : directory_.entries) names.push_back(entry.name);
    return names;
  }

  Result<std::string_view> Section(std::string_view name) const override {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
      std::string known;
      for (const Entry& entry : directory_.entries) {
        known += (known.empty() ? "" : ", ") + entry.name;
      }
      return InvalidArgument("snapshot " + path_ + ": has no section '" + std::string(name) +
                             "'; it has: " + known);
    }
    const Entry& entry = directory_.entries[found->second];
    const std::string_view stored = map_->bytes().substr(entry.offset, entry.stored_bytes);
    if (!header_.is_sealed()) return stored;

    const std::lock_guard held(mutex_);
    auto opened = opened_.find(found->second);
    if (opened == opened_.end()) {
      POISE_ASSIGN_OR_RETURN(OpenedSection section, OpenSection(found->second, entry, stored));
      opened = opened_.emplace(found->second, std::move(section)).first;
    }
    return opened->second.bytes();
  }

  Status Verify() const override {
    for (const Entry& entry : directory_.entries) {
      POISE_ASSIGN_OR_RETURN(const std::string_view bytes, Section(entry.name));
      if (Crc32c(bytes) != entry.crc) {
        return Damaged(path_, "section '" + entry.name + "' has a wrong checksum");
      }
    }
    return Status::Ok();
  }

 protected:
  Status WrongSize(std::string_view name, std::size_t size_bytes) const override {
    return InvalidArgument("snapshot " + path_ + ": section '" + std::string(name) + "' has " +
                           std::to_string(size_bytes) +
                           " bytes, which is not the number that is wanted");
  }

 private:
  // Plain bytes of a sealed section, as aligned as a mapped one.
  struct OpenedSection {
    struct alignas(kAlignment) Line {
      char bytes[kAlignment];
    };
    std::vector<Line> lines;
    std::size_t size_bytes = 0;
    std::string_view bytes() const {
      return {reinterpret_cast<const char*>(lines.data()), size_bytes};
    }
    char* data() { return reinterpret_cast<char*>(lines.data()); }

    OpenedSection() = default;
    OpenedSection(OpenedSection&&) = default;
    OpenedSection& operator=(OpenedSection&&) = default;
    ~OpenedSection() {
      if (!lines.empty()) WipeMemory(lines.data(), lines.size() * sizeof(Line));
    }
  };

  Result<OpenedSection> OpenSection(std::size_t index, const Entry& entry,
                                    std::string_view stored) const {
    OpenedSection section;
    section.lines.resize((entry.size_bytes + kAlignment - 1) / kAlignment);
    section.size_bytes = entry.size_bytes;
    std::string plain;
    std::uint64_t at = 0;
    for (std::uint64_t chunk = 0; at < entry.size_bytes; ++chunk) {
      const std::size_t sealed_bytes =
          std::min<std::size_t>(kChunkBytes, entry.size_bytes - at) + kSealOverheadBytes;
      plain.clear();
      const Status status = OpenTo(plain, key_.view(), stored.substr(0, sealed_bytes),
                                   ChunkPlace(header_.file_id, index, chunk));
      if (!status.ok()) {
        return Damaged(path_, "section '" + entry.name + "', chunk " + std::to_string(chunk) +
                                  ": " + status.message());
      }
      std::memcpy(section.data() + at, plain.data(), plain.size());
      at += plain.size();
      stored.remove_prefix(sealed_bytes);
    }
    if (!plain.empty()) WipeMemory(plain.data(), plain.size());
    return section;
  }

  std::string path_;
  std::unique_ptr<MappedFile> map_;
  Header header_;
  Directory directory_;
  SecretBytes key_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  mutable std::mutex mutex_;
  mutable std::map<std::size_t, OpenedSection> opened_;
};

Result<Header> DecodeHeader(const std::string& path, std::string_view file) {
  if (file.size() < kHeaderBytes) {
    return Damaged(path, "truncated: " + std::to_string(file.size()) + " bytes");
  }
  ByteReader reader(file.substr(0, kHeaderBytes));
  if (reader.Raw(kMagic.size()) != kMagic) return Damaged(path, "is not a snapshot");
  const auto version = reader.Fixed<std::uint32_t>();
  Header header;
  header.flags = reader.Fixed<std::uint32_t>();
  header.directory_offset = reader.Fixed<std::uint64_t>();
  header.directory_bytes = reader.Fixed<std::uint64_t>();
  header.file_bytes = reader.Fixed<std::uint64_t>();
  header.file_id = reader.Raw(kFileIdBytes);
  header.directory_crc = reader.Fixed<std::uint32_t>();
  if (reader.Fixed<std::uint32_t>() != Crc32c(file.substr(0, kHeaderBytes - 4))) {
    return Damaged(path, "the header has a wrong checksum");
  }
  if (version != kVersion || (header.flags & ~kSealedFlag) != 0) {
    return InvalidArgument("snapshot " + path + ": version " + std::to_string(version) +
                           " was written by a newer program; this one reads version " +
                           std::to_string(kVersion));
  }
  if (header.file_bytes != file.size()) {
    return Damaged(path, "truncated: " + std::to_string(file.size()) + " bytes instead of " +
                             std::to_string(header.file_bytes));
  }
  if (header.directory_offset < kHeaderBytes || header.directory_offset > file.size() ||
      header.directory_bytes != file.size() - header.directory_offset) {
    return Damaged(path, "the directory lies outside of the file");
  }
  return header;
}

bool IsInside(const Entry& entry, const Header& header) {
  const std::uint64_t end = header.directory_offset;
  if (entry.offset < kHeaderBytes || entry.offset % kAlignment != 0 || entry.offset > end ||
      entry.stored_bytes > end - entry.offset || entry.size_bytes > entry.stored_bytes) {
    return false;
  }
  return entry.stored_bytes ==
         (header.is_sealed() ? SealedBytes(entry.size_bytes) : entry.size_bytes);
}

}  // namespace

Result<std::shared_ptr<const SnapshotReader>> SnapshotReader::Open(Env& env,
                                                                   const std::string& path,
                                                                   std::string_view kind,
                                                                   std::string_view key) {
  if (!key.empty() && key.size() != kKeyBytes) {
    return InvalidArgument("key: must be empty or " + std::to_string(kKeyBytes) + " bytes, is " +
                           std::to_string(key.size()));
  }
  POISE_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> map, env.Map(path));
  const std::string_view file = map->bytes();
  POISE_ASSIGN_OR_RETURN(Header header, DecodeHeader(path, file));
  std::string_view stored = file.substr(header.directory_offset);
  if (Crc32c(stored) != header.directory_crc) {
    return Damaged(path, "the directory has a wrong checksum");
  }
  if (header.is_sealed() == key.empty()) {
    return InvalidArgument("snapshot " + path +
                           (key.empty() ? ": is sealed, and no key was given"
                                        : ": is not sealed, though a key was given"));
  }
  std::string plain;
  if (header.is_sealed()) {
    const Status status =
        OpenTo(plain, key, stored, ChunkPlace(header.file_id, kDirectorySection, 0));
    // Its checksum is right, so the bytes are: it is the key that is not.
    if (!status.ok()) return InvalidArgument("snapshot " + path + ": does not open with this key");
    stored = plain;
  }
  auto directory = DecodeDirectory(stored);
  if (!directory) return Damaged(path, "the directory cannot be read");
  if (directory->kind != kind) {
    return InvalidArgument("snapshot " + path + ": holds '" + directory->kind + "', not '" +
                           std::string(kind) + "'");
  }
  for (const Entry& entry : directory->entries) {
    if (!IsInside(entry, header)) {
      return Damaged(path, "section '" + entry.name + "' lies outside of the file");
    }
  }
  return std::shared_ptr<const SnapshotReader>(std::make_shared<Reader>(
      path, std::move(map), std::move(header), *std::move(directory), key));
}

}  // namespace poise
