// SPDX-License-Identifier: Apache-2.0
//
// ByteSource: bytes in order, from a file or from memory; what every reader here reads from.
//
// Errors   kNotFound: no such file. kInvalidArgument: a folder where a file is needed.
//          kUnavailable: reading failed.
// Threads  One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace poise {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Reads at most `size` bytes; 0 only at the end.
  virtual Result<std::size_t> Read(char* out, std::size_t size) = 0;
  virtual Status Seek(std::uint64_t offset) = 0;
  virtual std::uint64_t size() const = 0;
};

Result<std::unique_ptr<ByteSource>> OpenFile(const std::string& path);

// The bytes must outlive it. Gives at most `step` of them a call.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes, std::size_t step = static_cast<std::size_t>(-1))
      : bytes_(bytes), step_(step) {}
  Result<std::size_t> Read(char* out, std::size_t size) override;
  Status Seek(std::uint64_t offset) override;
  std::uint64_t size() const override { return bytes_.size(); }

 private:
  std::string_view bytes_;
  std::size_t step_;
  std::size_t at_ = 0;
};

}  // namespace poise
