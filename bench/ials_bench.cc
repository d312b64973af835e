// SPDX-License-Identifier: Apache-2.0
//
// ials_bench: how long an epoch of implicit ALS takes, and what objective it reaches.
//
//   ials_bench generate FILE [users items interactions]   a power-law set, the same every time
//   ials_bench run FILE DIM EPOCHS THREADS [name=value]...
//
// `run` prints one JSON object. bench/ials_peers.py runs it beside other programs on the same file
// and prints the ratios.
//
// The file: little-endian u64 users, items, interactions; u64 row_begin[users + 1]; u32 items
// [interactions], ascending within a user.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/thread_pool.h"
#include "features/preferences.h"
#include "models/factorization/ials_solver.h"

namespace poise {
namespace {

struct Sizes {
  std::uint64_t users = 136'677;
  std::uint64_t items = 20'108;
  std::uint64_t interactions = 10'000'000;
};

template <typename T>
void Write(std::ofstream& out, const std::vector<T>& values) {
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
}

template <typename T>
bool Read(std::ifstream& in, std::vector<T>& values) {
  return static_cast<bool>(in.read(reinterpret_cast<char*>(values.data()),
                                   static_cast<std::streamsize>(values.size() * sizeof(T))));
}

// Users' activity and items' popularity follow power laws; a user takes three items in four from
// three of sixty groups of items, so that there is something for the vectors to find.
int Generate(const char* path, const Sizes& sizes) {
  constexpr std::uint64_t kSeed = 42;
  constexpr std::size_t kGroups = 60;
  Rng rng(kSeed);

  std::vector<double> popularity(sizes.items);
  std::vector<std::vector<std::uint32_t>> groups(kGroups);
  std::vector<std::vector<double>> group_sums(kGroups);
  std::vector<double> sums;
  for (std::size_t item = 0; item < sizes.items; ++item) {
    popularity[item] = std::pow(static_cast<double>(item) + 30.0, -0.9);
    sums.push_back(popularity[item] + (sums.empty() ? 0 : sums.back()));
    const std::size_t group = rng.Below(kGroups);
    groups[group].push_back(static_cast<std::uint32_t>(item));
    group_sums[group].push_back(popularity[item] +
                                (group_sums[group].empty() ? 0 : group_sums[group].back()));
  }
  const auto draw = [&](const std::vector<double>& running) {
    const double at = rng.Uniform() * running.back();
    const auto found = std::upper_bound(running.begin(), running.end(), at) - running.begin();
    return std::min(static_cast<std::size_t>(found), running.size() - 1);
  };

  std::vector<double> activity(sizes.users);
  for (double& value : activity) value = std::pow(1.0 - rng.Uniform(), -0.6);
  const double limit = 0.15 * static_cast<double>(sizes.items);
  const double scale = static_cast<double>(sizes.interactions) /
                       std::accumulate(activity.begin(), activity.end(), 0.0);
  std::vector<std::uint64_t> counts(sizes.users);
  std::uint64_t total = 0;
  for (std::size_t user = 0; user < sizes.users; ++user) {
    counts[user] = static_cast<std::uint64_t>(std::clamp(scale * activity[user], 5.0, limit));
    total += counts[user];
  }
  while (total != sizes.interactions) {
    std::uint64_t& count = counts[rng.Below(sizes.users)];
    if (total < sizes.interactions && static_cast<double>(count) < limit) {
      ++count;
      ++total;
    } else if (total > sizes.interactions && count > 5) {
      --count;
      --total;
    }
  }

  std::vector<std::uint64_t> row_begin{0};
  std::vector<std::uint32_t> columns;
  std::vector<bool> is_taken(sizes.items);
  for (std::size_t user = 0; user < sizes.users; ++user) {
    const std::size_t own_groups[] = {rng.Below(kGroups), rng.Below(kGroups), rng.Below(kGroups)};
    const auto begin = static_cast<std::ptrdiff_t>(columns.size());
    for (std::uint64_t missed = 0; columns.size() - row_begin.back() < counts[user];) {
      std::uint32_t item = 0;
      if (missed < 20 * counts[user] && rng.Bernoulli(0.75)) {
        const std::size_t group = own_groups[rng.Below(3)];
        if (groups[group].empty()) continue;
        item = groups[group][draw(group_sums[group])];
      } else {
        item = static_cast<std::uint32_t>(draw(sums));
      }
      if (is_taken[item]) {
        ++missed;
        continue;
      }
      is_taken[item] = true;
      columns.push_back(item);
    }
    for (auto at = columns.begin() + begin; at != columns.end(); ++at) is_taken[*at] = false;
    std::sort(columns.begin() + begin, columns.end());
    row_begin.push_back(columns.size());
  }

  std::ofstream out(path, std::ios::binary);
  Write(out, std::vector<std::uint64_t>{sizes.users, sizes.items, sizes.interactions});
  Write(out, row_begin);
  Write(out, columns);
  out.close();
  if (!out) {
    fmt::print(stderr, "{}: cannot be written\n", path);
    return 1;
  }
  return 0;
}

bool Load(const char* path, ThreadPool& pool, PreferenceMatrix& preferences) {
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint64_t> head(3);
  if (!Read(in, head)) return false;
  SparseMatrix& rows = preferences.by_user;
  rows.row_begin.resize(head[0] + 1);
  rows.column_count = head[1];
  rows.columns.resize(head[2]);
  rows.values.assign(head[2], 1.0F);
  if (!Read(in, rows.row_begin) || !Read(in, rows.columns)) return false;
  preferences.by_item = Transposed(rows, pool);
  return true;
}

struct Run {
  std::size_t dim = 64;
  std::size_t epochs = 4;
  std::size_t threads = 2;
  double scale = 0.1;
  std::uint64_t seed = 42;
  IalsObjective objective;
  IalsSteps steps{.reads = RowReads::kHalf};  // as the trainer does
};

bool SetOption(std::string_view name, double value, Run& run) {
  if (name == "unobserved_weight") {
    run.objective.unobserved_weight = value;
  } else if (name == "regularization") {
    run.objective.regularization = value;
  } else if (name == "frequency_exponent") {
    run.objective.frequency_exponent = value;
  } else if (name == "init_scale") {
    run.scale = value;
  } else if (name == "user_steps") {
    run.steps.user_step_count = static_cast<std::size_t>(value);
  } else if (name == "item_steps") {
    run.steps.item_step_count = static_cast<std::size_t>(value);
  } else if (name == "half") {
    run.steps.reads = value > 0 ? RowReads::kHalf : RowReads::kFloat;
  } else if (name == "subspace_dim") {
    run.steps.method = RowMethod::kSubspace;
    run.steps.subspace_dim = static_cast<std::size_t>(value);
  } else if (name == "simd") {
    run.steps.level = static_cast<SimdLevel>(std::min(value, 2.0));
  } else {
    return false;
  }
  return true;
}

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int Measure(const char* path, const Run& run) {
  ThreadPool pool(run.threads);
  PreferenceMatrix preferences;
  if (!Load(path, pool, preferences)) {
    fmt::print(stderr, "{}: not a file of `ials_bench generate`\n", path);
    return 1;
  }
  IalsSolver solver(preferences, run.dim, run.objective, run.steps, pool);
  solver.Initialize(run.scale, run.seed);
  std::vector<double> seconds;
  std::vector<double> cpu_seconds;
  std::vector<double> objectives;
  for (std::size_t epoch = 0; epoch < run.epochs; ++epoch) {
    const double start = Seconds();
    const std::clock_t cpu_start = std::clock();
    if (const Status status = solver.RunEpoch(); !status.ok()) {
      fmt::print(stderr, "{}\n", status.ToString());
      return 1;
    }
    seconds.push_back(Seconds() - start);
    cpu_seconds.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC);
    objectives.push_back(solver.Objective());
  }
  fmt::print("{{\"seconds\": [{:.4f}], \"cpuSeconds\": [{:.4f}], \"objectives\": [{:.8g}]}}\n",
             fmt::join(seconds, ", "), fmt::join(cpu_seconds, ", "), fmt::join(objectives, ", "));
  return 0;
}

bool ParseNumber(std::string_view text, double& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && out >= 0;
}

int Main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "generate" && (argc == 3 || argc == 6)) {
    Sizes sizes;
    if (argc == 6) {
      sizes = {std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10),
               std::strtoull(argv[5], nullptr, 10)};
    }
    if (sizes.users == 0 || sizes.items < 100 || sizes.interactions < 5 * sizes.users ||
        sizes.interactions > sizes.users * (sizes.items / 10)) {
      fmt::print(stderr, "sizes: 100 items or more; 5 to items / 10 interactions a user\n");
      return 2;
    }
    return Generate(argv[2], sizes);
  }
  if (verb == "run" && argc >= 6) {
    Run run;
    double numbers[3];
    bool is_good = true;
    for (int i = 0; i < 3; ++i) is_good &= ParseNumber(argv[3 + i], numbers[i]) && numbers[i] >= 1;
    for (int i = 6; i < argc; ++i) {
      const std::string_view option = argv[i];
      const std::size_t at = option.find('=');
      double value = 0;
      is_good &= at != std::string_view::npos && ParseNumber(option.substr(at + 1), value) &&
                 SetOption(option.substr(0, at), value, run);
    }
    if (is_good) {
      run.dim = static_cast<std::size_t>(numbers[0]);
      run.epochs = static_cast<std::size_t>(numbers[1]);
      run.threads = static_cast<std::size_t>(numbers[2]);
      return Measure(argv[2], run);
    }
  }
  fmt::print(stderr,
             "ials_bench generate FILE [users items interactions]\n"
             "ials_bench run FILE DIM EPOCHS THREADS [unobserved_weight=|regularization=|"
             "frequency_exponent=|init_scale=|user_steps=|item_steps=|half=|"
             "subspace_dim=|simd=NUMBER]...\n");
  return 2;
}

}  // namespace
}  // namespace poise

int main(int argc, char** argv) { return poise::Main(argc, argv); }
