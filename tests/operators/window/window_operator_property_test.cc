// Windows of every assigner with every family of triggers, against a model without timers, tables
// or merging of state.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operators/api/all_windowed_stream.h"
#include "operators/testing/operator_test_harness.h"
#include "operators/window/window_operator.h"
#include "tests/operators/window/window_harness.h"
#include "tests/operators/window/window_test_types.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

enum class AssignerKind {
  kTumbling,
  kSliding,
  kSession,
  kDynamicSession,
  kGlobal,
  kSlidingCount,
  kProcessingTumbling,
  kProcessingSession,
  kNumber
};
enum class TriggerKindOfTest {
  kDefault,
  kCount,
  kPurgingCount,
  kContinuous,
  kContinuousProcessing,
  kDelta,
  kNumber
};
enum class EvictorKind { kNone, kTime, kCount, kDelta };

struct Case {
  AssignerKind assigner = AssignerKind::kTumbling;
  TriggerKindOfTest trigger = TriggerKindOfTest::kDefault;
  EvictorKind evictor = EvictorKind::kNone;
  int64_t size = 10;
  int64_t slide = 10;
  int64_t lateness = 0;
  int64_t count = 3;
  int64_t interval = 5;
  int64_t evictor_limit = 5;  // Elements, milliseconds or a difference.
  bool evict_after = false;
  bool explicit_trigger = false;

  [[nodiscard]] bool is_session() const {
    return assigner == AssignerKind::kSession || assigner == AssignerKind::kDynamicSession ||
           assigner == AssignerKind::kProcessingSession;
  }
  [[nodiscard]] bool is_global() const {
    return assigner == AssignerKind::kGlobal || assigner == AssignerKind::kSlidingCount;
  }
  [[nodiscard]] bool is_processing_time() const {
    return assigner == AssignerKind::kProcessingTumbling ||
           assigner == AssignerKind::kProcessingSession;
  }
  [[nodiscard]] bool is_event_time() const { return !is_global() && !is_processing_time(); }
};

constexpr double kDeltaThreshold = 40;
double Difference(const Reading& a, const Reading& b) {
  return static_cast<double>(std::abs(a.value - b.value));
}
int64_t GapOf(const Reading& reading) { return 1 + reading.value % 17; }

class Model {
 public:
  Model(Case c, int64_t clock) : case_(c), clock_(clock) {}

  void Add(const Reading& reading, int64_t time) {
    bool late = true;
    auto& windows = windows_[reading.sensor];
    for (const auto& [start, end] : Assign(reading, time)) {
      Window window = MergeInto(windows, start, end);
      if (case_.is_event_time() && Cleanup(window) <= now_) continue;
      late = false;
      window.elements.push_back({reading, EventTime::FromMillis(time)});
      OnElement(reading, window, time);
      windows.push_back(std::move(window));
    }
    if (late && case_.is_event_time() && time + case_.lateness <= now_) ++num_late_;
  }

