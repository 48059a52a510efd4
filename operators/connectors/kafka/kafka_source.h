#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/source.h"
#include "operators/connectors/kafka/kafka_record.h"

namespace weir {

/// Where reading begins at the first start of a job. Later the job's own positions count, and
/// partitions that came since are read from their beginning.
enum class KafkaStart {
  kEarliest,
  kLatest,
  kCommitted,  ///< What the group committed; the beginning where it has nothing.
  kTimestamp,  ///< The first record at or after start_time.
};

/// What a KafkaSource reads.
struct KafkaSourceOptions {
  std::string brokers{};  ///< host:port, several with commas between.
  std::vector<std::string> topics{};
  /// Positions are committed to this group after each checkpoint, for others to see; the job itself
  /// restores its own. Empty: they are not.
  std::string group_id{};
  KafkaStart start = KafkaStart::kEarliest;
  absl::Time start_time = absl::InfinitePast();  ///< For kTimestamp.
  /// True: ends at the ends that the partitions have at the start.
  bool bounded = false;
  /// librdkafka's own properties (security.protocol, fetch.wait.max.ms, …).
  std::map<std::string, std::string> properties{};
  absl::Duration discovery_interval = absl::Seconds(10);
  /// How long a topic may be unknown, from when the brokers first answer, before the job fails.
  absl::Duration topic_timeout = absl::Seconds(30);
};

/// Reads topics of Kafka, exactly once: positions are part of each checkpoint. The event time is
/// the record's timestamp.
///
/// Partition p of a topic goes to reader (hash(topic) + p) modulo the parallelism. While brokers
/// are down, it waits and tries again. Errors: kInvalidArgument for a wrong option or property;
/// kNotFound for an unknown topic; kUnauthenticated; whatever librdkafka calls fatal.
class KafkaSource final : public Source<KafkaRecord> {
 public:
  explicit KafkaSource(KafkaSourceOptions options);

  /// Checks options and properties without a broker; done at the start too. Errors:
  /// kInvalidArgument, with the nearest property that there is.
  [[nodiscard]] absl::Status Validate() const;

  [[nodiscard]] std::unique_ptr<SplitEnumerator> CreateEnumerator() const override;
  [[nodiscard]] std::unique_ptr<SourceReader<KafkaRecord>> CreateReader() const override;

 private:
  const KafkaSourceOptions options_;
};

}  // namespace weir
