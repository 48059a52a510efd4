#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobmanager/adaptive_scheduler.h"
#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/checkpoint/state_assignment.h"
#include "jobmanager/checkpoint_statistics.h"
#include "jobmanager/execution_graph.h"
#include "jobmanager/job_description.h"
#include "jobmanager/job_details.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/metric_query.h"
#include "jobmanager/reconciliation.h"
#include "jobmanager/resource_manager.h"
#include "jobmanager/restart_strategy.h"

namespace weir {

namespace proto {
class CrashReport;
class JobManagerMessage;
class RunningJob;
class TaskManagerMessage;
class TaskMetrics;
}  // namespace proto

class JobMaster;

/// What a JobMaster left behind that ran the job before, in another process perhaps.
struct JobRecovery {
  /// Completed checkpoints, oldest first.
  std::vector<RetainedCheckpoint> checkpoints;
  CheckpointId last_checkpoint_id;
};

/// What a JobMaster works with. Borrowed; all of it outlives the JobMaster.
struct JobMasterServices {
  MainThreadExecutor* executor = nullptr;
  ResourceManager* resource_manager = nullptr;
  LeaderEpoch leader_epoch;
  /// Called when fresh attempts have replaced those that were before: messages of the former are
  /// stale from now on. If empty, nobody is told.
  std::function<void(JobId, const std::vector<ExecutionAttemptId>& gone,
                     const std::vector<ExecutionAttemptId>& begun)>
      on_attempts = {};
  /// Called once, when the job has reached a globally terminal state.
  std::function<void(JobId)> on_ended;
  /// Keeps how the job ended, and then calls `then` on the main thread: only then may its
  /// checkpoints go. If empty, nothing is kept.
  std::function<void(const JobMaster&, std::function<void()> then)> record_end = {};
  /// How long a recovered job waits for TaskManagers on which it still runs; zero: not at all.
  absl::Duration reconciliation_timeout = absl::ZeroDuration();
};

/// Runs one job from submission to its end: gets slots, deploys, watches, cancels, restarts from
/// checkpoints.
///
/// When a task fails, the others of its region (see FailoverRegions) are cancelled, and once every
/// one of them has ended, or its TaskManager is lost, fresh attempts begin from the newest
/// completed checkpoint, in the slots that the job has. Other regions go on meanwhile, without
/// checkpoints. Regions that fail before that one runs again are restarted with it. A job whose
/// regions are all down goes from RESTARTING to CREATED, another one back to RUNNING. Reports of
/// older attempts are dropped and counted. An AdaptiveScheduler says with which parallelism the
/// whole job begins. Threads: main thread.
class JobMaster final : public CheckpointMessenger,
                        public ScheduledJob,
                        public std::enable_shared_from_this<JobMaster> {
 public:
  JobMaster(JobDescription job, JobMasterServices services,
            std::unique_ptr<CheckpointStorage> storage);
  ~JobMaster() override;

  /// Begins. Called once, when a shared pointer to it exists.
  void Start();
  /// Begins where another JobMaster of the job ended. Called instead of Start. Regions whose tasks
  /// TaskManagers still run, all of them, go on with those; the others are restarted.
  void Recover(JobRecovery recovery);
  /// Whether it waits for reports of TaskManagers.
  [[nodiscard]] bool is_reconciling() const { return status_ == JobStatus::kReconciling; }
  /// How many slots of a TaskManager what it reports of the job takes.
  [[nodiscard]] uint32_t NumSlotsOf(const proto::RunningJob& report) const;
  /// A TaskManager has registered and runs tasks of the job. Only while it is reconciling.
  void OnReport(std::shared_ptr<TaskManagerGateway> task_manager, const proto::RunningJob& report);
  /// No more reports are to come.
  void OnAllReported();
  /// Begins to cancel. Tasks that were lost with their TaskManager while committers may have been
  /// at work are started again first, for a while at most: that ends what they left open outside,
  /// such as transactions. Errors: kFailedPrecondition if the job has FINISHED or FAILED.
  [[nodiscard]] absl::Status Cancel();

  /// Takes a message of a task or a coordinator; returns whether it was this job's.
  bool HandleMessage(const proto::TaskManagerMessage& message);
  /// Takes in what a heartbeat says of one task.
  void UpdateTask(const TaskManagerGateway* from, const proto::TaskMetrics& metrics);
  void OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason);
  /// Code of this job makes a TaskManager's process die, or did so earlier: then the history's
  /// entry of its loss gets that for its cause.
  void OnCrash(const proto::CrashReport& report);
  /// TaskManagers have come, or slots have become free.
  void OnSlotsChanged() { scheduler_.OnSlotsChanged(); }
  /// Errors: AdaptiveScheduler::SetRequirements'; kFailedPrecondition if the job is ending.
  [[nodiscard]] absl::Status UpdateRequirements(ResourceRequirements requirements);
  void TriggerCheckpoint(CheckpointCoordinator::TriggerCallback done);
  /// Takes a savepoint; `done` gets its path once the job has become what the request says: with
  /// kStop and kDrain when it is FINISHED. Errors: of CheckpointCoordinator::TriggerSavepoint;
  /// kInvalidArgument for a target in the folder of the job's checkpoints, which goes with it;
  /// kAborted if the job failed between its savepoint and its end, naming the savepoint.
  void TriggerSavepoint(const SavepointRequest& request,
                        CheckpointCoordinator::SavepointCallback done);
  /// The folder of savepoints whose trigger names none; empty if none is set.
  [[nodiscard]] std::string SavepointDirectory() const;
  /// Whether the job may be restored from the snapshot at `path`, or has it in its own folder.
  [[nodiscard]] bool NeedsSnapshot(const std::string& path) const;
  /// Takes in all metrics of a subtask or a coordinator of this job.
  void UpdateReport(ExecutionAttemptId attempt, MetricReport report) {
    executions_.UpdateReport(attempt, std::move(report));
  }

