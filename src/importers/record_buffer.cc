// SPDX-License-Identifier: Apache-2.0
#include "importers/record_buffer.h"

#include <algorithm>
#include <cstring>

namespace poise {

Status RecordBuffer::Fill() {
  if (is_complete_ || IsFull()) return Status::Ok();
  if (begin_ > 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  const std::size_t wanted = std::min(max_, std::max(kChunk, 2 * end_));
  if (bytes_.size() < wanted + kSlack) bytes_.resize(wanted + kSlack);
  POISE_ASSIGN_OR_RETURN(
      const std::size_t got,
      source_.Read(bytes_.data() + end_, std::min(bytes_.size() - kSlack, max_) - end_));
  end_ += got;
  is_complete_ = got == 0;
  std::memset(bytes_.data() + end_, 0, kSlack);
  return Status::Ok();
}

Status RecordBuffer::Seek(std::uint64_t offset) {
  POISE_RETURN_IF_ERROR(source_.Seek(offset));
  begin_ = end_ = 0;
  offset_ = offset;
  is_complete_ = false;
  return Status::Ok();
}

}  // namespace poise
