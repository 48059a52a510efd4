// What people see of a job.

#include <utility>

#include "jobmanager/job_master.h"
#include "jobmanager/job_metrics.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {

JobOverview JobMaster::Overview() const {
  JobOverview overview;
  overview.id = job_.id;
  overview.name = job_.graph->job_name;
  overview.status = status_;
  overview.start_time = timestamps_[JobStatus::kInitializing];
  overview.last_modification = last_modification_;
  if (IsGloballyTerminal(status_)) overview.end_time = timestamps_[status_];
  overview.task_counts = executions_.CountStates();
  return overview;
}

JobDetails JobMaster::Details() const {
  JobDetails details;
  details.id = job_.id;
  details.name = job_.graph->job_name;
  details.status = status_;
  details.start_time = timestamps_[JobStatus::kInitializing];
  if (IsGloballyTerminal(status_)) details.end_time = timestamps_[status_];
  details.timestamps = timestamps_;
  details.vertices = executions_.Details();
  details.plan = executions_.MakePlan();
  details.execution_config.restart_strategy = restart_strategy_->Describe();
  details.execution_config.parallelism = job_.settings.Get(kParallelismDefault);
  details.execution_config.user_config = job_.graph->settings;
  return details;
}

JobResult JobMaster::Result() const {
  JobResult result;
  result.id = job_.id;
  result.status = status_;
  const absl::Time end =
      IsGloballyTerminal(status_) ? timestamps_[status_] : services_.executor->clock()->Now();
  result.net_runtime = end - timestamps_[JobStatus::kInitializing];
  if (status_ == JobStatus::kFailed && !exceptions_.empty()) result.failure = exceptions_.front();
  return result;
}

ScalingDetails JobMaster::Scaling() const {
  ScalingDetails details = scheduler_.Details();
  details.id = job_.id;
  details.status = status_;
  if (IsGloballyTerminal(status_)) details.reason.clear();
  return details;
}

MetricReport JobMaster::Metrics(const std::string& labels) const {
  const CheckpointStatisticsTracker& checkpoints = checkpoints_.tracker();
  JobMetricsInput input;
  input.status = status_;
  input.timestamps = timestamps_;
  input.all_running_since = all_running_since_;
  input.num_restarts = num_restarts_;
  input.num_rescales = scheduler_.num_rescales();
  input.checkpoint_counts = checkpoints.counts();
  input.latest_completed = checkpoints.latest_completed();
  input.latest_totals = checkpoints.latest_totals();
  input.latest_restore_time = checkpoints.latest_restore_time();
  MetricReportBuilder report("flink_jobmanager_job", LabelsOf(labels));
  AddJobMetrics(input, services_.executor->clock()->Now(), &report);
  return report.Finish();
}

std::string JobMaster::LabelsOf(const std::string& labels) const {
  return StrCat(labels, ",", PrometheusLabel("job_id", ToString(job_.id)), ",",
                PrometheusLabel("job_name", job_.graph->job_name));
}

std::vector<ScopeMetrics> JobMaster::SubtaskMetrics(JobVertexId vertex) {
  std::vector<ScopeMetrics> metrics;
  const ExecutionJobVertex* const found = executions_.FindVertex(vertex);
  if (found == nullptr) return metrics;
  for (const ExecutionVertex& subtask : found->subtasks) {
    const MetricReport& report = subtask.current->report();
    if (report.layout != nullptr) metrics.push_back({subtask.subtask, report});
  }
  return metrics;
}

std::vector<ScopeMetrics> JobMaster::CoordinatorMetrics(JobVertexId vertex) {
  std::vector<ScopeMetrics> metrics;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.vertex == vertex && coordinator.report.layout != nullptr) {
      metrics.push_back({0, coordinator.report});
    }
  }
  return metrics;
}

std::vector<MetricReport> JobMaster::CoordinatorReports(const std::string& labels) const {
  std::vector<MetricReport> reports;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.report.layout == nullptr) continue;
    MetricReportBuilder report(
        "flink_jobmanager_job_operator_coordinator",
        StrCat(LabelsOf(labels), ",", PrometheusLabel("task_id", ToString(coordinator.vertex)), ",",
               PrometheusLabel("operator_id", ToString(coordinator.operator_id))));
    for (size_t i = 0; i < coordinator.report.values.size(); ++i) {
      // "<operator>.coordinator.<metric>": the operator is a label here.
      std::string_view name = coordinator.report.layout->names[i];
      constexpr std::string_view kCoordinator = ".coordinator.";
      const size_t at = name.find(kCoordinator);
      if (at != std::string_view::npos) name.remove_prefix(at + kCoordinator.size());
      report.Add(name, coordinator.report.values[i]);
    }
    reports.push_back(report.Finish());
  }
  return reports;
}

}  // namespace weir
