#include "jobs/sigma/sigma_job.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "jobs/arguments/event_arguments.h"
#include "jobs/sigma/control_message.h"
#include "jobs/sigma/correlate.h"
#include "jobs/sigma/correlation/event_clock.h"
#include "jobs/sigma/correlation_update.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/ready_pipelines.h"
#include "jobs/sigma/match_events.h"
#include "jobs/sigma/settings/sigma_settings.h"
#include "jobs/sigma/sigma_kafka.h"
#include "jobs/sigma/suppress_matches.h"
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

/// Keys of hash and round_robin, per key group of a task, where the parallelism is not known.
constexpr int64_t kBucketsWithoutParallelism = 128;
/// Levels of correlations where the rules are not known beforehand.
constexpr uint32_t kLevelsOfTopic = 2;

/// What Build works from.
struct SigmaJob {
  StreamEnvironment* environment = nullptr;
  const JobArgs* args = nullptr;
  SigmaSettings settings;
  std::map<std::string, std::string> kafka_properties;
  std::optional<uint32_t> parallelism;
  /// Topics are read to the ends that they have at the start: a run over history.
  bool until_end = false;
  std::optional<absl::Time> since;  ///< Where events begin.
  std::optional<std::vector<ControlUpdate>> rule_files;
  uint32_t correlation_levels = 0;
};

absl::StatusOr<SigmaSettings> ReadSettings(const JobArgs& args) {
  std::string file;
  if (const std::optional<std::string> path = args.Find("env-file")) {
    ASSIGN_OR_RETURN(file, args.File(*path));
  }
  return SigmaSettings::Load([&](std::string_view name) { return args.Find(name); },
                             args.GetString("environment", ""), file);
}

