#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <random>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "jobs/examples/number_source.h"
#include "operators/api/job.h"
#include "operators/connectors/blackhole_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::bench {
namespace {

using examples::Event;

/// What a key has: about `value-bytes` of state.
struct Payload {
  int64_t count = 0;
  std::string padding;
};

/// Keeps a payload for each key, and writes down in which milliseconds it put records out, a line
/// each, in a file of its own.
class CountWithTicks final : public KeyedProcessFunction<int64_t, Event, int64_t> {
 public:
  CountWithTicks(std::string folder, int64_t value_bytes)
      : folder_(std::move(folder)), value_bytes_(value_bytes) {}
  // Every subtask opens a file of its own.
  CountWithTicks(const CountWithTicks& other) : CountWithTicks(other.folder_, other.value_bytes_) {}
  CountWithTicks& operator=(const CountWithTicks&) = delete;

  absl::Status Open(KeyedOpenContext<int64_t>& context) override {
    ASSIGN_OR_RETURN(payload_, context.GetState(ValueStateDescriptor<Payload>{"payload"}));
    const std::string path =
        StrCat(folder_, "/", getpid(), "-", absl::GetCurrentTimeNanos(), ".ticks");
    ticks_.open(path);
    if (!ticks_) return absl::UnavailableError(StrCat("cannot write ", path));
    return absl::OkStatus();
  }
  void ProcessElement(const Event& event, Context&, Collector<int64_t>& out) override {
    Payload& payload = payload_.Mutable();
    if (++payload.count == 1) payload.padding = Noise(event.sequence);
    out.Collect(event.key);
    const int64_t now_ms = absl::GetCurrentTimeNanos() / 1'000'000;
    if (now_ms == last_ms_) return;
    last_ms_ = now_ms;
    ticks_ << now_ms << '\n' << std::flush;
  }

 private:
  // Compression would make less of other bytes.
  [[nodiscard]] std::string Noise(int64_t seed) const {
    std::minstd_rand random(static_cast<uint32_t>(seed));
    std::string bytes(static_cast<size_t>(value_bytes_), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() >> 8);
    return bytes;
  }

  const std::string folder_;
  const int64_t value_bytes_;
  ValueState<Payload> payload_;
  std::ofstream ticks_;
  int64_t last_ms_ = 0;
};

absl::Status Build(StreamEnvironment& environment, const JobArgs& args) {
  examples::NumberSourceOptions options;
  options.records = int64_t{1} << 40;
  ASSIGN_OR_RETURN(options.keys, args.GetInt("keys", options.keys));
  ASSIGN_OR_RETURN(options.rate, args.GetDouble("rate", options.rate));
  ASSIGN_OR_RETURN(const int64_t value_bytes, args.GetInt("value-bytes", 90));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for the ticks"));
  if (options.keys < 1 || value_bytes < 0) {
    return absl::InvalidArgumentError(
        StrCat("--keys must be at least 1, --value-bytes not negative: keys=", options.keys,
               " value-bytes=", value_bytes));
  }
  environment
      .FromSource(examples::NumberSource(options), WatermarkStrategy<Event>::NoWatermarks(),
                  "Numbers")
      .Uid("numbers")
      .KeyBy([](const Event& event) { return event.key; })
      .Process(CountWithTicks(args.ResolvePath(out), value_bytes))
      .Name("Count")
      .Uid("count")
      .SinkTo(BlackholeSink<int64_t>(), "Nothing")
      .Uid("nothing");
  return absl::OkStatus();
}

WEIR_JOB("rescale_gap",
         "Counts numbers by key and writes down when it puts records out: --keys K --rate R "
         "--value-bytes B --out DIR",
         Build);

}  // namespace
}  // namespace weir::bench
