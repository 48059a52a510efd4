#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "operators/api/sink.h"
#include "operators/connectors/kafka/internal/kafka_producer.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/kafka/kafka_sink_options.h"

namespace weir {

/// Writes records to a topic of Kafka, at least once: a checkpoint completes when the brokers have
/// all records before it (acks=all), and after a restart those behind it are written again. The
/// producer is idempotent, so retries neither double nor reorder records.
///
/// While brokers are down the sink pushes back, until librdkafka's message.timeout.ms fails the
/// task.
template <class T>
class KafkaSink final : public Sink<T> {
 public:
  /// Fills `*message`, which is as if new at the call.
  using Serialize = std::function<void(const T&, KafkaMessage* message)>;

  KafkaSink(KafkaSinkOptions options, Serialize serialize)
      : options_(std::move(options)), serialize_(std::move(serialize)) {}

  /// Checks options and properties without a broker; done at the start too. Errors:
  /// kInvalidArgument, with the nearest property that there is.
  [[nodiscard]] absl::Status Validate() const { return internal::ValidateKafkaSink(options_); }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<SinkWriter<T>>> CreateWriter(
      SinkContext& context) const override {
    auto producer = internal::KafkaProducer::Create(context, options_);
    if (!producer.ok()) return producer.status();
    return std::make_unique<Writer>(*std::move(producer), serialize_);
  }

 private:
  class Writer final : public SinkWriter<T> {
   public:
    Writer(std::unique_ptr<internal::KafkaProducer> producer, Serialize serialize)
        : producer_(std::move(producer)), serialize_(std::move(serialize)) {}

    [[nodiscard]] bool Ready() const override { return producer_->Ready(); }
    [[nodiscard]] absl::Status Write(const T& record, EventTime time) override {
      message_.key.clear();
      message_.value.clear();
      message_.has_key = message_.is_tombstone = false;
      message_.timestamp = EventTime::Min();
      serialize_(record, &message_);
      return producer_->Produce(message_, time);
    }
    [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId /*checkpoint*/) override {
      return producer_->BeginCommit();
    }
    void Close() override { producer_->Close(); }

   private:
    const std::unique_ptr<internal::KafkaProducer> producer_;
    const Serialize serialize_;
    KafkaMessage message_;
  };

  KafkaSinkOptions options_;
  Serialize serialize_;
};

}  // namespace weir
