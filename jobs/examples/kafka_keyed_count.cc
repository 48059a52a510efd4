#include "jobs/examples/kafka_keyed_count.h"

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <string>

#include "jobs/arguments/event_arguments.h"
#include "jobs/examples/count_until_end.h"
#include "operators/connectors/file/ndjson_file_sink.h"
#include "operators/connectors/kafka/kafka_source.h"

namespace weir::examples {
namespace {

/// Reads the key of a record's JSON.
class ParseKey {
 public:
  ParseKey() = default;
  // Every subtask gets a parser of its own.
  ParseKey(const ParseKey&) {}
  ParseKey& operator=(const ParseKey&) { return *this; }

  void operator()(const KafkaRecord& record, Collector<int64_t>& out) {
    // The parser reads beyond the end in whole blocks, so the text needs room behind it.
    padded_.assign(record.value);
    padded_.reserve(record.value.size() + simdjson::SIMDJSON_PADDING);
    simdjson::ondemand::document document;
    int64_t key = 0;
    if (parser_->iterate(padded_.data(), padded_.size(), padded_.capacity()).get(document) !=
            simdjson::SUCCESS ||
        document["key"].get(key) != simdjson::SUCCESS) {
      return;
    }
    out.Collect(key);
  }

 private:
  std::unique_ptr<simdjson::ondemand::parser> parser_ =
      std::make_unique<simdjson::ondemand::parser>();
  std::string padded_;
};

absl::StatusOr<KafkaSourceOptions> SourceOptions(const JobArgs& args) {
  KafkaSourceOptions options;
  ASSIGN_OR_RETURN(options.brokers, args.GetRequired("brokers", "host:port of Kafka brokers"));
  ASSIGN_OR_RETURN(const std::string topics,
                   args.GetRequired("topic", "Kafka topics, with commas between"));
  options.topics = SplitList(topics);
  options.group_id = args.GetString("group", "weir-keyed-count");
  ASSIGN_OR_RETURN(const bool follow, args.GetBool("follow", false));
  options.bounded = !follow;
  ASSIGN_OR_RETURN(options.properties, KafkaProperties(args));
  RETURN_IF_ERROR(KafkaSource(options).Validate());
  return options;
}

}  // namespace

absl::Status BuildKafkaKeyedCount(StreamEnvironment& environment, const JobArgs& args) {
  ASSIGN_OR_RETURN(const KafkaSourceOptions options, SourceOptions(args));
  ASSIGN_OR_RETURN(const std::string out, args.GetRequired("out", "folder for the counts"));
  environment
      .FromSource(KafkaSource(options), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                  "Kafka records")
      .Uid("kafka-records")
      .FlatMap<int64_t>(ParseKey())
      .Name("Parse")
      .KeyBy([](const int64_t& key) { return key; })
      .Process(CountUntilEnd<int64_t>())
      .Name("Count")
      .Uid("count")
      .SinkTo(NdjsonFileSink<KeyCount>({args.ResolvePath(out), "counts"}, AppendCountJson),
              "Counts")
      .Uid("counts");
  return absl::OkStatus();
}

}  // namespace weir::examples
