// SPDX-License-Identifier: Apache-2.0
#include "catalog/record_bytes.h"

#include <fmt/format.h>

#include <type_traits>

#include "base/bytes.h"

namespace poise {
namespace {

constexpr std::uint8_t kItemVersion = 1;
constexpr std::uint8_t kProfileVersion = 1;

constexpr std::uint8_t kExists = 1;
constexpr std::uint8_t kIsDescribed = 2;
constexpr std::uint8_t kIsAvailable = 4;
constexpr std::uint8_t kKnownFlags = kExists | kIsDescribed | kIsAvailable;

// The places of the alternatives in AttributeValue, as they stand in files.
constexpr std::uint8_t kWord = 0;
constexpr std::uint8_t kWords = 1;
constexpr std::uint8_t kNumber = 2;
constexpr std::uint8_t kTruth = 3;

void WriteAttributes(const Attributes& attributes, ByteWriter& out) {
  out.Varint(attributes.size());
  for (const auto& [name, value] : attributes) {
    out.Text(name);
    out.Fixed(static_cast<std::uint8_t>(value.index()));
    switch (value.index()) {
      case kWord:
        out.Text(std::get<std::string>(value));
        break;
      case kWords: {
        const auto& words = std::get<std::vector<std::string>>(value);
        out.Varint(words.size());
        for (const std::string& word : words) out.Text(word);
        break;
      }
      case kNumber:
        out.Fixed(std::get<double>(value));
        break;
      default:
        out.Fixed(static_cast<std::uint8_t>(std::get<bool>(value)));
    }
  }
}

// Every element takes a byte at least, so a count beyond the rest of the bytes is damage, and is
// caught before anything is reserved for it.
bool ReadWords(ByteReader& in, std::vector<std::string>& words) {
  const std::uint64_t count = in.Varint();
  if (count > in.rest().size()) return false;
  words.reserve(count);
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) words.emplace_back(in.Text());
  return in.ok();
}

bool ReadAttributes(ByteReader& in, Attributes& attributes) {
  const std::uint64_t count = in.Varint();
  if (count > in.rest().size()) return false;
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    std::string name(in.Text());
    AttributeValue value;
    switch (in.Fixed<std::uint8_t>()) {
      case kWord:
        value = std::string(in.Text());
        break;
      case kWords: {
        std::vector<std::string> words;
        if (!ReadWords(in, words)) return false;
        value = std::move(words);
        break;
      }
      case kNumber:
        value = in.Fixed<double>();
        break;
      case kTruth:
        value = in.Fixed<std::uint8_t>() != 0;
        break;
      default:
        return false;
    }
    attributes.insert_or_assign(std::move(name), std::move(value));
  }
  return in.ok();
}

Status WrongVersion(std::string_view what, unsigned version) {
  return DataLoss(fmt::format("{}: format version {} is not known to this program", what, version));
}

}  // namespace

std::string EncodeStoredItem(const StoredItem& item) {
  ByteWriter out;
  out.Fixed(kItemVersion);
  out.Fixed(static_cast<std::uint8_t>((item.exists ? kExists : 0) |
                                      (item.is_described ? kIsDescribed : 0) |
                                      (item.record.is_available ? kIsAvailable : 0)));
  out.Fixed(Index(item.row));
  if (!item.exists) return out.Take();
  out.Fixed(item.record.created.micros);
  out.Fixed(item.record.price);
  out.Text(item.record.title);
  out.Text(item.record.description);
  out.Varint(item.record.categories.size());
  for (const std::string& category : item.record.categories) out.Text(category);
  WriteAttributes(item.record.attributes, out);
  return out.Take();
}

Result<StoredItem> DecodeStoredItem(std::string_view bytes) {
  ByteReader in(bytes);
  const auto version = in.Fixed<std::uint8_t>();
  const auto flags = in.Fixed<std::uint8_t>();
  StoredItem item;
  item.row = static_cast<ItemRow>(in.Fixed<std::uint32_t>());
  if (in.ok() && version != kItemVersion) return WrongVersion("item", version);
  bool is_good = in.ok() && (flags & ~kKnownFlags) == 0;
  item.exists = (flags & kExists) != 0;
  item.is_described = (flags & kIsDescribed) != 0;
  item.record.is_available = (flags & kIsAvailable) != 0;
  if (is_good && item.exists) {
    item.record.created = {in.Fixed<std::int64_t>()};
    item.record.price = in.Fixed<double>();
    item.record.title = in.Text();
    item.record.description = in.Text();
    is_good = ReadWords(in, item.record.categories) && ReadAttributes(in, item.record.attributes);
  }
  if (!is_good || !in.ok() || !in.IsAtEnd()) return DataLoss("item: its bytes are damaged");
  return item;
}

std::string EncodeProfile(const UserRecord& user) {
  ByteWriter out;
  out.Fixed(kProfileVersion);
  out.Fixed(user.created.micros);
  WriteAttributes(user.attributes, out);
  return out.Take();
}

Result<UserRecord> DecodeProfile(std::string_view bytes) {
  ByteReader in(bytes);
  const auto version = in.Fixed<std::uint8_t>();
  if (in.ok() && version != kProfileVersion) return WrongVersion("profile", version);
  UserRecord user;
  user.created = {in.Fixed<std::int64_t>()};
  const bool is_good = ReadAttributes(in, user.attributes);
  if (!is_good || !in.ok() || !in.IsAtEnd()) return DataLoss("profile: its bytes are damaged");
  return user;
}

}  // namespace poise
