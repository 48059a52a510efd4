// Windows, triggers and evictors case by case.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "operators/api/all_windowed_stream.h"
#include "operators/window/window_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Harness = WindowHarness<Reading, WindowSum>;

std::pair<Reading, EventTime> At(int64_t time, int64_t value, std::string sensor = "a") {
  return {Reading{std::move(sensor), time, value}, EventTime::FromMillis(time)};
}

/// Emits the values of the window's elements, joined: "1,2".
struct Joined {
  template <class K, class W>
  void operator()(const K&, const W&, const std::vector<Reading>& elements,
                  Collector<std::string>& out) const {
    std::vector<std::string> values;
    for (const Reading& reading : elements) values.push_back(StrCat(reading.value));
    out.Collect(StrJoin(values, ","));
  }
};

template <class Out, class In>
std::vector<Out> Take(WindowHarness<In, Out>& harness) {
  std::vector<Out> results;
  for (auto& [result, time] : std::exchange(harness.results(), {})) {
    results.push_back(std::move(result));
  }
  return results;
}

class WindowOperatorCasesTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
  StreamGraph graph_;
};

TEST_F(WindowOperatorCasesTest, ARecordBetweenTwoSessionsMakesThemOneAndLeavesNothingBehind) {
  Harness harness(
      BySensor(&graph_)
          .Window(EventTimeSessionWindows::WithGap(absl::Milliseconds(10)))
          .Aggregate<WindowSum>(SumAggregate(),
                                [](const std::string& sensor, const TimeWindow& window,
                                   SumAndCount sum, Collector<WindowSum>& out) {
                                  out.Collect({sensor, window.start.millis(), window.end.millis(),
                                               sum.sum, sum.count});
                                }),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(0, 1), At(15, 2)});
  const uint64_t two_sessions = harness.TakeSnapshot()->KeyedBytes();
  harness.Push({At(8, 4)});  // Out of order: bridges both.
  EXPECT_LT(harness.TakeSnapshot()->KeyedBytes(), two_sessions);
  harness.PushWatermark(EventTime::FromMillis(23));
  EXPECT_THAT(Take(harness), IsEmpty());
  harness.PushWatermark(EventTime::FromMillis(24));
  EXPECT_THAT(Take(harness), ElementsAre(WindowSum{"a", 0, 25, 7, 3}));
  EXPECT_EQ(harness.TakeSnapshot()->KeyedBytes(), 0);
}

TEST_F(WindowOperatorCasesTest, OfSessionsThatAreOverNothingIsLeftInRocksDb) {
  WindowHarness<Reading, SumAndCount> harness(
      BySensor(&graph_)
          .Window(EventTimeSessionWindows::WithGap(absl::Milliseconds(100)))
          .Aggregate(SumAggregate()),
      folder_.path());
  harness.LimitStateMemory();
  ASSERT_TRUE(harness.Start(1).ok());
  std::vector<std::pair<Reading, EventTime>> batch;
  for (int64_t i = 0; i < 3'000; ++i) batch.push_back(At(i * 10, 1, StrCat("sensor-", i % 500)));
  harness.Push(batch);
  EXPECT_EQ(harness.NumRows(*harness.TakeSnapshot()), 500);  // The sessions of a key are one entry.
  harness.PushWatermark(EventTime::Max());
  EXPECT_EQ(harness.results().size(), 3'000);
  EXPECT_EQ(harness.NumRows(*harness.TakeSnapshot()), 0);
}

TEST_F(WindowOperatorCasesTest, CountWindowsPurgeAtEachFiring) {
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_).CountWindow(3).Process<std::string>(Joined()), folder_.path());
  ASSERT_TRUE(harness.Start(2).ok());
  for (int64_t i = 1; i <= 8; ++i) harness.Push({At(i, i)});
  EXPECT_THAT(Take(harness), ElementsAre("1,2,3", "4,5,6"));
}

TEST_F(WindowOperatorCasesTest, ACountOfAThousandFiresOncePerThousand) {
  WindowHarness<Reading, SumAndCount> harness(
      BySensor(&graph_).CountWindow(1000).Aggregate(SumAggregate()), folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  std::vector<std::pair<Reading, EventTime>> records;
  for (int64_t i = 0; i < 3500; ++i) records.push_back(At(i, 1));
  harness.Push(records);
  const std::vector<SumAndCount> results = Take(harness);
  ASSERT_EQ(results.size(), 3);
  for (const SumAndCount& result : results) EXPECT_EQ(result.sum, 1000);
}

TEST_F(WindowOperatorCasesTest, SlidingCountWindowsKeepTheLastRecords) {
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_).CountWindow(4, 2).Process<std::string>(Joined()), folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  for (int64_t i = 1; i <= 4; ++i) harness.Push({At(i, i)});
  auto snapshot = harness.TakeSnapshot();
  ASSERT_TRUE(harness.Start(3, &*snapshot).ok());
  for (int64_t i = 5; i <= 8; ++i) harness.Push({At(i, i)});
  EXPECT_THAT(Take(harness), ElementsAre("1,2", "1,2,3,4", "3,4,5,6", "5,6,7,8"));
}

