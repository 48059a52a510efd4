#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

using Harness = TwoInputOperatorTestHarness<Row, OtherRow, Met>;

const OutputTag<Row> kLateLeft("late-left");
const OutputTag<OtherRow> kLateRight("late-right");

struct Interval {
  int64_t lower_ms;
  int64_t upper_ms;
  bool lower_exclusive;
  bool upper_exclusive;
};

template <JoinType kType>
DataStream<Met> Join(const DataStream<Row>& left, const DataStream<OtherRow>& right,
                     const Interval& interval) {
  auto joined =
      left.KeyBy([](const Row& row) { return row.key; })
          .template IntervalJoin<kType>(right.KeyBy([](const OtherRow& row) { return row.key; }))
          .Between(absl::Milliseconds(interval.lower_ms), absl::Milliseconds(interval.upper_ms))
          .SideOutputLeftLateData(kLateLeft)
          .SideOutputRightLateData(kLateRight);
  if (interval.lower_exclusive) joined = joined.LowerBoundExclusive();
  if (interval.upper_exclusive) joined = joined.UpperBoundExclusive();
  if constexpr (kType == JoinType::kInner) {
    return joined.Apply(MeetInner);
  } else {
    return joined.Apply(MeetOuter);
  }
}

/// Every pair of records that were in time, and what is left.
struct Model {
  Interval interval;
  JoinType type;
  int64_t watermark_ms = INT64_MIN;
  std::vector<std::pair<Row, int64_t>> left;
  std::vector<std::pair<OtherRow, int64_t>> right;
  std::multiset<int64_t> late;

  [[nodiscard]] std::multiset<TimedMet> Results() const {
    std::multiset<TimedMet> results;
    std::set<int64_t> matched;
    for (const auto& [l, l_time] : left) {
      for (const auto& [r, r_time] : right) {
        const int64_t distance = r_time - l_time;
        if (l.key != r.key || distance < interval.lower_ms || distance > interval.upper_ms ||
            (distance == interval.lower_ms && interval.lower_exclusive) ||
            (distance == interval.upper_ms && interval.upper_exclusive)) {
          continue;
        }
        matched.insert(l.id);
        matched.insert(r.id);
        results.emplace(Met{l.id, r.id}, std::max(l_time, r_time));
      }
    }
    for (const auto& [l, time] : left) {
      if (IsLeftOuter(type) && !matched.contains(l.id)) results.emplace(Met{l.id, -1}, time);
    }
    for (const auto& [r, time] : right) {
      if (IsRightOuter(type) && !matched.contains(r.id)) results.emplace(Met{-1, r.id}, time);
    }
    return results;
  }
};

uint64_t num_cold_reads = 0;  // Of all seeds, of rows that had left memory.

template <JoinType kType>
void RunSeed(unsigned seed) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t limit) {
    return static_cast<int64_t>(random() % static_cast<unsigned long>(limit));
  };
  Interval interval{below(60) - 40, 0, below(4) == 0, below(4) == 0};
  interval.upper_ms = interval.lower_ms + 2 + below(50);
  Model model{interval, kType, INT64_MIN, {}, {}, {}};

  const auto make = [&] {
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + below(3));
    if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
    if (seed % 9 == 0) options.state_memory_bytes = 1;
    auto made = std::make_unique<Harness>(
        [&](DataStream<Row> left, DataStream<OtherRow> right) {
          return Join<kType>(left, right, interval);
        },
        options);
    made->CollectSideOutput(kLateLeft);
    made->CollectSideOutput(kLateRight);
    return made;
  };
  auto harness = make();
  std::multiset<TimedMet> results;
  std::multiset<int64_t> late;
  EventTime output_watermark = EventTime::Min();
  const auto collect = [&] {
    ASSERT_TRUE(harness->status().ok()) << harness->status();
    ASSERT_TRUE(CollectInTime(harness->TakeOutput(), &output_watermark, &results))
        << "a result is late";
    for (const auto& record : harness->TakeSideOutput(kLateLeft)) late.insert(record.value.id);
    for (const auto& record : harness->TakeSideOutput(kLateRight)) late.insert(record.value.id);
  };
  for (int64_t id = 0, now = 0; id < 120; ++id) {
    now += below(8);
    const int64_t time = now - below(30);
    const int64_t key = below(3);
    const bool is_late = time <= model.watermark_ms;
    if (is_late) model.late.insert(id);
    if (below(2) == 0) {
      harness->ProcessElement1({key, id}, time);
      if (!is_late) model.left.push_back({{key, id}, time});
    } else {
      harness->ProcessElement2({StrCat("r", id), key, id}, time);
      if (!is_late) model.right.push_back({{"", key, id}, time});
    }
    if (below(6) == 0 && now - 20 > model.watermark_ms) {
      model.watermark_ms = now - 20;
      harness->ProcessWatermark(model.watermark_ms);
    }
    if (below(25) == 0) {
      collect();
      const OperatorTestSnapshot snapshot = harness->Snapshot();
      // What comes after the snapshot is lost with the harness.
      harness->ProcessElement1({0, 1000 + id}, now + 1);
      harness = make();
      harness->Restore(snapshot);
      output_watermark = EventTime::Min();
      if (model.watermark_ms != INT64_MIN) harness->ProcessWatermark(model.watermark_ms);
    }
  }
  harness->ProcessWatermark(EventTime::Max());
  collect();
  EXPECT_EQ(results, model.Results());
  EXPECT_EQ(late, model.late);
  EXPECT_EQ(harness->NumKeyedStateEntries(), 0U);
  EXPECT_EQ(harness->NumEventTimeTimers(), 0U);
  num_cold_reads += harness->CounterValue("state.rocksdbGetsFound");
}

