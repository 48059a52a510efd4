#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "operators/api/job.h"
#include "operators/connectors/data_gen_source.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "tests/chaos/jobs/pipelines.h"

// Pipelines whose results do not depend on the order in which subtasks meet records: whatever
// happens to the processes that run them, what they commit must be the same lines.

namespace weir::chaos {

DataStream<Reading> Readings(StreamEnvironment& environment, const Settings& settings,
                             const std::string& uid, uint64_t seed) {
  DataGenOptions options = settings.source;
  options.seed += seed;
  const auto keys = static_cast<uint64_t>(settings.keys);
  const auto generate = [keys](const DataGenRecord& record, DataGenRandom& random) {
    return Reading{static_cast<int64_t>(random.Below(keys)), static_cast<int64_t>(record.index),
                   static_cast<int64_t>(random.Below(1000))};
  };
  return environment
      .FromSource(DataGenSource(options, generate),
                  WatermarkStrategy<Reading>::BoundedOutOfOrderness(kDisorder), uid)
      .Uid(uid);
}

DataStream<Reading> FastReadings(StreamEnvironment& environment, Settings settings,
                                 const std::string& uid, uint64_t seed) {
  settings.source.records_per_second = 0;
  return Readings(environment, settings, uid, seed);
}

void AppendLine(const std::string& name, const Outcome& outcome, std::string* line) {
  JsonWriter json(line);
  json.BeginObject();
  json.Key("pipeline").String(name);
  json.Key("key").Int(outcome.key);
  json.Key("at").Int(outcome.at);
  json.Key("value").Int(outcome.value);
  json.EndObject();
}

void Write(const DataStream<Outcome>& outcomes, const Settings& settings, const std::string& name) {
  outcomes
      .SinkTo(NdjsonFileSink<Outcome>({settings.out, name},
                                      [name](const Outcome& outcome, std::string* line) {
                                        AppendLine(name, outcome, line);
                                      }),
              name)
      .Uid(name + "-sink");
}

namespace {

using AddPipeline = void (*)(StreamEnvironment&, const Settings&);

const std::map<std::string_view, AddPipeline>& Pipelines() {
  static const auto& pipelines = *new std::map<std::string_view, AddPipeline>{
      {"broadcast", Broadcast}, {"counts", Counts},        {"edges", Edges},    {"kafka", Kafka},
      {"timers", Timers},       {"two-inputs", TwoInputs}, {"windows", Windows}};
  return pipelines;
}

absl::StatusOr<Settings> Parse(const JobArgs& args) {
  Settings settings;
  ASSIGN_OR_RETURN(const int64_t records, args.GetInt("records", 100'000));
  ASSIGN_OR_RETURN(const int64_t seed, args.GetInt("seed", 1));
  ASSIGN_OR_RETURN(settings.rate, args.GetDouble("rate", 0));
  ASSIGN_OR_RETURN(settings.keys, args.GetInt("keys", settings.keys));
  ASSIGN_OR_RETURN(settings.out, args.GetRequired("out", "folder for the outcomes"));
  if (records < 1 || settings.keys < 1) {
    return absl::InvalidArgumentError(StrCat(
        "--records and --keys must be at least 1: records=", records, " keys=", settings.keys));
  }
  settings.out = args.ResolvePath(settings.out);
  settings.source.records_per_second = settings.rate;
  settings.source.count = static_cast<uint64_t>(records);
  settings.source.seed = static_cast<uint64_t>(seed) * 100;
  settings.source.disorder = kDisorder;
  settings.source.num_splits = 12;
  settings.kafka.brokers = args.GetString("brokers", "");
  settings.kafka.from = args.GetString("from", "");
  settings.kafka.to = args.GetString("to", "");
  return settings;
}

absl::Status Build(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const Settings settings, Parse(args));
  ASSIGN_OR_RETURN(const std::string names,
                   args.GetRequired("pipelines", "names of pipelines, commas between"));
  for (const std::string_view name : StrSplit(names, ',')) {
    const auto pipeline = Pipelines().find(name);
    if (pipeline == Pipelines().end()) {
      return absl::InvalidArgumentError(
          StrCat("--pipelines: no pipeline \"", name,
                 "\"; there are broadcast, counts, edges, kafka, timers, two-inputs, windows"));
    }
    if (name == "kafka" && settings.kafka.brokers.empty()) {
      return absl::InvalidArgumentError(
          "the pipeline kafka needs --brokers, --from and --to: a topic of numbers, and one for "
          "the outcomes");
    }
    pipeline->second(environment, settings);
  }
  return absl::OkStatus();
}

}  // namespace

WEIR_JOB("chaos_pipelines",
         "Pipelines that must commit the same whatever fails: --pipelines a,b --records N --rate R "
         "--keys K --seed S --out DIR --brokers B --from TOPIC --to TOPIC",
         Build);

}  // namespace weir::chaos
