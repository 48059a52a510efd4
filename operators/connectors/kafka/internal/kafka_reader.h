#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operators/api/source.h"
#include "operators/connectors/kafka/internal/kafka_split.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/kafka/kafka_source.h"

struct rd_kafka_message_s;

namespace weir::internal {

/// Reads the partitions of one subtask with one consumer, which fetches in the background within a
/// bound and wakes the task. It is assigned its partitions, never joins a group.
class KafkaReader final : public SourceReader<KafkaRecord> {
 public:
  explicit KafkaReader(KafkaSourceOptions options);
  ~KafkaReader() override;

  [[nodiscard]] absl::Status Start(SourceReaderContext& context) override;
  [[nodiscard]] absl::Status AddSplits(std::vector<SourceSplit> splits) override;
  void NotifyNoMoreSplits() override { no_more_splits_ = true; }
  [[nodiscard]] absl::StatusOr<ReadStatus> Poll(SourceOutput<KafkaRecord>& output) override;
  [[nodiscard]] std::vector<SourceSplit> Snapshot(CheckpointId checkpoint) override;
  [[nodiscard]] absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) override;
  [[nodiscard]] bool SupportsPausing() const override { return true; }
  [[nodiscard]] absl::Status PauseOrResumeSplits(
      const std::vector<std::string>& to_pause, const std::vector<std::string>& to_resume) override;
  [[nodiscard]] bool IsCaughtUp() const override;
  void Close() override;

 private:
  struct HeldSplit {
    KafkaSplit split;
    std::string id;
    bool caught_up = false;
    Gauge* current_offset = nullptr;
    Gauge* committed_offset = nullptr;
    bool paused = false;
  };
  using Partition = std::pair<std::string, int32_t>;
  class Consumer;

  absl::Status HandleMessage(const rd_kafka_message_s& message, SourceOutput<KafkaRecord>& output);
  HeldSplit* FindSplit(const rd_kafka_message_s& message);
  void AdvanceTo(HeldSplit& held, int64_t offset);
  absl::Status ReleaseFinished();
  HeldSplit Hold(KafkaSplit split, std::string id, bool caught_up);
  void RemoveMetrics(const Partition& partition);
  void UpdateMetrics();
  void TellFinished(SourceOutput<KafkaRecord>& output);

  const KafkaSourceOptions options_;
  SourceReaderContext* context_ = nullptr;
  std::unique_ptr<Consumer> consumer_;  // Once there is a split.
  std::map<Partition, HeldSplit> splits_;
  std::vector<Partition> finished_;        // Read to their end, but still fetched.
  std::vector<std::string> finished_ids_;  // To be told.
  bool no_more_splits_ = false;
  // Of each checkpoint that is under way, what to commit to the group.
  std::map<CheckpointId, std::vector<KafkaSplit>> positions_;
  // The split of the message before: messages come in runs of one partition.
  HeldSplit* last_split_ = nullptr;
  const void* last_topic_ = nullptr;
  int32_t last_partition_ = -1;
  Gauge* pending_records_ = nullptr;
  MetricGroup* group_ = nullptr;
  int64_t next_metrics_nanos_ = 0;
};

}  // namespace weir::internal
