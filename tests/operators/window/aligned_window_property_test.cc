// Aligned windows against a model that keeps every record of every window.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/window/aligned_window_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

struct Shape {
  enum class Kind { kSliding, kCumulative } kind = Kind::kSliding;
  int64_t size = 1;
  int64_t slide = 1;
  int64_t offset = 0;
  int64_t lateness = 0;
  bool event_time = true;

  [[nodiscard]] AlignedWindows Windows() const {
    const TimeDomain domain = event_time ? TimeDomain::kEventTime : TimeDomain::kProcessingTime;
    if (kind == Kind::kCumulative) {
      return AlignedWindows::Cumulative(domain, absl::Milliseconds(size), absl::Milliseconds(slide),
                                        absl::Milliseconds(offset));
    }
    return {domain, absl::Milliseconds(size), absl::Milliseconds(slide),
            absl::Milliseconds(offset)};
  }
  // By search, so that no arithmetic is shared with the code under test.
  [[nodiscard]] std::vector<std::pair<int64_t, int64_t>> WindowsOf(int64_t time) const {
    std::vector<std::pair<int64_t, int64_t>> found;
    for (int64_t start = time - size; start <= time; ++start) {
      const int64_t period = kind == Kind::kCumulative ? size : slide;
      if ((((start - offset) % period) + period) % period != 0) continue;
      const int64_t step = kind == Kind::kCumulative ? slide : size;
      for (int64_t end = start + step; end <= start + size; end += step) {
        if (time < end) found.emplace_back(start, end);
      }
    }
    return found;
  }
};

class Model {
 public:
  explicit Model(Shape shape) : shape_(shape) {}

  void Add(const Reading& reading, int64_t time) {
    bool late = true;
    const auto windows = shape_.WindowsOf(time);
    for (const auto& [start, end] : windows) {
      if (end - 1 + shape_.lateness <= now_) continue;
      late = false;
      Contents& contents = contents_[{end, start, reading.sensor}];
      contents.sum += reading.value;
      ++contents.count;
      if (end - 1 <= now_) Emit(reading.sensor, start, end, contents);
    }
    if (windows.empty()) late = time + shape_.lateness <= now_;
    if (late) late_.push_back(reading);
  }
  void AdvanceTo(int64_t now) {
    for (auto& [place, contents] : contents_) {
      const auto& [end, start, sensor] = place;
      if (end - 1 <= now && end - 1 > now_) Emit(sensor, start, end, contents);
    }
    std::erase_if(contents_, [&](const auto& entry) {
      return std::get<0>(entry.first) - 1 + shape_.lateness <= now;
    });
    now_ = std::max(now_, now);
  }
  [[nodiscard]] std::multiset<WindowSum> results() const { return results_; }
  [[nodiscard]] std::vector<Reading> late() const { return late_; }

 private:
  struct Contents {
    int64_t sum = 0;
    int64_t count = 0;
  };
  void Emit(const std::string& sensor, int64_t start, int64_t end, const Contents& contents) {
    results_.insert({sensor, start, end, contents.sum, contents.count});
  }

  const Shape shape_;
  int64_t now_ = std::numeric_limits<int64_t>::min() / 2;
  std::map<std::tuple<int64_t, int64_t, std::string>, Contents> contents_;
  std::multiset<WindowSum> results_;
  std::vector<Reading> late_;
};

const auto kEmitSum = [](const std::string& sensor, const TimeWindow& window,
                         const SumAndCount& sum, Collector<WindowSum>& out) {
  out.Collect({sensor, window.start.millis(), window.end.millis(), sum.sum, sum.count});
};

/// Counts its calls per window and key, and forgets them in Clear: so it knows of missing and
/// untimely ones.
class CountingFunction : public ProcessWindowFunction<SumAndCount, WindowSum, std::string> {
 public:
  absl::Status Open(WindowOpenContext<std::string, TimeWindow>& context) override {
    ASSIGN_OR_RETURN(calls_, context.GetWindowState(ValueStateDescriptor<int64_t>{"calls"}));
    ASSIGN_OR_RETURN(open_windows_, context.GetState(ValueStateDescriptor<int64_t>{"open"}));
    return absl::OkStatus();
  }
  void Process(const std::string& key, Context& context, std::span<const SumAndCount> elements,
               Collector<WindowSum>& out) override {
    if (calls_.Get() == nullptr) ++open_windows_.Mutable();
    ++calls_.Mutable();
    out.Collect({key, context.window().start.millis(), context.window().end.millis(),
                 elements.front().sum, elements.front().count});
  }
  void Clear(Context&) override {
    if (calls_.Get() == nullptr) throw std::runtime_error("a window ended that never fired");
    if (--open_windows_.Mutable() == 0) open_windows_.Clear();
  }

