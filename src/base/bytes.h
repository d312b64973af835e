// SPDX-License-Identifier: Apache-2.0
//
// ByteWriter and ByteReader: the little-endian encoding that every on-disk format is made of.
//
// A reader never trusts its input: past the end it stops, turns !ok() and returns zeros and empty
// views, so a decoder reads all its fields and asks once, at the end.
//
// Units    Varint: LEB128, 7 bits a byte, at most 10 bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace poise {

static_assert(std::endian::native == std::endian::little, "formats are little-endian in memory");

class ByteWriter {
 public:
  template <typename T>
  requires std::is_arithmetic_v<T>
  void Fixed(T value) { out_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void Varint(std::uint64_t value) {
    while (value >= 0x80) {
      out_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_.push_back(static_cast<char>(value));
  }
  void Raw(std::string_view bytes) { out_.append(bytes); }
  // Length as a varint, then the bytes.
  void Text(std::string_view text) {
    Varint(text.size());
    Raw(text);
  }

  std::string& bytes() { return out_; }
  const std::string& bytes() const { return out_; }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  requires std::is_arithmetic_v<T> T Fixed() {
    T value{};
    const std::string_view raw = Raw(sizeof value);
    if (raw.size() == sizeof value) std::memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) break;
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    Fail();
    return 0;
  }
  std::string_view Raw(std::size_t size) {
    if (size > rest_.size()) {
      Fail();
      return {};
    }
    const std::string_view raw = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return raw;
  }
  std::string_view Text() { return Raw(Varint()); }

  bool ok() const { return is_ok_; }
  bool IsAtEnd() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  void Fail() {
    is_ok_ = false;
    rest_ = {};
  }

  std::string_view rest_;
  bool is_ok_ = true;
};

}  // namespace poise
