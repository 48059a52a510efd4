#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "jobmanager/blob_store.h"
#include "jobmanager/control_server.h"
#include "jobmanager/dispatcher_gateway.h"
#include "jobmanager/ha/job_store.h"
#include "jobmanager/ha/task_manager_roster.h"
#include "jobmanager/jar_store.h"
#include "jobmanager/job_builder.h"
#include "jobmanager/job_master.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/resource_manager.h"
#include "runtime/base/config.h"
#include "runtime/metrics/process_statistics.h"

namespace weir {

/// What an earlier JobManager left, ready to be gone on with.
struct RecoveredJobs {
  struct Job {
    JobDescription description;
    CheckpointPointers pointers;
    JobRecovery recovery;
  };
  std::vector<Job> jobs;
  std::vector<EndedJobRecord> ended_jobs;  // Newest first.
  /// The ids of the TaskManagers that may still run tasks.
  std::set<std::string> task_managers;
  std::vector<SavepointOperation> savepoints;  // Oldest first.
};

/// Reads all that `store` holds, with the metadata of the checkpoints. Blocks. Errors: as
/// JobStore::Load. A checkpoint that cannot be read stays a candidate, and the JobMaster that is to
/// restore it will say why not.
[[nodiscard]] absl::StatusOr<RecoveredJobs> ReadRecoveredJobs(
    JobStore* store, const FileSystems& file_systems = *FileSystems::Local());

/// Returns what is answered about a job that there is not: kNotFound.
[[nodiscard]] absl::Status NoSuchJobError(JobId job_id);

struct DispatcherOptions {
  /// The cluster's settings.
  Configuration configuration;
  /// Each job has a folder of its own below it.
  std::string checkpoint_dir;
  LeaderEpoch leader_epoch;
  std::string abi_stamp;
  /// Keeps jobs beyond this process. Borrowed; null: nothing does.
  JobStore* job_store = nullptr;
  /// Where checkpoints and savepoints lie.
  std::shared_ptr<const FileSystems> file_systems = FileSystems::Local();
  /// Ended jobs that are remembered.
  size_t max_ended_jobs = 100;
};

/// The JobManager's front desk: takes in jobs, has a JobMaster for each, hands messages of
/// TaskManagers to the right one, and remembers how jobs ended.
///
/// Threads: the gateway's methods may be called from any; everything happens on the main thread.
/// Ownership: borrows all but the JobMasters; destroyed after the executor has ended.
class Dispatcher final : public DispatcherGateway,
                         public ControlMessageHandler,
                         public TaskManagerListener {
 public:
  Dispatcher(DispatcherOptions options, MainThreadExecutor* executor, const BlobStore* blobs,
             JarStore* jars, const JobBuilder* builder);
  ~Dispatcher() override;

  /// Runs a job whose graph is built. Main thread. Errors: kAlreadyExists.
  [[nodiscard]] absl::Status Submit(JobDescription job);
  /// Goes on with the jobs that an earlier JobManager left, and remembers those that have ended.
  /// Called before any TaskManager or client is let in. Main thread.
  void Recover(RecoveredJobs recovered);
  /// Closes the TaskManagers' connections. Any thread.
  void CloseConnections();
  /// Messages of attempts that are no more, or of TaskManagers that were given up. Main thread.
  [[nodiscard]] uint64_t num_stale_messages() const { return num_stale_messages_; }

  // DispatcherGateway:
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

  // ControlMessageHandler:
  void OnRegister(std::shared_ptr<TaskManagerGateway> task_manager,
                  const proto::Register& registration) override;
  void OnMessage(TaskManagerGateway* task_manager,
                 const proto::TaskManagerMessage& message) override;
  void OnClosed(TaskManagerGateway* task_manager) override;
  void OnCrash(const proto::CrashReport& report) override;

  // TaskManagerListener:
  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) override;
  void OnSlotsChanged() override;

 private:
  /// What is remembered of an ended job.
  struct EndedJob {
    JobOverview overview;
    JobDetails details;
    JobResult result;
    ExceptionHistory exceptions;
    CheckpointStatistics checkpoints;
    CheckpointConfig checkpoint_config;
    ScalingDetails scaling;
  };
  struct PreparedJob;
  struct OwnerlessProcess {
    std::string owner_id;
    std::function<void()> take_in;
  };

