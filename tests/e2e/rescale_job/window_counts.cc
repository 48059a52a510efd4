#include <cstdint>
#include <string>

#include "jobs/examples/number_source.h"
#include "operators/api/job.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using examples::Event;

/// How many events a key had in a window that ends at `end`.
struct WindowCount {
  int64_t key = 0;
  int64_t end = 0;
  int64_t count = 0;
};

void AppendJson(const WindowCount& record, std::string* line) {
  JsonWriter(line)
      .BeginObject()
      .Key("key")
      .Int(record.key)
      .Key("end")
      .Int(record.end)
      .Key("count")
      .Int(record.count)
      .EndObject();
}

struct Count {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Event&, int64_t& count) const { ++count; }
  [[nodiscard]] int64_t GetResult(const int64_t& count) const { return count; }
};

/// The same by hand: a count for each key and window, and a timer at the window's end.
class CountByTimer final : public KeyedProcessFunction<int64_t, Event, WindowCount> {
 public:
  explicit CountByTimer(int64_t window_ms) : window_ms_(window_ms) {}

  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(counts_, context.GetState(MapStateDescriptor<int64_t, int64_t>{"counts"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Event& event, Context& context, Collector<WindowCount>&) override {
    const int64_t end = (event.sequence / window_ms_ + 1) * window_ms_;
    if (++counts_.Mutable(end) == 1) {
      context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(end));
    }
  }
  void OnTimer(TimerKind, Context& context, Collector<WindowCount>& out) override {
    const int64_t end = context.timestamp().millis();
    out.Collect({context.current_key(), end, *counts_.Get(end)});
    counts_.Remove(end);
  }

 private:
  int64_t window_ms_;
  MapState<int64_t, int64_t> counts_;
};

absl::Status Build(StreamEnvironment& environment, const JobArgs& args) {
  examples::NumberSourceOptions options;
  ASSIGN_OR_RETURN(options.records, args.GetInt("records", options.records));
  ASSIGN_OR_RETURN(options.keys, args.GetInt("keys", options.keys));
  ASSIGN_OR_RETURN(options.rate, args.GetDouble("rate", options.rate));
  ASSIGN_OR_RETURN(options.splits_per_reader,
                   args.GetInt("splits-per-reader", options.splits_per_reader));
  ASSIGN_OR_RETURN(const int64_t window_ms, args.GetInt("window-ms", 10'000));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the counts"));
  if (window_ms < 1 || options.splits_per_reader < 1) {
    return absl::InvalidArgumentError(
        StrCat("--window-ms and --splits-per-reader must be at least 1: ", window_ms, " ",
               options.splits_per_reader));
  }
  const auto by_key = environment
                          .FromSource(examples::NumberSource(options),
                                      WatermarkStrategy<Event>::Monotonous(), "Numbers")
                          .Uid("numbers")
                          .KeyBy([](const Event& event) { return event.key; });
  by_key.Window(TumblingEventTimeWindows::Of(absl::Milliseconds(window_ms)))
      .Aggregate<WindowCount>(Count(),
                              [](int64_t key, const TimeWindow& window, int64_t count,
                                 Collector<WindowCount>& results) {
                                results.Collect({key, window.end.millis(), count});
                              })
      .Uid("windows")
      .SinkTo(NdjsonFileSink<WindowCount>({StrCat(args.ResolvePath(out), "/windows"), "counts"},
                                          AppendJson),
              "Windows")
      .Uid("windows-out");
  by_key.Process(CountByTimer(window_ms))
      .Name("Timers")
      .Uid("timers")
      .SinkTo(NdjsonFileSink<WindowCount>({StrCat(args.ResolvePath(out), "/timers"), "counts"},
                                          AppendJson),
              "Timers")
      .Uid("timers-out");
  return absl::OkStatus();
}

WEIR_JOB("window_counts",
         "Counts numbers by key and window, by the window operator and by timers: --records N "
         "--keys K --rate R --window-ms W --splits-per-reader S --out DIR",
         Build);

}  // namespace
}  // namespace weir