std::optional<uint32_t> NumberOf(const SigmaSettings& settings, std::string_view name) {
  const std::optional<int64_t> value = settings.Integer(name);
  if (!value.has_value()) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

/// Whether the brokers are named, so that topics may be taken from their defaults.
bool HasKafka(const SigmaJob& job) { return !job.settings.Text("KAFKA_BOOTSTRAP_SERVERS").empty(); }

absl::Status CheckSettings(const SigmaJob& job) {
  const SigmaSettings& settings = job.settings;
  const uint32_t max_parallelism = *NumberOf(settings, "MAX_PARALLELISM");
  if (job.parallelism.value_or(1) > max_parallelism) {
    return absl::InvalidArgumentError(
        StrCat("the parallelism is above its bound; raise MAX_PARALLELISM: FLINK_PARALLELISM=",
               *job.parallelism, " MAX_PARALLELISM=", max_parallelism));
  }
  if (settings.Bool("AUTOSCALER_ENABLED") &&
      *NumberOf(settings, "AUTOSCALER_MAX_PARALLELISM") > max_parallelism) {
    return absl::InvalidArgumentError(
        StrCat("the job cannot be scaled so far; raise MAX_PARALLELISM: "
               "AUTOSCALER_MAX_PARALLELISM=",
               settings.Text("AUTOSCALER_MAX_PARALLELISM"), " MAX_PARALLELISM=", max_parallelism));
  }
  if (settings.Text("KEYING_STRATEGY") == "fields" && settings.List("KEYING_FIELDS").empty()) {
    return absl::InvalidArgumentError("a setting is missing: KEYING_FIELDS KEYING_STRATEGY=fields");
  }
  const std::vector<std::string> inputs = settings.List("KAFKA_INPUT_TOPICS");
  for (const char* name : {"KAFKA_OUTPUT_TOPIC", "KAFKA_METRICS_TOPIC", "KAFKA_DEAD_LETTER_TOPIC",
                           "KAFKA_RULES_TOPIC"}) {
    if (std::find(inputs.begin(), inputs.end(), settings.Text(name)) == inputs.end()) continue;
    return absl::InvalidArgumentError(
        StrCat("a topic of events is a topic of something else too; name another: ", name, "=",
               settings.Text(name)));
  }
  return absl::OkStatus();
}

void ApplyCheckpointing(const SigmaJob& job) {
  const std::pair<std::string_view, const char*> options[] = {
      {"FLINK_CHECKPOINT_INTERVAL_MS", "execution.checkpointing.interval"},
      {"FLINK_CHECKPOINT_TIMEOUT_MS", "execution.checkpointing.timeout"},
      {"FLINK_MIN_PAUSE_BETWEEN_CHECKPOINTS_MS", "execution.checkpointing.min-pause"}};
  for (const auto& [setting, option] : options) {
    if (!job.settings.IsGiven(setting) || job.settings.Text(setting).empty()) continue;
    job.environment->SetOption(option, StrCat(job.settings.Text(setting), " ms"));
  }
}

KeyingOptions Keying(const SigmaJob& job) {
  const SigmaSettings& settings = job.settings;
  KeyingOptions options;
  const std::string& strategy = settings.Text("KEYING_STRATEGY");
  options.strategy = strategy == "computer"      ? KeyingStrategy::kComputer
                     : strategy == "round_robin" ? KeyingStrategy::kRoundRobin
                     : strategy == "fields"      ? KeyingStrategy::kFields
                                                 : KeyingStrategy::kHash;
  options.fields = settings.List("KEYING_FIELDS");
  options.max_parallelism = *NumberOf(settings, "MAX_PARALLELISM");
  if (settings.Bool("AUTOSCALER_ENABLED")) {
    options.parallelism = *NumberOf(settings, "AUTOSCALER_MAX_PARALLELISM");
  } else {
    options.parallelism = job.parallelism.value_or(0);
  }
  const int64_t per_group =
      options.parallelism == 0 ? kBucketsWithoutParallelism : options.parallelism;
  options.num_buckets = static_cast<uint32_t>(per_group * *settings.Integer("KEY_GROUPS_PER_TASK"));
  return options;
}

absl::Duration OutOfOrderness(const SigmaJob& job) {
  return absl::Seconds(*job.settings.Integer("WATERMARK_OUT_OF_ORDERNESS_SECONDS"));
}

absl::Duration IdleTimeout(const SigmaJob& job) {
  return absl::Seconds(*job.settings.Integer("WATERMARK_IDLE_TIMEOUT_SECONDS"));
}

/// Returns the time that the first of `fields` tells that is there and can be read; Min if none is.
EventTime TimeOfEvent(std::string_view json, const std::vector<std::string>& fields) {
  static thread_local EventReader reader;
  const absl::StatusOr<EventValue> event = reader.Read(json);
  if (!event.ok() || !event->is_object()) return EventTime::Min();
  for (const std::string& field : fields) {
    const EventValue* const value = FindField(*event, field);
    if (value == nullptr) continue;
    if (const auto time_ms = ParseEventTime(value->text)) return EventTime::FromMillis(*time_ms);
  }
  return EventTime::Min();
}

/// Correlations need event time, whatever ENABLE_WATERMARKS says.
WatermarkStrategy<KafkaRecord> Watermarks(const SigmaJob& job) {
  const bool is_needed = job.settings.Bool("ENABLE_WATERMARKS") || job.correlation_levels > 0;
  auto strategy = is_needed
                      ? WatermarkStrategy<KafkaRecord>::BoundedOutOfOrderness(OutOfOrderness(job))
                      : WatermarkStrategy<KafkaRecord>::NoWatermarks();
  // Over history no partition is waited for in vain, and none may be left behind.
  if (is_needed && !job.until_end && IdleTimeout(job) > absl::ZeroDuration()) {
    strategy = strategy.WithIdleness(IdleTimeout(job));
  }
  const std::vector<std::string> fields = job.settings.List("EVENT_TIME_FIELDS");
  if (fields.empty()) return strategy;
  return strategy.WithTimestamps([fields](const KafkaRecord& record) {
    const EventTime time = TimeOfEvent(record.value, fields);
    return time == EventTime::Min() ? record.timestamp : time;
  });
}

/// Of files that end, no event is late: event time comes when all are read.
WatermarkStrategy<std::string> FileWatermarks(const SigmaJob& job, bool follow) {
  std::vector<std::string> fields = job.settings.List("EVENT_TIME_FIELDS");
  if (fields.empty() && job.correlation_levels == 0) {
    return WatermarkStrategy<std::string>::NoWatermarks();
  }
  if (fields.empty()) fields = UsualTimeFields();
  auto strategy = follow
                      ? WatermarkStrategy<std::string>::BoundedOutOfOrderness(OutOfOrderness(job))
                      : WatermarkStrategy<std::string>::NoWatermarks();
  if (follow && IdleTimeout(job) > absl::ZeroDuration()) {
    strategy = strategy.WithIdleness(IdleTimeout(job));
  }
  return strategy.WithTimestamps(
      [fields](const std::string& event) { return TimeOfEvent(event, fields); });
}

/// Reads `--until-end` and `--since`.
absl::Status ReadHistory(SigmaJob* job) {
  ASSIGN_OR_RETURN(job->until_end, job->args->GetBool("until-end", false));
  const std::optional<std::string> since = job->args->Find("since");
  if (!since.has_value()) return absl::OkStatus();
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, *since, &time, &error)) {
    return absl::InvalidArgumentError(
        StrCat("job argument has a value that cannot be read; give a time such as "
               "2026-01-31T10:00:00Z: --since=",
               *since));
  }
  job->since = time;
  return absl::OkStatus();
}

