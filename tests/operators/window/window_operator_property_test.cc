// Windows of every assigner with every family of triggers, against a model without timers, tables
// or merging of state.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/window/window_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

enum class AssignerKind { kTumbling, kSliding, kSession, kDynamicSession, kGlobal, kCount };
enum class TriggerKindOfTest { kDefault, kCount, kPurgingCount, kContinuous, kNumber };

struct Case {
  AssignerKind assigner = AssignerKind::kTumbling;
  TriggerKindOfTest trigger = TriggerKindOfTest::kDefault;
  int64_t size = 10;
  int64_t slide = 10;
  int64_t lateness = 0;
  int64_t count = 3;
  int64_t interval = 5;
  bool explicit_trigger = false;

  [[nodiscard]] bool is_session() const {
    return assigner == AssignerKind::kSession || assigner == AssignerKind::kDynamicSession;
  }
};

int64_t GapOf(const Reading& reading) { return 1 + reading.value % 17; }

class Model {
 public:
  explicit Model(Case c) : case_(c) {}

  void Add(const Reading& reading, int64_t time) {
    bool late = true;
    std::vector<std::pair<int64_t, int64_t>> assigned;
    switch (case_.assigner) {
      case AssignerKind::kTumbling:
      case AssignerKind::kSliding:
        for (int64_t start = time - case_.size + 1; start <= time; ++start) {
          if (((start % case_.slide) + case_.slide) % case_.slide == 0) {
            assigned.emplace_back(start, start + case_.size);
          }
        }
        break;
      case AssignerKind::kSession:
        assigned.emplace_back(time, time + case_.size);
        break;
      case AssignerKind::kDynamicSession:
        assigned.emplace_back(time, time + GapOf(reading));
        break;
      default:
        assigned.emplace_back(0, kEndless);
    }
    auto& windows = windows_[reading.sensor];
    for (const auto& [start, end] : assigned) {
      Window window{start, end, 0, 0, 0, std::nullopt, false};
      size_t num_merged = 0;
      bool is_one_of_them = false;
      for (size_t i = 0; i < windows.size();) {
        Window& other = windows[i];
        const bool same = other.start == start && other.end == end;
        const bool touches = case_.is_session() && other.start <= end && other.end >= start;
        if (!same && !touches) {
          ++i;
          continue;
        }
        ++num_merged;
        is_one_of_them = other.start <= start && other.end >= end;
        window.fires_at_end = window.fires_at_end || other.fires_at_end;
        window.start = std::min(window.start, other.start);
        window.end = std::max(window.end, other.end);
        window.sum += other.sum;
        window.elements += other.elements;
        window.count += other.count;
        if (other.next.has_value()) {
          window.next = std::min(window.next.value_or(*other.next), *other.next);
        }
        windows.erase(windows.begin() + static_cast<ptrdiff_t>(i));
      }
      // A merge sets the trigger's next time anew, also when that is the end and has passed.
      if (num_merged > 0 && !(num_merged == 1 && is_one_of_them) && window.next == window.end - 1) {
        window.fires_at_end = true;
      }
      if (Cleanup(window) <= now_) continue;
      late = false;
      window.sum += reading.value;
      ++window.elements;
      OnElement(reading.sensor, window, time);
      windows.push_back(window);
    }
    if (late && time + case_.lateness <= now_) ++num_late_;
  }

  void AdvanceTo(int64_t now) {
    for (auto& [sensor, windows] : windows_) {
      for (Window& window : windows) {
        while (window.next.has_value() && *window.next <= now && *window.next < window.end - 1) {
          window.next = std::min(*window.next + case_.interval, window.end - 1);
          window.fires_at_end = window.next == window.end - 1;
          Fire(sensor, window);
        }
        const bool at_end = case_.trigger == TriggerKindOfTest::kDefault ||
                            case_.trigger == TriggerKindOfTest::kContinuous;
        if (at_end && window.end - 1 <= now && (window.end - 1 > now_ || window.fires_at_end)) {
          Fire(sensor, window);
          window.fires_at_end = false;
        }
      }
      std::erase_if(windows, [&](const Window& window) { return Cleanup(window) <= now; });
    }
    now_ = std::max(now_, now);
  }
  [[nodiscard]] const std::multiset<WindowSum>& results() const { return results_; }
  [[nodiscard]] uint64_t num_late() const { return num_late_; }

