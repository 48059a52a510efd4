#include "operators/api/keyed_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "operators/api/stream_environment.h"
#include "runtime/base/ids.h"
#include "runtime/base/strings.h"
#include "tests/support/local_job.h"
#include "tests/support/memory_connectors.h"

namespace weir {
namespace {

struct Reading {
  std::string sensor;
  int64_t time_ms = 0;
  int64_t value = 0;
};

struct WindowSum {
  std::string sensor;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  int64_t sum = 0;
  friend auto operator<=>(const WindowSum&, const WindowSum&) = default;
  friend std::ostream& operator<<(std::ostream& out, const WindowSum& w) {
    return out << w.sensor << "[" << w.start_ms << "," << w.end_ms << ")=" << w.sum;
  }
};

struct Sum {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Reading& reading, int64_t& sum) const { sum += reading.value; }
  int64_t GetResult(int64_t sum) const { return sum; }
};

const auto kEmitSum = [](const std::string& sensor, const TimeWindow& window, int64_t sum,
                         Collector<WindowSum>& out) {
  out.Collect({sensor, window.start.millis(), window.end.millis(), sum});
};

// What the windows of all readings sum up to, late ones left out by the watermark of one ordered
// stream.
std::multiset<WindowSum> Expected(const std::vector<Reading>& readings, int64_t size,
                                  int64_t slide) {
  std::map<std::tuple<std::string, int64_t>, int64_t> sums;
  for (const Reading& reading : readings) {
    for (int64_t start = -10000; start <= reading.time_ms; ++start) {
      if (((start % slide) + slide) % slide != 0 || reading.time_ms >= start + size) continue;
      sums[{reading.sensor, start}] += reading.value;
    }
  }
  std::multiset<WindowSum> expected;
  for (const auto& [place, sum] : sums) {
    expected.insert({std::get<0>(place), std::get<1>(place), std::get<1>(place) + size, sum});
  }
  return expected;
}

std::vector<Reading> RandomReadings(unsigned seed, int64_t disorder) {
  std::mt19937 random(seed);
  std::vector<Reading> readings;
  for (int64_t i = 0; i < 400; ++i) {
    const int64_t jitter =
        disorder == 0 ? 0 : static_cast<int64_t>(random() % static_cast<unsigned>(disorder));
    readings.push_back(
        {StrCat("s", random() % 5), i * 3 - jitter, static_cast<int64_t>(random() % 100)});
  }
  return readings;
}

class WindowOperatorTest : public ::testing::Test {
 protected:
  WindowOperatorTest()
      : directory_(StrCat(::testing::TempDir(), "/window-", ToString(RandomId<JobId>()))) {
    std::filesystem::create_directories(directory_);
  }
  ~WindowOperatorTest() override { std::filesystem::remove_all(directory_); }

  LocalJobOptions Options(uint32_t parallelism) const {
    LocalJobOptions options;
    options.parallelism = parallelism;
    options.directory = directory_;
    return options;
  }

  const std::string directory_;
};

TEST_F(WindowOperatorTest, SumsEveryWindowOnceForManySizesAndSlides) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {100, 100}, {100, 30}, {60, 10}, {7, 100}, {50, 33}};
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const auto& [size, slide] = shapes[seed % shapes.size()];
    SCOPED_TRACE(StrCat("seed=", seed, " size=", size, " slide=", slide));
    const std::vector<Reading> readings = RandomReadings(seed, 40);
    StreamGraph graph;
    StreamEnvironment environment(&graph);
    auto results = std::make_shared<MemorySinkContents<WindowSum>>();
    environment
        .FromSource(
            MemorySource<Reading>(readings),
            WatermarkStrategy<Reading>::BoundedOutOfOrderness(absl::Milliseconds(40))
                .WithTimestamps([](const Reading& r) { return EventTime::FromMillis(r.time_ms); }),
            "Readings")
        .SetParallelism(1)
        .KeyBy([](const Reading& r) { return r.sensor; })
        .Window(SlidingEventTimeWindows::Of(absl::Milliseconds(size), absl::Milliseconds(slide)))
        .Aggregate<WindowSum>(Sum{}, kEmitSum)
        .SinkTo(MemorySink<WindowSum>(results));
    LocalJob job(std::move(graph), Options(1 + seed % 3));
    ASSERT_TRUE(job.Start().ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(results->Committed(), Expected(readings, size, slide));
  }
}

TEST_F(WindowOperatorTest, WindowsSurviveAKillAtAnyPoint) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    const std::vector<Reading> readings = RandomReadings(seed, 0);
    auto results = std::make_shared<MemorySinkContents<WindowSum>>();
    const auto build = [&] {
      StreamGraph graph;
      StreamEnvironment environment(&graph);
      environment
          .FromSource(
              MemorySource<Reading>(readings, /*records_per_poll=*/7, /*rate_limited=*/true),
              WatermarkStrategy<Reading>::Monotonous().WithTimestamps(
                  [](const Reading& r) { return EventTime::FromMillis(r.time_ms); }),
              "Readings")
          .SetParallelism(1)
          .KeyBy([](const Reading& r) { return r.sensor; })
          .Window(SlidingEventTimeWindows::Of(absl::Milliseconds(100), absl::Milliseconds(40)))
          .Process<WindowSum>([](const std::string& sensor, const TimeWindow& window,
                                 const std::vector<Reading>& elements, Collector<WindowSum>& out) {
            int64_t sum = 0;
            for (const Reading& reading : elements) sum += reading.value;
            out.Collect({sensor, window.start.millis(), window.end.millis(), sum});
          })
          .SinkTo(MemorySink<WindowSum>(results));
      return graph;
    };
    std::mt19937 random(seed);
    LocalCheckpoint checkpoint;
    {
      LocalJob job(build(), Options(2));
      ASSERT_TRUE(job.Start().ok());
      auto taken = job.TriggerCheckpoint(/*notify=*/random() % 2 == 0);
      ASSERT_TRUE(taken.ok()) << taken.status();
      checkpoint = *std::move(taken);
    }
    LocalJob job(build(), Options(static_cast<uint32_t>(1 + random() % 3)));
    ASSERT_TRUE(job.Start(&checkpoint).ok());
    const absl::Status finished = job.WaitUntilFinished();
    ASSERT_TRUE(finished.ok()) << finished;
    EXPECT_EQ(results->Committed(), Expected(readings, 100, 40));
  }
}

}  // namespace
}  // namespace weir
