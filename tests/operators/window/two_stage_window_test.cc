// Windows over whole streams, and aggregates with a local first stage.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "operators/api/all_windowed_stream.h"
#include "operators/api/stream_environment.h"
#include "operators/window/local_aggregation_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

std::vector<Reading> RandomReadings(unsigned seed, size_t count) {
  std::mt19937 random(seed);
  std::vector<Reading> readings;
  for (size_t i = 0; i < count; ++i) {
    // Half of the records are of one key.
    readings.push_back({random() % 2 == 0 ? "hot" : StrCat("s", random() % 2000),
                        static_cast<int64_t>(i) - static_cast<int64_t>(random() % 50),
                        static_cast<int64_t>(random() % 100)});
  }
  return readings;
}

std::multiset<WindowSum> Expected(const std::vector<Reading>& readings, int64_t size, int64_t slide,
                                  bool keyed) {
  std::map<std::pair<std::string, int64_t>, SumAndCount> sums;
  for (const Reading& reading : readings) {
    for (int64_t start = -1000 * slide; start <= reading.time_ms; start += slide) {
      if (reading.time_ms >= start + size) continue;
      SumAggregate().Add(reading, sums[{keyed ? reading.sensor : "", start}]);
    }
  }
  std::multiset<WindowSum> expected;
  for (const auto& [place, sum] : sums) {
    expected.insert({place.first, place.second, place.second + size, sum.sum, sum.count});
  }
  return expected;
}

WatermarkStrategy<Reading> Strategy() {
  return WatermarkStrategy<Reading>::BoundedOutOfOrderness(absl::Milliseconds(50))
      .WithTimestamps([](const Reading& r) { return EventTime::FromMillis(r.time_ms); });
}

LocalJobOptions Options(const TemporaryFolder& folder, uint32_t parallelism) {
  LocalJobOptions options;
  options.parallelism = parallelism;
  options.directory = folder.path();
  return options;
}

const auto kEmitAll = [](const TimeWindow& window, const SumAndCount& sum,
                         Collector<WindowSum>& out) {
  out.Collect({"", window.start.millis(), window.end.millis(), sum.sum, sum.count});
};
const auto kEmitKeyed = [](const std::string& sensor, const TimeWindow& window,
                           const SumAndCount& sum, Collector<WindowSum>& out) {
  out.Collect({sensor, window.start.millis(), window.end.millis(), sum.sum, sum.count});
};

class TwoStageWindowTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
};

TEST_F(TwoStageWindowTest, AWindowOfTheWholeStreamIsThatOfAllSubtasks) {
  const std::vector<Reading> readings = RandomReadings(1, 5000);
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  auto results = std::make_shared<MemorySinkContents<WindowSum>>();
  environment.FromSource(MemorySource<Reading>(readings), Strategy(), "Readings")
      .SetParallelism(1)
      .Rebalance()
      .Map([](const Reading& reading) { return reading; })
      .WindowAll(SlidingEventTimeWindows::Of(absl::Milliseconds(100), absl::Milliseconds(30)))
      .Aggregate<WindowSum>(SumAggregate(), kEmitAll)
      .SinkTo(MemorySink<WindowSum>(results));
  LocalJob job(std::move(graph), Options(folder_, 3));
  ASSERT_TRUE(job.Start().ok());
  // The first stage is chained to the map of each subtask; one subtask has the windows.
  bool found = false;
  for (const JobGraph::Vertex& vertex : job.job_graph().vertices) {
    if (vertex.name.find("LocalWindow") == std::string::npos) continue;
    found = true;
    EXPECT_THAT(vertex.name, ::testing::HasSubstr("Map"));
    EXPECT_EQ(vertex.parallelism, 3);
  }
  EXPECT_TRUE(found);
  const absl::Status finished = job.WaitUntilFinished();
  ASSERT_TRUE(finished.ok()) << finished;
  EXPECT_EQ(results->Committed(), Expected(readings, 100, 30, /*keyed=*/false));
}

TEST_F(TwoStageWindowTest, LocalAggregationSurvivesAKillAtAnyPoint) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(seed);
    const std::vector<Reading> readings = RandomReadings(seed, 600);
    auto results = std::make_shared<MemorySinkContents<WindowSum>>();
    const auto build = [&] {
      StreamGraph graph;
      StreamEnvironment environment(&graph);
      environment
          .FromSource(MemorySource<Reading>(readings, /*records_per_poll=*/7,
                                            /*rate_limited=*/true),
                      Strategy(), "Readings")
          .SetParallelism(1)
          .Rebalance()
          .Map([](const Reading& reading) { return reading; })
          .KeyBy([](const Reading& reading) { return reading.sensor; })
          .Window(SlidingEventTimeWindows::Of(absl::Milliseconds(100), absl::Milliseconds(40)))
          .WithLocalAggregation()
          .Aggregate<WindowSum>(SumAggregate(), kEmitKeyed)
          .SinkTo(MemorySink<WindowSum>(results));
      return graph;
    };
    std::mt19937 random(seed);
    LocalCheckpoint checkpoint;
    {
      LocalJob job(build(), Options(folder_, 2));
      ASSERT_TRUE(job.Start().ok());
      auto taken = job.TriggerCheckpoint(/*notify=*/random() % 2 == 0);
      ASSERT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
    }
    LocalJob job(build(), Options(folder_, static_cast<uint32_t>(1 + random() % 3)));
    ASSERT_TRUE(job.Start(&checkpoint).ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(results->Committed(), Expected(readings, 100, 40, /*keyed=*/true));
  }
}

