#include "jobmanager/job_metrics.h"

#include <string_view>
#include <utility>

namespace weir {
namespace {

double MillisSince(absl::Time since, absl::Time now) {
  if (since == absl::InfinitePast() || now < since) return 0;
  return static_cast<double>(absl::ToInt64Milliseconds(now - since));
}

double EpochMillis(absl::Time time) {
  return time == absl::InfinitePast() ? -1 : static_cast<double>(absl::ToUnixMillis(time));
}

// Each is 0 unless the job is in that state now.
void AddStateTimes(const JobMetricsInput& job, absl::Time now, MetricReportBuilder* report) {
  constexpr std::pair<std::string_view, JobStatus> kStates[] = {
      {"initializingTime", JobStatus::kInitializing}, {"createdTime", JobStatus::kCreated},
      {"runningTime", JobStatus::kRunning},           {"failingTime", JobStatus::kFailing},
      {"cancellingTime", JobStatus::kCancelling},     {"restartingTime", JobStatus::kRestarting}};
  for (const auto& [name, status] : kStates) {
    report->Add(name, job.status == status ? MillisSince(job.timestamps[status], now) : 0);
  }
  const bool running = job.status == JobStatus::kRunning;
  const bool all_running = running && job.all_running_since != absl::InfinitePast();
  report->Add("allSubTasksRunningOrFinishedTime",
              all_running ? MillisSince(job.all_running_since, now) : 0);
  report->Add("deployingTime",
              running && !all_running ? MillisSince(job.timestamps[JobStatus::kRunning], now) : 0);
}

void AddUpAndDowntime(const JobMetricsInput& job, absl::Time now, MetricReportBuilder* report) {
  const bool ended = IsGloballyTerminal(job.status);
  const bool running = job.status == JobStatus::kRunning;
  const bool was_running = job.timestamps[JobStatus::kRunning] != absl::InfinitePast();
  absl::Time down_since = job.timestamps[JobStatus::kRestarting];
  if (job.status == JobStatus::kFailing) down_since = job.timestamps[JobStatus::kFailing];
  if (job.status == JobStatus::kCancelling) down_since = job.timestamps[JobStatus::kCancelling];
  double uptime = running ? MillisSince(job.timestamps[JobStatus::kRunning], now) : 0;
  double downtime = !running && was_running ? MillisSince(down_since, now) : 0;
  report->Add("uptime", ended ? -1 : uptime);
  report->Add("downtime", ended ? -1 : downtime);
}

void AddCheckpoints(const JobMetricsInput& job, MetricReportBuilder* report) {
  const CheckpointCounts& counts = job.checkpoint_counts;
  report->Add("totalNumberOfCheckpoints", static_cast<double>(counts.total));
  report->Add("numberOfInProgressCheckpoints", static_cast<double>(counts.in_progress));
  report->Add("numberOfCompletedCheckpoints", static_cast<double>(counts.completed));
  report->Add("numberOfFailedCheckpoints", static_cast<double>(counts.failed));
  report->Add("lastCheckpointRestoreTimestamp", EpochMillis(job.latest_restore_time));
  const CheckpointDetails* const latest = job.latest_completed;
  const CheckpointTotals& totals = job.latest_totals;
  const auto known = [latest](double value) { return latest == nullptr ? -1 : value; };
  report->Add("lastCompletedCheckpointId",
              known(latest == nullptr ? -1 : static_cast<double>(latest->id.value())));
  report->Add("lastCheckpointDuration",
              known(absl::ToDoubleMilliseconds(totals.end_to_end_duration)));
  report->Add("lastCheckpointSize", known(static_cast<double>(totals.checkpointed_size_bytes)));
  report->Add("lastCheckpointFullSize", known(static_cast<double>(totals.state_size_bytes)));
  report->Add("lastCheckpointProcessedData",
              known(static_cast<double>(totals.processed_data_bytes)));
  report->Add("lastCheckpointPersistedData",
              known(static_cast<double>(totals.persisted_data_bytes)));
  report->Add("lastCheckpointCompletedTimestamp",
              known(EpochMillis(totals.latest_ack_time.value_or(absl::InfinitePast()))));
  report->AddText("lastCheckpointExternalPath", latest == nullptr ? "n/a" : latest->external_path);
}

}  // namespace

void AddJobMetrics(const JobMetricsInput& job, absl::Time now, MetricReportBuilder* report) {
  report->Add("numRestarts", static_cast<double>(job.num_restarts));
  report->Add("numRescales", static_cast<double>(job.num_rescales));
  AddUpAndDowntime(job, now, report);
  AddStateTimes(job, now, report);
  AddCheckpoints(job, report);
}

}  // namespace weir