 private:
  static constexpr int64_t kEndless = int64_t{1} << 60;
  struct Window {
    int64_t start;
    int64_t end;
    int64_t sum;
    int64_t elements;
    int64_t count;
    std::optional<int64_t> next;
    bool fires_at_end;  // Although the end may have passed: a timer is set on it.
  };

  [[nodiscard]] int64_t Cleanup(const Window& window) const {
    return window.end - 1 + case_.lateness;
  }
  void OnElement(const std::string& sensor, Window& window, int64_t time) {
    switch (case_.trigger) {
      case TriggerKindOfTest::kDefault:
        if (window.end - 1 <= now_) Fire(sensor, window);
        break;
      case TriggerKindOfTest::kContinuous:
        if (window.end - 1 <= now_) {
          Fire(sensor, window);
        } else if (!window.next.has_value()) {
          const int64_t past = ((time % case_.interval) + case_.interval) % case_.interval;
          window.next = std::min(time - past + case_.interval, window.end - 1);
        }
        break;
      default:
        if (++window.count < case_.count) break;
        window.count = 0;
        Fire(sensor, window);
        if (case_.trigger == TriggerKindOfTest::kPurgingCount) window.sum = window.elements = 0;
    }
  }
  void Fire(const std::string& sensor, const Window& window) {
    if (window.elements == 0) return;
    const bool global = window.end == kEndless;
    results_.insert(
        {sensor, global ? 0 : window.start, global ? 0 : window.end, window.sum, window.elements});
  }

  const Case case_;
  int64_t now_ = std::numeric_limits<int64_t>::min() / 2;
  std::map<std::string, std::vector<Window>> windows_;
  std::multiset<WindowSum> results_;
  uint64_t num_late_ = 0;
};

const auto kEmit = [](const std::string& sensor, const auto& window, const SumAndCount& sum,
                      Collector<WindowSum>& out) {
  if constexpr (requires { window.start; }) {
    out.Collect({sensor, window.start.millis(), window.end.millis(), sum.sum, sum.count});
  } else {
    out.Collect({sensor, 0, 0, sum.sum, sum.count});
  }
};

template <class Windowed>
DataStream<WindowSum> WithTrigger(const Windowed& windowed, const Case& c) {
  const auto finish = [&](const auto& stream) {
    return stream.AllowedLateness(absl::Milliseconds(c.lateness))
        .template Aggregate<WindowSum>(SumAggregate(), kEmit);
  };
  switch (c.trigger) {
    case TriggerKindOfTest::kCount:
      return finish(windowed.Trigger(CountTrigger::Of(c.count)));
    case TriggerKindOfTest::kPurgingCount:
      return finish(windowed.Trigger(PurgingTrigger(CountTrigger::Of(c.count))));
    case TriggerKindOfTest::kContinuous:
      return finish(
          windowed.Trigger(ContinuousEventTimeTrigger::Of(absl::Milliseconds(c.interval))));
    default:
      // By the trigger the general operator; by default, for sessions, the one of their own.
      return c.explicit_trigger ? finish(windowed.Trigger(EventTimeTrigger())) : finish(windowed);
  }
}

DataStream<WindowSum> Build(StreamGraph* graph, const Case& c) {
  const auto keyed = BySensor(graph);
  switch (c.assigner) {
    case AssignerKind::kTumbling:
    case AssignerKind::kSliding:
      return WithTrigger(keyed.Window(SlidingEventTimeWindows::Of(absl::Milliseconds(c.size),
                                                                  absl::Milliseconds(c.slide))),
                         c);
    case AssignerKind::kSession:
      return WithTrigger(keyed.Window(EventTimeSessionWindows::WithGap(absl::Milliseconds(c.size))),
                         c);
    case AssignerKind::kDynamicSession:
      return WithTrigger(
          keyed.Window(EventTimeSessionWindows::WithDynamicGap(
              [](const Reading& reading) { return absl::Milliseconds(GapOf(reading)); })),
          c);
    default:
      return c.trigger == TriggerKindOfTest::kPurgingCount
                 ? keyed.CountWindow(c.count).Aggregate<WindowSum>(SumAggregate(), kEmit)
                 : keyed.Window(GlobalWindows::Create())
                       .Trigger(CountTrigger::Of(c.count))
                       .Aggregate<WindowSum>(SumAggregate(), kEmit);
  }
}

