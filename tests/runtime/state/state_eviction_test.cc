#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/metrics/metric_group.h"
#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using Backend = KeyedStateBackend<int64_t>;

class StateEvictionTest : public ::testing::Test, protected BackendStorage {
 protected:
  std::unique_ptr<Backend> NewBackend(MemoryBudget* budget, MetricGroup* metrics,
                                      uint32_t index = 0, uint32_t parallelism = 1) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, 128, parallelism);
    options.memory_budget = budget;
    options.metrics = metrics;
    options.local_dir = NextLocalDir();
    return std::make_unique<Backend>(std::move(options));
  }
  static double Metric(const MetricGroup& metrics, const std::string& name) {
    struct Values final : public MetricGroup::Visitor {
      void OnCounter(std::string_view key, uint64_t value) override {
        values[std::string(key)] = static_cast<double>(value);
      }
      void OnGauge(std::string_view key, double value) override {
        values[std::string(key)] = value;
      }
      void OnHistogram(std::string_view, const HistogramSnapshot&) override {}
      std::map<std::string, double> values;
    } values;
    metrics.Visit(values);
    return values.values.at(name);
  }
};

const ValueStateDescriptor<std::string> kText{"text"};

TEST_F(StateEvictionTest, HotKeysAreReadFromMemoryAndTheRestStaysWithinTheLimit) {
  constexpr int64_t kNumKeys = 100'000;
  constexpr int64_t kLimitBytes = 4 << 20;  // A fifth of what all would take.
  MemoryBudget budget(kLimitBytes);
  MetricGroup metrics;
  auto backend = NewBackend(&budget, &metrics);
  auto text = *backend->GetState(kText);
  const auto set_key = [&](int64_t key) { backend->SetCurrentKey(key, KeyHash(key)); };
  for (int64_t key = 0; key < kNumKeys; ++key) {
    set_key(key);
    text.Set("a text that does not fit into the string itself: " + std::to_string(key));
  }
  Checkpoint(*backend);
  EXPECT_EQ(backend->NumEntries(), static_cast<size_t>(kNumKeys));
  EXPECT_GT(Metric(metrics, "state.evictions"), kNumKeys / 2);
  const double gets_before = Metric(metrics, "state.rocksdbGets");
  const double hits_before = Metric(metrics, "state.tableHits");

  std::mt19937_64 random(1);
  constexpr int kNumReads = 300'000;
  for (int i = 0; i < kNumReads; ++i) {
    const auto key = static_cast<int64_t>(random() % 100 < 95 ? random() % (kNumKeys / 100)
                                                              : random() % kNumKeys);
    set_key(key);
    ASSERT_EQ(*text.Get(),
              "a text that does not fit into the string itself: " + std::to_string(key));
  }
  backend->ShedMemory();
  const double gets = Metric(metrics, "state.rocksdbGets") - gets_before;
  const double hits = Metric(metrics, "state.tableHits") - hits_before;
  EXPECT_EQ(gets + hits, kNumReads);
  EXPECT_GT(gets, 0);
  EXPECT_LT(gets, kNumReads / 10);
  EXPECT_LT(budget.peak_bytes(), kLimitBytes * 11 / 10);
}

