#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/graph/job_graph.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/task/buffer_debloater.h"
#include "runtime/task/coordinator.h"
#include "runtime/task/task.h"
#include "runtime/task/worker_pool.h"

namespace weir {

/// A checkpoint of a LocalJob: what a JobManager would have stored.
struct LocalCheckpoint {
  CheckpointId id;
  std::map<std::pair<OperatorId, uint32_t>, OperatorSubtaskState> states;
  std::map<OperatorId, std::string> coordinators;
  /// Of the subtasks whose barrier has overtaken records: how many, and the bytes of those.
  size_t num_unaligned = 0;
  uint64_t persisted_bytes = 0;
};

struct LocalJobOptions {
  /// Of operators that do not set their own.
  uint32_t parallelism = 1;
  uint32_t max_parallelism = 128;
  /// Threads that run the tasks.
  int num_workers = 2;
  /// Where checkpoints and local state go; must exist.
  std::string directory;
  size_t channel_bytes = 64 << 10;
  /// What batches and state may take; beyond it, state leaves for the local disk.
  int64_t memory_bytes = int64_t{1} << 40;
  absl::Duration buffer_timeout = absl::Milliseconds(5);
  bool checkpointing = true;
  BufferDebloatOptions buffer_debloat = {};
  /// How tasks wait for barriers.
  TaskDescription::Alignment alignment = {};
};

/// Runs a job's real tasks in this process, without JobManager and network: for tests of operators
/// and jobs. MiniCluster makes one from a job's Build.
///
/// Lifecycle: Start once → TriggerCheckpoint, WaitUntilFinished → destroyed, which cancels what
/// still runs. Threads: one test thread.
class LocalJob final : private TaskListener {
 public:
  /// Finishes `graph`.
  LocalJob(StreamGraph graph, LocalJobOptions options);
  ~LocalJob() override;

  /// Starts all tasks, from `restore` if given.
  [[nodiscard]] absl::Status Start(const LocalCheckpoint* restore = nullptr);
  /// Takes a checkpoint, waits for it, and tells the tasks that it is complete, unless `notify` is
  /// false. A `kind` that stops tasks makes it a savepoint that the job is stopped with.
  [[nodiscard]] absl::StatusOr<LocalCheckpoint> TriggerCheckpoint(
      bool notify = true, BarrierKind kind = BarrierKind::kCheckpoint);
  /// Waits until every task has finished, taking the last checkpoint when all input has ended.
  [[nodiscard]] absl::Status WaitUntilFinished(absl::Duration timeout = absl::Seconds(60));
  /// Waits until every task runs.
  [[nodiscard]] absl::Status WaitUntilRunning(absl::Duration timeout = absl::Seconds(30));
  /// Tells the tasks that the checkpoint will not be completed.
  void NotifyCheckpointAborted(CheckpointId checkpoint);
  /// Waits until every task is FINISHED; unlike WaitUntilFinished, takes no checkpoint.
  [[nodiscard]] absl::Status WaitUntilStopped(absl::Duration timeout = absl::Seconds(60));
  /// Ends all tasks as a crash would: nothing more is committed.
  void Kill();

  [[nodiscard]] const MemoryBudget& memory_budget() const { return memory_budget_; }
  [[nodiscard]] const JobGraph& job_graph() const { return job_graph_; }
  /// The tasks of the vertex whose name has `part` in it, by subtask; also when they have ended.
  [[nodiscard]] std::vector<std::shared_ptr<Task>> TasksOf(std::string_view part) const;

 private:
  struct TaskEntry {
    JobVertexId vertex;
    uint32_t subtask = 0;
    std::shared_ptr<Task> task;
    TaskState state = TaskState::kDeploying;
    bool input_ended = false;
  };
  class CoordinatorRunner;

  void OnTaskState(ExecutionAttemptId attempt, TaskState state,
                   const absl::Status& reason) override;
  void OnCheckpointAck(TaskCheckpointAck ack) override;
  void OnCheckpointDecline(ExecutionAttemptId attempt, CheckpointId checkpoint,
                           const absl::Status& reason) override;
  void OnInputEnded(ExecutionAttemptId attempt) override;
  void OnEventToCoordinator(ExecutionAttemptId attempt, OperatorId operator_id, uint32_t subtask,
                            std::string payload) override;

  absl::Status CreateTasks(const LocalCheckpoint* restore);
  absl::Status StartCoordinators(const LocalCheckpoint* restore);
  std::vector<OperatorSubtaskState> RestoredStates(const LocalCheckpoint& restore, OperatorId id,
                                                   uint32_t subtask,
                                                   const JobGraph::Vertex& vertex) const;
  [[nodiscard]] Partitioning PartitioningOf(const JobGraph::Edge& edge) const;
  [[nodiscard]] ChannelEdge ChannelEdgeOf(size_t index, uint32_t num_producers) const;
  void SendEvent(OperatorId operator_id, uint32_t subtask, std::string event);
  void Fail(absl::Status reason);
  bool AllInState(TaskState state) const;

  const LocalJobOptions options_;
  std::shared_ptr<StreamGraph> graph_;
  absl::Status graph_status_;
  JobGraph job_graph_;
  MemoryBudget memory_budget_{options_.memory_bytes};
  std::unique_ptr<IoPool> io_pool_;
  std::unique_ptr<WorkerPool> workers_;
  std::unique_ptr<IoStrand> coordinator_strand_;  // All coordinators: one call at a time.
  std::map<OperatorId, std::shared_ptr<CoordinatorRunner>> coordinators_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<ExecutionAttemptId, TaskEntry> tasks_;
  absl::Status failure_;
  uint64_t next_checkpoint_ = 1;
  std::optional<LocalCheckpoint> pending_;
  size_t num_acks_ = 0;
  absl::Status pending_status_;
  bool killed_ = false;
};

}  // namespace weir
