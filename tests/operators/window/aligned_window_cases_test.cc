// Aligned windows case by case: late records, state sizes, suspension.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/window/aligned_window_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using Records = std::vector<std::pair<Reading, EventTime>>;

#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr int kNumThousands = 10'000;
#else
constexpr int kNumThousands = 1'000;
#endif
using SumHarness = WindowHarness<Reading, SumAndCount>;

class AlignedWindowCasesTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  StreamGraph graph_;
};

TEST_F(AlignedWindowCasesTest, EveryLateRecordUpdatesGoesToTheSideOutputOrIsCounted) {
  // Windows of 10 ms; the watermark stands at 1,000, so that windows which end after 900 are kept.
  const auto windowed = BySensor(&graph_)
                            .Window(TumblingEventTimeWindows::Of(absl::Milliseconds(10)))
                            .AllowedLateness(absl::Milliseconds(100));
  const OutputTag<Reading> late_tag("late");
  DataStream<SumAndCount> with_side_output =
      windowed.SideOutputLateData(late_tag).Aggregate(SumAggregate());
  (void)with_side_output.GetSideOutput(late_tag);
  SumHarness harness(with_side_output, folder_.path());
  ASSERT_TRUE(harness.Start(2).ok());
  harness.PushWatermark(EventTime::FromMillis(1000));
  Records late;
  for (int64_t i = 0; i < 900; ++i) {
    const int64_t time = i % 3 == 2 ? i % 890 : 910 + i % 90;
    late.emplace_back(Reading{StrCat("s", i % 7), time, 1}, EventTime::FromMillis(time));
  }
  harness.Push(late);
  EXPECT_EQ(harness.results().size(), 600);  // Each of them fires its window again.
  EXPECT_EQ(harness.side_output().size(), 300);
  EXPECT_EQ(harness.CounterValue("numLateRecordsDropped"), 0);

  SumHarness without_side_output(windowed.Aggregate(SumAggregate()), folder_.path());
  ASSERT_TRUE(without_side_output.Start(2).ok());
  without_side_output.PushWatermark(EventTime::FromMillis(1000));
  Records dropped;
  for (int64_t i = 0; i < 100; ++i) {
    dropped.emplace_back(Reading{StrCat("s", i % 7), i, 1}, EventTime::FromMillis(i));
  }
  without_side_output.Push(dropped);
  EXPECT_EQ(without_side_output.results().size(), 0);
  EXPECT_EQ(without_side_output.CounterValue("numLateRecordsDropped"), 100);
}

