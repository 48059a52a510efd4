#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "operators/api/broadcast_stream.h"
#include "operators/api/connected_streams.h"
#include "operators/api/job.h"
#include "operators/api/keyed_stream.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

// Pipelines whose results do not depend on the order in which subtasks meet records: whatever
// happens to the processes that run them, what they commit must be the same lines.

namespace weir::chaos {
namespace {

struct Reading {
  int64_t key = 0;
  int64_t index = 0;
  int64_t value = 0;
};

/// A line of output. What `at` is depends on the pipeline: a time, an index, a count.
struct Outcome {
  int64_t key = 0;
  int64_t at = 0;
  int64_t value = 0;
};

struct Rule {
  int64_t id = 0;
  int64_t divisor = 1;
};

constexpr absl::Duration kDisorder = absl::Milliseconds(700);

struct Settings {
  DataGenOptions source;
  int64_t keys = 1000;
  std::string out;
};

DataStream<Reading> Readings(StreamEnvironment& environment, const Settings& settings,
                             const std::string& uid, uint64_t seed) {
  DataGenOptions options = settings.source;
  options.seed += seed;
  const auto keys = static_cast<uint64_t>(settings.keys);
  const auto generate = [keys](const DataGenRecord& record, DataGenRandom& random) {
    return Reading{static_cast<int64_t>(random.Below(keys)), static_cast<int64_t>(record.index),
                   static_cast<int64_t>(random.Below(1000))};
  };
  return environment
      .FromSource(DataGenSource(options, generate),
                  WatermarkStrategy<Reading>::BoundedOutOfOrderness(kDisorder), uid)
      .Uid(uid);
}

void Write(const DataStream<Outcome>& outcomes, const Settings& settings, const std::string& name) {
  outcomes
      .SinkTo(NdjsonFileSink<Outcome>({settings.out, name},
                                      [name](const Outcome& outcome, std::string* line) {
                                        JsonWriter json(line);
                                        json.BeginObject();
                                        json.Key("pipeline").String(name);
                                        json.Key("key").Int(outcome.key);
                                        json.Key("at").Int(outcome.at);
                                        json.Key("value").Int(outcome.value);
                                        json.EndObject();
                                      }),
              name)
      .Uid(name + "-sink");
}

/// Each record's place among those of its key: any loss or repetition shows in what follows it.
class CountSoFar final : public KeyedProcessFunction<int64_t, Reading, Outcome> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context&, Collector<Outcome>& out) override {
    out.Collect({reading.key, ++count_.Mutable(), 0});
  }

 private:
  ValueState<int64_t> count_;
};

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

/// Applies all rules, which are there before the first record, to each record.
class ApplyRules final : public BroadcastProcessFunction<Reading, Rule, Outcome> {
 public:
  absl::Status Open(OpenContext& context) override {
    ASSIGN_OR_RETURN(
        rules_, context.GetBroadcastState(BroadcastStateDescriptor<int64_t, int64_t>{"rules"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Reading& reading, Context&, Collector<Outcome>& out) override {
    for (const auto& [id, divisor] : rules_.entries()) {
      if (reading.value % divisor == 0) out.Collect({id, reading.index, reading.value});
    }
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&, Collector<Outcome>&) override {
    rules_.Put(rule.id, rule.divisor);
  }

 private:
  BroadcastState<int64_t, int64_t> rules_;
};

struct SumValues {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Reading& reading, int64_t& sum) const { sum += reading.value; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& sum) const { return sum; }
};

int64_t KeyOf(const Reading& reading) { return reading.key; }

template <class Assigner>
DataStream<Outcome> SumWindows(const DataStream<Reading>& readings, Assigner windows) {
  return readings.KeyBy(&KeyOf).Window(windows).template Aggregate<Outcome>(
      SumValues(), [](int64_t key, const TimeWindow& window, int64_t sum, Collector<Outcome>& out) {
        out.Collect({key, window.end.millis(), sum});
      });
}

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

void Broadcast(StreamEnvironment& environment, const Settings& settings) {
  std::vector<Rule> rules;
  for (int64_t id = 0; id < 20; ++id) rules.push_back({id, 50 + 13 * id});
  auto table =
      environment
          .FromSource(ValuesSource<Rule>(rules), WatermarkStrategy<Rule>::NoWatermarks(), "rules")
          .Uid("rules");
  auto readings = Readings(environment, settings, "broadcast-source", 6);
  Write(readings.Connect(table.Broadcast())
            .StartAfterBroadcast()
            .Process(ApplyRules())
            .Uid("apply-rules"),
        settings, "matches");
}

using AddPipeline = void (*)(StreamEnvironment&, const Settings&);

absl::Status Build(StreamEnvironment& environment, const JobArgs& args) {
  static const auto& pipelines = *new std::map<std::string_view, AddPipeline>{
      {"broadcast", Broadcast},  {"counts", Counts},   {"timers", Timers},
      {"two-inputs", TwoInputs}, {"windows", Windows},
  };
  Settings settings;
  ASSIGN_OR_RETURN(const int64_t records, args.GetInt("records", 100'000));
  ASSIGN_OR_RETURN(const int64_t seed, args.GetInt("seed", 1));
  ASSIGN_OR_RETURN(settings.source.records_per_second, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(settings.keys, args.GetInt("keys", settings.keys));
  ASSIGN_OR_RETURN(settings.out, args.GetRequired("out", "folder for the outcomes"));
  ASSIGN_OR_RETURN(const std::string names,
                   args.GetRequired("pipelines", "names of pipelines, commas between"));
  if (records < 1 || settings.keys < 1) {
    return absl::InvalidArgumentError(StrCat(
        "--records and --keys must be at least 1: records=", records, " keys=", settings.keys));
  }
  settings.out = args.ResolvePath(settings.out);
  settings.source.count = static_cast<uint64_t>(records);
  settings.source.seed = static_cast<uint64_t>(seed) * 100;
  settings.source.disorder = kDisorder;
  settings.source.num_splits = 12;
  for (const std::string_view name : StrSplit(names, ',')) {
    const auto pipeline = pipelines.find(name);
    if (pipeline == pipelines.end()) {
      return absl::InvalidArgumentError(
          StrCat("--pipelines: no pipeline \"", name,
                 "\"; there are broadcast, counts, timers, two-inputs, windows"));
    }
    pipeline->second(environment, settings);
  }
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("chaos_pipelines",
         "Pipelines that must commit the same whatever fails: --pipelines a,b --records N --rate R "
         "--keys K --seed S --out DIR",
         Build);

}  // namespace weir::chaos
