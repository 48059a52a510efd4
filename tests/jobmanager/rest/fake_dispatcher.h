#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobmanager/dispatcher_gateway.h"
#include "runtime/base/mutex.h"

namespace weir {

/// A cluster with one running job of two vertices on one TaskManager, for tests of the REST API.
/// Answers at once, on the caller's thread, unless told to hold its answers. Thread-safe.
class FakeDispatcher : public DispatcherGateway {
 public:
  /// Operations of an earlier leader: one that completed, and one that was lost with it.
  static constexpr std::string_view kFormerSavepoint = "000000000000000000000000000000fa";
  static constexpr std::string_view kLostSavepoint = "000000000000000000000000000000fb";

  FakeDispatcher();

  [[nodiscard]] static JobId KnownJob() { return JobId(0x40b8176cf828b0c4, 0xd081cd8cae7357d1); }
  [[nodiscard]] static JobVertexId Source() {
    return JobVertexId(0x6bf01baa9d2ca23a, 0x3ef7ce311722523d);
  }
  [[nodiscard]] static JobVertexId Sink() {
    return JobVertexId(0x1fda57489fc99cc8, 0xf66c9108fd52ccef);
  }
  [[nodiscard]] static absl::Time Now() { return absl::FromUnixMillis(1'795'311'643'869); }

  /// Makes RequestClusterOverview keep its callbacks from now on.
  void HoldOverviews();
  [[nodiscard]] std::vector<Callback<ClusterOverview>> TakeHeldOverviews();
  /// Makes RequestTaskManagers throw.
  void ThrowOnTaskManagers();

  /// What TriggerSavepoint was asked for last. "/full" as target fails.
  [[nodiscard]] std::optional<SavepointRequest> last_savepoint() const;
  [[nodiscard]] std::vector<JobId> cancelled() const;
  [[nodiscard]] std::optional<JarRunRequest> last_run() const;
  [[nodiscard]] std::optional<ResourceRequirements> last_requirements() const;
  /// Uploaded libraries: name to content.
  [[nodiscard]] std::map<std::string, std::string> uploads() const;
  /// Where the gateway was told the newest upload lies.
  [[nodiscard]] std::string last_upload_path() const;

  void RequestClusterOverview(Callback<ClusterOverview> done) override;
  void RequestJobs(Callback<std::vector<JobOverview>> done) override;
  void RequestJob(JobId job_id, Callback<JobDetails> done) override;
  void RequestJobResult(JobId job_id, Callback<JobResult> done) override;
  void CancelJob(JobId job_id, StatusCallback done) override;
  void RequestExceptions(JobId job_id, size_t max_entries,
                         Callback<ExceptionHistory> done) override;
  void RequestScaling(JobId job_id, Callback<ScalingDetails> done) override;
  void UpdateRequirements(JobId job_id, ResourceRequirements requirements,
                          StatusCallback done) override;
  void RequestCheckpoints(JobId job_id, Callback<CheckpointStatistics> done) override;
  void RequestCheckpointDetails(JobId job_id, CheckpointId checkpoint_id,
                                Callback<CheckpointDetails> done) override;
  void RequestCheckpointConfig(JobId job_id, Callback<CheckpointConfig> done) override;
  void TriggerCheckpoint(JobId job_id, Callback<CheckpointId> done) override;
  void ResolveSavepointDirectory(JobId job_id, std::string given,
                                 Callback<std::string> done) override;
  void TriggerSavepoint(JobId job_id, SavepointRequest request,
                        Callback<std::string> done) override;
  void RequestFormerSavepoint(JobId job_id, std::string operation_id,
                              Callback<std::string> done) override;
  void DisposeSavepoint(std::string path, StatusCallback done) override;
  void RequestTaskManagers(Callback<std::vector<TaskManagerInfo>> done) override;
  void RequestTaskManager(std::string taskmanager_id, Callback<TaskManagerInfo> done) override;
  void RequestMetrics(MetricQuery query, Callback<std::vector<ScopeMetrics>> done) override;
  void RequestMetricReports(Callback<std::vector<MetricReport>> done) override;
  void RequestConfig(Callback<std::vector<ConfigurationEntry>> done) override;
  void UploadJar(std::string name, std::string path, Callback<std::string> done) override;
  void ListJars(Callback<std::vector<JarFile>> done) override;
  void DeleteJar(std::string jar_id, StatusCallback done) override;
  void RunJar(JarRunRequest request, Callback<JobId> done) override;

 private:
  mutable Mutex mutex_;
  bool hold_overviews_ ABSL_GUARDED_BY(mutex_) = false;
  bool throw_on_taskmanagers_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Callback<ClusterOverview>> held_ ABSL_GUARDED_BY(mutex_);
  std::vector<JobId> cancelled_ ABSL_GUARDED_BY(mutex_);
  std::optional<JarRunRequest> last_run_ ABSL_GUARDED_BY(mutex_);
  std::optional<SavepointRequest> last_savepoint_ ABSL_GUARDED_BY(mutex_);
  std::optional<ResourceRequirements> last_requirements_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> uploads_ ABSL_GUARDED_BY(mutex_);
  std::string last_upload_path_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
