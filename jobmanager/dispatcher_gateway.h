#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/checkpoint_statistics.h"
#include "jobmanager/cluster_information.h"
#include "jobmanager/job_details.h"
#include "jobmanager/metric_query.h"
#include "jobmanager/rescaling.h"
#include "jobmanager/savepoint.h"
#include "runtime/base/ids.h"

namespace weir {

/// What the faces of a JobManager (REST, later the web UI) may ask of it.
///
/// Threads: every method may be called from any thread, returns at once, and calls `done` exactly
/// once, later or before it returns, on any thread (usually the JobManager's event loop). So `done`
/// must be quick and must not block; the REST server only queues the answer there and renders it on
/// its own threads. A gateway that shuts down calls the `done`s it still holds with kUnavailable,
/// or destroys them.
///
/// Errors of every method: kNotFound (no such job, vertex, checkpoint, TaskManager or library),
/// kUnavailable (the JobManager starts, stops or is not the leader); others where stated. Messages
/// reach users unchanged.
class DispatcherGateway {
 public:
  template <class T>
  using Callback = std::function<void(absl::StatusOr<T>)>;
  using StatusCallback = std::function<void(absl::Status)>;

  virtual ~DispatcherGateway() = default;

  virtual void RequestClusterOverview(Callback<ClusterOverview> done) = 0;
  /// Running and ended jobs, newest first.
  virtual void RequestJobs(Callback<std::vector<JobOverview>> done) = 0;
  virtual void RequestJob(JobId job_id, Callback<JobDetails> done) = 0;
  /// A job that has not ended has a result that is not globally terminal; that is no error.
  virtual void RequestJobResult(JobId job_id, Callback<JobResult> done) = 0;
  /// Begins to cancel; done when the order is taken, not when the job is CANCELED. Cancelling twice
  /// is fine. Errors: kFailedPrecondition if the job has already FINISHED or FAILED.
  virtual void CancelJob(JobId job_id, StatusCallback done) = 0;
  /// At most `max_entries` failures, newest first.
  virtual void RequestExceptions(JobId job_id, size_t max_entries,
                                 Callback<ExceptionHistory> done) = 0;

  /// What the job wants, what it has, and its last rescales.
  virtual void RequestScaling(JobId job_id, Callback<ScalingDetails> done) = 0;
  /// Makes the job want another parallelism; done when the order is taken, not when the job is
  /// rescaled. Errors: kInvalidArgument if they do not fit the job; kFailedPrecondition if it
  /// cannot be rescaled, with what would help.
  virtual void UpdateRequirements(JobId job_id, ResourceRequirements requirements,
                                  StatusCallback done) = 0;

  virtual void RequestCheckpoints(JobId job_id, Callback<CheckpointStatistics> done) = 0;
  virtual void RequestCheckpointDetails(JobId job_id, CheckpointId checkpoint_id,
                                        Callback<CheckpointDetails> done) = 0;
  virtual void RequestCheckpointConfig(JobId job_id, Callback<CheckpointConfig> done) = 0;
  /// Triggers a checkpoint now; done when it has completed or failed.
  virtual void TriggerCheckpoint(JobId job_id, Callback<CheckpointId> done) = 0;
  /// Answers the folder that a savepoint of the job goes to: `given`, or the one that is set if
  /// that is empty. Errors: kInvalidArgument if there is neither; kFailedPrecondition if the job
  /// has ended.
  virtual void ResolveSavepointDirectory(JobId job_id, std::string given,
                                         Callback<std::string> done) = 0;
  /// Takes a savepoint now; answers its path when it is complete and the job has become what the
  /// request says. Errors: why there is none.
  virtual void TriggerSavepoint(JobId job_id, SavepointRequest request,
                                Callback<std::string> done) = 0;
  /// Answers the result of a savepoint that was triggered under an earlier leader. Errors:
  /// kNotFound if none is known by that id; kAborted if that leader was lost meanwhile; else as
  /// TriggerSavepoint's.
  virtual void RequestFormerSavepoint(JobId job_id, std::string operation_id,
                                      Callback<std::string> done) = 0;
  /// Deletes a savepoint or a retained checkpoint with its files. Errors: kNotFound if there is
  /// none, kFailedPrecondition if a job needs it, kDataLoss if its metadata is damaged.
  virtual void DisposeSavepoint(std::string path, StatusCallback done) = 0;

  virtual void RequestTaskManagers(Callback<std::vector<TaskManagerInfo>> done) = 0;
  virtual void RequestTaskManager(std::string taskmanager_id, Callback<TaskManagerInfo> done) = 0;
  /// The newest metrics of what the query asks for. Never an error but kUnavailable: what is
  /// unknown has no metrics.
  virtual void RequestMetrics(MetricQuery query, Callback<std::vector<ScopeMetrics>> done) = 0;
  /// Everything that the JobManager itself shows to Prometheus: its own metrics, its jobs' and
  /// their coordinators'. Those of tasks are on the TaskManagers.
  virtual void RequestMetricReports(Callback<std::vector<MetricReport>> done) = 0;
  /// The JobManager's effective configuration, defaults included, ordered by key.
  virtual void RequestConfig(Callback<std::vector<ConfigurationEntry>> done) = 0;

  /// Takes in a job library called `name` (a plain file name) from the file at `path`; answers its
  /// id. The gateway moves or copies the file before it calls `done`; what is left at `path` is
  /// then removed by the caller. Errors: kInvalidArgument if the file is no job library of this
  /// build.
  virtual void UploadJar(std::string name, std::string path, Callback<std::string> done) = 0;
  /// Uploaded libraries and those shipped with weir.
  virtual void ListJars(Callback<std::vector<JarFile>> done) = 0;
  /// Errors: kFailedPrecondition for a library shipped with weir.
  virtual void DeleteJar(std::string jar_id, StatusCallback done) = 0;
  /// Builds the job graph and submits it; answers once the job is known to RequestJob.
  /// Errors: kInvalidArgument with the builder's own message if the graph cannot be built.
  virtual void RunJar(JarRunRequest request, Callback<JobId> done) = 0;
};

}  // namespace weir
