#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "runtime/base/ids.h"

namespace weir {

/// Minimum, maximum, mean and percentiles of a set of numbers.
struct StatsSummary {
  int64_t min = 0;
  int64_t max = 0;
  int64_t avg = 0;
  int64_t sum = 0;
  double p25 = 0;
  double p50 = 0;
  double p75 = 0;
  double p90 = 0;
  double p95 = 0;
  double p99 = 0;
  double p999 = 0;
};

/// Summarises `samples`, in any order. Percentiles interpolate between neighbours as Flink's do.
/// Without samples the integers are 0 and the percentiles NaN.
[[nodiscard]] StatsSummary Summarize(std::vector<int64_t> samples);

enum class CheckpointStatus : uint8_t { kInProgress, kCompleted, kFailed };

enum class CheckpointKind : uint8_t {
  kCheckpoint,
  kUnalignedCheckpoint,
  kSavepoint,
  kSyncSavepoint
};

/// What one subtask did for one checkpoint; counted once it has acknowledged.
struct SubtaskCheckpointStatistics {
  uint32_t index = 0;
  /// Absent while the subtask has not acknowledged; nothing below counts then.
  std::optional<absl::Time> ack_time = {};
  absl::Duration end_to_end_duration = {};
  /// Bytes newly written, and bytes of the whole state.
  int64_t checkpointed_size_bytes = 0;
  int64_t state_size_bytes = 0;
  absl::Duration sync_duration = {};
  absl::Duration async_duration = {};
  absl::Duration alignment_duration = {};
  absl::Duration start_delay = {};
  /// Bytes of input seen during alignment, and of those that went into the checkpoint.
  int64_t processed_data_bytes = 0;
  int64_t persisted_data_bytes = 0;
  bool unaligned = false;
  bool aborted = false;
};

/// One vertex within one checkpoint.
struct TaskCheckpointStatistics {
  JobVertexId vertex_id = {};
  /// One entry a subtask, ordered by index.
  std::vector<SubtaskCheckpointStatistics> subtasks = {};
};

/// One checkpoint. Totals over its subtasks are derived from `tasks` where it is shown.
struct CheckpointDetails {
  CheckpointId id = {};
  CheckpointStatus status = CheckpointStatus::kInProgress;
  CheckpointKind kind = CheckpointKind::kCheckpoint;
  /// "CANONICAL" or "NATIVE" for savepoints, else empty.
  std::string savepoint_format = {};
  absl::Time trigger_time = {};
  std::vector<TaskCheckpointStatistics> tasks = {};
  /// Completed checkpoints: where it lies, and whether it has been deleted since.
  std::string external_path = {};
  bool discarded = false;
  /// Failed checkpoints: when and why.
  absl::Time failure_time = {};
  std::string failure_message = {};
};

struct RestoredCheckpoint {
  CheckpointId id = {};
  absl::Time restore_time = {};
  bool is_savepoint = false;
  std::string external_path = {};
};

struct CheckpointCounts {
  uint64_t restored = 0;
  uint64_t total = 0;
  uint64_t in_progress = 0;
  uint64_t completed = 0;
  uint64_t failed = 0;
};

/// Over all completed checkpoints of the job that the coordinator remembers. Durations in
/// milliseconds.
struct CheckpointSummary {
  StatsSummary checkpointed_size = {};
  StatsSummary state_size = {};
  StatsSummary end_to_end_duration_ms = {};
  StatsSummary processed_data = {};
  StatsSummary persisted_data = {};
};

/// What a job's checkpoints page shows.
struct CheckpointStatistics {
  CheckpointCounts counts = {};
  CheckpointSummary summary = {};
  std::optional<CheckpointDetails> latest_completed = {};
  std::optional<CheckpointDetails> latest_savepoint = {};
  std::optional<CheckpointDetails> latest_failed = {};
  std::optional<RestoredCheckpoint> latest_restored = {};
  /// Newest first.
  std::vector<CheckpointDetails> history = {};
};

struct CheckpointConfig {
  bool exactly_once = true;
  /// absl::InfiniteDuration() when there are no periodic checkpoints.
  absl::Duration interval = absl::Seconds(1);
  absl::Duration timeout = absl::Minutes(10);
  absl::Duration min_pause = {};
  uint32_t max_concurrent = 1;
  bool externalized = false;
  bool delete_on_cancellation = true;
  std::string state_backend = {};
  std::string checkpoint_storage = {};
  bool unaligned = false;
  uint32_t tolerable_failed_checkpoints = 0;
  absl::Duration aligned_checkpoint_timeout = {};
  bool checkpoints_after_tasks_finish = true;
};

/// Totals over the acknowledged subtasks of one vertex or of a whole checkpoint.
struct CheckpointTotals {
  std::optional<absl::Time> latest_ack_time = {};
  absl::Duration end_to_end_duration = {};
  int64_t checkpointed_size_bytes = 0;
  int64_t state_size_bytes = 0;
  int64_t processed_data_bytes = 0;
  int64_t persisted_data_bytes = 0;
  uint32_t num_subtasks = 0;
  uint32_t num_acknowledged_subtasks = 0;
};

[[nodiscard]] CheckpointTotals TotalsOf(const TaskCheckpointStatistics& task);
[[nodiscard]] CheckpointTotals TotalsOf(const CheckpointDetails& checkpoint);

}  // namespace weir
