#pragma once

#include <cstdint>
#include <memory>

#include "operators/connectors/kafka/internal/kafka_message_writer.h"

namespace weir::internal {

/// Errors: kInvalidArgument.
[[nodiscard]] absl::Status ValidateKafkaProducer(const KafkaSinkOptions& options);

/// Sends the messages of one subtask at once, with one producer: at least once, or without any
/// guarantee.
class KafkaProducer final : public KafkaMessageWriter {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KafkaProducer>> Create(
      SinkContext& context, const KafkaSinkOptions& options);
  ~KafkaProducer() override;
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  [[nodiscard]] bool Ready() const override;
  [[nodiscard]] absl::Status Write(const KafkaMessage& message, EventTime time) override;
  /// For at least once, its function returns once the brokers have all messages so far.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override;
  void Close() override;

 private:
  class State;
  KafkaProducer(IoPool* pool, std::shared_ptr<State> state);

  IoPool* const pool_;
  std::shared_ptr<State> state_;  // Null once closed.
};

}  // namespace weir::internal