  void AdvanceTo(int64_t now) {
    if (!case_.is_event_time()) return;
    for (auto& [sensor, windows] : windows_) {
      for (Window& window : windows) {
        while (case_.trigger == TriggerKindOfTest::kContinuous && window.next.has_value() &&
               *window.next <= now && *window.next < window.end - 1) {
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
  // Timers of processing time fire when their millisecond is over.
  void AdvanceClockTo(int64_t clock) {
    clock_ = clock;
    for (auto& [sensor, windows] : windows_) {
      for (Window& window : windows) {
        if (case_.trigger == TriggerKindOfTest::kContinuousProcessing) {
          while (window.next.has_value() && *window.next < clock) {
            const int64_t time = *window.next;
            window.next = NextOfClock(window, time + case_.interval, time + 1);
            Fire(sensor, window);
            if (case_.is_processing_time() && time == window.end - 1) break;
          }
        } else if (case_.is_processing_time() && case_.trigger == TriggerKindOfTest::kDefault &&
                   window.end <= clock) {
          Fire(sensor, window);
        }
      }
      if (!case_.is_processing_time()) continue;
      std::erase_if(windows, [&](const Window& window) { return window.end <= clock; });
    }
  }
  [[nodiscard]] const std::multiset<WindowSum>& results() const { return results_; }
  [[nodiscard]] uint64_t num_late() const { return num_late_; }

 private:
  static constexpr int64_t kEndless = int64_t{1} << 60;
  struct Window {
    int64_t start;
    int64_t end;
    std::vector<TimestampedValue<Reading>> elements;
    int64_t count = 0;
    std::optional<int64_t> next;  // When a trigger of intervals fires.
    bool fires_at_end = false;    // Although the end may have passed: a timer is set on it.
    std::optional<Reading> last;  // Of the delta trigger.
  };

  [[nodiscard]] std::vector<std::pair<int64_t, int64_t>> Assign(const Reading& reading,
                                                                int64_t time) const {
    std::vector<std::pair<int64_t, int64_t>> assigned;
    if (case_.is_processing_time()) time = clock_;
    switch (case_.assigner) {
      case AssignerKind::kTumbling:
      case AssignerKind::kSliding:
      case AssignerKind::kProcessingTumbling:
        for (int64_t start = time - case_.size + 1; start <= time; ++start) {
          if (((start % case_.slide) + case_.slide) % case_.slide == 0) {
            assigned.emplace_back(start, start + case_.size);
          }
        }
        break;
      case AssignerKind::kSession:
      case AssignerKind::kProcessingSession:
        assigned.emplace_back(time, time + case_.size);
        break;
      case AssignerKind::kDynamicSession:
        assigned.emplace_back(time, time + GapOf(reading));
        break;
      default:
        assigned.emplace_back(0, kEndless);
    }
    return assigned;
  }
  // Takes out of `windows` the one that is [start, end), or for sessions all that touch it.
  [[nodiscard]] Window MergeInto(std::vector<Window>& windows, int64_t start, int64_t end) const {
    Window window{start, end, {}, 0, {}, false, {}};
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
      window.elements.insert(window.elements.end(), other.elements.begin(), other.elements.end());
      window.count += other.count;
      if (other.next.has_value()) {
        window.next = std::min(window.next.value_or(*other.next), *other.next);
      }
      if (other.last.has_value()) window.last = other.last;
      windows.erase(windows.begin() + static_cast<ptrdiff_t>(i));
    }
    // A merge sets the trigger's next time anew, also when that is the end and has passed.
    if (num_merged > 0 && !(num_merged == 1 && is_one_of_them) && window.next == window.end - 1) {
      window.fires_at_end = true;
    }
    return window;
  }
  [[nodiscard]] int64_t Cleanup(const Window& window) const {
    return window.end - 1 + case_.lateness;
  }
  // When the trigger that fires each interval of the clock does so from `earliest` on: at `next`,
  // or at the window's end before.
  [[nodiscard]] static int64_t NextOfClock(const Window& window, int64_t next, int64_t earliest) {
    return window.end - 1 >= earliest ? std::min(next, window.end - 1) : next;
  }
  void OnElement(const Reading& reading, Window& window, int64_t time) {
    switch (case_.trigger) {
      case TriggerKindOfTest::kDefault:
        if (case_.is_event_time() && window.end - 1 <= now_) Fire(reading.sensor, window);
        break;
      case TriggerKindOfTest::kContinuous:
        if (window.end - 1 <= now_) {
          Fire(reading.sensor, window);
        } else if (!window.next.has_value()) {
          const int64_t past = ((time % case_.interval) + case_.interval) % case_.interval;
          window.next = std::min(time - past + case_.interval, window.end - 1);
        }
        break;
      case TriggerKindOfTest::kContinuousProcessing:
        if (!window.next.has_value()) {
          const int64_t begin = clock_ - clock_ % case_.interval;
          window.next = NextOfClock(window, begin + case_.interval, clock_);
        }
        break;
      case TriggerKindOfTest::kDelta:
        if (!window.last.has_value()) {
          window.last = reading;
        } else if (Difference(*window.last, reading) > kDeltaThreshold) {
          window.last = reading;
          Fire(reading.sensor, window);
        }
        break;
      default:
        if (++window.count < case_.count) break;
        window.count = 0;
        Fire(reading.sensor, window);
        if (case_.trigger == TriggerKindOfTest::kPurgingCount) window.elements.clear();
    }
  }
  void Fire(const std::string& sensor, Window& window) {
    if (window.elements.empty()) return;
    if (!case_.evict_after) Evict(window.elements);
    SumAndCount sum;
    for (const auto& element : window.elements) SumAggregate().Add(element.value, sum);
    const bool global = window.end == kEndless;
    results_.insert(
        {sensor, global ? 0 : window.start, global ? 0 : window.end, sum.sum, sum.count});
    if (case_.evict_after) Evict(window.elements);
  }
  void Evict(std::vector<TimestampedValue<Reading>>& elements) const {
    const int64_t limit = case_.evictor_limit;
    if (case_.evictor == EvictorKind::kCount || case_.assigner == AssignerKind::kSlidingCount) {
      while (static_cast<int64_t>(elements.size()) > limit) elements.erase(elements.begin());
    } else if (case_.evictor == EvictorKind::kTime) {
      EventTime latest = EventTime::Min();
      for (const auto& element : elements) latest = std::max(latest, element.timestamp);
      std::erase_if(elements, [&](const auto& e) { return e.timestamp + limit <= latest; });
    } else if (case_.evictor == EvictorKind::kDelta) {
      const Reading last = elements.back().value;
      std::erase_if(elements, [&](const auto& element) {
        return Difference(element.value, last) >= static_cast<double>(limit);
      });
    }
  }

  const Case case_;
  int64_t now_ = std::numeric_limits<int64_t>::min() / 2;
  int64_t clock_;
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

/// Any of the evictors, in one class: each class is compiled with every trigger.
class SomeEvictor : public Evictor {
 public:
  explicit SomeEvictor(const Case& c)
      : kind_(c.evictor),
        count_(CountEvictor::Of(static_cast<size_t>(c.evictor_limit), c.evict_after)),
        time_(TimeEvictor::Of(absl::Milliseconds(c.evictor_limit), c.evict_after)),
        delta_(static_cast<double>(c.evictor_limit), &Difference, c.evict_after) {}
  template <class T, class W>
  void EvictBefore(std::vector<TimestampedValue<T>>& elements, const W& window,
                   const EvictorContext& context) {
    Visit([&](auto& evictor) { evictor.EvictBefore(elements, window, context); });
  }
  template <class T, class W>
  void EvictAfter(std::vector<TimestampedValue<T>>& elements, const W& window,
                  const EvictorContext& context) {
    Visit([&](auto& evictor) { evictor.EvictAfter(elements, window, context); });
  }

 private:
  template <class Call>
  void Visit(Call call) {
    if (kind_ == EvictorKind::kCount) call(count_);
    if (kind_ == EvictorKind::kTime) call(time_);
    if (kind_ == EvictorKind::kDelta) call(delta_);
  }
  EvictorKind kind_;
  CountEvictor count_;
  TimeEvictor time_;
  DeltaEvictor<double (*)(const Reading&, const Reading&)> delta_;
};

template <class Windowed>
DataStream<WindowSum> Sum(const Windowed& windowed, const Case& c) {
  return windowed.AllowedLateness(absl::Milliseconds(c.lateness))
      .template Aggregate<WindowSum>(SumAggregate(), kEmit);
}
template <class Windowed>
DataStream<WindowSum> SumOfLeft(const Windowed& windowed, const Case& c) {
  return c.evictor == EvictorKind::kNone ? Sum(windowed, c)
                                         : Sum(windowed.Evictor(SomeEvictor(c)), c);
}

template <class DefaultTrigger, class Windowed>
DataStream<WindowSum> WithTrigger(const Windowed& windowed, const Case& c) {
  const absl::Duration interval = absl::Milliseconds(c.interval);
  switch (c.trigger) {
    case TriggerKindOfTest::kCount:
      return SumOfLeft(windowed.Trigger(CountTrigger::Of(c.count)), c);
    case TriggerKindOfTest::kPurgingCount:
      return SumOfLeft(windowed.Trigger(PurgingTrigger(CountTrigger::Of(c.count))), c);
    case TriggerKindOfTest::kContinuous:
      return Sum(windowed.Trigger(ContinuousEventTimeTrigger::Of(interval)), c);
    case TriggerKindOfTest::kContinuousProcessing:
      return Sum(windowed.Trigger(ContinuousProcessingTimeTrigger::Of(interval)), c);
    default:
      // By the trigger the general operator; by default, for sessions, the one of their own.
      return c.explicit_trigger ? SumOfLeft(windowed.Trigger(DefaultTrigger()), c)
                                : SumOfLeft(windowed, c);
  }
}

template <class Windowed>
DataStream<WindowSum> WithDeltaTrigger(const Windowed& windowed, const Case& c) {
  return Sum(windowed.Trigger(MakeDeltaTrigger<Reading>(kDeltaThreshold, &Difference)), c);
}

template <class Keyed>
DataStream<WindowSum> BuildGlobal(const Keyed& keyed, const Case& c) {
  if (c.assigner == AssignerKind::kSlidingCount) {
    return keyed.CountWindow(c.evictor_limit, c.count)
        .template Aggregate<WindowSum>(SumAggregate(), kEmit);
  }
  const auto windowed = keyed.Window(GlobalWindows::Create());
  switch (c.trigger) {
    case TriggerKindOfTest::kPurgingCount:
      return Sum(keyed.CountWindow(c.count), c);
    case TriggerKindOfTest::kDelta:
      return WithDeltaTrigger(windowed, c);
    case TriggerKindOfTest::kContinuousProcessing:
      return Sum(
          windowed.Trigger(ContinuousProcessingTimeTrigger::Of(absl::Milliseconds(c.interval))), c);
    default:
      return Sum(windowed.Trigger(CountTrigger::Of(c.count)), c);
  }
}

DataStream<WindowSum> Build(StreamGraph* graph, const Case& c) {
  const auto keyed = BySensor(graph);
  const absl::Duration size = absl::Milliseconds(c.size);
  switch (c.assigner) {
    case AssignerKind::kTumbling:
    case AssignerKind::kSliding: {
      const auto windowed =
          keyed.Window(SlidingEventTimeWindows::Of(size, absl::Milliseconds(c.slide)));
      return c.trigger == TriggerKindOfTest::kDelta ? WithDeltaTrigger(windowed, c)
                                                    : WithTrigger<EventTimeTrigger>(windowed, c);
    }
    case AssignerKind::kProcessingTumbling: {
      const auto windowed = keyed.Window(TumblingProcessingTimeWindows::Of(size));
      return c.trigger == TriggerKindOfTest::kDelta
                 ? WithDeltaTrigger(windowed, c)
                 : WithTrigger<ProcessingTimeTrigger>(windowed, c);
    }
    case AssignerKind::kSession:
      return WithTrigger<EventTimeTrigger>(keyed.Window(EventTimeSessionWindows::WithGap(size)), c);
    case AssignerKind::kDynamicSession:
      return WithTrigger<EventTimeTrigger>(
          keyed.Window(EventTimeSessionWindows::WithDynamicGap(
              [](const Reading& reading) { return absl::Milliseconds(GapOf(reading)); })),
          c);
    case AssignerKind::kProcessingSession:
      return WithTrigger<ProcessingTimeTrigger>(
          keyed.Window(ProcessingTimeSessionWindows::WithGap(size)), c);
    default:
      return BuildGlobal(keyed, c);
  }
}

// Not every trigger and evictor makes sense with every assigner.
void Reconcile(Case& c, std::mt19937& random) {
  using Trigger = TriggerKindOfTest;
  if (c.assigner == AssignerKind::kGlobal) {
    constexpr Trigger kOfGlobal[] = {Trigger::kCount, Trigger::kPurgingCount, Trigger::kDelta,
                                     Trigger::kContinuousProcessing};
    c.trigger = kOfGlobal[random() % std::size(kOfGlobal)];
  }
  if (c.assigner == AssignerKind::kSlidingCount) c.trigger = Trigger::kCount;
  if (!c.is_event_time()) c.lateness = 0;
  if (c.is_processing_time() && c.trigger == Trigger::kContinuous) c.trigger = Trigger::kDefault;
  if (c.is_session() && c.trigger == Trigger::kDelta) c.trigger = Trigger::kDefault;
  const bool may_evict =
      !c.is_global() && (c.trigger == Trigger::kDefault || c.trigger == Trigger::kCount ||
                         c.trigger == Trigger::kPurgingCount);
  if (!may_evict) c.evictor = EvictorKind::kNone;
  // The elements of merged sessions come in an order that is not said.
  if (c.is_session() && c.evictor != EvictorKind::kNone) c.evictor = EvictorKind::kTime;
  if (c.is_global()) c.evict_after = false;
}

Case RandomCase(unsigned seed, std::mt19937& random) {
  Case c;
  const auto num_assigners = static_cast<unsigned>(AssignerKind::kNumber);
  c.assigner = static_cast<AssignerKind>(seed % num_assigners);
  c.trigger = static_cast<TriggerKindOfTest>(seed / num_assigners %
                                             static_cast<unsigned>(TriggerKindOfTest::kNumber));
  c.size = 1 + static_cast<int64_t>(random() % 30);
  c.slide = c.assigner == AssignerKind::kSliding ? 1 + static_cast<int64_t>(random() % 20) : c.size;
  if (random() % 2 == 0) c.lateness = static_cast<int64_t>(random() % 40);
  c.count = 1 + static_cast<int64_t>(random() % 5);
  c.interval = 1 + static_cast<int64_t>(random() % 12);
  c.explicit_trigger = random() % 2 == 0;
  if (random() % 3 == 0) c.evictor = static_cast<EvictorKind>(1 + random() % 3);
  c.evictor_limit = 1 + static_cast<int64_t>(random() % 15);
  c.evict_after = random() % 2 == 0;
  Reconcile(c, random);
  return c;
}

int64_t ClockOf(WindowHarness<Reading, WindowSum>& harness) {
  return absl::ToUnixMillis(harness.clock().Now());
}

TEST(WindowOperatorPropertyTest, EveryAssignerAndTriggerEqualsTheModel) {
  const TemporaryFolder folder;
  size_t num_results = 0;
  for (unsigned seed = 1; seed <= NumSeeds(800); ++seed) {
    std::mt19937 random(seed);
    const Case c = RandomCase(seed, random);
    SCOPED_TRACE(StrCat("seed=", seed, " assigner=", static_cast<int>(c.assigner), " trigger=",
                        static_cast<int>(c.trigger), " evictor=", static_cast<int>(c.evictor),
                        " limit=", c.evictor_limit, " after=", c.evict_after, " size=", c.size,
                        " slide=", c.slide, " lateness=", c.lateness, " count=", c.count,
                        " interval=", c.interval, " explicit=", c.explicit_trigger));
    StreamGraph graph;
    WindowHarness<Reading, WindowSum> harness(Build(&graph, c), folder.path());
    Model model(c, ClockOf(harness));
    const auto advance_clock = [&](int64_t millis) {
      harness.AdvanceTime(absl::Milliseconds(millis));
      model.AdvanceClockTo(ClockOf(harness));
    };
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
      const auto action = random() % 13;
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
      } else if (action < 12) {
        advance_clock(static_cast<int64_t>(random() % 20));
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
    EXPECT_EQ(dropped, model.num_late());
    if (!c.is_global()) {
      harness.PushWatermark(EventTime::FromMillis(time + 1'000'000));
      model.AdvanceTo(time + 1'000'000);
      if (c.is_processing_time()) advance_clock(1'000);
      ASSERT_EQ(results(), model.results());
      auto last = harness.TakeSnapshot();
      ASSERT_TRUE(last.ok());
      EXPECT_EQ(last->NumKeyedEntries(), 0) << "state is left of windows that are over";
    }
    num_results += harness.results().size();
  }
  EXPECT_GT(num_results, 12 * NumSeeds(800));
}

const auto kEmitAll = [](const TimeWindow& window, const SumAndCount& sum,
                         Collector<WindowSum>& out) {
  out.Collect({"", window.start.millis(), window.end.millis(), sum.sum, sum.count});
};

// Windows with a local first stage: of all readings, or by sensor.
DataStream<WindowSum> InTwoStages(const DataStream<Reading>& readings, const Case& c, bool all) {
  const auto windows =
      SlidingEventTimeWindows::Of(absl::Milliseconds(c.size), absl::Milliseconds(c.slide));
  if (all) {
    return readings.WindowAll(windows)
        .AllowedLateness(absl::Milliseconds(c.lateness))
        .Aggregate<WindowSum>(SumAggregate(), kEmitAll);
  }
  return Sum(readings.KeyBy([](const Reading& reading) { return reading.sensor; })
                 .Window(windows)
                 .WithLocalAggregation(),
             c);
}

TEST(WindowOperatorPropertyTest, WindowsInTwoStagesEqualTheModelThroughDisorderAndLateness) {
  using Harness = OperatorTestHarness<Reading, WindowSum>;
  uint64_t num_late = 0;
  for (unsigned seed = 1; seed <= NumSeeds(200); ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t limit) { return static_cast<int64_t>(random() % limit); };
    const bool all = seed % 2 == 0;
    Case c;
    c.size = 1 + below(30);
    c.slide = below(3) == 0 ? c.size : 1 + below(20);
    if (below(2) == 0) c.lateness = below(40);
    SCOPED_TRACE(StrCat("seed=", seed, " all=", all, " size=", c.size, " slide=", c.slide,
                        " lateness=", c.lateness));
    const auto make = [&] {
      OperatorTestOptions options;
      options.parallelism = static_cast<uint32_t>(1 + below(3));
      if (below(2) == 0) options.output_capacity = static_cast<size_t>(1 + below(3));
      if (seed % 9 == 0) options.state_memory_bytes = 1;
      return std::make_unique<Harness>(
          [&](DataStream<Reading> readings) { return InTwoStages(readings, c, all); }, options);
    };
    auto harness = make();
    Model model(c, 0);
    std::multiset<WindowSum> results;
    uint64_t dropped = 0;
    const auto collect = [&] {
      ASSERT_TRUE(harness->status().ok()) << harness->status();
      for (WindowSum& result : harness->TakeValues()) results.insert(std::move(result));
    };
    int64_t time = 0;
    int64_t watermark = -100;
    for (int step = 0; step < 120; ++step) {
      const int64_t action = below(20);
      if (action < 15) {
        time += below(5);
        Reading reading{StrCat("s", below(4)), time - below(40), below(100)};
        harness->ProcessElement(reading, reading.time_ms);
        if (all) reading.sensor.clear();
        model.Add(reading, reading.time_ms);
      } else if (action < 19) {
        watermark = std::max(watermark, time - below(40));
        harness->ProcessWatermark(watermark);
        model.AdvanceTo(watermark);
      } else {
        collect();
        dropped += harness->CounterValue("numLateRecordsDropped");
        const OperatorTestSnapshot snapshot = harness->Snapshot();
        harness = make();
        harness->Restore(snapshot);
        harness->ProcessWatermark(watermark);
        model.AdvanceTo(watermark);
      }
      collect();
      ASSERT_EQ(results, model.results()) << "step=" << step;
    }
    harness->ProcessWatermark(time + 1'000);
    model.AdvanceTo(time + 1'000);
    collect();
    ASSERT_EQ(results, model.results());
    EXPECT_EQ(harness->NumKeyedStateEntries(), 0u);
    // Whether a record between two windows, so of none, is late is told by its slice, not its time.
    if (c.slide <= c.size) {
      EXPECT_EQ(dropped + harness->CounterValue("numLateRecordsDropped"), model.num_late());
      num_late += model.num_late();
    }
  }
  EXPECT_GT(num_late, 100u);
}

}  // namespace
}  // namespace weir