 private:
  ValueState<int64_t> calls_;
  ValueState<int64_t> open_windows_;
};

enum class ContentsKind { kRunning, kGathered, kCopied, kReduced, kElements, kClearing, kCount };

DataStream<WindowSum> Build(StreamGraph* graph, const Shape& shape, ContentsKind kind,
                            const std::optional<OutputTag<Reading>>& late_tag) {
  auto windowed =
      BySensor(graph).Window(shape.Windows()).AllowedLateness(absl::Milliseconds(shape.lateness));
  if (late_tag.has_value()) windowed = windowed.SideOutputLateData(*late_tag);
  switch (kind) {
    case ContentsKind::kRunning:
      return windowed.Aggregate<WindowSum>(SumAggregate(), kEmitSum);
    case ContentsKind::kGathered:
      return windowed.Aggregate<WindowSum>(ListAggregate(), kEmitSum);
    case ContentsKind::kCopied:
      return windowed.Aggregate<WindowSum>(UnmergeableSumAggregate(), kEmitSum);
    case ContentsKind::kReduced:
      return windowed.Reduce<WindowSum>(
          [](const Reading& a, const Reading& b) {
            return Reading{a.sensor, a.time_ms + b.time_ms, a.value + b.value};
          },
          // The number of records is in the sum of times, of which each has 1,000,000.
          [](const std::string& sensor, const TimeWindow& window, const Reading& reading,
             Collector<WindowSum>& out) {
            out.Collect({sensor, window.start.millis(), window.end.millis(), reading.value,
                         (reading.time_ms + 500'000) / 1'000'000});
          });
    case ContentsKind::kElements:
      return windowed.Process<WindowSum>([](const std::string& sensor, const TimeWindow& window,
                                            const std::vector<Reading>& elements,
                                            Collector<WindowSum>& out) {
        int64_t sum = 0;
        for (const Reading& reading : elements) sum += reading.value;
        out.Collect({sensor, window.start.millis(), window.end.millis(), sum,
                     static_cast<int64_t>(elements.size())});
      });
    default:
      return windowed.Aggregate(SumAggregate(), CountingFunction());
  }
}

Shape RandomShape(std::mt19937& random, bool event_time) {
  Shape shape;
  shape.event_time = event_time;
  shape.slide = 1 + static_cast<int64_t>(random() % 20);
  if (random() % 4 == 0) {
    shape.kind = Shape::Kind::kCumulative;
    shape.size = shape.slide * (1 + static_cast<int64_t>(random() % 6));
  } else if (random() % 3 == 0) {
    shape.size = shape.slide;
  } else {
    shape.size = 1 + static_cast<int64_t>(random() % (random() % 4 == 0 ? 400 : 60));
  }
  shape.offset = static_cast<int64_t>(random() % 50) - 25;
  if (event_time && random() % 2 == 0) shape.lateness = static_cast<int64_t>(random() % 60);
  return shape;
}

std::multiset<WindowSum> ResultsOf(WindowHarness<Reading, WindowSum>& harness) {
  std::multiset<WindowSum> results;
  for (const auto& [result, time] : harness.results()) {
    EXPECT_EQ(time.millis(), result.end_ms - 1);
    results.insert(result);
  }
  return results;
}

TEST(AlignedWindowPropertyTest, EventTimeWindowsEqualTheModel) {
  const TemporaryFolder folder;
  for (unsigned seed = 1; seed <= NumSeeds(420); ++seed) {
    std::mt19937 random(seed);
    const Shape shape = RandomShape(random, /*event_time=*/true);
    const auto kind = static_cast<ContentsKind>(seed % static_cast<unsigned>(ContentsKind::kCount));
    SCOPED_TRACE(StrCat("seed=", seed, " cumulative=", shape.kind == Shape::Kind::kCumulative,
                        " size=", shape.size, " slide=", shape.slide, " offset=", shape.offset,
                        " lateness=", shape.lateness, " contents=", static_cast<int>(kind)));
    StreamGraph graph;
    const OutputTag<Reading> late_tag("late");
    const bool has_side_output = random() % 2 == 0;
    DataStream<WindowSum> stream =
        Build(&graph, shape, kind, has_side_output ? std::optional(late_tag) : std::nullopt);
    if (has_side_output) (void)stream.GetSideOutput(late_tag);
    WindowHarness<Reading, WindowSum> harness(stream, folder.path());
    Model model(shape);
    if (seed % 9 == 0) harness.LimitStateMemory();
    ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 3)).ok());
    uint64_t dropped = 0;
    int64_t time = -100;
    int64_t watermark = -200;
    for (int step = 0; step < 60; ++step) {
      const auto action = random() % 10;
      if (action < 6) {
        std::vector<std::pair<Reading, EventTime>> batch;
        for (size_t i = random() % 12; i > 0; --i) {
          const int64_t at = time - static_cast<int64_t>(random() % 40);
          Reading reading{StrCat("s", random() % 4), 1'000'000 + at,
                          static_cast<int64_t>(random() % 100)};
          model.Add(reading, at);
          batch.emplace_back(std::move(reading), EventTime::FromMillis(at));
        }
        harness.Push(batch);
        time += static_cast<int64_t>(random() % (random() % 20 == 0 ? 500 : 15));
      } else if (action < 9) {
        watermark = std::max(watermark, time - static_cast<int64_t>(random() % 40));
        harness.PushWatermark(EventTime::FromMillis(watermark));
        model.AdvanceTo(watermark);
      } else {
        auto snapshot = harness.TakeSnapshot();
        ASSERT_TRUE(snapshot.ok()) << snapshot.status();
        if (random() % 2 == 0) {
          dropped += harness.CounterValue("numLateRecordsDropped");
          ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 4), &*snapshot).ok());
        }
      }
      ASSERT_EQ(ResultsOf(harness), model.results()) << "step=" << step;
    }
    harness.PushWatermark(EventTime::Max());
    model.AdvanceTo(std::numeric_limits<int64_t>::max() / 2);
    ASSERT_EQ(ResultsOf(harness), model.results());
    dropped += harness.CounterValue("numLateRecordsDropped");
    if (has_side_output) {
      EXPECT_THAT(harness.side_output(), ::testing::UnorderedElementsAreArray(model.late()));
      EXPECT_EQ(dropped, 0);
    } else {
      EXPECT_EQ(dropped, model.late().size());
    }
    // All state has gone with the windows.
    auto last = harness.TakeSnapshot();
    ASSERT_TRUE(last.ok());
    EXPECT_EQ(last->NumKeyedEntries(), 0);
  }
}

