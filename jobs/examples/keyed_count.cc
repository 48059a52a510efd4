#include "jobs/examples/keyed_count.h"

#include <cstdint>
#include <string>

#include "jobs/examples/number_source.h"
#include "operators/api/job.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::examples {
namespace {

struct KeyCount {
  int64_t key = 0;
  int64_t count = 0;
};

/// Counts in state; emits when event time has ended.
class CountUntilEnd final : public KeyedProcessFunction<int64_t, Event, KeyCount> {
 public:
  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>{"count"}));
    return absl::OkStatus();
  }
  void ProcessElement(const Event&, Context& context, Collector<KeyCount>&) override {
    if (++count_.Mutable() == 1) context.timer_service().RegisterEventTimeTimer(EventTime::Max());
  }
  void OnTimer(TimerKind, Context& context, Collector<KeyCount>& out) override {
    out.Collect({context.current_key(), *count_.Get()});
    count_.Clear();
  }

 private:
  ValueState<int64_t> count_;
};

void FormatCount(const KeyCount& record, std::string* line) {
  JsonWriter(line)
      .BeginObject()
      .Key("key")
      .Int(record.key)
      .Key("count")
      .Int(record.count)
      .EndObject();
}

}  // namespace

absl::Status BuildKeyedCount(StreamEnvironment& environment, const JobArgs& args) {
  NumberSourceOptions options;
  ASSIGN_OR_RETURN(options.records, args.GetInt("records", options.records));
  ASSIGN_OR_RETURN(options.keys, args.GetInt("keys", options.keys));
  ASSIGN_OR_RETURN(const int64_t seed, args.GetInt("seed", 1));
  options.seed = static_cast<uint64_t>(seed);
  ASSIGN_OR_RETURN(options.rate, args.GetDouble("rate", options.rate));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "folder for the counts"));
  if (options.records < 0 || options.keys < 1 || options.rate < 0) {
    return absl::InvalidArgumentError(StrCat(
        "--records and --rate must not be negative, --keys at least 1: records=", options.records,
        " keys=", options.keys, " rate=", options.rate));
  }
  environment.FromSource(NumberSource(options), WatermarkStrategy<Event>::NoWatermarks(), "Numbers")
      .Uid("numbers")
      .KeyBy([](const Event& event) { return event.key; })
      .Process(CountUntilEnd())
      .Name("Count")
      .Uid("count")
      .SinkTo(NdjsonFileSink<KeyCount>({args.ResolvePath(out), "counts"}, FormatCount), "Counts")
      .Uid("counts");
  return absl::OkStatus();
}

WEIR_JOB("keyed_count",
         "Counts generated events by key: --records N --keys K --seed S --rate R --out DIR",
         BuildKeyedCount);

}  // namespace weir::examples
