#include <cstdint>
#include <string>

#include "operators/api/job.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "tests/bench/latency_job/latency_histogram_sink.h"
#include "tests/bench/latency_job/paced_source.h"

namespace weir::bench {
namespace {

struct Count {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Tick&, int64_t& count) const { ++count; }
  [[nodiscard]] int64_t GetResult(const int64_t& count) const { return count; }
};

absl::Status Build(StreamEnvironment& environment, const JobArgs& args) {
  PacedSourceOptions options;
  ASSIGN_OR_RETURN(options.rate, args.GetInt("rate", options.rate));
  ASSIGN_OR_RETURN(options.seconds, args.GetInt("seconds", options.seconds));
  ASSIGN_OR_RETURN(options.keys, args.GetInt("keys", options.keys));
  ASSIGN_OR_RETURN(const int64_t window_ms, args.GetInt("window-ms", 100));
  ASSIGN_OR_RETURN(const int64_t warm_up_seconds, args.GetInt("warm-up-seconds", 3));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "folder for the histograms"));
  if (options.rate < 1 || options.seconds < 1 || options.keys < 1 || window_ms < 1) {
    return absl::InvalidArgumentError(
        StrCat("--rate, --seconds, --keys and --window-ms must be at least 1: rate=", options.rate,
               " seconds=", options.seconds, " keys=", options.keys, " window-ms=", window_ms));
  }
  environment.FromSource(PacedSource(options), WatermarkStrategy<Tick>::Monotonous(), "Paced")
      .Uid("paced")
      .KeyBy([](const Tick& tick) { return tick.key; })
      .Window(TumblingEventTimeWindows::Of(absl::Milliseconds(window_ms)))
      .Aggregate<WindowCount>(Count(),
                              [](int64_t key, const TimeWindow& window, int64_t count,
                                 Collector<WindowCount>& results) {
                                results.Collect({key, count, window.end.millis()});
                              })
      .Uid("count")
      .SinkTo(LatencyHistogramSink(args.ResolvePath(out), absl::Seconds(warm_up_seconds)),
              "Latency")
      .Uid("latency");
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("window_latency",
         "Counts paced records by key and window, and writes how late results are: --rate R "
         "--seconds S --keys K --window-ms W --warm-up-seconds S --out DIR",
         Build);

}  // namespace weir::bench