  [[nodiscard]] JobId id() const { return job_.id; }
  /// What is to be kept of it: as it was submitted, with what was asked for since.
  [[nodiscard]] JobDescription Description() const;
  [[nodiscard]] JobStatus status() const { return status_; }
  /// The newest attempts of all subtasks and coordinators: whose messages are this job's.
  [[nodiscard]] std::vector<ExecutionAttemptId> Attempts() const { return executions_.Attempts(); }
  [[nodiscard]] JobOverview Overview() const;
  [[nodiscard]] JobDetails Details() const;
  [[nodiscard]] JobResult Result() const;
  [[nodiscard]] ScalingDetails Scaling() const;
  [[nodiscard]] ExceptionHistory Exceptions(size_t max_entries) const;
  [[nodiscard]] CheckpointStatistics Checkpoints() const { return checkpoints_.Statistics(); }
  [[nodiscard]] CheckpointConfig CheckpointConfiguration() const;
  [[nodiscard]] const std::string& checkpoint_dir() const { return job_.checkpoint_dir; }
  [[nodiscard]] const JobDescription& description() const { return job_; }
  /// The job's own metrics. `labels` are those of the process.
  [[nodiscard]] MetricReport Metrics(const std::string& labels) const;
  /// By subtask, of those that have said something; nothing for a vertex it has not.
  [[nodiscard]] std::vector<ScopeMetrics> SubtaskMetrics(JobVertexId vertex);
  [[nodiscard]] std::vector<ScopeMetrics> CoordinatorMetrics(JobVertexId vertex);
  /// The coordinators' metrics with names and labels for Prometheus.
  [[nodiscard]] std::vector<MetricReport> CoordinatorReports(const std::string& labels) const;
  /// Messages of older attempts, and reports of illegal moves.
  [[nodiscard]] uint64_t num_stale_messages() const { return num_stale_messages_; }

  // CheckpointMessenger:
  void TriggerCoordinators(CheckpointId id,
                           const std::vector<ExecutionAttemptId>& coordinators) override;
  void TriggerSources(CheckpointId id, absl::Time trigger_time, BarrierKind kind,
                      const std::vector<ExecutionAttemptId>& sources) override;
  void NotifyCheckpointComplete(CheckpointId id) override;
  void NotifyCheckpointAborted(CheckpointId id) override;
  void DeliverToTask(const proto::OperatorEvent& event) override;
  void FailAttempt(const absl::Status& reason) override;

