#include <cstdint>
#include <string>

#include "operators/api/connected_streams.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/status_macros.h"
#include "tests/chaos/jobs/functions.h"
#include "tests/chaos/jobs/pipelines.h"

namespace weir::chaos {
namespace {

/// Sums of every ten seconds, by timers and a map of its own rather than by windows.
class SumByTimers final : public KeyedProcessFunction<int64_t, Reading, Outcome> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(sums_, context.GetState(MapStateDescriptor<int64_t, int64_t>{"sums"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context& context, Collector<Outcome>&) override {
    constexpr int64_t kPeriodMs = 10'000;
    const int64_t end = (context.timestamp().millis() / kPeriodMs + 1) * kPeriodMs;
    sums_.Mutable(end) += reading.value;
    context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(end));
  }
  void OnTimer(TimerKind, Context& context, Collector<Outcome>& out) override {
    const int64_t end = context.timestamp().millis();
    const int64_t* sum = sums_.Get(end);
    out.Collect({context.current_key(), end, sum == nullptr ? -1 : *sum});
    sums_.Remove(end);
  }

 private:
  MapState<int64_t, int64_t> sums_;
};

/// Pairs the records of one index of two streams, whichever comes first.
class PairUp final : public KeyedCoProcessFunction<int64_t, Reading, Reading, Outcome> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(left_, context.GetState(ValueStateDescriptor<Reading>{"left"}));
    ASSIGN_OR_RETURN(right_, context.GetState(ValueStateDescriptor<Reading>{"right"}));
    return absl::OkStatus();
  }
  void ProcessElement1(const Reading& left, Context&, Collector<Outcome>& out) override {
    Meet(left, left_, right_, out);
  }
  void ProcessElement2(const Reading& right, Context&, Collector<Outcome>& out) override {
    Meet(right, right_, left_, out);
  }

 private:
  static void Meet(const Reading& reading, ValueState<Reading>& own, ValueState<Reading>& other,
                   Collector<Outcome>& out) {
    if (const Reading* partner = other.Get()) {
      out.Collect({reading.index, 0, reading.value * partner->value});
      other.Clear();
    } else {
      own.Set(reading);
    }
  }

  ValueState<Reading> left_;
  ValueState<Reading> right_;
};

struct SumValues {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Reading& reading, int64_t& sum) const { sum += reading.value; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& sum) const { return sum; }
};

template <class Assigner>
DataStream<Outcome> SumWindows(const DataStream<Reading>& readings, Assigner windows) {
  return readings.KeyBy(&KeyOf).Window(windows).template Aggregate<Outcome>(
      SumValues(), [](int64_t key, const TimeWindow& window, int64_t sum, Collector<Outcome>& out) {
        out.Collect({key, window.end.millis(), sum});
      });
}

}  // namespace

void Counts(StreamEnvironment& environment, const Settings& settings) {
  auto readings = Readings(environment, settings, "counts-source", 1);
  Write(readings.KeyBy(&KeyOf).Process(CountSoFar()).Uid("counts"), settings, "counts");
}

void Windows(StreamEnvironment& environment, const Settings& settings) {
  auto readings = Readings(environment, settings, "windows-source", 2);
  auto tumbling = SumWindows(readings, TumblingEventTimeWindows::Of(absl::Seconds(2)));
  Write(tumbling.Uid("tumbling"), settings, "tumbling");
  auto sliding =
      SumWindows(readings, SlidingEventTimeWindows::Of(absl::Seconds(8), absl::Seconds(2)));
  Write(sliding.Uid("sliding"), settings, "sliding");
  auto sessions = SumWindows(readings, EventTimeSessionWindows::WithGap(absl::Milliseconds(300)));
  Write(sessions.Uid("sessions"), settings, "sessions");
}

void Timers(StreamEnvironment& environment, const Settings& settings) {
  auto readings = Readings(environment, settings, "timers-source", 3);
  Write(readings.KeyBy(&KeyOf).Process(SumByTimers()).Uid("timers"), settings, "timers");
}

void TwoInputs(StreamEnvironment& environment, const Settings& settings) {
  auto left = Readings(environment, settings, "left-source", 4);
  auto right = Readings(environment, settings, "right-source", 5);
  const auto index_of = [](const Reading& reading) { return reading.index; };
  Write(left.KeyBy(index_of).Connect(right.KeyBy(index_of)).Process(PairUp()).Uid("pairs"),
        settings, "pairs");
}

}  // namespace weir::chaos
