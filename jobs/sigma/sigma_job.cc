#include "jobs/sigma/sigma_job.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "jobs/arguments/event_arguments.h"
#include "jobs/sigma/match_rules.h"
#include "jobs/sigma/rule_update.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "operators/connectors/print_sink.h"
#include "operators/connectors/values_source.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

absl::StatusOr<OutputMode> ReadOutputMode(const JobArgs& args) {
  const std::string mode = args.GetString("output-mode", "matched_only");
  if (mode == "matched_only") return OutputMode::kMatchedOnly;
  if (mode == "all_events") return OutputMode::kAllEvents;
  return absl::InvalidArgumentError(
      StrCat("job argument has a value that cannot be read; give matched_only or all_events: "
             "--output-mode=",
             mode));
}

absl::StatusOr<DataStream<RuleUpdate>> RulesFromFiles(StreamEnvironment& environment,
                                                      const JobArgs& args,
                                                      const std::string& path) {
  ASSIGN_OR_RETURN(auto files, FilesAt(args, path, {".yml", ".yaml"}));
  std::vector<RuleUpdate> updates;
  for (auto& [file, text] : files) updates.push_back(RuleFileUpdate(file, std::move(text)));
  return environment
      .FromSource(ValuesSource<RuleUpdate>(std::move(updates)),
                  WatermarkStrategy<RuleUpdate>::NoWatermarks(), "Rule files")
      .Uid("rule-files")
      .SetParallelism(1);
}

/// The topic is read to its end before the first event, so that all of its rules are in force then.
absl::StatusOr<DataStream<RuleUpdate>> RulesFromKafka(StreamEnvironment& environment,
                                                      const JobArgs& args,
                                                      const std::string& topic) {
  KafkaSourceOptions options;
  ASSIGN_OR_RETURN(options.brokers, args.GetRequired("brokers", "host:port of Kafka brokers"));
  options.topics = SplitList(topic);
  options.group_id = StrCat(args.GetString("group", "weir-sigma"), "-rules");
  options.start = KafkaStart::kEarliest;
  ASSIGN_OR_RETURN(options.properties, KafkaProperties(args));
  RETURN_IF_ERROR(KafkaSource(options).Validate());
  const std::string job_id = args.GetString("job-id", "local");
  return environment
      .FromSource(KafkaSource(options), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                  "Rules topic")
      .Uid("rules-topic")
      .SetParallelism(1)
      .FlatMap<RuleUpdate>([job_id](const KafkaRecord& record, Collector<RuleUpdate>& out) {
        if (auto update = ReadControlMessage(record, job_id)) out.Collect(*std::move(update));
      })
      .Name("Read control messages")
      .Uid("control-messages")
      .SetParallelism(1);
}

absl::StatusOr<DataStream<RuleUpdate>> Rules(StreamEnvironment& environment, const JobArgs& args) {
  const std::optional<std::string> path = args.Find("rules");
  const std::optional<std::string> topic = args.Find("rules-topic");
  if (path.has_value() == topic.has_value()) {
    return absl::InvalidArgumentError(
        "the job needs one place to take rules from; give either --rules FILE|DIR, or "
        "--rules-topic NAME with --brokers HOST:PORT");
  }
  if (path.has_value()) return RulesFromFiles(environment, args, *path);
  return RulesFromKafka(environment, args, *topic);
}

void AppendProblemJson(const RuleProblem& problem, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("rule_id").String(problem.rule_id);
  json.Key("source").String(problem.source);
  json.Key("reason").String(problem.reason);
  json.EndObject();
}

void AppendDeadLetterJson(const DeadLetter& letter, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("reason").String(letter.reason);
  json.Key("source").String(letter.source);
  json.Key("event").String(letter.event);
  json.EndObject();
}