  // ScheduledJob:
  [[nodiscard]] uint32_t NumAvailableSlots() const override;
  [[nodiscard]] bool HasCheckpoints() const override { return checkpoints_.settings().enabled(); }
  void TakeRescaleCheckpoint(std::function<void(absl::StatusOr<CheckpointId>)> done) override;
  void StopForRescale() override;
  void RunWith(const VertexParallelism& parallelism) override;
  void GiveUp(const absl::Status& reason) override;

 private:
  enum class Restartable : uint8_t { kYes, kNo };
  /// What the restart that is due comes of: what follows from one loss is told by many.
  enum class Failing : uint8_t {
    kNothing,     // No restart is due.
    kTask,        // A failure of its own.
    kConnection,  // A task lost its peer, whose own loss may yet be told.
    kProcess      // A TaskManager, or a process of the job, was lost.
  };
  /// What ran on a TaskManager, or in a process, that is gone.
  struct LostTasks {
    /// By region, the first of those that were not being cancelled.
    std::map<size_t, ExecutionVertex*> failed;
    ExecutionVertex* canceling = nullptr;
  };

  void TransitionTo(JobStatus status);

  // Start and restart, in this order. Each answer names the generation that asked.
  void Begin();
  void RestoreUsersCheckpoint();
  void NewAttempts();
  void BeginAttempt();
  void SetParallelism(const VertexParallelism& parallelism);
  void ClaimSlots();
  /// What puts the slots that were asked for in those places, and goes on with them.
  [[nodiscard]] ResourceManager::SlotsCallback TakeSlots(std::vector<uint32_t> requested);
  void OnSlots();
  void AssignState(std::shared_ptr<const CheckpointMetadata> metadata);
  void Deploy(const StateAssignment& state);

  // Between two leaders.
  void TryReconcile();
  void EndReconciliation();
  /// Takes what was reported into the executions; returns the regions that can go on.
  std::map<size_t, Reconciliation::Region> TakeOver();
  void GoOnWith(const std::map<size_t, Reconciliation::Region>& regions);
  void RestartRest();

  // Reports.
  bool OnTaskState(const proto::TaskManagerMessage& message);
  bool OnInputEnded(const proto::TaskManagerMessage& message);
  bool OnCheckpointAnswer(const proto::TaskManagerMessage& message);
  bool OnCoordinatorFailed(const proto::TaskManagerMessage& message);
  bool OnEventToCoordinator(const proto::OperatorEvent& event);
  bool OnEventToTask(const proto::OperatorEvent& event);
  bool OnEventToCoordinators(const proto::OperatorEvent& event);
  void OnTaskRunning();
  void OnTaskFailed(ExecutionVertex& vertex, absl::Status reason, ExecutionState before);
  // Passes over a checkpoint that is damaged, and says so in `*reason`; returns whether it is of
  // use to try again.
  Restartable OnRestoreFailed(uint64_t checkpoint, absl::Status* reason);

  // Ends of attempts.
  void CancelOnceLostTasksRun();
  void CancelNow();
  /// Everything on `process` has ended with it.
  LostTasks EndTasksOn(const TaskManagerGateway* process);
  /// The loss of a process is one failure, however many regions were there: `reason`, told of
  /// `fault` if that task is known to be at fault; `consequence` is told of the others. Peers that
  /// lost their connection to it may have told of that first.
  void FailLost(const LostTasks& lost, const absl::Status& reason, const ExecutionVertex* fault,
                const absl::Status& consequence);
  /// The history's entry of the loss that `report`, which came later, is of gets `reason` for its
  /// cause. A recovered job, which nobody told of the loss, gets an entry.
  void NameCauseOfLoss(const proto::CrashReport& report, const absl::Status& reason);
  void AddException(ExceptionEntry entry);
  /// The newest failure came of `reason`.
  void RecordCause(const absl::Status& reason, const ExecutionVertex* vertex);
  /// Cancels `regions`, to be restarted with what is down already, or else the whole job.
  void TakeDown(const absl::Status& reason, std::set<size_t> regions, bool restarts);
  /// Fails `regions`, or the whole job if it is not to be restarted.
  void FailRegions(const absl::Status& reason, const ExecutionVertex* vertex,
                   Restartable restartable, const std::set<size_t>& regions);
  /// Takes down the region of `vertex`; without one, those that were being begun.
  void FailJob(const absl::Status& reason, const ExecutionVertex* vertex, Restartable restartable);
  [[nodiscard]] std::string LabelsOf(const std::string& labels) const;
  /// Cancels the tasks and closes the coordinators of the regions that are down.
  void CancelTasks();
  void CheckAllTerminal();
  void ScheduleRestart();
  void BeginRestart();
  /// Which slots tasks that are not down have, or are getting; by the job's numbering.
  [[nodiscard]] std::set<uint32_t> SlotsInUse();
  /// Whether attempts of the region may speak to each other.
  [[nodiscard]] bool IsUp(size_t region) const;
  [[nodiscard]] bool AllDown() const { return down_.size() == executions_.AllRegions().size(); }
  /// The job will not end as a savepoint to stop with, which is complete, was to end it.
  void AnswerStop(const absl::Status& reason);
  /// Whether checkpoints go with a job that ends so.
  [[nodiscard]] bool DiscardsCheckpoints(JobStatus status) const;
  void End(JobStatus status);
  /// Removes what the ended job needs no more.
  void DiscardCheckpoints();