TEST(AlignedWindowPropertyTest, ProcessingTimeWindowsEqualTheModel) {
  const TemporaryFolder folder;
  for (unsigned seed = 1; seed <= NumSeeds(210); ++seed) {
    std::mt19937 random(seed);
    const Shape shape = RandomShape(random, /*event_time=*/false);
    const auto kind = static_cast<ContentsKind>(seed % static_cast<unsigned>(ContentsKind::kCount));
    SCOPED_TRACE(StrCat("seed=", seed, " cumulative=", shape.kind == Shape::Kind::kCumulative,
                        " size=", shape.size, " slide=", shape.slide, " offset=", shape.offset,
                        " contents=", static_cast<int>(kind)));
    StreamGraph graph;
    WindowHarness<Reading, WindowSum> harness(Build(&graph, shape, kind, std::nullopt),
                                              folder.path());
    Model model(shape);
    if (seed % 9 == 0) harness.LimitStateMemory();
    ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 3)).ok());
    const auto now = [&] { return absl::ToUnixMillis(harness.clock().Now()); };
    for (int step = 0; step < 60; ++step) {
      const auto action = random() % 10;
      if (action < 6) {
        std::vector<std::pair<Reading, EventTime>> batch;
        for (size_t i = random() % 12; i > 0; --i) {
          Reading reading{StrCat("s", random() % 4), 1'000'000,
                          static_cast<int64_t>(random() % 100)};
          model.Add(reading, now());
          batch.emplace_back(std::move(reading), EventTime::Min());
        }
        harness.Push(batch);
      } else if (action < 9) {
        harness.AdvanceTime(absl::Milliseconds(random() % (random() % 10 == 0 ? 600 : 20)));
        model.AdvanceTo(now() - 1);
      } else {
        auto snapshot = harness.TakeSnapshot();
        ASSERT_TRUE(snapshot.ok()) << snapshot.status();
        ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 4), &*snapshot).ok());
        harness.Wake();
      }
      ASSERT_EQ(ResultsOf(harness), model.results()) << "step=" << step;
    }
  }
}

}  // namespace
}  // namespace weir
