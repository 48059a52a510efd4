#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "operators/api/sink.h"
#include "operators/connectors/kafka/internal/kafka_spool.h"
#include "operators/connectors/kafka/internal/kafka_transactional_producer.h"
#include "operators/connectors/kafka/kafka_sink_options.h"

namespace weir::internal {

/// Writes the epochs of a KafkaSink, each once: one that the brokers know to be written is skipped.
///
/// An epoch is written under the transactional id of the subtask that took it, whoever commits it,
/// so that whatever an earlier attempt has begun is ended first. Threads: see Committer.
class KafkaCommitter final : public Committer {
 public:
  /// `own_id` is this subtask's transactional id; empty for a sink that is not exactly once.
  KafkaCommitter(SinkContext& context, KafkaSinkOptions options, std::string own_id);
  ~KafkaCommitter() override;

  [[nodiscard]] std::string Identity() const override { return own_id_; }
  /// Ends the transactions that the predecessors left open.
  [[nodiscard]] absl::Status Open(bool restored,
                                  const std::vector<std::string>& predecessors) override;
  [[nodiscard]] absl::Status Commit(const std::vector<Committable>& committables) override;
  void Close() override { closed_.store(true, std::memory_order_relaxed); }

 private:
  absl::StatusOr<KafkaTransactionalProducer*> ProducerOf(const std::string& transactional_id);
  absl::Status CommitEpoch(const KafkaEpoch& epoch);
  absl::Status Write(KafkaTransactionalProducer& producer, const KafkaEpoch& epoch);

  const KafkaSinkOptions options_;
  const std::string own_id_;
  const std::string folder_;  // On the local disk.
  const std::shared_ptr<StateFileStore> store_;
  std::atomic<bool> closed_{false};
  std::map<std::string, std::unique_ptr<KafkaTransactionalProducer>> producers_;  // By id.
};

}  // namespace weir::internal
