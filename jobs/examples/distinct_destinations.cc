#include "jobs/examples/distinct_destinations.h"

#include <simdjson.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"

namespace weir::examples {
namespace {

struct Connection {
  EventTime time;
  std::string source;
  std::string destination;
};

struct Scanner {
  std::string source;
  EventTime window_end;
  int64_t destinations = 0;
};

/// Reads the three fields the job needs; lines without them are left out.
class ParseConnection {
 public:
  ParseConnection() = default;
  // Every subtask gets a parser of its own.
  ParseConnection(const ParseConnection&) {}
  ParseConnection& operator=(const ParseConnection&) { return *this; }

  void operator()(const std::string& line, Collector<Connection>& out) {
    // The parser reads beyond the end in whole blocks, so the line needs room behind it.
    padded_.assign(line);
    padded_.reserve(line.size() + simdjson::SIMDJSON_PADDING);
    simdjson::ondemand::document document;
    double seconds = 0;
    std::string_view source;
    std::string_view destination;
    if (parser_->iterate(padded_.data(), padded_.size(), padded_.capacity()).get(document) !=
            simdjson::SUCCESS ||
        document["ts"].get(seconds) != simdjson::SUCCESS ||
        document["src_ip"].get(source) != simdjson::SUCCESS ||
        document["dst_ip"].get(destination) != simdjson::SUCCESS) {
      return;
    }
    const EventTime time = EventTime::FromMillis(std::llround(seconds * 1000));
    out.Collect({time, std::string(source), std::string(destination)}, time);
  }

 private:
  std::unique_ptr<simdjson::ondemand::parser> parser_ =
      std::make_unique<simdjson::ondemand::parser>();
  std::string padded_;
};

struct CountDistinct {
  using Accumulator = absl::flat_hash_set<std::string>;
  using Result = int64_t;
  void Add(const Connection& connection, Accumulator& destinations) const {
    destinations.insert(connection.destination);
  }
  int64_t GetResult(const Accumulator& destinations) const {
    return static_cast<int64_t>(destinations.size());
  }
};

void FormatScanner(const Scanner& scanner, std::string* line) {
  JsonWriter(line)
      .BeginObject()
      .Key("src_ip")
      .String(scanner.source)
      .Key("window_end")
      .Int(scanner.window_end.millis())
      .Key("destinations")
      .Int(scanner.destinations)
      .EndObject();
}

}  // namespace

absl::Status BuildDistinctDestinations(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const std::string input,
                   args.GetRequired("input", "file or folder of JSON lines"));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "folder for the scanners"));
  ASSIGN_OR_RETURN(const absl::Duration window, args.GetDuration("window", absl::Seconds(60)));
  ASSIGN_OR_RETURN(const int64_t threshold, args.GetInt("threshold", 10));
  ASSIGN_OR_RETURN(const absl::Duration disorder,
                   args.GetDuration("out-of-orderness", absl::Seconds(5)));
  if (window < absl::Milliseconds(1))
    return absl::InvalidArgumentError("--window must be at least 1ms");
  FileSourceOptions files;
  files.path = args.ResolvePath(input);
  environment
      .FromSource(FileSource(files), WatermarkStrategy<std::string>::NoWatermarks(), "Connections")
      .Uid("connections")
      .FlatMap<Connection>(ParseConnection())
      .Name("Parse")
      .AssignTimestampsAndWatermarks(
          WatermarkStrategy<Connection>::BoundedOutOfOrderness(disorder).WithTimestamps(
              [](const Connection& connection) { return connection.time; }))
      .KeyBy([](const Connection& connection) -> const std::string& { return connection.source; })
      .Window(TumblingEventTimeWindows::Of(window))
      .Aggregate<Scanner>(CountDistinct(),
                          [threshold](const std::string& source, const TimeWindow& time_window,
                                      int64_t destinations, Collector<Scanner>& scanners) {
                            if (destinations > threshold) {
                              scanners.Collect({source, time_window.end, destinations});
                            }
                          })
      .Uid("distinct")
      .SinkTo(NdjsonFileSink<Scanner>({args.ResolvePath(out), "scanners"}, FormatScanner),
              "Scanners")
      .Uid("scanners");
  return absl::OkStatus();
}

}  // namespace weir::examples
