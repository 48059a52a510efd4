#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/lease.h"
#include "runtime/base/mutex.h"
#include "runtime/state/state_file_store.h"
#include "runtime/task/buffer_debloater.h"
#include "runtime/task/task.h"
#include "runtime/task/worker_pool.h"
#include "taskmanager/coordinator_host.h"
#include "taskmanager/job_processes.h"
#include "taskmanager/job_registry.h"
#include "taskmanager/local_state_store.h"
#include "taskmanager/metrics_collector.h"
#include "taskmanager/operator_event_log.h"
#include "taskmanager/task_activity.h"
#include "taskmanager/task_preparation.h"

namespace weir {

namespace proto {
class DeployTasks;
class JobInformation;
class JobManagerMessage;
class OperatorEvent;
class Register;
class RunningJob;
class TaskManagerHeartbeat;
class TaskManagerMessage;
}  // namespace proto

/// Takes what the TaskExecutor has to tell the JobManager, in order. Called from any thread; must
/// not block.
class ReportSink {
 public:
  virtual ~ReportSink() = default;
  virtual void Report(const proto::TaskManagerMessage& message) = 0;
};

/// What tasks and coordinators run with. Everything is borrowed and outlives the executor.
struct TaskExecutorEnvironment {
  WorkerPool* workers = nullptr;
  IoPool* io_pool = nullptr;
  IoPool* coordinator_pool = nullptr;
  MemoryBudget* memory_budget = nullptr;
  const Clock* clock = nullptr;
  TimerThread* timers = nullptr;
  JobRegistry* jobs = nullptr;
  ChannelSources channels;
  BufferDebloatOptions buffer_debloat = {};
  /// Makes the store of a job's state files, in the job's checkpoint folder.
  std::function<absl::StatusOr<std::shared_ptr<StateFileStore>>(JobId job,
                                                                const std::string& folder)>
      state_store;
  /// Folders of jobs are made in it.
  std::string local_dir;
  ReportSink* reports = nullptr;
  /// Told of every task and coordinator that runs.
  MetricsCollector* metrics = nullptr;
  /// While it holds, tasks may commit. Null: always.
  const Lease* commit_lease = nullptr;
  /// Of jobs that do not run here; null: it cannot start any.
  JobProcesses* processes = nullptr;
  /// Returns where they register: the addresses of all JobManagers, the leader's first.
  std::function<std::string()> jobmanager_addresses;
};

/// Runs the tasks and coordinators that the JobManager deploys here, and says what becomes of them.
///
/// Place: one per TaskManager; it knows nothing of connections and leaders.
/// Threads: every method runs on `strand`, in the order the messages came; the listeners' are
/// called from anywhere. While a job's graph is being built, what arrives for that job waits, in
/// order; only a cancellation acts at once. From Orphan on until a leader has said which of a job's
/// tasks are its own, what they have to say waits too, but for answers to checkpoints, which nobody
/// wants any more. Lifecycle: CancelAll and wait for it, then Detach,
/// before it is destroyed.
class TaskExecutor final : public TaskListener, public CoordinatorListener {
 public:
  TaskExecutor(TaskExecutorEnvironment environment, IoStrand* strand);
  ~TaskExecutor() override;
  TaskExecutor(const TaskExecutor&) = delete;
  TaskExecutor& operator=(const TaskExecutor&) = delete;

  /// Acts on a message about jobs; any other kind is left alone.
  void Handle(std::shared_ptr<const proto::JobManagerMessage> message);
  /// Cancels all tasks, closes all coordinators, kills all processes of jobs and forgets all jobs.
  /// Calls `ended`, on the strand, once no task runs here.
  void CancelAll(std::function<void()> ended);
  /// The JobManager is gone, while tasks go on.
  void Orphan();
  /// Whether what a leader does not own yet runs here. Any thread.
  [[nodiscard]] bool awaits_adoption() const {
    return awaits_adoption_.load(std::memory_order_acquire);
  }
  /// Says what runs here, for the next leader.
  void Describe(proto::Register* registration);
  /// Adds the metrics of the running tasks that have done something since they were last added, and
  /// of the idle ones now and then. `now_nanos` is of the monotonic clock.
  void AddMetrics(int64_t now_nanos, proto::TaskManagerHeartbeat* heartbeat);
  [[nodiscard]] size_t num_tasks() const { return tasks_.size(); }
  [[nodiscard]] bool has_jobs() const;