  [[nodiscard]] TaskManagerGateway* LocationOf(const CoordinatorExecution& coordinator);
  /// The TaskManagers of the present attempt.
  [[nodiscard]] std::set<TaskManagerGateway*> Locations();
  void SendToAll(const proto::JobManagerMessage& message);
  [[nodiscard]] ExceptionEntry MakeException(const absl::Status& reason,
                                             const ExecutionVertex* vertex) const;
  void RecordFailure(const absl::Status& reason, const ExecutionVertex* vertex, bool concurrent);
  /// Wraps a continuation so that it runs only while this attempt's generation lasts.
  template <class Function>
  auto InGeneration(Function function);

  JobDescription job_;  // Its graph has the present parallelism.
  const JobMasterServices services_;
  const std::unique_ptr<CheckpointStorage> storage_;
  const std::shared_ptr<const JobGraph> submitted_graph_;
  ExecutionGraph executions_;
  const std::unique_ptr<RestartStrategy> restart_strategy_;

  JobStatus status_ = JobStatus::kInitializing;
  JobStatusTimestamps timestamps_;
  absl::Time last_modification_;
  uint64_t generation_ = 0;  // Grows whenever what was under way no longer counts.
  std::set<size_t> down_;    // Regions that are being cancelled, wait, or are being begun.
  // By the job's numbering of its slots: the job's, and where each was last.
  std::vector<std::shared_ptr<TaskManagerGateway>> slots_;
  std::vector<std::string> last_slots_;
  uint64_t restored_checkpoint_ = 0;
  Reconciliation reconciliation_;
  TimerId reconciliation_timer_;
  bool is_recovered_ = false;
  bool is_latest_loaded_ = false;    // What adopted tasks' checkpoints build on.
  bool is_latest_readable_ = false;  // Without it, nothing can be adopted.
  bool all_reported_ = false;
  struct CompletedStop {
    std::string savepoint;
    CheckpointCoordinator::SavepointCallback done;
  };
  std::optional<CompletedStop> stop_;  // Its savepoint is complete; tasks are about to finish.
  Failing failing_ = Failing::kNothing;
  absl::Time restart_due_;
  TimerId restart_timer_;
  bool has_begun_commits_ = false;  // A checkpoint has completed or was restored.
  bool has_lost_tasks_ = false;     // With a TaskManager, and not all run again.
  bool cancels_once_running_ = false;
  TimerId cancel_timer_;
  // Every TaskManager that was ever asked to deploy; told when the job has ended.
  std::set<std::shared_ptr<TaskManagerGateway>> task_managers_;
  std::deque<ExceptionEntry> exceptions_;  // Newest first.
  bool exceptions_truncated_ = false;
  uint64_t num_stale_messages_ = 0;
  uint64_t num_restarts_ = 0;
  absl::Time all_running_since_ = absl::InfinitePast();
  AdaptiveScheduler scheduler_;
  CheckpointCoordinator checkpoints_;  // Last: it sends through the members above.
};

template <class Function>
auto JobMaster::InGeneration(Function function) {
  return [weak = weak_from_this(), generation = generation_,
          function = std::move(function)](auto&&... arguments) mutable {
    const std::shared_ptr<JobMaster> self = weak.lock();
    if (self == nullptr || self->generation_ != generation) return;
    function(*self, std::forward<decltype(arguments)>(arguments)...);
  };
}

}  // namespace weir
