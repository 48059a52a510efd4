#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/kafka/internal/kafka_message_writer.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/kafka/kafka_record_serialization_schema.h"
#include "operators/connectors/kafka/kafka_sink_options.h"

namespace weir {

/// Writes records to Kafka.
///
/// - At least once: at once; a checkpoint completes when the brokers have all records before it
///   (acks=all), and after a restart those behind it are written again. The producer is idempotent,
///   so retries neither double nor reorder records.
/// - Exactly once: what comes between two checkpoints is kept in the checkpoint and written in one
///   transaction when that has completed, so consumers with isolation.level=read_committed see it
///   once, and as late as that. Ends with whatever an earlier attempt left open.
/// - None: at once, without waiting for the brokers.
///
/// While brokers are down the sink pushes back (at least once), or its commits wait (exactly once),
/// until message.timeout.ms or transaction.timeout.ms fails the task. Errors, at the start, for
/// exactly once: kInvalidArgument if the brokers do not allow transactions of
/// transaction.timeout.ms.
template <class T>
class KafkaSink final : public Sink<T> {
 public:
  /// Fills `*message`, which is as if new at the call.
  using Serialize = std::function<void(const T&, KafkaMessage* message)>;

  KafkaSink(KafkaSinkOptions options, Serialize serialize)
      : options_(std::move(options)),
        serialize_(
            [serialize = std::move(serialize)](const T& record, int32_t, KafkaMessage* message) {
              serialize(record, message);
              return absl::OkStatus();
            }) {}
  KafkaSink(KafkaSinkOptions options, KafkaRecordSerializationSchema<T> schema)
      : options_(std::move(options)),
        needs_partitions_(schema.has_partitioner()),
        serialize_(std::move(schema)) {}

  /// Checks options and properties without a broker; done at the start too. Errors:
  /// kInvalidArgument, with the nearest property that there is.
  [[nodiscard]] absl::Status Validate() const { return internal::ValidateKafkaSink(options_); }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto messages = internal::CreateKafkaWriter(context, options_);
    if (!messages.ok()) return messages.status();
    absl::StatusOr<int32_t> num_partitions = 0;
    if (needs_partitions_) num_partitions = internal::CountKafkaPartitions(options_);
    if (!num_partitions.ok()) return num_partitions.status();
    return std::make_unique<Writer>(*std::move(messages), serialize_, *num_partitions);
  }
  [[nodiscard]] std::unique_ptr<Committer> CreateCommitter(SinkContext& context) const override {
    return internal::CreateKafkaCommitter(context, options_);
  }

 private:
  using SerializeMessage =
      std::function<absl::Status(const T&, int32_t num_partitions, KafkaMessage*)>;

  class Writer final : public SinkWriter<T> {
   public:
    Writer(std::unique_ptr<internal::KafkaMessageWriter> messages, SerializeMessage serialize,
           int32_t num_partitions)
        : messages_(std::move(messages)),
          serialize_(std::move(serialize)),
          num_partitions_(num_partitions) {}

    [[nodiscard]] bool Ready() const override { return messages_->Ready(); }
    [[nodiscard]] absl::Status Write(const T& record, EventTime time) override {
      message_.Clear();
      absl::Status status = serialize_(record, num_partitions_, &message_);
      if (!status.ok()) return status;
      return messages_->Write(message_, time);
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override {
      return messages_->BeginCommit(checkpoint);
    }
    void Close() override { messages_->Close(); }

   private:
    const std::unique_ptr<internal::KafkaMessageWriter> messages_;
    const SerializeMessage serialize_;
    const int32_t num_partitions_;  // Of the sink's topic; 0 if nobody asks.
    KafkaMessage message_;
  };

  KafkaSinkOptions options_;
  bool needs_partitions_ = false;
  SerializeMessage serialize_;
};

}  // namespace weir
