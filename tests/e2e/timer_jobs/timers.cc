// Many timers that live at once: --timers N --rate R --out FOLDER. Record i < N, at event time i
// ms, registers a timer of key i in the second half of event time, which N records more reach. A
// timer that fires is a line in FOLDER.

#include <cstdint>
#include <string>

#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace {

constexpr int64_t kTick = -1;  // Only moves event time on.

class FireLater final : public weir::KeyedProcessFunction<int64_t, int64_t, std::string> {
 public:
  explicit FireLater(int64_t num_timers) : num_timers_(num_timers) {}

  void ProcessElement(const int64_t& key, Context& context,
                      weir::Collector<std::string>&) override {
    constexpr int64_t kPrime = 1'000'003;
    const int64_t time_ms = num_timers_ + key * kPrime % num_timers_;
    context.timer_service().RegisterEventTimeTimer(weir::EventTime::FromMillis(time_ms));
  }
  void OnTimer(weir::TimerKind, Context& context, weir::Collector<std::string>& out) override {
    out.Collect(weir::StrCat(R"({"key":)", context.current_key(), "}"));
  }

 private:
  const int64_t num_timers_;
};

absl::Status Build(weir::StreamEnvironment& environment, const weir::JobArgs& args) {
  ASSIGN_OR_RETURN(const int64_t timers, args.GetInt("timers", 1'000'000));
  ASSIGN_OR_RETURN(const double rate, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "a folder for what fired"));
  if (timers < 1) {
    return absl::InvalidArgumentError(weir::StrCat("--timers must be at least 1: ", timers));
  }
  weir::DataGenSource source(
      {.count = static_cast<uint64_t>(2 * timers), .records_per_second = rate},
      [timers](const weir::DataGenRecord& record, weir::DataGenRandom&) {
        const auto index = static_cast<int64_t>(record.index);
        return index < timers ? index : kTick;
      });
  environment.FromSource(source, weir::WatermarkStrategy<int64_t>::Monotonous(), "records")
      .Uid("records")
      .Filter([](const int64_t& key) { return key != kTick; })
      .Uid("keys")
      .KeyBy([](const int64_t& key) { return key; })
      .Process(FireLater(timers))
      .Name("Fire later")
      .Uid("fire-later")
      .SinkTo(weir::NdjsonFileSink<std::string>({.folder = args.ResolvePath(out)}))
      .Uid("fired");
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("timers", "A timer for each of many keys, that fires once", Build);
