// Measures the object table and the synchronous part of snapshots: nanoseconds of CPU
// an operation, the best of several rounds.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/base/ids.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/key_codec.h"
#include "runtime/state/keyed_state_backend.h"
#include "runtime/state/rocksdb_options.h"
#include "tests/bench/cpu_seconds.h"

namespace weir {
namespace {

using Clock = ThreadCpuClock;

constexpr int kRounds = 7;
constexpr size_t kOperations = 4'000'000;

template <class Work>
double BestNanosecondsPerOperation(size_t operations, Work&& work) {
  double best = 1e18;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = Clock::now();
    work();
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    best = std::min(best, spent.count() / static_cast<double>(operations));
  }
  return best;
}

void Report(const std::string& what, double nanoseconds) {
  std::printf("%-66s %9.1f ns\n", what.c_str(), nanoseconds);
}

struct Access {
  int64_t key;
  uint64_t hash;
};

std::vector<Access> RandomAccesses(size_t num_keys) {
  std::mt19937_64 random(1);
  std::vector<Access> accesses(kOperations);
  for (Access& access : accesses) {
    access.key = static_cast<int64_t>(random() % num_keys);
    access.hash = KeyHash(access.key);
  }
  return accesses;
}

void BenchmarkIntegers(size_t num_keys) {
  const std::vector<Access> accesses = RandomAccesses(num_keys);
  const std::string name = "int64 -> int64, " + std::to_string(num_keys) + " keys: ";
  ObjectTable<int64_t, VoidNamespace, int64_t> table(/*track_changes=*/true);
  for (const Access& access : accesses) ++table.Mutable(access.hash, access.key);

  Report(name + "increment", BestNanosecondsPerOperation(kOperations, [&] {
           for (const Access& access : accesses) ++table.Mutable(access.hash, access.key);
         }));
  Report(name + "increment, prefetched", BestNanosecondsPerOperation(kOperations, [&] {
           constexpr size_t kSlotsAhead = 24;
           constexpr size_t kEntriesAhead = 12;
           for (size_t i = 0; i + kSlotsAhead < accesses.size(); ++i) {
             table.Prefetch(accesses[i + kSlotsAhead].hash);
             table.PrefetchEntry(accesses[i + kEntriesAhead].hash);
             ++table.Mutable(accesses[i].hash, accesses[i].key);
           }
         }));
  Report(name + "find", BestNanosecondsPerOperation(kOperations, [&] {
           int64_t sum = 0;
           for (const Access& access : accesses) sum += *table.Find(access.hash, access.key);
           asm volatile("" : : "r"(sum));
         }));
  absl::flat_hash_map<int64_t, int64_t> map;
  for (const Access& access : accesses) ++map[access.key];
  Report(name + "increment in absl::flat_hash_map", BestNanosecondsPerOperation(kOperations, [&] {
           for (const Access& access : accesses) ++map[access.key];
         }));
  Report(name + "insert and erase all", BestNanosecondsPerOperation(num_keys * 2, [&] {
           ObjectTable<int64_t, VoidNamespace, int64_t> fresh(/*track_changes=*/true);
           for (size_t key = 0; key < num_keys; ++key) {
             ++fresh.Mutable(accesses[key].hash, accesses[key].key);
           }
           for (size_t key = 0; key < num_keys; ++key) {
             fresh.Erase(accesses[key].hash, accesses[key].key);
           }
         }));
  std::printf("%-66s %9.1f bytes\n", (name + "memory an entry").c_str(),
              static_cast<double>(table.MemoryBytes()) / static_cast<double>(table.size()));
}

void BenchmarkStrings(size_t num_keys) {
  const std::vector<Access> accesses = RandomAccesses(num_keys);
  std::vector<std::string> keys(num_keys);
  for (size_t i = 0; i < num_keys; ++i) keys[i] = "10.0." + std::to_string(i) + ".host.example";
  std::vector<uint64_t> hashes(num_keys);
  for (size_t i = 0; i < num_keys; ++i) hashes[i] = KeyHash(keys[i]);
  const std::string name = "string -> int64, " + std::to_string(num_keys) + " keys: ";

  ObjectTable<std::string, VoidNamespace, int64_t> table(/*track_changes=*/true);
  Report(name + "increment", BestNanosecondsPerOperation(kOperations, [&] {
           for (const Access& access : accesses) {
             const auto index = static_cast<size_t>(access.key);
             ++table.Mutable(hashes[index], keys[index]);
           }
         }));

  KeyedStateBackendOptions options;
  options.range = {0, 127};
  options.local_dir = "unused";
  KeyedStateBackend<std::string> backend(std::move(options));
  ValueState<int64_t> state = *backend.GetState(ValueStateDescriptor<int64_t>{"count"});
  Report(name + "increment by ValueState", BestNanosecondsPerOperation(kOperations, [&] {
           for (const Access& access : accesses) {
             const auto index = static_cast<size_t>(access.key);
             backend.SetCurrentKey(keys[index], hashes[index]);
             ++state.Mutable();
           }
         }));
}

// The part of a snapshot that holds the task up, and what changes cost while it runs.
void BenchmarkSnapshot(size_t num_keys, size_t num_changed) {
  ObjectTable<int64_t, VoidNamespace, int64_t> table(/*track_changes=*/true);
  std::vector<Access> accesses(num_keys);
  for (size_t i = 0; i < num_keys; ++i) {
    accesses[i] = {static_cast<int64_t>(i), KeyHash(static_cast<int64_t>(i))};
    table.Mutable(accesses[i].hash, accesses[i].key) = 1;
  }
  std::shuffle(accesses.begin(), accesses.end(), std::mt19937_64(1));
  accesses.resize(num_changed);
  table.EndSnapshot(table.BeginSnapshot(), SnapshotResult::kWritten);

  double change = 1e18;
  double begin_snapshot = 1e18;
  double copy = 1e18;
  double end_snapshot = 1e18;
  const auto measure = [](double& best, size_t operations, auto&& work) {
    const auto begin = Clock::now();
    work();
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    best = std::min(best, spent.count() / static_cast<double>(operations));
  };
  const auto touch_all = [&] {
    for (const Access& access : accesses) ++table.Mutable(access.hash, access.key);
  };
  for (int round = 0; round < kRounds; ++round) {
    measure(change, num_changed, touch_all);
    decltype(table)::FrozenEntries frozen;
    measure(begin_snapshot, 1, [&] { frozen = table.BeginSnapshot(); });
    measure(copy, num_changed, touch_all);
    measure(end_snapshot, 1,
            [&] { table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten); });
    table.EndSnapshot(table.BeginSnapshot(), SnapshotResult::kWritten);
  }
  const std::string name = "snapshot, " + std::to_string(num_keys) + " keys, " +
                           std::to_string(num_changed) + " changed: ";
  Report(name + "first change of an entry", change);
  Report(name + "begin, in all", begin_snapshot);
  Report(name + "change of a frozen entry", copy);
  Report(name + "end, all copied, in all", end_snapshot);
}

