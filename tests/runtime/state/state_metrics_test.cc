#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/metrics/metric_group.h"
#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using ::testing::Contains;
using ::testing::Key;
using ::testing::Not;

using Backend = KeyedStateBackend<int64_t>;

// What a group shows, by names as REST has them; of a histogram its count.
std::map<std::string, double> ValuesOf(const MetricGroup& metrics) {
  struct Values final : public MetricGroup::Visitor {
    void OnCounter(std::string_view name, uint64_t value) override {
      values[prefix + std::string(name)] = static_cast<double>(value);
    }
    void OnGauge(std::string_view name, double value) override {
      values[prefix + std::string(name)] = value;
    }
    void OnHistogram(std::string_view name, const HistogramSnapshot& snapshot) override {
      values[prefix + std::string(name)] = static_cast<double>(snapshot.count);
    }
    void OnGroupBegin(std::string_view key, std::string_view value) override {
      prefix = std::string(key) + "." + std::string(value) + ".";
    }
    void OnGroupEnd() override { prefix.clear(); }
    std::string prefix;
    std::map<std::string, double> values;
  } values;
  metrics.Visit(values);
  return values.values;
}

class StateMetricsTest : public ::testing::Test, protected BackendStorage {
 protected:
  std::unique_ptr<Backend> NewBackend(MemoryBudget* budget) {
    KeyedStateBackendOptions options;
    options.range = {0, 127};
    options.memory_budget = budget;
    options.metrics = &metrics_;
    options.local_dir = NextLocalDir();
    return std::make_unique<Backend>(std::move(options));
  }
  std::map<std::string, double> Values() const { return ValuesOf(metrics_); }

  MetricGroup metrics_;
};

TEST_F(StateMetricsTest, EachStateShowsWhatItHoldsAndWhatItAsksOfMemoryAndDisk) {
  constexpr int64_t kNumKeys = 20'000;
  constexpr size_t kValueBytes = 200;
  MemoryBudget budget(1 << 20);
  auto backend = NewBackend(&budget);
  auto small = *backend->GetState(ValueStateDescriptor<int64_t>{"small"});
  auto large = *backend->GetState(ValueStateDescriptor<std::string>{"large"});
  for (int64_t key = 0; key < kNumKeys; ++key) {
    backend->SetCurrentKey(key, KeyHash(key));
    large.Set(std::string(kValueBytes, static_cast<char>(key)) + std::to_string(key));
  }
  for (int64_t key = 0; key < 100; ++key) {
    backend->SetCurrentKey(key, KeyHash(key));
    small.Set(key);
  }
  Checkpoint(*backend);
  backend->PublishMetrics(1'000'000'000);

  auto values = Values();
  EXPECT_EQ(values["state_name.large.numEntries"], kNumKeys);
  EXPECT_EQ(values["state_name.small.numEntries"], 100);
  EXPECT_GT(values["state_name.large.memoryBytes"], 0);
  EXPECT_LT(values["state_name.large.memoryBytes"], 1 << 20);
  EXPECT_GT(values["state_name.large.rocksdb.estimate-live-data-size"], kNumKeys * 20.0);
  EXPECT_LT(values["state_name.large.rocksdb.estimate-live-data-size"],
            kNumKeys * 2.0 * kValueBytes);
  EXPECT_GT(values["state_name.large.evictions"], kNumKeys / 2);
  EXPECT_EQ(values["state_name.large.evictions"] + values["state_name.small.evictions"],
            values["state.evictions"]);
  EXPECT_EQ(values["state_name.large.rocksdbPuts"] + values["state_name.small.rocksdbPuts"],
            values["state.rocksdbPuts"]);
  EXPECT_GT(values["state_name.large.rocksdbNanos"], 0);

  for (int64_t key = 0; key < kNumKeys; ++key) {
    backend->SetCurrentKey(key, KeyHash(key));
    ASSERT_NE(large.Get(), nullptr);
  }
  backend->PublishMetrics(2'000'000'000);
  auto after = Values();
  const auto growth = [&](const std::string& name) { return after[name] - values[name]; };
  EXPECT_EQ(growth("state_name.large.rocksdbGets") + growth("state_name.large.tableHits"),
            kNumKeys);
  EXPECT_EQ(growth("state_name.large.rocksdbGets"), growth("state_name.large.rocksdbGetsFound"));
  EXPECT_EQ(growth("state_name.small.rocksdbGets"), 0);
}

TEST_F(StateMetricsTest, AStateIsThereOnceItHasAnEntry) {
  auto backend = NewBackend(nullptr);
  auto state = *backend->GetState(ValueStateDescriptor<int64_t>{"state"});
  backend->PublishMetrics(1);
  EXPECT_THAT(Values(), Not(Contains(Key("state_name.state.numEntries"))));
  backend->SetCurrentKey(1, KeyHash(int64_t{1}));
  state.Set(1);
  backend->PublishMetrics(2);  // Too soon.
  EXPECT_THAT(Values(), Not(Contains(Key("state_name.state.numEntries"))));
  backend->PublishMetrics(1'000'000'000);
  EXPECT_EQ(Values()["state_name.state.numEntries"], 1);
}

TEST_F(StateMetricsTest, SomeAccessesOfEachKindAreMeasured) {
  auto backend = NewBackend(nullptr);
  auto value = *backend->GetState(ValueStateDescriptor<int64_t>{"value"});
  auto list = *backend->GetState(ListStateDescriptor<int64_t>{"list"});
  auto map = *backend->GetState(MapStateDescriptor<int64_t, int64_t>{"map"});
  auto reducing = *backend->GetState(ReducingStateDescriptor<int64_t>{
      "reducing", [](int64_t& sum, const int64_t& element) { sum += element; }});
  const auto use = [&](int64_t key) {
    backend->SetCurrentKey(key, KeyHash(key));
    value.Set(key);
    static_cast<void>(value.Get());
    value.Clear();
    list.Add(key);
    static_cast<void>(list.Get());
    list.Update({key, key});
    map.Put(key, key);
    static_cast<void>(map.Get(key));
    map.Remove(key);
    reducing.Add(key);
    static_cast<void>(reducing.Get());
  };
  for (int64_t key = 0; key < 50'000; ++key) use(key);

  auto values = Values();
  for (const char* name :
       {"value.valueStateGetLatency", "value.valueStateUpdateLatency", "value.stateClearLatency",
        "list.listStateGetLatency", "list.listStateAddLatency", "list.listStateUpdateLatency",
        "map.mapStateGetLatency", "map.mapStatePutLatency", "map.mapStateRemoveLatency",
        "reducing.reducingStateGetLatency", "reducing.reducingStateAddLatency"}) {
    EXPECT_GT(values[std::string("state_name.") + name], 0) << name;
  }
  const double measured = values["state_name.value.valueStateGetLatency"] +
                          values["state_name.value.valueStateUpdateLatency"] +
                          values["state_name.value.stateClearLatency"];
  EXPECT_EQ(measured, 1 + (150'000 - 64) / 1024);
}

}  // namespace
}  // namespace weir