TEST_F(WindowOperatorCasesTest, EarlyResultsComeEachIntervalAndTheFinalOneLast) {
  WindowHarness<Reading, SumAndCount> harness(
      BySensor(&graph_)
          .Window(TumblingEventTimeWindows::Of(absl::Seconds(60)))
          .Trigger(ContinuousEventTimeTrigger::Of(absl::Seconds(10)))
          .Aggregate(SumAggregate()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  for (int64_t second = 0; second < 60; ++second) {
    harness.Push({At(second * 1000, 1)});
    harness.PushWatermark(EventTime::FromMillis(second * 1000));
  }
  harness.PushWatermark(EventTime::FromMillis(59'999));
  std::vector<int64_t> sums;
  for (const SumAndCount& result : Take(harness)) sums.push_back(result.sum);
  // Each early result holds the records up to its instant, that of its own second included.
  EXPECT_THAT(sums, ElementsAre(11, 21, 31, 41, 51, 60));
}

TEST_F(WindowOperatorCasesTest, EarlyResultsOfProcessingTime) {
  WindowHarness<Reading, SumAndCount> harness(
      BySensor(&graph_)
          .Window(TumblingEventTimeWindows::Of(absl::Seconds(60)))
          .Trigger(ContinuousProcessingTimeTrigger::Of(absl::Seconds(10)))
          .Aggregate(SumAggregate()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(0, 1), At(1, 2)});
  harness.AdvanceTime(absl::Seconds(9));
  EXPECT_THAT(Take(harness), IsEmpty());
  harness.AdvanceTime(absl::Seconds(2));
  EXPECT_EQ(Take(harness).at(0).sum, 3);
  harness.Push({At(2, 4)});
  harness.AdvanceTime(absl::Seconds(10));
  EXPECT_EQ(Take(harness).at(0).sum, 7);
}

TEST_F(WindowOperatorCasesTest, TheLastTenElementsByAnEvictor) {
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_)
          .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
          .Evictor(CountEvictor::Of(10))
          .Process<std::string>(Joined()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  for (int64_t i = 1; i <= 25; ++i) harness.Push({At(i, i)});
  harness.PushWatermark(EventTime::FromMillis(999));
  EXPECT_THAT(Take(harness), ElementsAre("16,17,18,19,20,21,22,23,24,25"));
  EXPECT_EQ(harness.TakeSnapshot()->KeyedBytes(), 0);
}

TEST_F(WindowOperatorCasesTest, EvictorsOfTimeAndDifference) {
  const auto run = [&](const auto& evictor) {
    WindowHarness<Reading, std::string> harness(
        BySensor(&graph_)
            .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
            .Evictor(evictor)
            .template Process<std::string>(Joined()),
        folder_.path());
    EXPECT_TRUE(harness.Start(1).ok());
    harness.Push({At(100, 1), At(140, 50), At(150, 3), At(200, 4)});
    harness.PushWatermark(EventTime::FromMillis(999));
    return Take(harness).at(0);
  };
  EXPECT_EQ(run(TimeEvictor::Of(absl::Milliseconds(60))), "3,4");
  EXPECT_EQ(run(DeltaEvictor(10,
                             [](const Reading& a, const Reading& last) {
                               return static_cast<double>(std::abs(a.value - last.value));
                             })),
            "1,3,4");
}

TEST_F(WindowOperatorCasesTest, AnAggregateFoldsWhatAnEvictorLeaves) {
  WindowHarness<Reading, SumAndCount> harness(
      BySensor(&graph_)
          .Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
          .Evictor(CountEvictor::Of(2))
          .Aggregate(SumAggregate()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(1, 1), At(2, 2), At(3, 4)});
  harness.PushWatermark(EventTime::FromMillis(999));
  EXPECT_EQ(Take(harness).at(0).sum, 6);
}

/// Fires when the sum of values reaches a limit: a trigger of a user's own, with state.
struct SumTrigger : Trigger<int64_t> {
  TriggerResult OnElement(const Reading& reading, EventTime, const TimeWindow& window,
                          Context& context) const {
    context.RegisterEventTimeTimer(window.MaxTimestamp());
    if ((context.state() += reading.value) < 100) return TriggerResult::kContinue;
    context.state() = 0;
    return TriggerResult::kFireAndPurge;
  }
  TriggerResult OnEventTime(EventTime, const TimeWindow&, Context&) const {
    return TriggerResult::kFire;
  }
};

/// Windows named after the value's tens: an assigner of a user's own.
struct ByTens {
  using Window = TimeWindow;
  using DefaultTrigger = EventTimeTrigger;
  static constexpr bool kMerging = false;
  [[nodiscard]] TimeDomain domain() const { return TimeDomain::kEventTime; }
  [[nodiscard]] absl::Status Validate() const { return absl::OkStatus(); }
  void AssignWindows(const Reading& reading, EventTime, std::vector<TimeWindow>& windows) const {
    const int64_t tens = reading.value / 10 * 10;
    windows.push_back({EventTime::FromMillis(tens), EventTime::FromMillis(tens + 10)});
  }
};

TEST_F(WindowOperatorCasesTest, TriggersAndAssignersOfTheUsersOwn) {
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_).Window(ByTens()).Trigger(SumTrigger()).Process<std::string>(Joined()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(0, 61), At(0, 62), At(0, 63), At(0, 5)});
  EXPECT_THAT(Take(harness), ElementsAre("61,62"));
  harness.PushWatermark(EventTime::FromMillis(100));
  EXPECT_THAT(Take(harness), ElementsAre("5", "63"));
  EXPECT_EQ(harness.TakeSnapshot()->KeyedBytes(), 0);
}

TEST_F(WindowOperatorCasesTest, ADeltaTriggerComparesWithTheLastFiring) {
  const auto difference = [](const Reading& a, const Reading& b) {
    return static_cast<double>(b.value - a.value);
  };
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_)
          .Window(GlobalWindows::Create())
          .Trigger(PurgingTrigger(MakeDeltaTrigger<Reading>(10, difference)))
          .Process<std::string>(Joined()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(0, 1), At(0, 11), At(0, 12), At(0, 20), At(0, 30)});
  EXPECT_THAT(Take(harness), ElementsAre("1,11,12", "20,30"));
}