using Partial = internal::PartialAggregate<std::string, SumAndCount>;
const auto kKeyOf = [](const Reading& reading) -> const std::string& { return reading.sensor; };

DataStream<Partial> LocalStage(StreamGraph* graph) {
  using Local =
      internal::LocalAggregationOperator<std::string, Reading, decltype(kKeyOf), SumAggregate>;
  return DataStream<Partial>(internal::AddOperator<Partial>(
      ReadingStream(graph).origin(), "LocalWindow", internal::MakeOperatorFactory([] {
        return std::make_unique<Local>(TumblingEventTimeWindows::Of(absl::Milliseconds(10)), kKeyOf,
                                       SumAggregate());
      })));
}

TEST_F(TwoStageWindowTest, TheFirstStageSendsOneAccumulatorPerKeyAndSliceAheadOfTheWatermark) {
  StreamGraph graph;
  WindowHarness<Reading, Partial> harness(LocalStage(&graph), folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  for (int64_t i = 0; i < 1000; ++i) {
    harness.Push({{Reading{"a", 0, 1}, EventTime::FromMillis(i % 20)}});
  }
  EXPECT_THAT(harness.results(), SizeIs(0));
  harness.PushWatermark(EventTime::FromMillis(8));
  EXPECT_THAT(harness.results(), SizeIs(0));
  harness.PushWatermark(EventTime::FromMillis(9));
  ASSERT_THAT(harness.results(), SizeIs(1));
  EXPECT_EQ(harness.results()[0].first.accumulator.count, 500);
  EXPECT_EQ(harness.results()[0].second.millis(), 9);
  // A late record is not held: the second stage decides what becomes of it.
  harness.Push({{Reading{"a", 0, 1}, EventTime::FromMillis(5)}});
  EXPECT_THAT(harness.results(), SizeIs(2));
}

TEST_F(TwoStageWindowTest, WhatTheFirstStageHoldsIsInItsSnapshot) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    StreamGraph graph;
    WindowHarness<Reading, Partial> harness(LocalStage(&graph), folder_.path());
    ASSERT_TRUE(harness.Start(1).ok());
    harness.set_fills_up(true);
    int64_t sum = 0;
    for (int i = 0; i < 20; ++i) {
      std::vector<std::pair<Reading, EventTime>> records;
      for (auto n = random() % 50; n > 0; --n) {
        const auto value = static_cast<int64_t>(random() % 100);
        sum += value;
        records.emplace_back(Reading{StrCat(random() % 5000), 0, value},
                             EventTime::FromMillis(static_cast<int64_t>(random() % 60)));
      }
      if (!records.empty()) harness.Push(records);
      if (random() % 4 == 0) harness.PushWatermark(EventTime::FromMillis(i * 3));
      if (random() % 4 == 0) {
        auto snapshot = harness.TakeSnapshot();
        ASSERT_TRUE(snapshot.ok());
        ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 3), &*snapshot).ok());
      }
    }
    harness.PushWatermark(EventTime::Max());
    for (const auto& [partial, time] : harness.results()) sum -= partial.accumulator.sum;
    EXPECT_EQ(sum, 0);
  }
}

struct CountAll : ProcessAllWindowFunction<Reading, int64_t> {
  void Process(Context&, std::span<const Reading> elements, Collector<int64_t>& out) override {
    out.Collect(static_cast<int64_t>(elements.size()));
  }
};

TEST_F(TwoStageWindowTest, AFunctionOfAllElementsWorksInOneStage) {
  StreamGraph graph;
  WindowHarness<Reading, int64_t> harness(
      ReadingStream(&graph)
          .WindowAll(TumblingEventTimeWindows::Of(absl::Milliseconds(10)))
          .Process(CountAll()),
      folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({{Reading{"a", 0, 1}, EventTime::FromMillis(1)},
                {Reading{"b", 0, 1}, EventTime::FromMillis(2)},
                {Reading{"b", 0, 1}, EventTime::FromMillis(12)}});
  harness.PushWatermark(EventTime::FromMillis(100));
  std::vector<int64_t> counts;
  for (const auto& [count, time] : harness.results()) counts.push_back(count);
  EXPECT_THAT(counts, ElementsAre(2, 1));
}

TEST_F(TwoStageWindowTest, CountWindowsOfTheWholeStream) {
  StreamGraph graph;
  WindowHarness<Reading, SumAndCount> harness(
      ReadingStream(&graph).CountWindowAll(2).Aggregate(SumAggregate()), folder_.path());
  ASSERT_TRUE(harness.Start(1).ok());
  harness.Push({{Reading{"a", 0, 1}, EventTime::Min()}, {Reading{"b", 0, 2}, EventTime::Min()}});
  ASSERT_THAT(harness.results(), SizeIs(1));
  EXPECT_EQ(harness.results()[0].first.sum, 3);
}

}  // namespace
}  // namespace weir
