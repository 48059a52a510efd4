#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "jobmanager/checkpoint_statistics.h"
#include "jobmanager/job_status.h"
#include "runtime/metrics/metric_report.h"

namespace weir {

/// What a job's own metrics are made of. Instants are absl::InfinitePast() while they have not
/// come.
struct JobMetricsInput {
  JobStatus status = JobStatus::kInitializing;
  JobStatusTimestamps timestamps = {};
  /// Since when all subtasks are RUNNING or FINISHED.
  absl::Time all_running_since = absl::InfinitePast();
  uint64_t num_restarts = 0;
  uint64_t num_rescales = 0;
  CheckpointCounts checkpoint_counts = {};
  /// Of the newest completed checkpoint; null if there is none.
  const CheckpointDetails* latest_completed = nullptr;
  CheckpointTotals latest_totals = {};
  absl::Time latest_restore_time = absl::InfinitePast();
};

/// Adds them by Flink's names. Durations are in milliseconds, and -1 where Flink has it so: uptime
/// and downtime of an ended job, and everything about a checkpoint that has not come.
void AddJobMetrics(const JobMetricsInput& job, absl::Time now, MetricReportBuilder* report);

}  // namespace weir
