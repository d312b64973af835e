// SPDX-License-Identifier: Apache-2.0
//
// SecretBytes: key material that is wiped from memory when it goes out of scope.
//
// Threads  A value type: distinct objects may be used concurrently.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace poise {

// Overwrites `size` bytes in a way that the compiler keeps.
void WipeMemory(void* bytes, std::size_t size);

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string_view bytes) : bytes_(bytes) {}
  ~SecretBytes() { Wipe(); }
  SecretBytes(const SecretBytes&) = default;
  SecretBytes& operator=(const SecretBytes& other) {
    if (this != &other) {
      Wipe();
      bytes_ = other.bytes_;
    }
    return *this;
  }
  // Copies and wipes rather than steals: a short string lives inside the moved-from object.
  SecretBytes(SecretBytes&& other) noexcept : bytes_(other.bytes_) { other.Wipe(); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      Wipe();
      bytes_ = other.bytes_;
      other.Wipe();
    }
    return *this;
  }

  std::string_view view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }

 private:
  void Wipe() {
    if (!bytes_.empty()) WipeMemory(bytes_.data(), bytes_.size());
    bytes_.clear();
  }

  std::string bytes_;
};

}  // namespace poise
