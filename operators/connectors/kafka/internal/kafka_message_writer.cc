#include "operators/connectors/kafka/internal/kafka_message_writer.h"

#include <librdkafka/rdkafka.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "operators/connectors/kafka/internal/kafka_client.h"
#include "operators/connectors/kafka/internal/kafka_committer.h"
#include "operators/connectors/kafka/internal/kafka_producer.h"
#include "operators/connectors/kafka/internal/kafka_spool_writer.h"
#include "operators/connectors/kafka/internal/kafka_transactional_producer.h"
#include "runtime/base/clock.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::internal {

namespace {

constexpr int kMetadataTurnMs = 1'000;
constexpr absl::Duration kMetadataTimeout = absl::Seconds(30);

bool IsExactlyOnce(const KafkaSinkOptions& options) {
  return options.delivery_guarantee == DeliveryGuarantee::kExactlyOnce;
}

// What the transactional id and the group of a subtask have in common.
std::string NameOf(const OperatorContext::Place& place) {
  return StrCat("-", ToString(place.job), "-", place.uid, "-", place.subtask);
}

}  // namespace

absl::Status ValidateKafkaSink(const KafkaSinkOptions& options) {
  if (options.brokers.empty()) {
    return absl::InvalidArgumentError("a Kafka sink needs brokers, like host:9092");
  }
  if (options.topic.empty()) return absl::InvalidArgumentError("a Kafka sink needs a topic");
  if (!IsExactlyOnce(options)) return ValidateKafkaProducer(options);
  if (options.transactional_id_prefix.empty()) {
    return absl::InvalidArgumentError(StrCat(
        "a Kafka sink with exactly once needs a transactional_id_prefix: topic=", options.topic));
  }
  return ValidateTransactionalProducer(options);
}

absl::StatusOr<std::unique_ptr<KafkaMessageWriter>> CreateKafkaWriter(
    SinkContext& context, const KafkaSinkOptions& options) {
  RETURN_IF_ERROR(ValidateKafkaSink(options));
  if (!IsExactlyOnce(options)) return KafkaProducer::Create(context, options);
  ASSIGN_OR_RETURN(const int64_t max_message_bytes,
                   KafkaProducerProperty(options, "message.max.bytes"));
  const std::string name = NameOf(context.place());
  return std::make_unique<KafkaSpoolWriter>(
      context,
      KafkaSpoolWriter::Options{.transactional_id = StrCat(options.transactional_id_prefix, name),
                                .group = StrCat("weir", name),
                                .topic = options.topic,
                                .max_buffered_bytes = options.max_buffered_bytes,
                                .max_message_bytes = static_cast<size_t>(max_message_bytes)});
}

std::unique_ptr<Committer> CreateKafkaCommitter(SinkContext& context,
                                                const KafkaSinkOptions& options) {
  std::string own_id;
  if (IsExactlyOnce(options)) {
    own_id = StrCat(options.transactional_id_prefix, NameOf(context.place()));
  }
  return std::make_unique<KafkaCommitter>(context, options, std::move(own_id));
}

absl::StatusOr<int32_t> CountKafkaPartitions(const KafkaSinkOptions& options) {
  KafkaConfiguration configuration;
  configuration.producer = true;
  configuration.defaults = {{"client.id", "weir"}};
  configuration.user = options.properties;
  configuration.fixed = {{"bootstrap.servers", options.brokers}};
  ASSIGN_OR_RETURN(const std::unique_ptr<KafkaClient> client, KafkaClient::Create(configuration));
  rd_kafka_topic_t* const topic = rd_kafka_topic_new(client->get(), options.topic.c_str(), nullptr);
  if (topic == nullptr) {
    return KafkaError(StrCat("a Kafka sink's topic is not right (topic=", options.topic, ")"),
                      rd_kafka_last_error());
  }
  const absl::Cleanup destroy_topic = [&] { rd_kafka_topic_destroy(topic); };
  const Stopwatch stopwatch;
  while (true) {
    const rd_kafka_metadata_t* metadata = nullptr;
    rd_kafka_resp_err_t error =
        rd_kafka_metadata(client->get(), /*all_topics=*/0, topic, &metadata, kMetadataTurnMs);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const absl::Cleanup destroy = [&] { rd_kafka_metadata_destroy(metadata); };
      if (metadata->topic_cnt == 1 && metadata->topics[0].err == RD_KAFKA_RESP_ERR_NO_ERROR &&
          metadata->topics[0].partition_cnt > 0) {
        return metadata->topics[0].partition_cnt;
      }
      if (metadata->topic_cnt == 1) error = metadata->topics[0].err;
    }
    rd_kafka_poll(client->get(), 0);
    RETURN_IF_ERROR(client->status());
    if (stopwatch.Elapsed() > kMetadataTimeout) {
      return KafkaError(StrCat("cannot find out how many partitions a Kafka sink's topic has "
                               "(topic=",
                               options.topic, " brokers=", options.brokers, ")"),
                        error);
    }
  }
}

}  // namespace weir::internal
