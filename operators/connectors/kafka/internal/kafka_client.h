#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/connectors/kafka/internal/kafka_configuration.h"
#include "runtime/base/mutex.h"

struct rd_kafka_s;
struct rd_kafka_topic_partition_list_s;

namespace weir::internal {

/// A librdkafka client whose log goes to ours. Destroying it blocks: do it on the I/O pool.
/// Threads: any.
class KafkaClient {
 public:
  /// Errors: kInvalidArgument, from the configuration. Connects in the background.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KafkaClient>> Create(
      const KafkaConfiguration& configuration);
  ~KafkaClient();
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  [[nodiscard]] rd_kafka_s* get() const { return client_; }
  /// What went wrong and will not mend: fatal errors, refused credentials. Known after a poll.
  [[nodiscard]] absl::Status status() const;

  /// For a consumer: commits offsets to its group, without waiting. A failure is logged.
  [[nodiscard]] absl::Status CommitOffsets(const rd_kafka_topic_partition_list_s* offsets);
  /// How many commits have no answer yet; polls get the answers.
  [[nodiscard]] int num_commits_under_way() const {
    return commits_under_way_.load(std::memory_order_relaxed);
  }

 private:
  KafkaClient() = default;
  void OnError(int code, std::string_view reason);

  rd_kafka_s* client_ = nullptr;
  KafkaConfiguration::DeliveryCallback on_delivery_ = nullptr;
  std::atomic<int> commits_under_way_{0};
  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  int last_code_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_logged_nanos_ ABSL_GUARDED_BY(mutex_) = 0;
};

/// Returns a librdkafka error code as a status that says `what`.
[[nodiscard]] absl::Status KafkaError(std::string_view what, int code);

}  // namespace weir::internal