/// A run over history begins at the beginning, and leaves the positions of the group alone.
void ApplyHistory(const SigmaJob& job, KafkaSourceOptions* options) {
  if (job.until_end) {
    options->bounded = true;
    options->group_id.clear();
    if (!job.settings.IsGiven("KAFKA_STARTING_OFFSET")) options->start = KafkaStart::kEarliest;
  }
  if (job.since.has_value()) {
    options->start = KafkaStart::kTimestamp;
    options->start_time = *job.since;
  }
}

/// Each topic has a source and a consumer group of its own.
absl::StatusOr<DataStream<SourceEvent>> EventsFromKafka(const SigmaJob& job) {
  std::optional<DataStream<KafkaRecord>> all;
  std::vector<std::string> seen;
  for (const std::string& topic : job.settings.List("KAFKA_INPUT_TOPICS")) {
    if (std::find(seen.begin(), seen.end(), topic) != seen.end()) continue;
    seen.push_back(topic);
    ASSIGN_OR_RETURN(KafkaSourceOptions options,
                     EventSourceOptions(job.settings, topic, job.kafka_properties));
    ApplyHistory(job, &options);
    DataStream<KafkaRecord> events = job.environment->FromSource(
        KafkaSource(options), Watermarks(job), StrCat("Kafka events ", topic));
    events.Uid(StrCat("kafka-events-", topic));
    const std::optional<uint32_t> parallelism =
        job.settings.IsGiven("KAFKA_SOURCE_PARALLELISM")
            ? NumberOf(job.settings, "KAFKA_SOURCE_PARALLELISM")
            : job.parallelism;
    if (parallelism.has_value()) events.SetParallelism(*parallelism);
    all = all.has_value() ? all->Union(events) : events;
  }
  if (!all.has_value()) {
    return absl::InvalidArgumentError("there is no topic of events; set KAFKA_INPUT_TOPICS");
  }
  DataStream<SourceEvent> keyed = all->Process(KeyEvents<KafkaRecord>(Keying(job)));
  keyed.Name("Key events").Uid("key-events");
  if (job.parallelism.has_value()) keyed.SetParallelism(*job.parallelism);
  return keyed;
}

