// SPDX-License-Identifier: Apache-2.0
//
// What the event store costs, sealed and plain: appending in batches of a thousand, starting with a
// fresh snapshot, starting by replaying the whole log, and scanning it for training.
//
// event_store_bench [events] [users] [folder] [sealed|plain|both]
#include <fmt/core.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "catalog/catalog.h"
#include "crypto/master_key.h"
#include "domain/event.h"
#include "events/event_store.h"
#include "storage/env.h"
#include "storage/table.h"

namespace poise {
namespace {

constexpr std::uint64_t kBatch = 1000;
constexpr std::uint64_t kItems = 20'000;
constexpr std::size_t kMaxInFlight = 4;

double Seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Of all threads of the process: on a shared machine steadier than the clock.
double CpuSeconds(clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}
double ThreadCpuSeconds() { return CpuSeconds(CLOCK_THREAD_CPUTIME_ID); }

template <typename T>
T OrDie(Result<T> result) {
  if (!result.ok()) {
    fmt::print(stderr, "event_store_bench: {}\n", result.status().ToString());
    std::exit(1);
  }
  return *std::move(result);
}

void OrDie(const Status& status) {
  if (status.ok()) return;
  fmt::print(stderr, "event_store_bench: {}\n", status.ToString());
  std::exit(1);
}

struct Store {
  Store(const std::string& folder, Sealing sealing, ThreadPool& pool)
      : master(OrDie(MasterKey::FromHex(std::string(64, '5')))) {
    std::vector<std::string> names = CatalogTableNames();
    for (const std::string& name : EventStore::TableNames()) names.push_back(name);
    tables = OrDie(Tables::Open(folder + "/tables", names));
    keys = OrDie(PersonKeys::Open(*tables, master));
    catalog = OrDie(Catalog::Open(*tables, *keys, clock));
    log = OrDie(SegmentLog::Open(env, folder + "/log", {}, nullptr));
    EventStore::Options options;
    options.snapshot_directory = folder + "/state";
    options.sealing = sealing;
    events = OrDie(EventStore::Open({env, *log, *tables, *catalog, *keys, master, clock}, options));
    report = OrDie(events->Recover(pool, {}));
  }

  PosixEnv env;
  SystemClock clock;
  MasterKey master;
  std::unique_ptr<Tables> tables;
  std::unique_ptr<PersonKeys> keys;
  std::unique_ptr<Catalog> catalog;
  std::unique_ptr<SegmentLog> log;
  std::unique_ptr<EventStore> events;
  ReplayReport report;
};

std::vector<Event> MakeBatch(Rng& rng, std::uint64_t users, Timestamp now) {
  std::vector<Event> events(kBatch);
  for (Event& event : events) {
    event.user.value = fmt::format("user-{}", rng.Below(users));
    event.item.value = fmt::format("item-{}", rng.Below(kItems));
    event.type = static_cast<EventType>(rng.Below(5));
    event.time = now;
  }
  return events;
}

void Run(const std::string& folder, std::uint64_t event_count, std::uint64_t users,
         Sealing sealing) {
  const char* const name = sealing == Sealing::kSealed ? "sealed" : "plain";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  ThreadPool pool(0);
  auto start = std::chrono::steady_clock::now();
  {
    Store store(folder, sealing, pool);
    // People and items first, so that what is measured is the log.
    std::vector<UserId> ids(users);
    std::vector<ItemId> items(kItems);
    for (std::uint64_t i = 0; i < kItems; ++i) items[i].value = fmt::format("item-{}", i);
    (void)OrDie(store.catalog->EnsureRows(items));
    for (std::uint64_t i = 0; i < users; ++i) ids[i].value = fmt::format("user-{}", i);
    std::vector<PersonRef> people;
    for (const UserId& id : ids) people.push_back(store.keys->User(id));
    (void)OrDie(store.keys->Ensure(people));
    OrDie(store.tables->Checkpoint());
    fmt::print("{:7} people and items made     {:7.2f} s\n", name, Seconds(start));

    Rng rng(1);
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t in_flight = 0;
    double made_cpu_s = 0;
    const double append_cpu_start = CpuSeconds();
    start = std::chrono::steady_clock::now();
    for (std::uint64_t done = 0; done < event_count; done += kBatch) {
      const double make_start = ThreadCpuSeconds();
      const std::vector<Event> batch = MakeBatch(rng, users, store.clock.Now());
      made_cpu_s += ThreadCpuSeconds() - make_start;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return in_flight < kMaxInFlight; });
        ++in_flight;
      }
      store.events->Append(batch, [&](const std::vector<AppendResult>& results) {
        for (const AppendResult& result : results) OrDie(result.status);
        const std::lock_guard lock(mutex);
        --in_flight;
        changed.notify_all();
      });
    }
    OrDie(store.events->Settle());
    fmt::print(
        "{:7} append, durable           {:7.0f} events/s  {:.2f} us of CPU an event\n", name,
        static_cast<double>(event_count) / Seconds(start),
        (CpuSeconds() - append_cpu_start - made_cpu_s) * 1e6 / static_cast<double>(event_count));

    std::uint64_t scanned = 0;
    const double scan_cpu_start = CpuSeconds();
    start = std::chrono::steady_clock::now();
    OrDie(store.events->ScanInteractions(
        pool, [&](std::span<const UserInteraction> some) { scanned += some.size(); }));
    fmt::print("{:7} scan for training         {:7.2f} s  {:.2f} s of CPU, {} events\n", name,
               Seconds(start), CpuSeconds() - scan_cpu_start, scanned);
  }
  start = std::chrono::steady_clock::now();
  {
    Store store(folder, sealing, pool);
    fmt::print("{:7} start by replay of all    {:7.2f} s  {} events\n", name, Seconds(start),
               store.report.event_count);
    start = std::chrono::steady_clock::now();
    OrDie(store.events->SaveSnapshot());
    fmt::print("{:7} save a snapshot           {:7.2f} s\n", name, Seconds(start));
  }
  start = std::chrono::steady_clock::now();
  {
    const Store store(folder, sealing, pool);
    fmt::print("{:7} start with a snapshot     {:7.2f} s  {} events replayed, {} users\n", name,
               Seconds(start), store.report.event_count, store.events->live().user_count());
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace poise

int main(int argc, char** argv) {
  const std::uint64_t events = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  const std::uint64_t users = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  const std::string folder =
      (argc > 3 ? std::string(argv[3]) : std::filesystem::temp_directory_path().string()) +
      "/event_store_bench";
  const std::string_view which = argc > 4 ? argv[4] : "both";
  if (events == 0 || users == 0 || (which != "sealed" && which != "plain" && which != "both")) {
    fmt::print(stderr, "usage: event_store_bench [events] [users] [folder] [sealed|plain|both]\n");
    return 2;
  }
  if (which != "sealed") poise::Run(folder, events, users, poise::Sealing::kPlain);
  if (which != "plain") poise::Run(folder, events, users, poise::Sealing::kSealed);
  return 0;
}
