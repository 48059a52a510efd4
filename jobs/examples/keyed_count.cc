#include "jobs/examples/keyed_count.h"

#include <cstdint>
#include <string>

#include "jobs/examples/count_until_end.h"
#include "jobs/examples/number_source.h"
#include "operators/api/job.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::examples {
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
      .Process(CountUntilEnd<Event>())
      .Name("Count")
      .Uid("count")
      .SinkTo(NdjsonFileSink<KeyCount>({args.ResolvePath(out), "counts"}, AppendCountJson),
              "Counts")
      .Uid("counts");
  return absl::OkStatus();
}

WEIR_JOB("keyed_count",
         "Counts generated events by key: --records N --keys K --seed S --rate R --out DIR",
         BuildKeyedCount);

}  // namespace weir::examples
