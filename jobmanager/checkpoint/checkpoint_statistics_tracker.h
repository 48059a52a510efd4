#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/checkpoint_statistics.h"
#include "runtime/base/ids.h"

namespace weir {

/// Keeps what people see of a job's checkpoints: counts, the last ones in detail, and numbers of
/// completed ones. Threads: main thread.
class CheckpointStatisticsTracker {
 public:
  /// `history_size` checkpoints are kept in detail.
  explicit CheckpointStatisticsTracker(size_t history_size = 10) : history_size_(history_size) {}

  /// `tasks` has one entry per subtask; those that will not answer are acknowledged already.
  /// `savepoint_format` is empty unless it is a savepoint.
  void OnTriggered(CheckpointId id, absl::Time now, std::vector<TaskCheckpointStatistics> tasks,
                   CheckpointKind kind = CheckpointKind::kCheckpoint,
                   std::string_view savepoint_format = "");
  void OnAcknowledged(CheckpointId id, JobVertexId vertex,
                      const SubtaskCheckpointStatistics& subtask);
  void OnCompleted(CheckpointId id, std::string path);
  void OnFailed(CheckpointId id, absl::Time now, std::string message);
  /// What lay at `path` is no more.
  void OnDiscarded(const std::string& path);
  void OnRestored(RestoredCheckpoint restored);

  [[nodiscard]] CheckpointStatistics Snapshot() const;
  [[nodiscard]] const CheckpointCounts& counts() const { return counts_; }
  /// Of the newest completed checkpoint; null if there is none.
  [[nodiscard]] const CheckpointDetails* latest_completed() const {
    return latest_completed_.has_value() ? &*latest_completed_ : nullptr;
  }
  [[nodiscard]] CheckpointTotals latest_totals() const {
    return completed_.empty() ? CheckpointTotals() : completed_.back();
  }
  /// absl::InfinitePast() if nothing was restored.
  [[nodiscard]] absl::Time latest_restore_time() const {
    return latest_restored_.has_value() ? latest_restored_->restore_time : absl::InfinitePast();
  }

 private:
  CheckpointDetails* Find(CheckpointId id);

  const size_t history_size_;
  CheckpointCounts counts_;
  std::deque<CheckpointDetails> history_;  // Newest first; those in progress are never dropped.
  std::optional<CheckpointDetails> latest_completed_;
  std::optional<CheckpointDetails> latest_savepoint_;
  std::optional<CheckpointDetails> latest_failed_;
  std::optional<RestoredCheckpoint> latest_restored_;
  // Samples of the last completed checkpoints, for the summary.
  std::deque<CheckpointTotals> completed_;
};

}  // namespace weir
