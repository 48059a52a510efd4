#include "jobmanager/checkpoint_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace weir {
namespace {

/// `sorted` is not empty. Position p * (n + 1), counted from 1, with linear interpolation.
double Percentile(const std::vector<int64_t>& sorted, double fraction) {
  const double position = fraction * static_cast<double>(sorted.size() + 1);
  if (position < 1) return static_cast<double>(sorted.front());
  if (position >= static_cast<double>(sorted.size())) return static_cast<double>(sorted.back());
  const auto below = static_cast<size_t>(std::floor(position));
  const auto lower = static_cast<double>(sorted[below - 1]);
  const auto upper = static_cast<double>(sorted[below]);
  return lower + (position - std::floor(position)) * (upper - lower);
}

void AddTask(const TaskCheckpointStatistics& task, CheckpointTotals* totals) {
  totals->num_subtasks += static_cast<uint32_t>(task.subtasks.size());
  for (const SubtaskCheckpointStatistics& subtask : task.subtasks) {
    if (!subtask.ack_time.has_value()) continue;
    ++totals->num_acknowledged_subtasks;
    totals->latest_ack_time =
        std::max(totals->latest_ack_time.value_or(absl::InfinitePast()), *subtask.ack_time);
    totals->end_to_end_duration =
        std::max(totals->end_to_end_duration, subtask.end_to_end_duration);
    totals->checkpointed_size_bytes += subtask.checkpointed_size_bytes;
    totals->state_size_bytes += subtask.state_size_bytes;
    totals->processed_data_bytes += subtask.processed_data_bytes;
    totals->persisted_data_bytes += subtask.persisted_data_bytes;
  }
}

}  // namespace

StatsSummary Summarize(std::vector<int64_t> samples) {
  StatsSummary summary;
  if (samples.empty()) {
    summary.p25 = summary.p50 = summary.p75 = summary.p90 = summary.p95 = summary.p99 =
        summary.p999 = std::numeric_limits<double>::quiet_NaN();
    return summary;
  }
  std::sort(samples.begin(), samples.end());
  summary.min = samples.front();
  summary.max = samples.back();
  summary.sum = std::accumulate(samples.begin(), samples.end(), int64_t{0});
  summary.avg = summary.sum / static_cast<int64_t>(samples.size());
  summary.p25 = Percentile(samples, 0.25);
  summary.p50 = Percentile(samples, 0.5);
  summary.p75 = Percentile(samples, 0.75);
  summary.p90 = Percentile(samples, 0.9);
  summary.p95 = Percentile(samples, 0.95);
  summary.p99 = Percentile(samples, 0.99);
  summary.p999 = Percentile(samples, 0.999);
  return summary;
}

CheckpointTotals TotalsOf(const TaskCheckpointStatistics& task) {
  CheckpointTotals totals;
  AddTask(task, &totals);
  return totals;
}

CheckpointTotals TotalsOf(const CheckpointDetails& checkpoint) {
  CheckpointTotals totals;
  for (const TaskCheckpointStatistics& task : checkpoint.tasks) AddTask(task, &totals);
  return totals;
}

}  // namespace weir