  [[nodiscard]] static EndedJob FromRecord(EndedJobRecord record);
  /// Answers `done` on the main thread by the job, running or ended.
  template <class T, class OfRunning, class OfEnded>
  void AnswerByJob(JobId job_id, Callback<T> done, OfRunning of_running, OfEnded of_ended);
  [[nodiscard]] const EndedJob* FindEnded(JobId job_id) const;
  /// Stores and builds what the request asks for. Blocks.
  [[nodiscard]] absl::StatusOr<PreparedJob> Prepare(const JarRunRequest& request,
                                                    const Configuration& settings);
  void SubmitPrepared(JarRunRequest request, PreparedJob prepared, Callback<JobId> done);
  [[nodiscard]] absl::StatusOr<JobDescription> Describe(JarRunRequest request,
                                                        PreparedJob prepared) const;
  /// Errors: kAlreadyExists.
  [[nodiscard]] absl::Status CheckIsNew(JobId job_id) const;
  /// Makes the job's JobMaster, which is yet to be started.
  [[nodiscard]] std::shared_ptr<JobMaster> AddJob(JobDescription job, CheckpointPointers pointers);
  void RecordEnd(const JobMaster& job, std::function<void()> then);
  void NoteSavepoint(JobId job_id, const SavepointRequest& request);
  void NoteSavepointResult(const std::string& operation_id,
                           const absl::StatusOr<std::string>& path);
  void KeepSavepoint(const SavepointOperation& savepoint);
  void WriteSavepoints();
  /// Keeps the job as it is to be found by the next leader.
  void KeepDescription(JobId job_id, StatusCallback done);
  void WriteDescription(JobId job_id);
  void ExpectTaskManagers(std::set<std::string> ids);
  void TakeIn(const std::shared_ptr<TaskManagerGateway>& task_manager,
              const proto::Register& registration);
  /// Hands what it says of jobs that ran before to their JobMasters.
  void HandReports(const std::shared_ptr<TaskManagerGateway>& task_manager,
                   const proto::Register& registration);
  /// Takes in the processes that wait for that TaskManager, or all that wait if it is empty.
  void TakeInOwnerless(const std::string& owner_id);
  /// Nothing of the job on that TaskManager is wanted any more.
  void Disown(TaskManagerGateway* task_manager, const std::string& job_id, bool job_goes_on);
  /// Strikes a TaskManager off the roster, unless it is back.
  void StrikeOff(const std::string& task_manager_id);
  /// Every TaskManager that may run tasks has registered, or had the time to.
  void OnAllRegistered();
  /// Keeps how a job ended, again and again until it is done or this JobManager is deposed.
  void WriteResult(std::shared_ptr<const EndedJobRecord> ended, std::function<void()> then);
  void ForgetOldResults();
  /// Deletes the blobs that neither a running job nor one in the store needs.
  void CleanUpBlobs();
  void OnAttempts(JobId job_id, const std::vector<ExecutionAttemptId>& gone,
                  const std::vector<ExecutionAttemptId>& begun);
  void OnJobEnded(JobId job_id);
  /// Returns the job that a message of a task or a coordinator is for, or null: then it is stale.
  [[nodiscard]] std::shared_ptr<JobMaster> FindRecipient(
      const proto::TaskManagerMessage& message) const;
  [[nodiscard]] std::vector<ScopeMetrics> FindMetrics(const MetricQuery& query);
  [[nodiscard]] MetricReport ReportProcess();

  const DispatcherOptions options_;
  MainThreadExecutor* const executor_;
  const BlobStore* const blobs_;
  JarStore* const jars_;
  const JobBuilder* const builder_;
  ResourceManager resource_manager_;
  std::map<JobId, std::shared_ptr<JobMaster>> jobs_;
  std::set<JobId> submitting_;  // Being written to the job store.
  /// Whose attempts they are: the newest ones of the jobs in jobs_.
  absl::flat_hash_map<ExecutionAttemptId, JobMaster*> jobs_by_attempt_;
  struct DescriptionWrite {
    bool is_under_way = false;
    std::vector<StatusCallback> waiting;  // For the next one.
  };
  std::map<JobId, DescriptionWrite> description_writes_;
  std::deque<SavepointOperation> savepoints_;  // Oldest first; those of earlier leaders begin it.
  size_t num_former_savepoints_ = 0;
  std::deque<SavepointOperation> savepoint_writes_;               // The first is under way.
  std::deque<EndedJob> ended_jobs_;                               // Newest first.
  std::optional<TaskManagerRoster> roster_;                       // Where jobs are kept.
  std::map<const TaskManagerGateway*, std::string> registering_;  // Being noted in the roster.
  std::set<std::string> expected_;  // May run tasks, and are to register.
  // Processes of jobs whose TaskManager has yet to register.
  std::map<const TaskManagerGateway*, OwnerlessProcess> ownerless_;
  TimerId expectation_timer_;
  const absl::Duration reconciliation_timeout_;
  uint64_t num_stale_messages_ = 0;
  const std::string metric_labels_;
  ProcessMetrics process_metrics_{0};
  bool stopping_ = false;
};

}  // namespace weir
