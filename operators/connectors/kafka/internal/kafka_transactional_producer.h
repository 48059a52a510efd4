#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/kafka/internal/kafka_client.h"
#include "operators/connectors/kafka/internal/kafka_spool.h"
#include "operators/connectors/kafka/kafka_sink_options.h"
#include "runtime/base/mutex.h"

struct rd_kafka_error_s;

namespace weir::internal {

/// Writes epochs, each in one transaction together with the number of its checkpoint as an offset
/// of the epoch's group: whoever reads that offset knows whether the epoch has been written.
///
/// Made for one transactional id, which fences other producers of the id and ends the transaction
/// that one may have left open: with an abort, or with the commit if that had begun. So what is
/// read afterwards stands. After any error but kCancelled the producer is of no use; a new one
/// finds out what became of the transaction. Threads: one at a time; all methods block.
class KafkaTransactionalProducer {
 public:
  /// `closed` ends waits early. Errors: kInvalidArgument if a property is wrong or the brokers
  /// allow no transactions as long as transaction.timeout.ms; kPermissionDenied; kUnauthenticated;
  /// kUnavailable.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KafkaTransactionalProducer>> Create(
      const KafkaSinkOptions& options, const std::string& transactional_id,
      const std::atomic<bool>* closed);
  ~KafkaTransactionalProducer();
  KafkaTransactionalProducer(const KafkaTransactionalProducer&) = delete;
  KafkaTransactionalProducer& operator=(const KafkaTransactionalProducer&) = delete;

  /// Returns whether the epoch has been written, or one after it.
  [[nodiscard]] absl::StatusOr<bool> IsWritten(const KafkaEpoch& epoch);
  /// Writes the epoch. Errors: kUnavailable for what may pass; kAborted if another producer of the
  /// id has taken over; kNotFound, kPermissionDenied, kInvalidArgument if a topic is not there or
  /// does not take the records; kCancelled once closed. Whenever it can be, the transaction is
  /// aborted then.
  [[nodiscard]] absl::Status Write(const KafkaEpoch& epoch, KafkaSpoolReader& messages);

 private:
  KafkaTransactionalProducer(const KafkaSinkOptions& options, std::string transactional_id,
                             const std::atomic<bool>* closed);

  absl::Status Init();
  absl::Status ProduceAll(const KafkaEpoch& epoch, KafkaSpoolReader& messages);
  absl::Status Produce(const KafkaEpoch& epoch, const KafkaMessage& message);
  absl::Status FlushAll();
  absl::Status SendOffset(const KafkaEpoch& epoch);
  absl::Status CommitTransaction();
  void Abort();
  // Returns the error as a status that says `what`, and frees it.
  absl::Status TakeError(std::string_view what, rd_kafka_error_s* error) const;
  absl::StatusOr<int64_t> ReadOffset(const std::string& group, const std::string& topic);
  void OnFailure(int code, const char* topic);
  [[nodiscard]] absl::Status failure() const;
  [[nodiscard]] bool closed() const { return closed_->load(std::memory_order_relaxed); }

  const KafkaSinkOptions options_;
  const std::string transactional_id_;
  const std::atomic<bool>* const closed_;
  int64_t transaction_timeout_ms_ = 0;
  std::map<std::string, int64_t> written_;  // Offsets, by group and topic.
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // The first message that was not delivered.
  std::unique_ptr<KafkaClient> client_;           // The last member: its callbacks use the others.
};

/// Returns the value that librdkafka gives a producer's property under the sink's options. Errors:
/// kInvalidArgument.
[[nodiscard]] absl::StatusOr<int64_t> KafkaProducerProperty(const KafkaSinkOptions& options,
                                                            const std::string& name);

/// Errors: kInvalidArgument.
[[nodiscard]] absl::Status ValidateTransactionalProducer(const KafkaSinkOptions& options);

}  // namespace weir::internal