TEST(IntervalJoinPropertyTest, EqualsANestedLoopThroughDisorderAndRestores) {
  for (unsigned seed = 1; seed <= NumSeeds(320) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(StrCat("seed=", seed));
    switch (seed % 4) {
      case 0:
        RunSeed<JoinType::kInner>(seed);
        break;
      case 1:
        RunSeed<JoinType::kLeftOuter>(seed);
        break;
      case 2:
        RunSeed<JoinType::kRightOuter>(seed);
        break;
      default:
        RunSeed<JoinType::kFullOuter>(seed);
    }
  }
  EXPECT_GT(num_cold_reads, 0U);
}

/// Puts out the times of both records and, aside, the results' own.
class Times final : public ProcessJoinFunction<Row, OtherRow, Met> {
 public:
  static OutputTag<int64_t> Own() { return OutputTag<int64_t>("own"); }
  void ProcessElement(const Row&, const OtherRow&, Context& context, Collector<Met>& out) override {
    out.Collect({context.left_timestamp().millis(), context.right_timestamp().millis()});
    context.Output(Own(), context.timestamp().millis());
  }
};

TEST(IntervalJoinPropertyTest, ProcessTellsTheTimesOfBothRecords) {
  Harness harness([](DataStream<Row> left, DataStream<OtherRow> right) {
    return left.KeyBy([](const Row& row) { return row.key; })
        .IntervalJoin(right.KeyBy([](const OtherRow& row) { return row.key; }))
        .Between(absl::Milliseconds(-5), absl::Milliseconds(5))
        .Process(Times());
  });
  harness.CollectSideOutput(Times::Own());
  harness.ProcessElement1({1, 1}, 100);
  harness.ProcessElement2({"", 1, 2}, 95);
  harness.ProcessElement2({"", 1, 3}, 105);
  harness.ProcessElement2({"", 1, 4}, 106);
  harness.ProcessElement2({"", 2, 5}, 100);
  EXPECT_THAT(harness.TakeValues(), ::testing::ElementsAre(Met{100, 95}, Met{100, 105}));
  const auto own = harness.TakeSideOutput(Times::Own());
  ASSERT_EQ(own.size(), 2U);
  EXPECT_EQ(own[0].value, 100);
  EXPECT_EQ(own[1].value, 105);
}

TEST(IntervalJoinPropertyTest, StateIsBoundedByTheIntervalAndTimersByItsEighth) {
  const Interval interval{-800, 0, false, false};
  Harness harness([&](DataStream<Row> left, DataStream<OtherRow> right) {
    return Join<JoinType::kInner>(left, right, interval);
  });
  for (int64_t time = 0; time < 20'000; ++time) {
    harness.ProcessElement2({"", 1, time}, time);
    if (time % 100 == 99) harness.ProcessWatermark(time);
    ASSERT_LE(harness.NumKeyedStateEntries(), 1000U);
    ASSERT_LE(harness.NumEventTimeTimers(), 11U);
  }
}

TEST(IntervalJoinPropertyTest, WrongInputFailsWithWhatToDo) {
  const auto status = [](int64_t lower, int64_t upper, std::optional<int64_t> time) {
    Harness harness([&](DataStream<Row> left, DataStream<OtherRow> right) {
      return Join<JoinType::kInner>(left, right, {lower, upper, false, false});
    });
    if (time.has_value()) {
      harness.ProcessElement1({1, 1}, *time);
    } else {
      harness.ProcessElement1({1, 1});
    }
    return std::string(harness.status().message());
  };
  EXPECT_THAT(status(5, 4, 1), ::testing::HasSubstr("swap them"));
  EXPECT_THAT(status(0, 4, std::nullopt), ::testing::HasSubstr("assign timestamps"));
}

}  // namespace
}  // namespace weir