// The part of a snapshot that runs beside the task: sorting, one sorted file, storing it.
void BenchmarkAsynchronousPart(size_t num_keys, size_t num_changed) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-bench-" + ToString(RandomId<JobId>())))
          .string();
  FileStateStore store(directory + "/checkpoints", "bench");
  {
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.local_dir = directory + "/local";
    KeyedStateBackend<int64_t> backend(std::move(options));
    auto* const table = *backend.Table(TableDescriptor<VoidNamespace, int64_t>{"count"});
    uint64_t next_checkpoint = 1;
    const auto run = [&](const char* what, size_t entries) {
      auto snapshot = backend.Snapshot(CheckpointId(next_checkpoint));
      const auto begin = Clock::now();
      const auto handle = snapshot->Run(store);
      const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
      backend.FinishSnapshot(std::move(snapshot));
      backend.NotifyCheckpointComplete(CheckpointId(next_checkpoint++));
      Report("snapshot, asynchronous part, int64 -> int64, " + std::to_string(entries) + " " +
                 what + ": an entry",
             handle.ok() ? spent.count() / static_cast<double>(entries) : -1);
    };
    for (size_t i = 0; i < num_keys; ++i) {
      const auto key = static_cast<int64_t>(i);
      table->Mutable(KeyHash(key), key) = 1;
    }
    run("entries, the first", num_keys);
    for (int round = 0; round < 3; ++round) {
      for (size_t i = 0; i < num_changed; ++i) {
        const auto key = static_cast<int64_t>(i * 7 % num_keys);
        ++table->Mutable(KeyHash(key), key);
      }
      run("changed", num_changed);
    }
  }
  std::filesystem::remove_all(directory);
}