TEST_F(AlignedWindowCasesTest, AnAggregateKeepsOneAccumulatorWhateverTheNumberOfRecords) {
  SumHarness harness(BySensor(&graph_)
                         .Window(TumblingEventTimeWindows::Of(absl::Hours(1)))
                         .Aggregate(SumAggregate()),
                     folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  const Records batch(1000, {Reading{"a", 0, 1}, EventTime::FromMillis(5)});
  for (int i = 0; i < kNumThousands; ++i) harness.Push(batch);
  EXPECT_LT(harness.TakeSnapshot()->KeyedBytes(), 1024);
  harness.PushWatermark(EventTime::Max());
  ASSERT_EQ(harness.results().size(), 1);
  EXPECT_EQ(harness.results()[0].first.count, kNumThousands * 1000);
}

TEST_F(AlignedWindowCasesTest, OfWindowsThatAreOverNothingIsLeftInRocksDb) {
  SumHarness harness(BySensor(&graph_)
                         .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
                         .AllowedLateness(absl::Seconds(2))
                         .Aggregate(SumAggregate()),
                     folder_.path());
  harness.LimitStateMemory();
  ASSERT_TRUE(harness.Start(1).ok());
  Records batch;
  for (int64_t i = 0; i < 5'000; ++i) {
    batch.emplace_back(Reading{StrCat("sensor-", i), i, 1}, EventTime::FromMillis(i));
  }
  harness.Push(batch);
  EXPECT_EQ(harness.NumRows(*harness.TakeSnapshot()), 5'000);
  harness.PushWatermark(EventTime::FromMillis(4'000));
  EXPECT_EQ(harness.NumRows(*harness.TakeSnapshot()), 3'000);  // Late records may still come.
  harness.PushWatermark(EventTime::Max());
  EXPECT_EQ(harness.NumRows(*harness.TakeSnapshot()), 0);
}

TEST_F(AlignedWindowCasesTest, SlidingWindowsKeepOneAccumulatorPerSlice) {
  const auto bytes_of = [&](absl::Duration slide) {
    SumHarness harness(BySensor(&graph_)
                           .Window(SlidingEventTimeWindows::Of(absl::Hours(1), slide))
                           .Aggregate(SumAggregate()),
                       folder_.path());
    EXPECT_TRUE(harness.Start(1).ok());
    for (int64_t second = 0; second < 600; ++second) {
      harness.Push({{Reading{"a", 0, 1}, EventTime::FromMillis(second * 1000)}});
    }
    return harness.TakeSnapshot()->KeyedBytes();
  };
  const uint64_t one_slice = bytes_of(absl::Minutes(10));
  EXPECT_LT(one_slice, 100);
  // 600 slices of a second, though each record is in 3,600 windows.
  EXPECT_NEAR(static_cast<double>(bytes_of(absl::Seconds(1))), static_cast<double>(one_slice) * 600,
              static_cast<double>(one_slice) * 60);
}

TEST_F(AlignedWindowCasesTest, RecordsWithoutEventTimeFailWithAReason) {
  StreamGraph graph;
  const auto stream = BySensor(&graph)
                          .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
                          .Aggregate(SumAggregate());
  SumHarness harness(stream, folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  EXPECT_DEATH(harness.Push({{Reading{"a", 0, 1}, EventTime::Min()}}),
               "AssignTimestampsAndWatermarks");
}

/// Results so large that two of them are a batch.
struct LargeResult {
  std::string text;
  int64_t end_ms = 0;
};
const auto kEmitLarge = [](const std::string& sensor, const TimeWindow& window, const SumAndCount&,
                           Collector<LargeResult>& out) {
  out.Collect({sensor + std::string(40'000, '.'), window.end.millis()});
};

std::multiset<std::pair<std::string, int64_t>> Names(
    const std::vector<std::pair<LargeResult, EventTime>>& results) {
  std::multiset<std::pair<std::string, int64_t>> names;
  for (const auto& [result, time] : results) {
    names.emplace(result.text.substr(0, result.text.find('.')), result.end_ms);
  }
  return names;
}

TEST_F(AlignedWindowCasesTest, AFiringThatFillsTheOutputGoesOnLater) {
  for (const int64_t slide : {10, 5}) {
    WindowHarness<Reading, LargeResult> harness(
        BySensor(&graph_)
            .Window(SlidingEventTimeWindows::Of(absl::Milliseconds(10), absl::Milliseconds(slide)))
            .AllowedLateness(absl::Milliseconds(50))
            .Aggregate<LargeResult>(SumAggregate(), kEmitLarge),
        folder_.path());
    ASSERT_TRUE(harness.Start(1).ok());
    harness.set_fills_up(true);
    Records records;
    std::multiset<std::pair<std::string, int64_t>> expected;
    for (int i = 0; i < 50; ++i) {
      records.emplace_back(Reading{StrCat("s", i), 0, 1}, EventTime::FromMillis(7));
      expected.emplace(StrCat("s", i), 10);
      if (slide == 5) expected.emplace(StrCat("s", i), 15);
    }
    harness.Push(records);
    harness.PushWatermark(EventTime::FromMillis(20));
    EXPECT_GE(harness.num_suspensions(), 20);
    EXPECT_EQ(Names(harness.results()), expected);
    // Late records fire as many windows again, and the batch goes on where it stopped.
    const int before = harness.num_suspensions();
    harness.results().clear();
    harness.Push(records);
    EXPECT_GE(harness.num_suspensions(), before + 20);
    EXPECT_EQ(Names(harness.results()), expected);
  }
}

TEST_F(AlignedWindowCasesTest,
       ASnapshotInTheMiddleOfAFiringOfProcessingTimeLosesAndRepeatsNothing) {
  for (const int64_t slide : {10, 5}) {
    for (uint32_t parallelism = 1; parallelism <= 3; ++parallelism) {
      WindowHarness<Reading, LargeResult> harness(
          BySensor(&graph_)
              .Window(SlidingProcessingTimeWindows::Of(absl::Milliseconds(10),
                                                       absl::Milliseconds(slide)))
              .Aggregate<LargeResult>(SumAggregate(), kEmitLarge),
          folder_.path());
      ASSERT_TRUE(harness.Start(1).ok());
      harness.set_fills_up(true);
      Records records;
      std::multiset<std::pair<std::string, int64_t>> expected;
      for (int i = 0; i < 30; ++i) {
        records.emplace_back(Reading{StrCat("s", i), 0, 1}, EventTime::Min());
        for (int64_t end = slide; end <= 10; end += slide) {
          expected.emplace(StrCat("s", i), 1'000'000 + end);
        }
      }
      harness.Push(records);
      harness.clock().Advance(absl::Milliseconds(100));
      for (int i = 0; i < 8; ++i) harness.WakeOnce();
      ASSERT_GE(harness.results().size(), 5);
      ASSERT_LT(harness.results().size(), 20);
      auto snapshot = harness.TakeSnapshot();
      ASSERT_TRUE(snapshot.ok()) << snapshot.status();
      ASSERT_TRUE(harness.Start(parallelism, &*snapshot).ok());
      harness.Wake();
      EXPECT_EQ(Names(harness.results()), expected);
      EXPECT_EQ(harness.TakeSnapshot()->KeyedBytes(), 0);
    }
  }
}

}  // namespace
}  // namespace weir