TEST_F(StateEvictionTest, GrowthMustWaitNearTheLimitUntilTheSnapshotsFilesAreChosen) {
  constexpr int64_t kLimitBytes = 4 << 20;
  MemoryBudget budget(kLimitBytes);
  MetricGroup metrics;
  auto backend = NewBackend(&budget, &metrics);
  auto text = *backend->GetState(kText);
  int64_t next_key = 0;
  const auto add_some = [&] {
    for (int i = 0; i < 32; ++i, ++next_key) {
      backend->SetCurrentKey(next_key, KeyHash(next_key));
      text.Set(std::string(100, 'x'));
    }
  };
  while (next_key < 100'000) {
    add_some();
    ASSERT_FALSE(backend->GrowthMustWait());  // Without a snapshot, others leave instead.
  }
  bool chosen = false;
  auto snapshot = backend->Snapshot(CheckpointId(1), [&chosen] { chosen = true; });
  EXPECT_FALSE(backend->GrowthMustWait());
  while (!backend->GrowthMustWait()) {
    add_some();
    ASSERT_LT(next_key, 200'000);  // Nothing can leave: memory fills up.
  }
  EXPECT_LT(budget.peak_bytes(), kLimitBytes);
  ASSERT_TRUE(snapshot->Run(store_).ok());
  EXPECT_TRUE(chosen);
  EXPECT_FALSE(backend->GrowthMustWait());  // Though the snapshot is not finished.
  // From here on more leave than come.
  const int64_t first_after = next_key;
  while (budget.used_bytes() > kLimitBytes * 8 / 10 && next_key < first_after + 20'000) add_some();
  EXPECT_LE(budget.used_bytes(), kLimitBytes * 8 / 10);
  EXPECT_LT(budget.peak_bytes(), kLimitBytes * 11 / 10);
  backend->FinishSnapshot(std::move(snapshot));
  EXPECT_FALSE(backend->GrowthMustWait());
}

TEST_F(StateEvictionTest, GrowthGoesOnAfterASnapshotThatWasNotWritten) {
  MemoryBudget budget(1 << 20);
  MetricGroup metrics;
  auto backend = NewBackend(&budget, &metrics);
  auto text = *backend->GetState(kText);
  auto snapshot = backend->Snapshot(CheckpointId(1));
  for (int64_t key = 0; !backend->GrowthMustWait(); ++key) {
    ASSERT_LT(key, 100'000);
    backend->SetCurrentKey(key, KeyHash(key));
    text.Set(std::string(100, 'x'));
  }
  backend->FinishSnapshot(std::move(snapshot));
  EXPECT_FALSE(backend->GrowthMustWait());
}

TEST_F(StateEvictionTest, CopiesForASnapshotAreCharged) {
  constexpr int64_t kNumKeys = 10'000;
  MemoryBudget budget(int64_t{1} << 40);
  MetricGroup metrics;
  auto backend = NewBackend(&budget, &metrics);
  auto text = *backend->GetState(kText);
  const auto set_all = [&] {
    for (int64_t key = 0; key < kNumKeys; ++key) {
      backend->SetCurrentKey(key, KeyHash(key));
      text.Set(std::string(1000, 'x'));
    }
  };
  set_all();
  auto snapshot = backend->Snapshot(CheckpointId(1));
  const int64_t before = budget.used_bytes();
  EXPECT_GT(before, kNumKeys * 1000);
  set_all();
  EXPECT_GT(budget.used_bytes(), before + kNumKeys * 900);
  backend->FinishSnapshot(std::move(snapshot));
  EXPECT_LT(budget.used_bytes(), before * 11 / 10 + (4 << 20));
}

TEST_F(StateEvictionTest, ARestoreReadsWhatIsAskedForOnly) {
  constexpr int64_t kNumKeys = 20'000;
  MemoryBudget budget(1 << 20);
  std::vector<KeyedStateHandle> handles;
  {
    MetricGroup metrics;
    auto backend = NewBackend(&budget, &metrics);
    auto text = *backend->GetState(kText);
    for (int64_t key = 0; key < kNumKeys; ++key) {
      backend->SetCurrentKey(key, KeyHash(key));
      text.Set(std::string(100, 'x') + std::to_string(key));
    }
    handles.push_back(Checkpoint(*backend));
  }
  for (const uint32_t parallelism : {1u, 2u}) {  // The files are adopted, or copied.
    size_t num_entries = 0;
    for (uint32_t index = 0; index < parallelism; ++index) {
      MetricGroup metrics;
      auto backend = NewBackend(&budget, &metrics, index, parallelism);
      ASSERT_TRUE(backend->Restore(handles, store_).ok());
      auto text = *backend->GetState(kText);
      num_entries += backend->NumEntries();
      EXPECT_LT(backend->MemoryBytes(), 10'000u);
      int num_read = 0;
      for (int64_t key = 0; num_read < 100; ++key) {
        if (SubtaskOfHash(KeyHash(key), 128, parallelism) != index) continue;
        backend->SetCurrentKey(key, KeyHash(key));
        ASSERT_NE(text.Get(), nullptr);
        ASSERT_EQ(*text.Get(), std::string(100, 'x') + std::to_string(key));
        ++num_read;
      }
      EXPECT_EQ(Metric(metrics, "state.rocksdbGets"), 100);
    }
    EXPECT_EQ(num_entries, static_cast<size_t>(kNumKeys));
  }
}

TEST_F(StateEvictionTest, AnUnreadableDatabaseIsToldByAStateError) {
  MemoryBudget budget(1);
  MetricGroup metrics;
  KeyedStateBackendOptions options;
  options.range = {0, 127};
  options.memory_budget = &budget;
  options.local_dir = "/dev/null/no-folder";
  Backend backend(std::move(options));
  auto text = *backend.GetState(kText);
  const auto fill = [&] {
    for (int64_t key = 0; key < 10'000; ++key) {
      backend.SetCurrentKey(key, KeyHash(key));
      text.Set("text");
    }
  };
  EXPECT_THROW(fill(), StateError);
}

}  // namespace
}  // namespace weir
