#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "tests/operators/join/join_test_records.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

using Harness = TwoInputOperatorTestHarness<Row, OtherRow, Met>;

constexpr auto kLeftKey = [](const Row& row) { return row.key; };
constexpr auto kRightKey = [](const OtherRow& row) { return row.key; };

AlignedWindows Windows(int64_t size_ms, int64_t slide_ms) {
  return SlidingEventTimeWindows::Of(absl::Milliseconds(size_ms), absl::Milliseconds(slide_ms));
}

/// Counts of the records of both streams in a window: what co-group makes of it.
Met CountBoth(const std::vector<Row>& left, const std::vector<OtherRow>& right) {
  return {static_cast<int64_t>(left.size()), static_cast<int64_t>(right.size())};
}

/// How the records of both streams meet.
enum class Kind { kInner, kLeftOuter, kRightOuter, kFullOuter, kCoGroup };

template <JoinType kType>
DataStream<Met> Join(const DataStream<Row>& left, const DataStream<OtherRow>& right, int64_t size,
                     int64_t slide) {
  const auto joined =
      left.Join<kType>(right).Where(kLeftKey).EqualTo(kRightKey).Window(Windows(size, slide));
  if constexpr (kType == JoinType::kInner) {
    return joined.Apply(MeetInner);
  } else {
    return joined.Apply(MeetOuter);
  }
}

DataStream<Met> Build(Kind kind, const DataStream<Row>& left, const DataStream<OtherRow>& right,
                      int64_t size, int64_t slide) {
  switch (kind) {
    case Kind::kInner:
      return Join<JoinType::kInner>(left, right, size, slide);
    case Kind::kLeftOuter:
      return Join<JoinType::kLeftOuter>(left, right, size, slide);
    case Kind::kRightOuter:
      return Join<JoinType::kRightOuter>(left, right, size, slide);
    case Kind::kFullOuter:
      return Join<JoinType::kFullOuter>(left, right, size, slide);
    case Kind::kCoGroup:
      break;
  }
  return left.CoGroup(right)
      .Where(kLeftKey)
      .EqualTo(kRightKey)
      .Window(Windows(size, slide))
      .Apply<Met>([](const std::vector<Row>& l, const std::vector<OtherRow>& r,
                     Collector<Met>& out) { out.Collect(CountBoth(l, r)); });
}

/// The records of each window of each key, and what becomes of them.
struct Model {
  using Side = std::vector<int64_t>;
  Kind kind;
  int64_t size_ms;
  int64_t slide_ms;
  int64_t watermark_ms = INT64_MIN;
  std::map<std::pair<int64_t, int64_t>, std::pair<Side, Side>> windows;  // By key and start.

  void Add(bool is_left, int64_t key, int64_t id, int64_t time_ms) {
    for (int64_t start = time_ms - size_ms + 1; start <= time_ms; ++start) {
      if (((start % slide_ms) + slide_ms) % slide_ms != 0) continue;
      if (start + size_ms - 1 <= watermark_ms) continue;  // Late.
      auto& [left, right] = windows[{key, start}];
      (is_left ? left : right).push_back(id);
    }
  }
  [[nodiscard]] std::multiset<TimedMet> Results() const {
    std::multiset<TimedMet> results;
    for (const auto& [place, sides] : windows) {
      const auto& [left, right] = sides;
      const int64_t time = place.second + size_ms - 1;
      if (kind == Kind::kCoGroup) {
        results.emplace(Met{static_cast<int64_t>(left.size()), static_cast<int64_t>(right.size())},
                        time);
        continue;
      }
      for (const int64_t l : left) {
        for (const int64_t r : right) results.emplace(Met{l, r}, time);
        if (right.empty() && (kind == Kind::kLeftOuter || kind == Kind::kFullOuter)) {
          results.emplace(Met{l, -1}, time);
        }
      }
      for (const int64_t r : right) {
        if (left.empty() && (kind == Kind::kRightOuter || kind == Kind::kFullOuter)) {
          results.emplace(Met{-1, r}, time);
        }
      }
    }
    return results;
  }
};

uint64_t num_cold_reads = 0;  // Of all seeds, of rows that had left memory.

