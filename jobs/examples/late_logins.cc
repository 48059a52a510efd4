#include "jobs/examples/late_logins.h"

#include <cstdint>
#include <string>

#include "jobs/examples/logins.h"
#include "operators/api/keyed_stream.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {
namespace {

struct CountLogins {
  using Accumulator = int64_t;
  using Result = int64_t;
  void Add(const Login&, int64_t& count) const { ++count; }
  void Merge(const int64_t& from, int64_t& into) const { into += from; }
  int64_t GetResult(const int64_t& count) const { return count; }
};

void FormatCount(const std::string& host, const TimeWindow& window, int64_t count,
                 Collector<std::string>& out) {
  out.Collect(JsonLine({{"host", host}, {"until", window.end.millis() / 1000}, {"logins", count}}));
}

}  // namespace

absl::Status BuildLateLogins(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const DataStream<Login> logins, Logins(environment, args, 50'000));
  const OutputTag<Login> too_late("too-late");
  const DataStream<std::string> counts =
      logins.KeyBy([](const Login& login) -> const std::string& { return login.host; })
          .Window(TumblingEventTimeWindows::Of(absl::Hours(1)))
          .AllowedLateness(absl::Hours(3))
          .SideOutputLateData(too_late)
          .Aggregate<std::string>(CountLogins(), FormatCount)
          .Uid("counts");
  const DataStream<std::string> dropped =
      counts.GetSideOutput(too_late).Map([](const Login& login) {
        return JsonLine({{"too_late", login.user}, {"at", login.time.millis() / 1000}});
      });
  WriteLines(counts.Union(dropped), args);
  return absl::OkStatus();
}

}  // namespace weir::examples