// State that memory has room for a quarter of: hot keys, keys that come back, new ones.
void BenchmarkEviction(int64_t num_keys) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-bench-" + ToString(RandomId<JobId>())))
          .string();
  FileStateStore store(directory + "/checkpoints", "bench");
  {
    MemoryBudget budget(num_keys * 75 / 4);
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.memory_budget = &budget;
    options.local_dir = directory + "/local";
    KeyedStateBackend<int64_t> backend(std::move(options));
    auto* const table = *backend.Table(TableDescriptor<VoidNamespace, int64_t>{"count"});
    const std::string name =
        "over RocksDB, " + std::to_string(num_keys) + " keys, a quarter fits: ";
    double longest = 0;
    const auto run = [&](const char* what, size_t operations, auto&& key_of) {
      longest = 0;
      const auto begin = Clock::now();
      auto last = begin;
      for (size_t i = 0; i < operations; ++i) {
        const int64_t key = key_of(i);
        ++table->Mutable(KeyHash(key), key);
        if (i % 64 == 0) {
          const auto now = Clock::now();
          longest = std::max(longest, std::chrono::duration<double, std::nano>(now - last).count());
          last = now;
        }
      }
      const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
      Report(name + what, spent.count() / static_cast<double>(operations));
      Report(name + what + ", longest 64 in all", longest);
    };
    std::mt19937_64 random(1);
    const auto num = static_cast<uint64_t>(num_keys);
    run("insert", num, [](size_t i) { return static_cast<int64_t>(i); });
    run("increment, 99 % of a hundredth", 2'000'000, [&](size_t) {
      return static_cast<int64_t>(random() % 100 == 0 ? random() % num : random() % (num / 100));
    });
    run("increment, all alike", 300'000,
        [&](size_t) { return static_cast<int64_t>(random() % num); });
    for (int round = 0; round < 3; ++round) {
      auto begin = Clock::now();
      auto snapshot = backend.Snapshot(CheckpointId(static_cast<uint64_t>(round) + 1));
      const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
      const bool written = snapshot->Run(store).ok();
      backend.FinishSnapshot(std::move(snapshot));
      Report(name + "snapshot, synchronous part", written ? spent.count() : -1);
      run("increment after a snapshot", 300'000,
          [&](size_t) { return static_cast<int64_t>(random() % num); });
    }
    std::printf("%-66s %9.1f MB of %.1f\n", (name + "most memory").c_str(),
                static_cast<double>(budget.peak_bytes()) / 1e6,
                static_cast<double>(budget.limit_bytes()) / 1e6);
  }
  std::filesystem::remove_all(directory);
}

double CounterOf(const MetricGroup& metrics, std::string_view name) {
  struct Finder final : public MetricGroup::Visitor {
    explicit Finder(std::string_view wanted_in) : wanted(wanted_in) {}
    void OnCounter(std::string_view key, uint64_t value) override {
      if (key == wanted) found = static_cast<double>(value);
    }
    void OnGauge(std::string_view, double) override {}
    void OnHistogram(std::string_view, const HistogramSnapshot&) override {}
    const std::string_view wanted;
    double found = 0;
  } finder(name);
  metrics.Visit(finder);
  return finder.found;
}

