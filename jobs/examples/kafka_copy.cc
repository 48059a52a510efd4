#include "jobs/examples/kafka_copy.h"

#include <string>

#include "jobs/arguments/event_arguments.h"
#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "runtime/base/strings.h"

namespace weir::examples {
namespace {

absl::StatusOr<DeliveryGuarantee> Guarantee(const JobArgs& args) {
  const std::string text = args.GetString("guarantee", "exactly-once");
  if (text == "none") return DeliveryGuarantee::kNone;
  if (text == "at-least-once") return DeliveryGuarantee::kAtLeastOnce;
  if (text == "exactly-once") return DeliveryGuarantee::kExactlyOnce;
  return absl::InvalidArgumentError(
      StrCat("--guarantee is none, at-least-once or exactly-once: guarantee=", text));
}

}  // namespace

absl::Status BuildKafkaCopy(StreamEnvironment& environment, const JobArgs& args) {
  KafkaSourceOptions from;
  KafkaSinkOptions to;
  ASSIGN_OR_RETURN(from.brokers, args.GetRequired("brokers", "host:port of Kafka brokers"));
  ASSIGN_OR_RETURN(const std::string topics,
                   args.GetRequired("topic", "Kafka topics, with commas between"));
  ASSIGN_OR_RETURN(to.topic, args.GetRequired("to", "the Kafka topic to write"));
  ASSIGN_OR_RETURN(to.delivery_guarantee, Guarantee(args));
  ASSIGN_OR_RETURN(const bool follow, args.GetBool("follow", false));
  ASSIGN_OR_RETURN(from.properties, KafkaProperties(args));
  from.topics = SplitList(topics);
  from.group_id = args.GetString("group", "");
  from.bounded = !follow;
  to.brokers = from.brokers;
  to.properties = from.properties;
  const KafkaSink<KafkaRecord> sink(to, [](const KafkaRecord& record, KafkaMessage* message) {
    message->key = record.key;
    message->value = record.value;
    message->has_key = record.has_key;
    message->is_tombstone = record.is_tombstone;
  });
  RETURN_IF_ERROR(KafkaSource(from).Validate());
  RETURN_IF_ERROR(sink.Validate());
  environment
      .FromSource(KafkaSource(from), WatermarkStrategy<KafkaRecord>::NoWatermarks(),
                  "Kafka records")
      .Uid("kafka-records")
      .SinkTo(sink, "Kafka copy")
      .Uid("kafka-copy");
  return absl::OkStatus();
}

}  // namespace weir::examples
