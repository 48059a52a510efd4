#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "operators/connectors/internal/sink_io_queue.h"
#include "operators/connectors/kafka/internal/kafka_message_writer.h"

namespace weir::internal {

class KafkaSpoolFile;

/// Keeps each epoch's messages, in memory or beyond that in a file, for the committer to write them
/// when their checkpoint has completed: exactly once. Needs no broker.
class KafkaSpoolWriter final : public KafkaMessageWriter {
 public:
  /// Epochs up to this size lie in the checkpoint's metadata.
  static constexpr size_t kMaxInlineBytes = size_t{64} << 10;

  struct Options {
    std::string transactional_id;
    std::string group;
    std::string topic;
    size_t max_buffered_bytes = 0;
    size_t max_message_bytes = 0;  ///< What the producer takes, with overhead.
  };
  KafkaSpoolWriter(SinkContext& context, Options options);
  ~KafkaSpoolWriter() override;

  [[nodiscard]] bool Ready() const override { return queue_->HasRoom(); }
  [[nodiscard]] absl::Status Write(const KafkaMessage& message, EventTime time) override;
  [[nodiscard]] absl::StatusOr<PrepareCommit> BeginCommit(CheckpointId checkpoint) override;
  void Close() override { queue_->Close(); }

 private:
  void PushBlock();

  const Options options_;
  const std::string folder_;       // On the local disk.
  const std::string stored_name_;  // Of files in the checkpoint's store, up to the checkpoint.
  const std::shared_ptr<SinkIoQueue> queue_;
  std::string block_;                     // Encoded messages that are in no file yet.
  std::shared_ptr<KafkaSpoolFile> file_;  // Null while the epoch is small.
  uint64_t num_messages_ = 0;             // Of this epoch.
  std::string first_topic_;               // Of this epoch's first message.
  uint64_t num_files_ = 0;
};

}  // namespace weir::internal
