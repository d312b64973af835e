// SPDX-License-Identifier: Apache-2.0
//
// Runs a fuzz target without libFuzzer: on every seed, on nothing at all, and on a fixed number of
// mutations of the seeds, the same ones each time.
//
//   <name>_fuzz_replay SEED_FOLDER MUTATION_COUNT
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using poise::Rng;

constexpr std::uint64_t kSeed = 20'240'607;

void RunOne(const std::string& input) {
  // A heap block of just this size: the sanitizer sees a read one byte behind it.
  const std::vector<std::uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::size_t Below(Rng& rng, std::size_t bound) { return bound == 0 ? 0 : rng.Next() % bound; }

std::string Mutate(std::string text, const std::vector<std::string>& seeds, Rng& rng) {
  const std::size_t change_count = 1 + Below(rng, 4);
  for (std::size_t change = 0; change < change_count; ++change) {
    const std::size_t at = Below(rng, text.size());
    switch (Below(rng, 6)) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << Below(rng, 8)));
        break;
      case 1:
        if (!text.empty()) text[at] = static_cast<char>(rng.Next());
        break;
      case 2:
        text.insert(at, 1 + Below(rng, 8), static_cast<char>(rng.Next()));
        break;
      case 3:
        text.erase(at, 1 + Below(rng, 16));
        break;
      case 4:
        text.resize(at);
        break;
      default: {
        const std::string& other = seeds[Below(rng, seeds.size())];
        text.insert(at, other.substr(Below(rng, other.size()), Below(rng, 64)));
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s SEED_FOLDER MUTATION_COUNT\n", argv[0]);
    return 2;
  }
  std::vector<std::string> seeds = {""};
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1], error)) {
    paths.push_back(entry.path());
  }
  if (error || paths.empty()) {
    std::fprintf(stderr, "%s: no seeds there\n", argv[1]);
    return 1;
  }
  std::sort(paths.begin(), paths.end());
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  const int mutation_count = std::atoi(argv[2]);
  std::printf("%zu seeds, %d mutations, seed %llu\n", paths.size(), mutation_count,
              static_cast<unsigned long long>(kSeed));
  for (const std::string& seed : seeds) RunOne(seed);
  Rng rng(kSeed);
  for (int i = 0; i < mutation_count; ++i) {
    const std::string input = Mutate(seeds[Below(rng, seeds.size())], seeds, rng);
    RunOne(input);
  }
  return 0;
}