void RunSeed(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<unsigned long>(limit));
  };
  const auto kind = static_cast<Kind>(seed % 5);
  const int64_t size = 5 + below(30);
  const int64_t slide = below(2) == 0 ? size : 3 + below(size);
  Model model{kind, size, slide, INT64_MIN, {}};
  const auto make = [&] {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + below(3));
    if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
    if (seed % 9 == 0) options.state_memory_bytes = 1;
    return std::make_unique<Harness>(
        [&](DataStream<Row> left, DataStream<OtherRow> right) {
          return Build(kind, left, right, size, slide);
        },
        options);
  };
  auto harness = make();
  std::multiset<TimedMet> results;
  EventTime output_watermark = EventTime::Min();
  const auto collect = [&] {
    ASSERT_TRUE(harness->status().ok()) << harness->status();
    ASSERT_TRUE(CollectInTime(harness->TakeOutput(), &output_watermark, &results))
        << "a result is late";
  };
  for (int64_t id = 0, now = 0; id < 80; ++id) {
    now += below(6);
    const int64_t time = now - below(20);
    const int64_t key = below(3);
    const bool is_left = below(2) == 0;
    if (is_left) {
      harness->ProcessElement1({key, id}, time);
    } else {
      harness->ProcessElement2({StrCat("r", id), key, id}, time);
    }
    model.Add(is_left, key, id, time);
    if (below(8) == 0 && now - 12 > model.watermark_ms) {
      model.watermark_ms = now - 12;
      harness->ProcessWatermark(model.watermark_ms);
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
  harness->ProcessWatermark(EventTime::Max());
  collect();
  EXPECT_EQ(results, model.Results());
  EXPECT_EQ(harness->NumKeyedStateEntries(), 0U);
  num_cold_reads += harness->CounterValue("state.rocksdbGetsFound");
}

TEST(WindowJoinPropertyTest, EachWindowIsANestedLoopEmptySidesIncluded) {
  for (unsigned seed = 1; seed <= NumSeeds(250) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    RunSeed(seed);
  }
  EXPECT_GT(num_cold_reads, 0U);
}

TEST(WindowJoinPropertyTest, AStreamMayBeJoinedWithItself) {
  OperatorTestHarness<Row, Met> harness([](DataStream<Row> rows) {
    return rows.Join(rows)
        .Where(kLeftKey)
        .EqualTo(kLeftKey)
        .Window(Windows(10, 10))
        .Apply([](const Row& left, const Row& right) { return Met{left.id, right.id}; });
  });
  harness.ProcessElement({1, 1}, 1);
  harness.ProcessElement({1, 2}, 2);
  harness.ProcessWatermark(9);
  EXPECT_THAT(harness.TakeValues(),
              ::testing::UnorderedElementsAre(Met{1, 1}, Met{1, 2}, Met{2, 1}, Met{2, 2}));
}

using Change = ChangelogRecord<OtherRow>;

TEST(BroadcastJoinTest, LooksUpTheRowThatIsThereAndRestoresTheTable) {
  const auto make = [] {
    OperatorTestOptions options;
    options.parallelism = 2;
    return std::make_unique<TwoInputOperatorTestHarness<Row, Change, Met>>(
        [](DataStream<Row> rows, DataStream<Change> table) {
          return rows.BroadcastJoin<JoinType::kLeftOuter>(table.Broadcast())
              .Apply(kLeftKey, kRightKey, MeetOuter);
        },
        options);
  };
  auto harness = make();
  harness->ProcessElement1({1, 10}, 5);
  harness->ProcessElement2({RowKind::kInsert, {"", 1, 100}});
  harness->ProcessElement2({RowKind::kInsert, {"", 2, 200}});
  harness->ProcessElement1({1, 11}, 6);
  harness->ProcessElement2({RowKind::kUpdateBefore, {"", 1, 100}});
  harness->ProcessElement2({RowKind::kUpdateAfter, {"", 1, 101}});
  harness->ProcessElement2({RowKind::kDelete, {"", 2, 200}});
  harness->ProcessElement1({1, 12}, 7);
  harness->ProcessElement1({2, 13}, 8);
  EXPECT_THAT(harness->TakeValues(), ::testing::UnorderedElementsAre(Met{10, -1}, Met{11, 100},
                                                                     Met{12, 101}, Met{13, -1}));
  auto restored = make();
  restored->Restore(harness->Snapshot());
  for (int64_t id = 20; id < 24; ++id) restored->ProcessElement1({1, id});  // To both subtasks.
  restored->ProcessElement1({2, 24});
  EXPECT_THAT(restored->TakeValues(),
              ::testing::UnorderedElementsAre(Met{20, 101}, Met{21, 101}, Met{22, 101},
                                              Met{23, 101}, Met{24, -1}));
}

TEST(BroadcastJoinTest, WaitsForTheTableAndDropsWhatHasNoRow) {
  TwoInputOperatorTestHarness<Row, OtherRow, Met> harness(
      [](DataStream<Row> rows, DataStream<OtherRow> table) {
        return rows.BroadcastJoin(table.Broadcast())
            .StartAfterTable()
            .Apply(kLeftKey, kRightKey, MeetInner);
      });
  harness.ProcessElement1({1, 10}, 5);
  harness.ProcessElement1({2, 11}, 5);
  harness.ProcessElement2({"", 1, 100});
  EXPECT_THAT(harness.TakeValues(), ::testing::IsEmpty());
  harness.ProcessCaughtUp2();
  EXPECT_THAT(harness.TakeValues(), ::testing::ElementsAre(Met{10, 100}));
}

}  // namespace
}  // namespace weir
