#include "jobmanager/checkpoint/checkpoint_statistics_tracker.h"

#include <utility>

namespace weir {
namespace {

constexpr size_t kMaxSamples = 1000;

}  // namespace

void CheckpointStatisticsTracker::OnTriggered(CheckpointId id, absl::Time now,
                                              std::vector<TaskCheckpointStatistics> tasks,
                                              CheckpointKind kind,
                                              std::string_view savepoint_format) {
  ++counts_.total;
  ++counts_.in_progress;
  CheckpointDetails details;
  details.id = id;
  details.kind = kind;
  details.savepoint_format = savepoint_format;
  details.trigger_time = now;
  details.tasks = std::move(tasks);
  history_.push_front(std::move(details));
  if (history_.size() > history_size_ && history_.back().status != CheckpointStatus::kInProgress) {
    history_.pop_back();
  }
}

void CheckpointStatisticsTracker::OnAcknowledged(CheckpointId id, JobVertexId vertex,
                                                 const SubtaskCheckpointStatistics& subtask) {
  CheckpointDetails* const details = Find(id);
  if (details == nullptr) return;
  if (subtask.unaligned && details->kind == CheckpointKind::kCheckpoint) {
    details->kind = CheckpointKind::kUnalignedCheckpoint;
  }
  for (TaskCheckpointStatistics& task : details->tasks) {
    if (task.vertex_id != vertex || subtask.index >= task.subtasks.size()) continue;
    task.subtasks[subtask.index] = subtask;
  }
}

void CheckpointStatisticsTracker::OnCompleted(CheckpointId id, std::string path) {
  --counts_.in_progress;
  ++counts_.completed;
  CheckpointDetails* const details = Find(id);
  if (details == nullptr) return;
  details->status = CheckpointStatus::kCompleted;
  details->external_path = std::move(path);
  (details->savepoint_format.empty() ? latest_completed_ : latest_savepoint_) = *details;
  completed_.push_back(TotalsOf(*details));
  if (completed_.size() > kMaxSamples) completed_.pop_front();
}

void CheckpointStatisticsTracker::OnFailed(CheckpointId id, absl::Time now, std::string message) {
  --counts_.in_progress;
  ++counts_.failed;
  CheckpointDetails* const details = Find(id);
  if (details == nullptr) return;
  details->status = CheckpointStatus::kFailed;
  details->failure_time = now;
  details->failure_message = std::move(message);
  latest_failed_ = *details;
}

void CheckpointStatisticsTracker::OnDiscarded(const std::string& path) {
  const auto note = [&path](CheckpointDetails& details) {
    if (details.external_path == path) details.discarded = true;
  };
  for (CheckpointDetails& details : history_) note(details);
  if (latest_completed_.has_value()) note(*latest_completed_);
  if (latest_savepoint_.has_value()) note(*latest_savepoint_);
}

void CheckpointStatisticsTracker::OnRestored(RestoredCheckpoint restored) {
  ++counts_.restored;
  latest_restored_ = std::move(restored);
}

CheckpointStatistics CheckpointStatisticsTracker::Snapshot() const {
  CheckpointStatistics statistics;
  statistics.counts = counts_;
  statistics.latest_completed = latest_completed_;
  statistics.latest_savepoint = latest_savepoint_;
  statistics.latest_failed = latest_failed_;
  statistics.latest_restored = latest_restored_;
  statistics.history.assign(history_.begin(), history_.end());
  const auto summarize = [this](auto number) {
    std::vector<int64_t> samples;
    samples.reserve(completed_.size());
    for (const CheckpointTotals& totals : completed_) samples.push_back(number(totals));
    return Summarize(std::move(samples));
  };
  CheckpointSummary& summary = statistics.summary;
  summary.checkpointed_size = summarize([](auto& t) { return t.checkpointed_size_bytes; });
  summary.state_size = summarize([](auto& t) { return t.state_size_bytes; });
  summary.end_to_end_duration_ms =
      summarize([](auto& t) { return absl::ToInt64Milliseconds(t.end_to_end_duration); });
  summary.processed_data = summarize([](auto& t) { return t.processed_data_bytes; });
  summary.persisted_data = summarize([](auto& t) { return t.persisted_data_bytes; });
  return statistics;
}

CheckpointDetails* CheckpointStatisticsTracker::Find(CheckpointId id) {
  for (CheckpointDetails& details : history_) {
    if (details.id == id) return &details;
  }
  return nullptr;
}

}  // namespace weir