// What the table is for: most look-ups are of few keys. `memory_bytes` are for table and RocksDB's
// cache; without the table, all of it is for RocksDB's cache and each entry leaves at once.
double BenchmarkHotKeys(int64_t num_keys, int64_t memory_bytes, bool with_table) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-bench-" + ToString(RandomId<JobId>())))
          .string();
  double nanoseconds = 0;
  {
    constexpr int64_t kMostOfLimit = 8;  // RocksDB's cache may be an eighth of the limit.
    MemoryBudget budget(with_table ? memory_bytes : kMostOfLimit * memory_bytes);
    MemoryCharge others(&budget, with_table ? 0 : budget.limit_bytes());
    RocksDbOptions rocksdb;
    rocksdb.block_cache_bytes = static_cast<size_t>(with_table ? memory_bytes / 16 : memory_bytes);
    rocksdb.all_write_buffers_bytes = static_cast<size_t>(memory_bytes / 32);
    const auto configured = ConfigureRocksDb(&budget, rocksdb);
    MetricGroup metrics;
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.memory_budget = &budget;
    options.metrics = &metrics;
    options.local_dir = directory;
    KeyedStateBackend<int64_t> backend(std::move(options));
    ValueState<std::string> state = *backend.GetState(ValueStateDescriptor<std::string>{"value"});
    const auto change = [&](int64_t key) {
      backend.SetCurrentKey(key, KeyHash(key));
      std::string& value = state.Mutable();
      if (value.empty()) value.assign(100, 'x');
      ++value[static_cast<size_t>(key % 100)];
    };
    for (int64_t key = 0; key < num_keys; ++key) change(key);
    std::mt19937_64 random(1);
    const auto num = static_cast<uint64_t>(num_keys);
    const auto next = [&] {
      return static_cast<int64_t>(random() % 100 < 95 ? random() % (num / 100) : random() % num);
    };
    for (uint64_t i = 0; i < num / 2; ++i) change(next());  // Until hot keys are where they belong.
    const double gets_before = CounterOf(metrics, "state.rocksdbGets");
    const size_t operations = 1'000'000;
    const auto begin = Clock::now();
    for (size_t i = 0; i < operations; ++i) change(next());
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    nanoseconds = spent.count() / static_cast<double>(operations);
    const std::string name = std::string("hot keys, 95 % of a hundredth of ") +
                             std::to_string(num_keys) + (with_table ? "" : ", no table") + ": ";
    Report(name + "change", nanoseconds);
    std::printf("%-66s %9.1f %%\n", (name + "of them asked RocksDB").c_str(),
                100 * (CounterOf(metrics, "state.rocksdbGets") - gets_before) /
                    static_cast<double>(operations));
  }
  std::filesystem::remove_all(directory);
  return nanoseconds;
}

void CompareHotKeys() {
  constexpr int64_t kNumKeys = 2'000'000;
  constexpr int64_t kMemoryBytes = int64_t{64} << 20;  // About a fifth of what all would take.
  const double with_table = BenchmarkHotKeys(kNumKeys, kMemoryBytes, true);
  const double without = BenchmarkHotKeys(kNumKeys, kMemoryBytes, false);
  std::printf("%-66s %9.1f times\n", "hot keys: the table makes a change faster",
              without / with_table);
}

void BenchmarkTimers(int64_t num_timers, int64_t limit_bytes) {
  const std::string directory =
      (std::filesystem::temp_directory_path() / ("weir-bench-" + ToString(RandomId<JobId>())))
          .string();
  {
    MemoryBudget budget(limit_bytes);
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.memory_budget = &budget;
    options.local_dir = directory;
    KeyedStateBackend<int64_t> backend(std::move(options));
    auto* const timers = *backend.Timers<VoidNamespace>("timers", TimeDomain::kEventTime);
    const std::string name =
        std::to_string(num_timers) + " timers, " + std::to_string(limit_bytes >> 20) + " MiB: ";
    std::mt19937_64 random(1);
    const auto measure = [&](const char* what, auto&& work) {
      const auto begin = Clock::now();
      for (int64_t i = 0; i < num_timers; ++i) {
        work(i);
        if (i % 1024 == 0) backend.ShedMemory();
      }
      const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
      Report(name + what, spent.count() / static_cast<double>(num_timers));
    };
    measure("register", [&](int64_t i) {
      timers->Register(i, KeyHash(i), {}, static_cast<int64_t>(random() % 86'400'000));
    });
    measure("fire", [&](int64_t) {
      if (!timers->PopDue(86'400'000).has_value()) std::printf("a timer is lost\n");
    });
    std::printf("%-66s %9.1f MB\n", (name + "most memory").c_str(),
                static_cast<double>(budget.peak_bytes()) / 1e6);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weir

int main(int argc, char**) {
  if (argc > 1) {  // Of state on disk only.
    weir::BenchmarkEviction(1'000'000);
    weir::CompareHotKeys();
    weir::BenchmarkTimers(1'000'000, int64_t{1} << 30);
    weir::BenchmarkTimers(1'000'000, int64_t{64} << 20);
    weir::BenchmarkTimers(10'000'000, int64_t{256} << 20);
    return 0;
  }
  weir::BenchmarkIntegers(1'000);
  weir::BenchmarkIntegers(1'000'000);
  weir::BenchmarkStrings(1'000);
  weir::BenchmarkStrings(1'000'000);
  weir::BenchmarkSnapshot(1'000'000, 100'000);
  weir::BenchmarkAsynchronousPart(1'000'000, 100'000);
  return 0;
}
