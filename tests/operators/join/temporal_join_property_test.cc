#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "tests/operators/join/join_test_records.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

using Version = ChangelogRecord<OtherRow>;
using Harness = TwoInputOperatorTestHarness<Row, Version, Met>;

const OutputTag<Row> kLate("late");

template <JoinType kType>
DataStream<Met> Join(const DataStream<Row>& left, const DataStream<Version>& right) {
  const auto joined =
      left.KeyBy([](const Row& row) { return row.key; })
          .template TemporalJoin<kType>(right.KeyBy([](const Version& v) { return v.row.key; }))
          .SideOutputLateData(kLate);
  if constexpr (kType == JoinType::kInner) {
    return joined.Apply(MeetInner);
  } else {
    return joined.Apply(MeetOuter);
  }
}

/// All versions by time, of which the watermark leaves those that still count; all records that
/// wait for it.
struct Model {
  struct KeyVersion {
    int64_t time_ms;
    std::optional<int64_t> id;
  };
  bool outer;
  int64_t watermark_ms = INT64_MIN;
  std::map<int64_t, std::vector<KeyVersion>> versions;
  std::vector<std::pair<Row, int64_t>> waiting;
  std::multiset<TimedMet> results;

  void AddVersion(int64_t key, int64_t time_ms, std::optional<int64_t> id) {
    auto& all = versions[key];
    const auto behind = std::upper_bound(
        all.begin(), all.end(), time_ms,
        [](int64_t time, const KeyVersion& version) { return time < version.time_ms; });
    all.insert(behind, {time_ms, id});
    Collapse(all);
  }
  void Advance(int64_t time_ms) {
    watermark_ms = time_ms;
    for (const auto& [row, time] : waiting) {
      if (time > watermark_ms) continue;
      std::optional<int64_t> id;
      for (const KeyVersion& version : versions[row.key]) {
        if (version.time_ms <= time) id = version.id;
      }
      if (id.has_value() || outer) results.emplace(Met{row.id, id.value_or(-1)}, time);
    }
    std::erase_if(waiting, [this](const auto& item) { return item.second <= watermark_ms; });
    for (auto& [key, all] : versions) Collapse(all);
  }
  // What the watermark has passed is one version, or none.
  void Collapse(std::vector<KeyVersion>& all) const {
    size_t passed = 0;
    while (passed < all.size() && all[passed].time_ms <= watermark_ms) ++passed;
    if (passed > 0 && all[passed - 1].id.has_value()) --passed;
    all.erase(all.begin(), all.begin() + static_cast<int64_t>(passed));
  }
};

uint64_t num_cold_reads = 0;  // Of all seeds, of rows that had left memory.

template <JoinType kType>
void RunSeed(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<unsigned long>(limit));
  };
  const auto make = [&] {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + below(3));
    if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
    if (seed % 9 == 0) options.state_memory_bytes = 1;
    auto made = std::make_unique<Harness>(
        [](DataStream<Row> left, DataStream<Version> right) { return Join<kType>(left, right); },
        options);
    made->CollectSideOutput(kLate);
    return made;
  };
  auto harness = make();
  Model model{IsLeftOuter(kType), INT64_MIN, {}, {}, {}};
  std::multiset<TimedMet> results;
  std::multiset<int64_t> late;
  std::multiset<int64_t> expected_late;
  EventTime output_watermark = EventTime::Min();
  const auto collect = [&] {
    ASSERT_TRUE(harness->status().ok()) << harness->status();
    ASSERT_TRUE(CollectInTime(harness->TakeOutput(), &output_watermark, &results))
        << "a result is late";
    for (const auto& record : harness->TakeSideOutput(kLate)) late.insert(record.value.id);
  };
  for (int64_t id = 0, now = 0; id < 150; ++id) {
    now += below(6);
    const int64_t time = now - below(25);
    const int64_t key = below(3);
    if (below(2) == 0) {
      harness->ProcessElement1({key, id}, time);
      if (time <= model.watermark_ms) {
        expected_late.insert(id);
      } else {
        model.waiting.push_back({{key, id}, time});
      }
    } else {
      constexpr RowKind kKinds[] = {RowKind::kInsert, RowKind::kUpdateAfter, RowKind::kDelete,
                                    RowKind::kUpdateBefore};
      const RowKind kind = kKinds[below(4)];
      harness->ProcessElement2({kind, {"", key, id}}, time);
      if (kind == RowKind::kDelete) model.AddVersion(key, time, std::nullopt);
      if (IsAccumulate(kind)) model.AddVersion(key, time, id);
    }
    if (below(8) == 0 && now - 15 > model.watermark_ms) {
      model.Advance(now - 15);
      harness->ProcessWatermark(now - 15);
    }
    if (below(25) == 0) {
      collect();
      const OperatorTestSnapshot snapshot = harness->Snapshot();
      harness->ProcessElement1({0, 1000 + id}, now + 1);  // Lost with the harness.
      harness = make();
      harness->Restore(snapshot);
      output_watermark = EventTime::Min();
      if (model.watermark_ms != INT64_MIN) harness->ProcessWatermark(model.watermark_ms);
    }
  }
  model.Advance(INT64_MAX);
  harness->ProcessWatermark(EventTime::Max());
  collect();
  EXPECT_EQ(results, model.results);
  EXPECT_EQ(late, expected_late);
  size_t versions = 0;
  for (const auto& [key, all] : model.versions) versions += all.size();
  EXPECT_EQ(harness->NumKeyedStateEntries(), versions);
  EXPECT_EQ(harness->NumEventTimeTimers(), 0U);
  num_cold_reads += harness->CounterValue("state.rocksdbGetsFound");
}

TEST(TemporalJoinPropertyTest, EachRecordMeetsTheVersionOfItsTimeThroughDisorderAndRestores) {
  for (unsigned seed = 1; seed <= NumSeeds(240) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    if (seed % 2 == 0) {
      RunSeed<JoinType::kInner>(seed);
    } else {
      RunSeed<JoinType::kLeftOuter>(seed);
    }
  }
  EXPECT_GT(num_cold_reads, 0U);
}

TEST(TemporalJoinPropertyTest, TheWatermarkLeavesOneVersionOfAKeyThatNothingTouches) {
  Harness harness([](DataStream<Row> left, DataStream<Version> right) {
    return Join<JoinType::kInner>(left, right);
  });
  for (int64_t time = 1000; time > 0; --time) {
    harness.ProcessElement2({RowKind::kInsert, {"", 1, time}}, time);
    harness.ProcessElement2({RowKind::kInsert, {"", 2, time}}, time);
  }
  harness.ProcessElement2({RowKind::kDelete, {"", 2, 0}}, 1001);
  EXPECT_LE(harness.NumEventTimeTimers(), 5U);
  harness.ProcessWatermark(1001);
  EXPECT_EQ(harness.NumKeyedStateEntries(), 1U);
  harness.ProcessElement1({1, 7}, 1002);
  harness.ProcessElement1({2, 8}, 1002);
  harness.ProcessWatermark(1002);
  EXPECT_THAT(harness.TakeValues(), ::testing::ElementsAre(Met{7, 1000}));
}

}  // namespace
}  // namespace weir
