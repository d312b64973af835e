// SPDX-License-Identifier: Apache-2.0
//
// Rng: a small, fast, seeded random number generator; the only source of chance outside crypto/.
//
// Never shared between threads. Where work is split, each part takes an Rng seeded by
// MixSeed(seed, part), so the result does not depend on who did which part.
//
// Units    Uniform(): [0, 1). Below(n): [0, n).
// Threads  One object, one thread.
// Cost     About 1 ns a draw, 32 bytes.
// Source   Blackman and Vigna, "Scrambled linear pseudorandom number generators",
//          arXiv:1805.01407 (xoshiro256++); seeding by splitmix64 as they recommend. Below() is
//          Lemire's unbiased multiplication, arXiv:1805.10941.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>

namespace poise {

// Mixes 64 bits so that equal inputs and only equal inputs give equal outputs.
constexpr std::uint64_t Mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr std::uint64_t MixSeed(std::uint64_t seed, std::uint64_t stream) {
  return Mix64(Mix64(seed) ^ (stream * 0xd1342543de82ef95 + 1));
}

class Rng {
 public:
  using result_type = std::uint64_t;

  explicit Rng(std::uint64_t seed) {
    for (std::uint64_t& word : state_) word = seed = Mix64(seed);
  }

  std::uint64_t Next() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

  // Requires  bound > 0.
  std::uint64_t Below(std::uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    Wide product = static_cast<Wide>(Next()) * bound;
    if (static_cast<std::uint64_t>(product) < bound) {
      const std::uint64_t threshold = -bound % bound;
      while (static_cast<std::uint64_t>(product) < threshold) {
        product = static_cast<Wide>(Next()) * bound;
      }
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  bool Bernoulli(double probability) { return Uniform() < probability; }

  double Exponential(double rate) { return -std::log1p(-Uniform()) / rate; }

  // Standard normal by Box-Muller, one of the pair: stateless between calls, so replays are simple.
  double Normal() {
    const double radius = std::sqrt(-2.0 * std::log1p(-Uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * Uniform());
  }

  // UniformRandomBitGenerator, for std::shuffle and friends.
  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return Next(); }

 private:
  std::uint64_t state_[4];
};

}  // namespace poise
