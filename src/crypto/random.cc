// SPDX-License-Identifier: Apache-2.0
#include "crypto/random.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>

#include "base/check.h"

namespace poise {

namespace {

// A child must not hand out the nonces that its parent has buffered.
std::atomic<std::uint64_t> fork_generation{0};
std::once_flag fork_handler_once;

struct NonceBuffer {
  std::array<std::uint8_t, 1536> bytes;
  std::size_t used = sizeof bytes;
  std::uint64_t generation = 0;
};

}  // namespace

void WipeMemory(void* bytes, std::size_t size) { OPENSSL_cleanse(bytes, size); }

void RandomBytes(std::span<std::uint8_t> out) {
  constexpr std::size_t kChunk = 1 << 20;
  while (!out.empty()) {
    const std::size_t size = std::min(out.size(), kChunk);
    POISE_CHECK(RAND_bytes(out.data(), static_cast<int>(size)) == 1);
    out = out.subspan(size);
  }
}

void RandomNonceBytes(std::span<std::uint8_t> out) {
  thread_local NonceBuffer buffer;
  if (out.size() > buffer.bytes.size()) {
    RandomBytes(out);
    return;
  }
  std::call_once(fork_handler_once,
                 [] { pthread_atfork(nullptr, nullptr, [] { fork_generation.fetch_add(1); }); });
  const std::uint64_t generation = fork_generation.load(std::memory_order_relaxed);
  if (buffer.used + out.size() > buffer.bytes.size() || buffer.generation != generation) {
    RandomBytes(buffer.bytes);
    buffer.used = 0;
    buffer.generation = generation;
  }
  std::memcpy(out.data(), buffer.bytes.data() + buffer.used, out.size());
  std::memset(buffer.bytes.data() + buffer.used, 0, out.size());
  buffer.used += out.size();
}

std::string RandomKey() {
  std::string key(kKeyBytes, '\0');
  RandomBytes({reinterpret_cast<std::uint8_t*>(key.data()), key.size()});
  return key;
}

}  // namespace poise
