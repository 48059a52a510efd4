#pragma once

#include <cstdint>
#include <memory>

#include "operators/api/sink.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/kafka/kafka_sink_options.h"

namespace weir::internal {

/// Errors: kInvalidArgument.
[[nodiscard]] absl::Status ValidateKafkaSink(const KafkaSinkOptions& options);

/// Sends the messages of one subtask with one producer. Threads: within the task's steps, save the
/// function that BeginCommit returns.
class KafkaProducer {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KafkaProducer>> Create(
      SinkContext& context, const KafkaSinkOptions& options);
  ~KafkaProducer();
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  [[nodiscard]] bool Ready() const;
  /// Errors: those of earlier deliveries; kInvalidArgument for a message that is too large.
  [[nodiscard]] absl::Status Produce(const KafkaMessage& message, EventTime time);
  /// Its function returns once the brokers have all messages so far.
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit();
  void Close();

 private:
  class State;
  KafkaProducer(IoPool* pool, std::shared_ptr<State> state);

  IoPool* const pool_;
  std::shared_ptr<State> state_;  // Null once closed.
};

}  // namespace weir::internal