absl::StatusOr<DataStream<SourceEvent>> EventsFromFiles(const SigmaJob& job,
                                                        const std::string& path) {
  FileSourceOptions options;
  options.path = job.args->ResolvePath(path);
  ASSIGN_OR_RETURN(options.follow, job.args->GetBool("follow", false));
  return job.environment
      ->FromSource(FileSource(options), FileWatermarks(job, options.follow), "Event files")
      .Uid("event-files")
      .Process(KeyEvents<std::string>(Keying(job)))
      .Name("Key events")
      .Uid("key-events");
}

/// Reads the rule files, if rules come from files, and with them how deep correlations go.
absl::Status ReadRuleFiles(SigmaJob* job) {
  if (const std::optional<std::string> path = job->args->Find("rules")) {
    ASSIGN_OR_RETURN(auto files, FilesAt(*job->args, *path, {".yml", ".yaml"}));
    job->rule_files.emplace();
    for (auto& [file, text] : files) {
      job->rule_files->push_back(RuleFileUpdate(file, std::move(text)));
    }
  }
  if (const std::optional<uint32_t> levels = NumberOf(job->settings, "CORRELATION_LEVELS")) {
    job->correlation_levels = *levels;
  } else {
    job->correlation_levels =
        job->rule_files.has_value() ? LevelsOf(*job->rule_files) : kLevelsOfTopic;
  }
  return absl::OkStatus();
}

DataStream<ControlUpdate> RulesFromFiles(const SigmaJob& job) {
  return job.environment
      ->FromSource(ValuesSource<ControlUpdate>(*job.rule_files),
                   WatermarkStrategy<ControlUpdate>::NoWatermarks(), "Rule files")
      .Uid("rule-files")
      .SetParallelism(1);
}

/// The topic is read to its end before the first event, so that all of it is in force then.
absl::StatusOr<DataStream<ControlUpdate>> RulesFromKafka(const SigmaJob& job) {
  ASSIGN_OR_RETURN(KafkaSourceOptions options,
                   ControlSourceOptions(job.settings, job.kafka_properties));
  if (job.until_end) {
    options.bounded = true;
    options.group_id.clear();
  }
  const std::string job_id = job.settings.Text("JOB_ID");
  return job.environment
      ->FromSource(KafkaSource(options), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                   "Rules topic")
      .Uid("rules-topic")
      .SetParallelism(1)
      .FlatMap<ControlUpdate>([job_id](const KafkaRecord& record, Collector<ControlUpdate>& out) {
        if (auto update = ReadControlMessage(record, job_id)) out.Collect(*std::move(update));
      })
      .Name("Read control messages")
      .Uid("control-messages")
      .SetParallelism(1);
}

absl::StatusOr<DataStream<ControlUpdate>> Rules(const SigmaJob& job) {
  const bool has_files = job.rule_files.has_value();
  const bool has_topic = job.settings.IsGiven("KAFKA_RULES_TOPIC");
  if (has_files ? has_topic : !has_topic && !HasKafka(job)) {
    return absl::InvalidArgumentError(
        "the job needs one place to take rules from; give either --rules FILE|DIR, or "
        "--rules-topic NAME with --brokers HOST:PORT");
  }
  if (has_files) return RulesFromFiles(job);
  return RulesFromKafka(job);
}

absl::StatusOr<DataStream<SourceEvent>> Events(const SigmaJob& job) {
  const std::optional<std::string> path = job.args->Find("events");
  const bool has_topics = job.settings.IsGiven("KAFKA_INPUT_TOPICS");
  if (path.has_value() ? has_topics : !has_topics && !HasKafka(job)) {
    return absl::InvalidArgumentError(
        "the job needs one place to take events from; give either --events FILE|DIR, or "
        "--input-topics NAME[,NAME…] with --brokers HOST:PORT");
  }
  if (path.has_value()) return EventsFromFiles(job, *path);
  return EventsFromKafka(job);
}

