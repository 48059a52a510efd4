#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "operators/api/sink.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/kafka/kafka_sink_options.h"

namespace weir::internal {

/// Takes the messages of one subtask, and does with them what the delivery guarantee says. Threads:
/// within the task's steps, save the function that BeginCommit returns.
class KafkaMessageWriter {
 public:
  virtual ~KafkaMessageWriter() = default;
  [[nodiscard]] virtual bool Ready() const = 0;
  /// Errors: those of earlier messages; kInvalidArgument for a message that is too large.
  [[nodiscard]] virtual absl::Status Write(const KafkaMessage& message, EventTime time) = 0;
  [[nodiscard]] virtual absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) = 0;
  virtual void Close() = 0;
};

/// Errors: kInvalidArgument.
[[nodiscard]] absl::Status ValidateKafkaSink(const KafkaSinkOptions& options);

[[nodiscard]] absl::StatusOr<std::unique_ptr<KafkaMessageWriter>> CreateKafkaWriter(
    SinkContext& context, const KafkaSinkOptions& options);

/// For any guarantee: a sink that was exactly once may have left something to commit.
[[nodiscard]] std::unique_ptr<Committer> CreateKafkaCommitter(SinkContext& context,
                                                              const KafkaSinkOptions& options);

/// Returns how many partitions the topic has. Blocks. Errors: kNotFound, kUnavailable, naming the
/// topic.
[[nodiscard]] absl::StatusOr<int32_t> CountKafkaPartitions(const KafkaSinkOptions& options);

}  // namespace weir::internal
