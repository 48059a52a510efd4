#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/dispatcher_gateway.h"
#include "jobmanager/rest/internal/asynchronous_operations.h"
#include "jobmanager/rest/rest_api.h"

namespace weir::internal {

/// Each function returns the JSON text of one answer of Flink's REST API; `now` is what its
/// durations run to.

[[nodiscard]] std::string RenderDashboardConfig(const RestApiOptions& options);
[[nodiscard]] std::string RenderClusterOverview(const ClusterOverview& overview,
                                                const RestApiOptions& options);
[[nodiscard]] std::string RenderTaskManagers(const std::vector<TaskManagerInfo>& taskmanagers);
[[nodiscard]] std::string RenderTaskManager(const TaskManagerInfo& taskmanager);
/// Values of keys that look like secrets are masked.
[[nodiscard]] std::string RenderConfig(const std::vector<ConfigurationEntry>& entries);
[[nodiscard]] std::string RenderJars(const std::vector<JarFile>& jars, std::string_view address);
[[nodiscard]] std::string RenderUploadedJar(std::string_view jar_id);
[[nodiscard]] std::string RenderJobId(JobId job_id);

[[nodiscard]] std::string RenderJobIds(const std::vector<JobOverview>& jobs);
[[nodiscard]] std::string RenderJobsOverview(const std::vector<JobOverview>& jobs, absl::Time now);
[[nodiscard]] std::string RenderJob(const JobDetails& job, absl::Time now);
[[nodiscard]] std::string RenderJobStatus(JobStatus status);
[[nodiscard]] std::string RenderJobConfig(const JobDetails& job);
[[nodiscard]] std::string RenderJobPlan(const JobDetails& job);
[[nodiscard]] std::string RenderJobResult(const JobResult& result);
[[nodiscard]] std::string RenderExceptions(const ExceptionHistory& history);

[[nodiscard]] std::string RenderVertex(const VertexDetails& vertex, absl::Time now);
[[nodiscard]] std::string RenderSubtask(const SubtaskDetails& subtask, absl::Time now);
/// Flink's shapes without entries, for weir has no accumulators.
[[nodiscard]] std::string RenderVertexAccumulators(const VertexDetails& vertex);
[[nodiscard]] std::string RenderSubtaskAccumulators(const VertexDetails& vertex);
[[nodiscard]] std::string RenderSubtaskTimes(const VertexDetails& vertex, absl::Time now);
[[nodiscard]] std::string RenderVertexTaskManagers(const VertexDetails& vertex, absl::Time now);
[[nodiscard]] std::string RenderBackpressure(const VertexDetails& vertex, absl::Time now);
[[nodiscard]] std::string RenderWatermarks(const VertexDetails& vertex);
/// weir's own: how far event time has come in each split of a source, and which one holds it back.
[[nodiscard]] std::string RenderSplits(const VertexDetails& vertex, absl::Time now);

/// The names of all metrics, each once; of subtasks with `<index>.` before them if `by_index`.
[[nodiscard]] std::string RenderMetricNames(const std::vector<ScopeMetrics>& metrics,
                                            bool by_index);
/// The values of the names asked for, as texts; those that are not there are left out.
[[nodiscard]] std::string RenderMetricValues(const std::vector<ScopeMetrics>& metrics,
                                             const std::vector<std::string>& names, bool by_index);

/// What an aggregation shows.
struct MetricAggregation {
  bool min = true;
  bool max = true;
  bool avg = true;
  bool sum = true;
  bool skew = true;
};
/// Each name asked for, over all that have it; nothing at all if one of them is not there, or not a
/// number, as in Flink.
[[nodiscard]] std::string RenderAggregatedMetrics(const std::vector<ScopeMetrics>& metrics,
                                                  const std::vector<std::string>& names,
                                                  const MetricAggregation& aggregation);

[[nodiscard]] std::string RenderCheckpoints(const CheckpointStatistics& statistics, absl::Time now);
[[nodiscard]] std::string RenderCheckpointConfig(const CheckpointConfig& config);
[[nodiscard]] std::string RenderCheckpointDetails(const CheckpointDetails& checkpoint,
                                                  absl::Time now);
[[nodiscard]] std::string RenderCheckpointSubtasks(const CheckpointDetails& checkpoint,
                                                   const TaskCheckpointStatistics& task);
[[nodiscard]] std::string RenderTriggerResponse(TriggerId trigger_id);
[[nodiscard]] std::string RenderOperation(const AsynchronousOperations::Result& result);
[[nodiscard]] std::string RenderDisposal(const AsynchronousOperations::Result& result);

/// In Flink's shape.
[[nodiscard]] std::string RenderResourceRequirements(const ScalingDetails& scaling);
[[nodiscard]] std::string RenderRescales(const ScalingDetails& scaling, absl::Time now);
/// weir's own: what the job wants, what it has, and why they differ.
[[nodiscard]] std::string RenderScaling(const ScalingDetails& scaling);

}  // namespace weir::internal