TEST_F(WindowOperatorCasesTest, SessionsOfProcessingTimeEndWithoutRecords) {
  WindowHarness<Reading, std::string> harness(
      BySensor(&graph_)
          .Window(ProcessingTimeSessionWindows::WithGap(absl::Milliseconds(100)))
          .Process<std::string>(Joined()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({At(0, 1)});
  harness.AdvanceTime(absl::Milliseconds(60));
  harness.Push({At(0, 2)});
  harness.AdvanceTime(absl::Milliseconds(99));
  EXPECT_THAT(Take(harness), IsEmpty());
  harness.AdvanceTime(absl::Milliseconds(1));
  EXPECT_THAT(Take(harness), ElementsAre("1,2"));
  EXPECT_EQ(harness.TakeSnapshot()->KeyedBytes(), 0);
}

struct StatefulFunction : ProcessWindowFunction<Reading, std::string, std::string> {
  absl::Status Open(WindowOpenContext<std::string, TimeWindow>& context) override {
    return context.GetWindowState(ValueStateDescriptor<int64_t>{"calls"}).status();
  }
  void Process(const std::string&, Context&, std::span<const Reading>,
               Collector<std::string>&) override {}
};

TEST_F(WindowOperatorCasesTest, RefusesWhatCannotWorkWithAReason) {
  const auto refusal = [&](const auto& stream) {
    WindowHarness<Reading, std::string> harness(stream, folder_.path());
    return std::string(harness.Start(1).message());
  };
  const auto keyed = BySensor(&graph_);
  EXPECT_THAT(refusal(keyed.Window(EventTimeSessionWindows::WithGap(absl::Seconds(1)))
                          .Process(StatefulFunction())),
              HasSubstr("per-window state"));
  EXPECT_THAT(refusal(keyed.Window(EventTimeSessionWindows::WithGap(absl::ZeroDuration()))
                          .Process<std::string>(Joined())),
              HasSubstr("at least 1 ms"));
  EXPECT_THAT(refusal(keyed.Window(TumblingEventTimeWindows::Of(absl::Seconds(1)))
                          .AllowedLateness(absl::Seconds(-1))
                          .Process<std::string>(Joined())),
              HasSubstr("must not be negative"));
}

}  // namespace
}  // namespace weir