/// Attaches the sinks of tagged events that the arguments name, or prints.
absl::Status WriteTagged(const DataStream<TaggedEvent>& tagged, const JobArgs& args) {
  const auto append_json = [](const TaggedEvent& event, std::string* line) {
    line->append(event.json);
  };
  const std::optional<std::string> folder = args.Find("out");
  const std::optional<std::string> topic = args.Find("output-topic");
  if (folder.has_value()) {
    tagged
        .SinkTo(NdjsonFileSink<TaggedEvent>({args.ResolvePath(*folder), "matches"}, append_json),
                "Tagged events to files")
        .Uid("tagged-files");
  }
  if (topic.has_value()) {
    KafkaSinkOptions options;
    ASSIGN_OR_RETURN(options.brokers, args.GetRequired("brokers", "host:port of Kafka brokers"));
    options.topic = *topic;
    ASSIGN_OR_RETURN(options.properties, KafkaProperties(args));
    KafkaSink<TaggedEvent> sink(std::move(options),
                                [](const TaggedEvent& event, KafkaMessage* message) {
                                  message->key = event.key;
                                  message->has_key = event.has_key;
                                  message->value = event.json;
                                });
    RETURN_IF_ERROR(sink.Validate());
    tagged.SinkTo(std::move(sink), "Tagged events to Kafka").Uid("tagged-kafka");
  }
  if (!folder.has_value() && !topic.has_value()) {
    tagged.SinkTo(PrintSink<TaggedEvent>(append_json), "Print tagged events").Uid("tagged-print");
  }
  return absl::OkStatus();
}

/// Connects events and rules, rules first, and attaches all sinks.
template <class Event>
absl::Status MatchAndWrite(const DataStream<Event>& events, const DataStream<RuleUpdate>& rules,
                           const JobArgs& args) {
  ASSIGN_OR_RETURN(const OutputMode mode, ReadOutputMode(args));
  const DataStream<TaggedEvent> tagged = events.Connect(rules.Broadcast())
                                             .StartAfterBroadcast()
                                             .Process(MatchRules<Event>(mode))
                                             .Name("Match rules")
                                             .Uid("match-rules");
  if (const std::optional<std::string> folder = args.Find("errors")) {
    tagged.GetSideOutput(RuleProblemTag())
        .SinkTo(NdjsonFileSink<RuleProblem>({args.ResolvePath(*folder), "rule_errors"},
                                            AppendProblemJson),
                "Rule errors")
        .Uid("rule-errors");
  }
  if (const std::optional<std::string> folder = args.Find("dead-letters")) {
    tagged.GetSideOutput(DeadLetterTag())
        .SinkTo(NdjsonFileSink<DeadLetter>({args.ResolvePath(*folder), "dead_letters"},
                                           AppendDeadLetterJson),
                "Dead letters")
        .Uid("dead-letters");
  }
  return WriteTagged(tagged, args);
}

}  // namespace

absl::Status BuildSigma(StreamEnvironment& environment, const JobArgs& args) {
  const std::optional<std::string> path = args.Find("events");
  const std::optional<std::string> topics = args.Find("events-topic");
  if (path.has_value() == topics.has_value()) {
    return absl::InvalidArgumentError(
        "the job needs one place to take events from; give either --events FILE|DIR, or "
        "--events-topic NAME[,NAME…] with --brokers HOST:PORT");
  }
  ASSIGN_OR_RETURN(const DataStream<RuleUpdate> rules, Rules(environment, args));
  if (topics.has_value()) {
    ASSIGN_OR_RETURN(const KafkaSourceOptions options,
                     KafkaEvents(args, "events-topic", "weir-sigma"));
    DataStream<KafkaRecord> events =
        environment
            .FromSource(KafkaSource(options), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                        "Kafka events")
            .Uid("kafka-events");
    return MatchAndWrite(events, rules, args);
  }
  FileSourceOptions options;
  options.path = args.ResolvePath(*path);
  ASSIGN_OR_RETURN(options.follow, args.GetBool("follow", false));
  DataStream<std::string> events =
      environment
          .FromSource(FileSource(options), WatermarkStrategy<std::string>::NoWatermarks(),
                      "Event files")
          .Uid("event-files");
  return MatchAndWrite(events, rules, args);
}

}  // namespace weir::sigma
