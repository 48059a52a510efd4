#include "jobs/examples/logins.h"

#include <optional>

#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/print_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::examples {

Login LoginAt(uint64_t index) {
  constexpr uint64_t kFirstLate = 40'000;
  constexpr int64_t kHourMs = 3'600'000;
  DataGenRandom random(/*seed=*/7, index);
  Login login;
  login.user = StrCat("user-", random.Below(20));
  login.host = StrCat("host-", random.Below(2));
  login.failed = random.Below(5) == 0;
  login.time = EventTime::FromMillis(static_cast<int64_t>(index) * 1000);
  if (index >= kFirstLate && index % 1000 == 500) login.time = login.time - 2 * kHourMs;
  if (index >= kFirstLate && index % 1000 == 0) login.time = login.time - 10 * kHourMs;
  return login;
}

absl::StatusOr<DataStream<Login>> Logins(StreamEnvironment& environment, const JobArgs& args,
                                         int64_t records) {
  ASSIGN_OR_RETURN(records, args.GetInt("records", records));
  ASSIGN_OR_RETURN(const double rate, args.GetDouble("rate", 0));
  if (records < 0) return absl::InvalidArgumentError("--records must not be negative");
  // One split: all subtasks behind the source then see the logins in one order.
  DataGenSource source(
      {.count = static_cast<uint64_t>(records), .records_per_second = rate, .num_splits = 1},
      [](const DataGenRecord& record, DataGenRandom&) { return LoginAt(record.index); });
  return environment
      .FromSource(std::move(source),
                  WatermarkStrategy<Login>::Monotonous().WithTimestamps(
                      [](const Login& login) { return login.time; }),
                  "Logins")
      .Uid("logins");
}

void WriteLines(const DataStream<std::string>& lines, const JobArgs& args) {
  if (const std::optional<std::string> folder = args.Find("out")) {
    lines.SinkTo(NdjsonFileSink<std::string>({args.ResolvePath(*folder), "lines"}), "Lines")
        .Uid("lines");
  } else {
    lines.SinkTo(PrintSink<std::string>(), "Lines").Uid("lines");
  }
}

std::string JsonLine(
    std::initializer_list<std::pair<std::string_view, std::variant<std::string_view, int64_t>>>
        fields) {
  std::string line;
  JsonWriter json(&line);
  json.BeginObject();
  for (const auto& [name, value] : fields) {
    json.Key(name);
    if (const int64_t* number = std::get_if<int64_t>(&value)) {
      json.Int(*number);
    } else {
      json.String(std::get<std::string_view>(value));
    }
  }
  json.EndObject();
  return line;
}

}  // namespace weir::examples