  void OnTaskState(ExecutionAttemptId attempt, TaskState state,
                   const absl::Status& reason) override;
  void OnCheckpointAck(TaskCheckpointAck ack) override;
  void OnCheckpointDecline(ExecutionAttemptId attempt, CheckpointId checkpoint,
                           const absl::Status& reason) override;
  void OnInputEnded(ExecutionAttemptId attempt) override;
  void OnEventToCoordinator(ExecutionAttemptId attempt, OperatorId operator_id, uint32_t subtask,
                            std::string payload) override;

  void OnCoordinatorEvent(const CoordinatorDescription& coordinator, uint32_t subtask,
                          std::string event) override;
  void OnEventToCoordinators(const CoordinatorDescription& coordinator, std::string event) override;
  void OnCoordinatorSnapshot(const CoordinatorDescription& coordinator, CheckpointId checkpoint,
                             absl::StatusOr<std::string> state) override;
  void OnCoordinatorFailed(const CoordinatorDescription& coordinator,
                           const absl::Status& reason) override;

 private:
  using Message = std::shared_ptr<const proto::JobManagerMessage>;
  using Work = std::function<void()>;

  // What was deployed together: leader's epoch and number.
  using Deployment = std::pair<uint64_t, uint64_t>;
  // What of an attempt is as it was deployed.
  struct AttemptIdentity {
    JobVertexId vertex;
    uint32_t subtask = 0;
    uint32_t attempt_number = 0;
    Deployment deployment;
    uint64_t restored_checkpoint = 0;
  };
  // A task from its deployment's arrival on, first without `task`, to its end.
  struct RunningTask {
    JobId job;
    AttemptIdentity identity;
    std::shared_ptr<Task> task;
    std::vector<ChannelHandle> remote_channels;
    std::vector<ExecutionAttemptId> local_producers;
    std::string local_dir;
    TaskActivity activity;         // Between two reports.
    int64_t reported_nanos = 0;    // When its metrics were added last.
    bool reported_idle = false;    // As they were of a time in which it did nothing.
    CheckpointId stop_checkpoint;  // Of a source: triggered last to stop it, if not ended.
    EventCounts received;
  };
  struct RunningCoordinator {
    JobId job;
    OperatorId operator_id;
    std::shared_ptr<CoordinatorHost> host;  // Null until the job's graph is there.
    Deployment deployment = {};
    EventCounts received = {};
  };
  struct FinishedTask {
    ExecutionAttemptId attempt;
    AttemptIdentity identity;
  };
  struct Job {
    bool building = false;
    std::deque<Work> waiting;  // For the graph.
    absl::StatusOr<std::shared_ptr<const LoadedJob>> built = absl::UnknownError("not built");
    std::shared_ptr<LocalStateStore> state_store;
    // Those of the maps below that are the job's.
    absl::flat_hash_set<ExecutionAttemptId> tasks;
    absl::flat_hash_set<ExecutionAttemptId> coordinators;
    // Newest attempt of each subtask of each operator: where its coordinator's events go.
    std::map<std::pair<OperatorId, uint32_t>, ExecutionAttemptId> subtasks;
    // Attempts that finished: their consumers may not have drained, or even opened, their channels.
    std::map<std::pair<JobVertexId, uint32_t>, std::vector<FinishedTask>> finished;
    CheckpointId last_checkpoint;                 // The greatest one that was heard of.
    std::map<JobVertexId, uint32_t> parallelism;  // As in the newest deployment.
  };