Case RandomCase(unsigned seed, std::mt19937& random) {
  Case c;
  c.assigner = static_cast<AssignerKind>(seed % static_cast<unsigned>(AssignerKind::kCount));
  c.trigger = static_cast<TriggerKindOfTest>(seed / static_cast<unsigned>(AssignerKind::kCount) %
                                             static_cast<unsigned>(TriggerKindOfTest::kNumber));
  c.size = 1 + static_cast<int64_t>(random() % 30);
  c.slide = c.assigner == AssignerKind::kSliding ? 1 + static_cast<int64_t>(random() % 20) : c.size;
  if (random() % 2 == 0) c.lateness = static_cast<int64_t>(random() % 40);
  c.count = 1 + static_cast<int64_t>(random() % 5);
  c.interval = 1 + static_cast<int64_t>(random() % 12);
  c.explicit_trigger = random() % 2 == 0;
  if (c.assigner == AssignerKind::kGlobal) {
    c.lateness = 0;
    c.trigger = random() % 2 == 0 ? TriggerKindOfTest::kCount : TriggerKindOfTest::kPurgingCount;
  }
  return c;
}

TEST(WindowOperatorPropertyTest, EveryAssignerAndTriggerEqualsTheModel) {
  const TemporaryFolder folder;
  size_t num_results = 0;
  for (unsigned seed = 1; seed <= 500; ++seed) {
    std::mt19937 random(seed);
    const Case c = RandomCase(seed, random);
    SCOPED_TRACE(StrCat("seed=", seed, " assigner=", static_cast<int>(c.assigner), " trigger=",
                        static_cast<int>(c.trigger), " size=", c.size, " slide=", c.slide,
                        " lateness=", c.lateness, " count=", c.count, " interval=", c.interval));
    StreamGraph graph;
    WindowHarness<Reading, WindowSum> harness(Build(&graph, c), folder.path());
    Model model(c);
    if (seed % 9 == 0) harness.LimitStateMemory();
    ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 3)).ok());
    uint64_t dropped = 0;
    int64_t time = -100;
    int64_t watermark = -200;
    const auto results = [&] {
      std::multiset<WindowSum> all;
      for (const auto& [result, at] : harness.results()) all.insert(result);
      return all;
    };
    for (int step = 0; step < 60; ++step) {
      const auto action = random() % 10;
      if (action < 6) {
        std::vector<std::pair<Reading, EventTime>> batch;
        for (size_t i = random() % 8; i > 0; --i) {
          const int64_t at = time - static_cast<int64_t>(random() % 40);
          Reading reading{StrCat("s", random() % 4), at, static_cast<int64_t>(random() % 100)};
          model.Add(reading, at);
          batch.emplace_back(std::move(reading), EventTime::FromMillis(at));
        }
        harness.Push(batch);
        time += static_cast<int64_t>(random() % 15);
      } else if (action < 9) {
        watermark = std::max(watermark, time - static_cast<int64_t>(random() % 40));
        harness.PushWatermark(EventTime::FromMillis(watermark));
        model.AdvanceTo(watermark);
      } else {
        auto snapshot = harness.TakeSnapshot();
        ASSERT_TRUE(snapshot.ok()) << snapshot.status();
        dropped += harness.CounterValue("numLateRecordsDropped");
        ASSERT_TRUE(harness.Start(static_cast<uint32_t>(1 + random() % 4), &*snapshot).ok());
        // Event time is not in the snapshot: it comes back with the first watermark.
        harness.PushWatermark(EventTime::FromMillis(watermark));
        model.AdvanceTo(watermark);
      }
      ASSERT_EQ(results(), model.results()) << "step=" << step;
    }
    dropped += harness.CounterValue("numLateRecordsDropped");
    if (c.assigner != AssignerKind::kGlobal) {
      EXPECT_EQ(dropped, model.num_late());
      harness.PushWatermark(EventTime::FromMillis(time + 1'000'000));
      model.AdvanceTo(time + 1'000'000);
      ASSERT_EQ(results(), model.results());
      auto last = harness.TakeSnapshot();
      ASSERT_TRUE(last.ok());
      EXPECT_EQ(last->NumKeyedEntries(), 0) << "state is left of windows that are over";
    }
    num_results += harness.results().size();
  }
  EXPECT_GT(num_results, 10'000);
}

}  // namespace
}  // namespace weir
