#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"

namespace weir {

struct Reading {
  int64_t sensor = 0;
  int64_t time_ms = 0;
  int64_t value = 0;
};

namespace {

constexpr int64_t kWindowMs = 1000;
constexpr int64_t kBoundMs = 500;

/// Sums a sensor's values per second of event time; emits "sensor@end=sum" when the second is over.
class SumPerSecond final : public KeyedProcessFunction<int64_t, Reading, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    const auto sums = context.GetState(MapStateDescriptor<int64_t, int64_t>{"sums"});
    if (!sums.ok()) return sums.status();
    sums_ = *sums;
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context& context,
                      Collector<std::string>& out) override {
    if (context.timestamp() <= context.current_watermark()) out.Collect("late");
    const int64_t end = (reading.time_ms / kWindowMs + 1) * kWindowMs - 1;
    sums_.Mutable(end) += reading.value;
    context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(end));
  }
  void OnTimer(TimerKind, Context& context, Collector<std::string>& out) override {
    const int64_t end = context.timestamp().millis();
    out.Collect(StrCat(context.current_key(), "@", end, "=", *sums_.Get(end)));
    sums_.Remove(end);
  }

 private:
  MapState<int64_t, int64_t> sums_;
};

// Row B1 of the features: the same input, shuffled within the bound, gives the same results.
TEST(EventTimeTest, ShufflingWithinTheBoundChangesNoResult) {
  std::mt19937_64 random(42);
  std::vector<Reading> readings;
  std::map<std::pair<int64_t, int64_t>, int64_t> sums;
  for (int64_t i = 0; i < 500; ++i) {
    readings.push_back({static_cast<int64_t>(random() % 5), i * 20, static_cast<int64_t>(i)});
    const Reading& reading = readings.back();
    sums[{reading.sensor, (reading.time_ms / kWindowMs + 1) * kWindowMs - 1}] += reading.value;
  }
  std::vector<std::string> expected;
  for (const auto& [place, sum] : sums)
    expected.push_back(StrCat(place.first, "@", place.second, "=", sum));
  std::sort(expected.begin(), expected.end());

  for (uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    random.seed(seed);
    // Sorting by time plus a delay below the bound moves no record further than the bound.
    std::vector<std::pair<int64_t, size_t>> order;
    for (size_t i = 0; i < readings.size(); ++i) {
      order.emplace_back(readings[i].time_ms + static_cast<int64_t>(random() % kBoundMs), i);
    }
    std::sort(order.begin(), order.end());
    OperatorTestOptions options;
    options.parallelism = static_cast<uint32_t>(1 + seed % 3);
    OperatorTestHarness<Reading, std::string> harness(
        [](DataStream<Reading> stream) {
          return stream
              .AssignTimestampsAndWatermarks(
                  WatermarkStrategy<Reading>::BoundedOutOfOrderness(absl::Milliseconds(kBoundMs))
                      .WithTimestamps([](const Reading& reading) {
                        return EventTime::FromMillis(reading.time_ms);
                      }))
              .SetParallelism(1)
              .KeyBy([](const Reading& reading) { return reading.sensor; })
              .Process(SumPerSecond());
        },
        options);
    std::vector<StreamRecord<Reading>> batch;
    for (const auto& [when, index] : order) {
      batch.push_back({readings[index]});
      if (random() % 7 != 0) continue;
      harness.ProcessElements(batch);
      batch.clear();
    }
    harness.ProcessElements(batch);
    harness.ProcessWatermark(EventTime::Max());
    std::vector<std::string> results = harness.TakeValues();
    std::sort(results.begin(), results.end());
    ASSERT_EQ(results, expected);
  }
}

}  // namespace
}  // namespace weir