  void Deploy(const Message& message);
  void WhenBuilt(JobId job, Work work);
  void OnBuilt(JobId job, const JobRegistry::Result& result);
  void Materialize(const Message& message);
  absl::StatusOr<PreparedJob> MakePlan(JobId id, Job& job,
                                       const proto::JobInformation& information) const;
  absl::Status StartTask(const PreparedJob& plan, Job& job, const Message& message, int index);
  absl::Status StartCoordinator(const PreparedJob& plan, const Message& message, int index);
  void Cancel(const Message& message);
  void CancelTask(ExecutionAttemptId attempt);
  void CloseCoordinator(ExecutionAttemptId attempt);
  void TriggerCheckpoint(const Message& message);
  void CompleteCheckpoint(const Message& message);
  void AbortCheckpoint(const Message& message);
  void DeliverToTask(const proto::OperatorEvent& event);
  void DeliverToCoordinator(const proto::OperatorEvent& event);
  void DeliverToCoordinators(const proto::OperatorEvent& event);
  void TriggerCoordinators(const Message& message);
  void ReleaseJob(JobId job);
  void Adopt(const Message& message);
  void CancelUnwanted(const Message& message);
  void SendHeld(JobId job, const Message& message);
  void DescribeJob(const Job& job, proto::RunningJob* out);
  void NoteCheckpoint(JobId job, CheckpointId checkpoint);
  void StopHolding(JobId job);
  void RunJobProcess(const Message& message);
  void EndJobProcess(const Message& message);
  void EndDeployment(ExecutionAttemptId attempt, TaskState state, const absl::Status& reason);
  struct EndedAttempt {
    TaskState state = TaskState::kCanceled;
    std::shared_ptr<const Task> task;
  };
  // Notes its end, of which TaskEnded hears later. A task that is being cancelled may see its
  // producers go first; that is no failure of its own.
  EndedAttempt EndAttempt(ExecutionAttemptId attempt, TaskState state);
  void TaskEnded(ExecutionAttemptId attempt, TaskState state);
  void ForgetCoordinator(ExecutionAttemptId attempt);
  void DropClosedCoordinators();
  void ReleaseFinished(Job& job);
  void RemoveFolder(std::string path) const;
  void CallIfIdle();

  void ReportTaskState(ExecutionAttemptId attempt, TaskState state, const absl::Status& reason,
                       const Task* task = nullptr);
  /// Sends the message, holds it back or, if nobody is there to wait for it, drops it.
  enum class WhileOrphaned : uint8_t { kHold, kDrop };
  void Report(JobId job, const proto::TaskManagerMessage& message, WhileOrphaned otherwise);
  void ReportOf(ExecutionAttemptId attempt, const proto::TaskManagerMessage& message,
                WhileOrphaned otherwise);
  void ReportEvent(JobId job, ExecutionAttemptId sender, const proto::TaskManagerMessage& message);
  void ReportCoordinatorFailed(JobId job, ExecutionAttemptId attempt, const absl::Status& reason);
  int64_t CountNewBytes(const TaskCheckpointAck& ack);
  void LogRestored(ExecutionAttemptId attempt);
  void KeepLocally(const TaskCheckpointAck& ack);
  // Null if the attempt has ended or, where asked, has not restored anything.
  std::shared_ptr<LocalStateStore> StateStoreOf(ExecutionAttemptId attempt, bool restored);

  const TaskExecutorEnvironment environment_;
  IoStrand* const strand_;
  std::map<JobId, Job> jobs_;
  absl::flat_hash_map<ExecutionAttemptId, RunningTask> tasks_;
  absl::flat_hash_map<ExecutionAttemptId, RunningCoordinator> coordinators_;
  // Work on the I/O pool may still use a closed coordinator's context, so the (empty) hosts stay
  // until the pool has been seen without work.
  std::vector<std::shared_ptr<CoordinatorHost>> closed_coordinators_;
  std::vector<std::function<void()>> when_idle_;

  // What the listeners, on other threads, need to know of tasks.
  struct AttemptRecord {
    JobId job;
    bool canceling = false;
    std::set<std::string> files;  // Of its newest checkpoint.
    std::weak_ptr<const Task> task;
    std::shared_ptr<LocalStateStore> state_store;
    bool restores = false;
    TaskState state = TaskState::kDeploying;
    bool input_ended = false;
  };
  Mutex attempts_mutex_;
  absl::flat_hash_map<ExecutionAttemptId, AttemptRecord> attempts_ ABSL_GUARDED_BY(attempts_mutex_);
  // By job that waits for a leader's word, what is held back until then, in order.
  absl::flat_hash_map<JobId, std::vector<proto::TaskManagerMessage>> held_
      ABSL_GUARDED_BY(attempts_mutex_);
  OperatorEventLog events_ ABSL_GUARDED_BY(attempts_mutex_);
  std::atomic<bool> awaits_adoption_{false};  // held_ is not empty.
};

}  // namespace weir