/// Where tagged events go.
struct Outputs {
  std::optional<std::string> folder;
  std::string topic;          ///< Empty: none.
  std::string metrics_topic;  ///< Empty: none.
  std::optional<std::string> metrics_folder;
  bool print = false;
};

absl::StatusOr<Outputs> ReadOutputs(const SigmaJob& job) {
  Outputs outputs;
  outputs.folder = job.args->Find("out");
  outputs.metrics_folder = job.args->Find("metrics");
  ASSIGN_OR_RETURN(outputs.print, job.args->GetBool("print", false));
  const bool events_from_kafka = !job.args->Find("events").has_value();
  // A folder, or the terminal, takes the place of the topic that is there by default.
  const bool default_topic = events_from_kafka && !outputs.folder.has_value() && !outputs.print;
  if (job.settings.IsGiven("KAFKA_OUTPUT_TOPIC") || default_topic) {
    outputs.topic = job.settings.Text("KAFKA_OUTPUT_TOPIC");
  }
  if (job.settings.IsGiven("KAFKA_METRICS_TOPIC") || !outputs.topic.empty()) {
    outputs.metrics_topic = job.settings.Text("KAFKA_METRICS_TOPIC");
  }
  if (!outputs.folder.has_value() && outputs.topic.empty()) outputs.print = true;
  return outputs;
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

/// Attaches a sink that writes `stream` to `topic`. `fill` makes the message of a record.
template <class T, class Fill>
absl::Status WriteToTopic(const SigmaJob& job, const DataStream<T>& stream,
                          const std::string& topic, const std::string& name, const std::string& uid,
                          Fill fill) {
  ASSIGN_OR_RETURN(KafkaSinkOptions options,
                   SinkOptions(job.settings, topic, job.kafka_properties));
  KafkaSink<T> sink(std::move(options), std::move(fill));
  RETURN_IF_ERROR(sink.Validate());
  DataStreamSink attached = stream.SinkTo(std::move(sink), name);
  attached.Uid(uid);
  if (job.parallelism.has_value()) attached.SetParallelism(*job.parallelism);
  return absl::OkStatus();
}

/// What is written of one stream: `name` for people, `uid` and `files` to tell it from the others.
struct WrittenAs {
  std::string name;
  std::string uid;
  std::string files;
};

/// Holds back what the settings of suppression ask for.
DataStream<TaggedEvent> Suppress(const SigmaJob& job, const DataStream<TaggedEvent>& tagged,
                                 const WrittenAs& as) {
  const int64_t seconds = *job.settings.Integer("MATCH_SUPPRESSION_SECONDS");
  if (seconds == 0) return tagged;
  const SuppressMatchesOptions options{absl::Seconds(seconds),
                                       job.settings.Bool("MATCH_SUPPRESSION_SUMMARY")};
  const std::vector<std::string> fields = job.settings.List("MATCH_SUPPRESSION_FIELDS");
  DataStream<TaggedEvent> left =
      tagged
          .FlatMap<SuppressionInput>(
              [fields](const TaggedEvent& event, Collector<SuppressionInput>& out) {
                for (SuppressionInput& input : SplitDetections(event, fields)) {
                  out.Collect(std::move(input));
                }
              })
          .Name("Split detections")
          .Uid(StrCat(as.uid, "-split"))
          .KeyBy([](const SuppressionInput& input) { return input.key; })
          .Process(SuppressMatches(options));
  left.Name("Suppress matches").Uid(StrCat(as.uid, "-suppress"));
  if (job.parallelism.has_value()) left.SetParallelism(*job.parallelism);
  return left;
}

absl::Status WriteTagged(const SigmaJob& job, const Outputs& outputs,
                         const DataStream<TaggedEvent>& all, const WrittenAs& as) {
  const DataStream<TaggedEvent> tagged = Suppress(job, all, as);
  const auto append_json = [](const TaggedEvent& event, std::string* line) {
    line->append(event.json);
  };
  if (outputs.folder.has_value()) {
    tagged
        .SinkTo(NdjsonFileSink<TaggedEvent>({job.args->ResolvePath(*outputs.folder), as.files},
                                            append_json),
                StrCat(as.name, " to files"))
        .Uid(StrCat(as.uid, "-files"));
  }
  if (outputs.print) {
    tagged.SinkTo(PrintSink<TaggedEvent>(append_json), StrCat("Print ", as.name))
        .Uid(StrCat(as.uid, "-print"));
  }
  if (outputs.topic.empty()) return absl::OkStatus();
  return WriteToTopic(job, tagged, outputs.topic, StrCat(as.name, " to Kafka"),
                      StrCat(as.uid, "-kafka"),
                      [](const TaggedEvent& event, KafkaMessage* message) {
                        message->key = event.key;
                        message->has_key = event.has_key;
                        message->value = event.json;
                      });
}

absl::Status WriteMetrics(const SigmaJob& job, const Outputs& outputs,
                          const DataStream<TaggedEvent>& tagged) {
  if (outputs.metrics_folder.has_value()) {
    tagged.GetSideOutput(MetricsTag())
        .SinkTo(NdjsonFileSink<MetricsMessage>(
                    {job.args->ResolvePath(*outputs.metrics_folder), "metrics"},
                    [](const MetricsMessage& message, std::string* line) {
                      line->append(message.json);
                    }),
                "Statistics to files")
        .Uid("metrics-files");
  }
  if (outputs.metrics_topic.empty()) return absl::OkStatus();
  return WriteToTopic(job, tagged.GetSideOutput(MetricsTag()), outputs.metrics_topic,
                      "Statistics to Kafka", "metrics-kafka",
                      [](const MetricsMessage& metrics, KafkaMessage* message) {
                        message->value = metrics.json;
                        message->timestamp = EventTime::FromMillis(metrics.timestamp_ms);
                      });
}

absl::Status WriteProblems(const SigmaJob& job, const DataStream<TaggedEvent>& tagged) {
  if (const std::optional<std::string> folder = job.args->Find("errors")) {
    tagged.GetSideOutput(RuleProblemTag())
        .SinkTo(NdjsonFileSink<RuleProblem>({job.args->ResolvePath(*folder), "rule_errors"},
                                            AppendProblemJson),
                "Rule errors")
        .Uid("rule-errors");
  }
  if (const std::optional<std::string> folder = job.args->Find("dead-letters")) {
    tagged.GetSideOutput(DeadLetterTag())
        .SinkTo(NdjsonFileSink<DeadLetter>({job.args->ResolvePath(*folder), "dead_letters"},
                                           AppendDeadLetterJson),
                "Dead letters")
        .Uid("dead-letters");
  }
  const std::string& topic = job.settings.Text("KAFKA_DEAD_LETTER_TOPIC");
  if (topic.empty()) return absl::OkStatus();
  return WriteToTopic(job, tagged.GetSideOutput(DeadLetterTag()), topic, "Dead letters to Kafka",
                      "dead-letters-kafka", [](const DeadLetter& letter, KafkaMessage* message) {
                        message->key = letter.key;
                        message->has_key = letter.has_key;
                        AppendDeadLetterJson(letter, &message->value);
                      });
}

/// Reads and merges the pipelines of the settings; null if there are to be none.
absl::StatusOr<std::shared_ptr<const Pipeline>> ReadPipelines(const SigmaJob& job) {
  const std::vector<std::string> names = job.settings.List("SIGMA_PIPELINES");
  if (names.empty() || names == std::vector<std::string>{"none"}) return nullptr;
  std::vector<std::shared_ptr<const Pipeline>> pipelines;
  for (const std::string& name : names) {
    std::string text;
    if (const auto ready = FindReadyPipeline(name)) {
      text = *ready;
    } else {
      const absl::StatusOr<std::string> file = job.args->File(name);
      if (!file.ok()) {
        std::vector<std::string> known;
        for (const ReadyPipeline& one : ReadyPipelines()) known.emplace_back(one.name);
        return absl::NotFoundError(
            StrCat("no such pipeline: it is neither a readable file nor a ready one; ready are ",
                   StrJoin(known, ", "), ": SIGMA_PIPELINES=", name));
      }
      text = *file;
    }
    ASSIGN_OR_RETURN(std::shared_ptr<const Pipeline> pipeline, Pipeline::Parse(text, name));
    pipelines.push_back(std::move(pipeline));
  }
  return Pipeline::Merge(std::move(pipelines));
}

absl::StatusOr<MatchEventsOptions> MatchOptionsOf(const SigmaJob& job, const Outputs& outputs) {
  const SigmaSettings& settings = job.settings;
  MatchEventsOptions options;
  options.tagger.mode = settings.Text("OUTPUT_MODE") == "all_events" ? OutputMode::kAllEvents
                                                                     : OutputMode::kMatchedOnly;
  options.tagger.keep_filtered_events = settings.Bool("KEEP_FILTERED_EVENTS");
  options.tagger.parsed_events_out = settings.Bool("APPLY_PARSER_TO_OUTPUT_EVENTS");
  options.tagger.evidence = settings.Bool("MATCH_EVIDENCE");
  ASSIGN_OR_RETURN(options.tagger.rules.pipeline, ReadPipelines(job));
  options.tagger.rules.correlation_levels = job.correlation_levels;
  options.tagger.rules.route_by_log_source = settings.Text("SIGMA_LOGSOURCE") == "route";
  options.buffered = settings.Text("LATENCY_MODE") == "window";
  options.window = absl::Seconds(*settings.Integer("WINDOW_SIZE_SECONDS"));
  options.count_threshold = static_cast<uint64_t>(*settings.Integer("WINDOW_COUNT_THRESHOLD"));
  options.metrics = !outputs.metrics_topic.empty() || outputs.metrics_folder.has_value();
  options.origin.job_id = settings.Text("JOB_ID");
  if (!job.args->Find("events").has_value()) {
    options.origin.input_topics = StrJoin(settings.List("KAFKA_INPUT_TOPICS"), ",");
  }
  options.origin.output_topic = outputs.topic;
  options.settings = settings.Describe();
  return options;
}

/// How Correlate works at `level`.
CorrelateOptions CorrelateOptionsOf(const SigmaJob& job, uint32_t level, bool follow) {
  CorrelateOptions options;
  options.level = level;
  options.num_levels = job.correlation_levels;
  options.lateness = OutOfOrderness(job);
  if (job.settings.Text("LATENCY_MODE") == "window") {
    // What waited for its window comes that much later than event time.
    options.lateness += absl::Seconds(*job.settings.Integer("WINDOW_SIZE_SECONDS"));
  }
  // Files that end bring event time to its end; a topic that falls silent does not.
  const bool ends = job.until_end || (job.args->Find("events").has_value() && !follow);
  if (!ends) options.idle = IdleTimeout(job);
  return options;
}

/// Attaches an operator for each level of correlations, and the sinks of their alerts. A level
/// reads matches of rules, and what fires at the levels below it.
absl::Status CorrelateAndWrite(const SigmaJob& job, const Outputs& outputs,
                               const DataStream<TaggedEvent>& tagged,
                               const DataStream<ControlUpdate>& rules,
                               const std::shared_ptr<const Pipeline>& pipeline) {
  if (job.correlation_levels == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool follow, job.args->GetBool("follow", false));
  const DataStream<CorrelationUpdate> updates =
      rules
          .FlatMap<CorrelationUpdate>(
              [pipeline](const ControlUpdate& update, Collector<CorrelationUpdate>& out) {
                auto changed = ToCorrelationUpdate(update, pipeline);
                if (changed.has_value()) out.Collect(*std::move(changed));
              })
          .Name("Read correlations")
          .Uid("read-correlations")
          .SetParallelism(1);
  DataStream<CorrelationInput> inputs = tagged.GetSideOutput(CorrelationTag());
  std::optional<DataStream<TaggedEvent>> alerts;
  for (uint32_t level = 0; level < job.correlation_levels; ++level) {
    DataStream<TaggedEvent> of_level =
        inputs.Filter([level](const CorrelationInput& input) { return input.level == level; })
            .Name(StrCat("Inputs of level ", level))
            .Uid(StrCat("correlation-inputs-", level))
            .KeyBy([](const CorrelationInput& input) { return input.group; })
            .Connect(updates.Broadcast())
            .StartAfterBroadcast()
            .Process(Correlate(CorrelateOptionsOf(job, level, follow)));
    of_level.Name(StrCat("Correlate, level ", level)).Uid(StrCat("correlate-", level));
    if (job.parallelism.has_value()) of_level.SetParallelism(*job.parallelism);
    if (job.parallelism.has_value() || job.settings.IsGiven("MAX_PARALLELISM")) {
      of_level.SetMaxParallelism(*NumberOf(job.settings, "MAX_PARALLELISM"));
    }
    inputs = inputs.Union(of_level.GetSideOutput(CorrelationTag()));
    alerts = alerts.has_value() ? alerts->Union(of_level) : of_level;
  }
  return WriteTagged(job, outputs, *alerts, {"Correlations", "correlations", "correlations"});
}

/// Connects events and rules, rules first, and attaches all sinks.
absl::Status MatchAndWrite(const SigmaJob& job, const DataStream<SourceEvent>& events,
                           const DataStream<ControlUpdate>& rules) {
  ASSIGN_OR_RETURN(const Outputs outputs, ReadOutputs(job));
  ASSIGN_OR_RETURN(MatchEventsOptions options, MatchOptionsOf(job, outputs));
  const std::shared_ptr<const Pipeline> pipeline = options.tagger.rules.pipeline;
  DataStream<TaggedEvent> tagged =
      events.KeyBy([](const SourceEvent& event) { return event.bucket; })
          .Connect(rules.Broadcast())
          .StartAfterBroadcast()
          .Process(MatchEvents(std::move(options)));
  tagged.Name("Match rules").Uid("match-rules");
  if (job.parallelism.has_value()) tagged.SetParallelism(*job.parallelism);
  if (job.parallelism.has_value() || job.settings.IsGiven("MAX_PARALLELISM")) {
    tagged.SetMaxParallelism(*NumberOf(job.settings, "MAX_PARALLELISM"));
  }
  RETURN_IF_ERROR(WriteProblems(job, tagged));
  RETURN_IF_ERROR(WriteMetrics(job, outputs, tagged));
  RETURN_IF_ERROR(CorrelateAndWrite(job, outputs, tagged, rules, pipeline));
  return WriteTagged(job, outputs, tagged, {"Tagged events", "tagged", "matches"});
}

}  // namespace

absl::Status BuildSigma(StreamEnvironment& environment, const JobArgs& args) {
  SigmaJob job;
  job.environment = &environment;
  job.args = &args;
  ASSIGN_OR_RETURN(job.settings, ReadSettings(args));
  ASSIGN_OR_RETURN(job.kafka_properties, KafkaProperties(args));
  job.parallelism = NumberOf(job.settings, "FLINK_PARALLELISM");
  RETURN_IF_ERROR(ReadHistory(&job));
  RETURN_IF_ERROR(CheckSettings(job));
  RETURN_IF_ERROR(ReadRuleFiles(&job));
  ApplyCheckpointing(job);
  ASSIGN_OR_RETURN(const DataStream<ControlUpdate> rules, Rules(job));
  ASSIGN_OR_RETURN(const DataStream<SourceEvent> events, Events(job));
  return MatchAndWrite(job, events, rules);
}

}  // namespace weir::sigma
