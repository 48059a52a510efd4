#include "jobs/ndr/ndr_job.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "jobs/arguments/event_arguments.h"
#include "jobs/correlation/correlation_function.h"
#include "jobs/correlation/correlation_rule.h"
#include "jobs/correlation/detection.h"
#include "jobs/ndr/builtin_rules.h"
#include "jobs/ndr/event_parsing.h"
#include "jobs/ndr/signals.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "operators/connectors/print_sink.h"
#include "operators/connectors/sqlite/sqlite_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::ndr {
namespace {

using correlation::CorrelationRule;
using correlation::Detection;
using correlation::Signal;

/// A rule that requires a signal nobody makes would never detect anything.
absl::Status CheckSignalsExist(const CorrelationRule& rule, std::string_view file) {
  const std::vector<std::string_view> known = {kPortScan, kConnectionSpike, kPrivilegedAccess};
  for (const std::string& type : rule.required_signals) {
    if (std::find(known.begin(), known.end(), type) != known.end()) continue;
    return absl::InvalidArgumentError(
        StrCat("correlation rule requires a signal this job does not make; it makes PORT_SCAN, "
               "CONNECTION_SPIKE and PRIVILEGED_ACCESS: source=",
               file, " rule_id=", rule.id, " signal=", type));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<CorrelationRule>> ReadRules(const JobArgs& args) {
  const std::optional<std::string> path = args.Find("rules");
  if (!path.has_value()) return correlation::ParseCorrelationRules(kBuiltinRules, "built-in");
  ASSIGN_OR_RETURN(const auto files, FilesAt(args, *path, {".json"}));
  std::vector<CorrelationRule> rules;
  for (const auto& [file, text] : files) {
    ASSIGN_OR_RETURN(const std::vector<CorrelationRule> parsed,
                     correlation::ParseCorrelationRules(text, file));
    for (const CorrelationRule& rule : parsed) {
      RETURN_IF_ERROR(CheckSignalsExist(rule, file));
      const bool taken = std::any_of(rules.begin(), rules.end(),
                                     [&](const auto& other) { return other.id == rule.id; });
      if (taken) {
        return absl::InvalidArgumentError(StrCat(
            "two correlation rules have one id; rename one: source=", file, " rule_id=", rule.id));
      }
      rules.push_back(rule);
    }
  }
  return rules;
}

void AppendRejectedJson(const RejectedRecord& rejected, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("reason").String(rejected.reason);
  json.Key("record").String(rejected.record);
  json.EndObject();
}

/// Parses the records of a source, and writes what cannot be read where --rejected says.
template <class Record>
DataStream<NetworkEvent> Parse(const DataStream<Record>& records, const JobArgs& args) {
  DataStream<NetworkEvent> events =
      records.Process(ParseEvents<Record>()).Name("Parse events").Uid("parse-events");
  if (const std::optional<std::string> folder = args.Find("rejected")) {
    events.GetSideOutput(RejectedTag())
        .SinkTo(NdjsonFileSink<RejectedRecord>({args.ResolvePath(*folder), "rejected"},
                                               AppendRejectedJson),
                "Rejected records")
        .Uid("rejected");
  }
  return events;
}

/// Event time of raw records, made in the source: per split, and a split that is silent for
/// --idleness, or a subtask without any, does not hold it back.
template <class Record, class Fn>
absl::StatusOr<WatermarkStrategy<Record>> InSource(const JobArgs& args,
                                                   absl::Duration out_of_orderness, Fn json_of) {
  ASSIGN_OR_RETURN(const absl::Duration idleness, args.GetDuration("idleness", absl::Seconds(30)));
  return WatermarkStrategy<Record>::BoundedOutOfOrderness(out_of_orderness)
      .WithTimestamps([parser = NetworkEventParser(), json_of](const Record& record) mutable {
        return parser.ParseTime(json_of(record));
      })
      .WithIdleness(idleness);
}

/// Files that are read to their end come one after another, so event time is that of the stream.
DataStream<NetworkEvent> EventsFromFiles(StreamEnvironment& environment, const JobArgs& args,
                                         const std::string& path, absl::Duration out_of_orderness) {
  FileSourceOptions options;
  options.path = args.ResolvePath(path);
  DataStream<std::string> records =
      environment
          .FromSource(FileSource(options), WatermarkStrategy<std::string>::NoWatermarks(),
                      "Event files")
          .Uid("event-files");
  return Parse(records, args)
      .AssignTimestampsAndWatermarks(
          WatermarkStrategy<NetworkEvent>::BoundedOutOfOrderness(out_of_orderness))
      .Uid("event-time");
}

absl::StatusOr<DataStream<NetworkEvent>> EventsFromFollowedFiles(StreamEnvironment& environment,
                                                                 const JobArgs& args,
                                                                 const std::string& path,
                                                                 absl::Duration out_of_orderness) {
  FileSourceOptions options;
  options.path = args.ResolvePath(path);
  options.follow = true;
  ASSIGN_OR_RETURN(auto strategy,
                   InSource<std::string>(args, out_of_orderness, [](const std::string& line) {
                     return std::string_view(line);
                   }));
  DataStream<std::string> records =
      environment.FromSource(FileSource(options), std::move(strategy), "Event files")
          .Uid("event-files");
  return Parse(records, args);
}

absl::StatusOr<DataStream<NetworkEvent>> EventsFromKafka(StreamEnvironment& environment,
                                                         const JobArgs& args,
                                                         absl::Duration out_of_orderness) {
  ASSIGN_OR_RETURN(const KafkaSourceOptions options, KafkaEvents(args, "topic", "weir-ndr"));
  ASSIGN_OR_RETURN(auto strategy,
                   InSource<KafkaRecord>(args, out_of_orderness, [](const KafkaRecord& record) {
                     return std::string_view(record.value);
                   }));
  DataStream<KafkaRecord> records =
      environment.FromSource(KafkaSource(options), std::move(strategy), "Kafka events")
          .Uid("kafka-events");
  return Parse(records, args);
}

absl::StatusOr<DataStream<NetworkEvent>> Events(StreamEnvironment& environment,
                                                const JobArgs& args) {
  ASSIGN_OR_RETURN(const absl::Duration out_of_orderness,
                   args.GetDuration("out-of-orderness", absl::Seconds(5)));
  const std::optional<std::string> path = args.Find("events");
  const bool from_kafka = args.Find("brokers").has_value();
  if (path.has_value() == from_kafka) {
    return absl::InvalidArgumentError(
        "the job needs one place to take events from; give either --events FILE|DIR, or --brokers "
        "HOST:PORT with --topic NAME");
  }
  if (from_kafka) return EventsFromKafka(environment, args, out_of_orderness);
  ASSIGN_OR_RETURN(const bool follow, args.GetBool("follow", false));
  if (follow) return EventsFromFollowedFiles(environment, args, *path, out_of_orderness);
  return EventsFromFiles(environment, args, *path, out_of_orderness);
}

void WriteDetections(const DataStream<Detection>& detections, const JobArgs& args) {
  const std::optional<std::string> database = args.Find("detections");
  const std::optional<std::string> folder = args.Find("out");
  // Detections are few: one writer each keeps the database without contention and the files few.
  if (database.has_value()) {
    detections
        .SinkTo(SqliteSink<Detection>(correlation::DetectionTable(args.ResolvePath(*database)),
                                      correlation::BindDetection),
                "Detections to SQLite")
        .Uid("detections-sqlite")
        .SetParallelism(1);
  }
  if (folder.has_value()) {
    detections
        .SinkTo(NdjsonFileSink<Detection>({args.ResolvePath(*folder), "detections"},
                                          correlation::AppendDetectionJson),
                "Detections to files")
        .Uid("detections-files")
        .SetParallelism(1);
  }
  if (!database.has_value() && !folder.has_value()) {
    detections.SinkTo(PrintSink<Detection>(correlation::AppendDetectionJson), "Print detections")
        .Uid("detections-print");
  }
}

}  // namespace

absl::Status BuildNdr(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(std::vector<CorrelationRule> rules, ReadRules(args));
  ASSIGN_OR_RETURN(const DataStream<NetworkEvent> events, Events(environment, args));
  const DataStream<Signal> signals = LateralMovementSignals(events);
  if (const std::optional<std::string> folder = args.Find("signals")) {
    signals
        .SinkTo(NdjsonFileSink<Signal>(
                    {args.ResolvePath(*folder), "signals"},
                    [](const Signal& signal, std::string* line) { line->append(signal.json); }),
                "Signals to files")
        .Uid("signals-files");
  }
  const DataStream<Detection> detections =
      signals.KeyBy([](const Signal& signal) { return signal.entity; })
          .Process(correlation::CorrelationFunction(std::move(rules)))
          .Name("Correlate")
          .Uid("correlate");
  WriteDetections(detections, args);
  return absl::OkStatus();
}

}  // namespace weir::ndr
