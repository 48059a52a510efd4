#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/lease.h"
#include "runtime/base/memory_budget.h"
#include "runtime/checkpoint/barrier_aligner.h"
#include "runtime/checkpoint/channel_state.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/network/channel_queue.h"
#include "runtime/record/stream_element.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/state/state_file_store.h"
#include "runtime/task/buffer_debloater.h"
#include "runtime/task/operator.h"
#include "runtime/task/operator_metrics.h"
#include "runtime/task/queue_usage.h"

namespace weir {

class WorkerPool;

/// The life of an execution attempt on its TaskManager, by Flink's names:
///
///   kDeploying → kInitializing → kRunning → kFinished
///        └───────────┴──────┬──────┴→ kCanceling → kCanceled
///                           └→ kFailed
///
/// kInitializing lasts while state is restored and while an input waits for another one to catch
/// up.
enum class TaskState : uint8_t {
  kDeploying,
  kInitializing,
  kRunning,
  kFinished,
  kCanceling,
  kCanceled,
  kFailed,
};

[[nodiscard]] std::string_view ToString(TaskState state);
[[nodiscard]] constexpr bool IsTerminal(TaskState state) {
  return state == TaskState::kFinished || state == TaskState::kCanceled ||
         state == TaskState::kFailed;
}

/// What a task reports of a checkpoint it took.
struct TaskCheckpointAck {
  ExecutionAttemptId attempt;
  CheckpointId checkpoint;
  struct Operator {
    OperatorId id;
    OperatorSubtaskState state;
  };
  std::vector<Operator> operators;
  absl::Duration sync_duration;
  absl::Duration async_duration;
  absl::Duration alignment_duration;
  /// Input bytes that came in during alignment, and those in channels that went into the
  /// checkpoint.
  uint64_t processed_bytes = 0;
  uint64_t persisted_bytes = 0;
  /// Whether the barrier has overtaken records here.
  bool unaligned = false;
  absl::Duration start_delay;
};

/// Hears of a task's life. Called from workers and I/O threads; must return soon and not call back
/// into the task.
class TaskListener {
 public:
  virtual ~TaskListener() = default;
  /// `reason` is OK but for kFailed. Terminal states come last and once.
  virtual void OnTaskState(ExecutionAttemptId attempt, TaskState state,
                           const absl::Status& reason) = 0;
  virtual void OnCheckpointAck(TaskCheckpointAck ack) = 0;
  virtual void OnCheckpointDecline(ExecutionAttemptId attempt, CheckpointId checkpoint,
                                   const absl::Status& reason) = 0;
  /// All input has ended and was processed: the next checkpoint that begins is the task's last.
  virtual void OnInputEnded(ExecutionAttemptId attempt) = 0;
  virtual void OnEventToCoordinator(ExecutionAttemptId attempt, OperatorId operator_id,
                                    uint32_t subtask, std::string payload) = 0;
};

/// Everything a subtask is made of. Shared pointers keep the job's graph (and so its library)
/// alive.
struct TaskDescription {
  JobId job;
  ExecutionAttemptId attempt;
  uint32_t attempt_number = 0;
  std::string vertex_name;
  uint32_t subtask = 0;
  uint32_t parallelism = 1;
  uint32_t max_parallelism = 128;

  std::shared_ptr<const StreamGraph> graph;
  /// The chain, head first; every operator stands behind those it reads from.
  struct Operator {
    StreamNodeIndex node = 0;
    std::vector<OperatorSubtaskState> restored;
  };
  std::vector<Operator> operators;

  /// The edges that end at the head, one gate each.
  struct Gate {
    uint32_t input = 0;
    std::vector<std::shared_ptr<ChannelQueue>> channels;
    /// By channel, whether its producer runs in another process; empty: none does.
    std::vector<bool> remote;
    /// What an unaligned checkpoint has to know of it; without, barriers do not overtake.
    std::optional<ChannelEdge> edge = std::nullopt;
    /// The subtask that produces the first channel; the others follow.
    uint32_t first_producer = 0;
  };
  std::vector<Gate> gates;

  /// The edges that start in this vertex and leave it.
  struct OutputEdge {
    StreamNodeIndex source = 0;
    uint32_t source_port = 0;
    Partitioning partitioning = {};
    uint32_t target_max_parallelism = 128;
    std::vector<std::shared_ptr<ChannelQueue>> subpartitions;
  };
  std::vector<OutputEdge> outputs;

  absl::Duration buffer_timeout = absl::Milliseconds(5);
  /// How often a source emits a latency marker; zero = never.
  absl::Duration latency_interval = absl::ZeroDuration();
  absl::Duration auto_watermark_interval = kDefaultAutoWatermarkInterval;
  /// How the task waits for barriers.
  struct Alignment {
    CheckpointMode mode = CheckpointMode::kExactlyOnce;
    /// Whether barriers may overtake records.
    bool unaligned = false;
    /// How long after its trigger a checkpoint stays aligned nevertheless.
    absl::Duration aligned_timeout = absl::ZeroDuration();
  };
  Alignment alignment = {};
  /// Without checkpoints a task finishes, and commits, as soon as its input has ended.
  bool checkpointing = true;
  /// Below it, each operator instance finds a folder of its own.
  std::string local_dir;
};

/// What tasks share on a TaskManager. Everything outlives the tasks.
struct TaskEnvironment {
  WorkerPool* workers = nullptr;
  IoPool* io_pool = nullptr;
  MemoryBudget* memory_budget = nullptr;
  const Clock* clock = nullptr;
  TaskListener* listener = nullptr;
  /// Where the job's state files go; the task keeps it.
  std::shared_ptr<StateFileStore> state_store;
  BufferDebloatOptions buffer_debloat = {};
  /// While it holds, output may be made visible. Null: always.
  const Lease* commit_lease = nullptr;
};

/// Totals since the task began, and what it is at now.
struct TaskMetricsSnapshot {
  uint64_t records_in = 0;
  uint64_t records_out = 0;
  /// Sum of what came from this process and from others.
  uint64_t bytes_in = 0;
  uint64_t bytes_in_local = 0;
  uint64_t bytes_in_remote = 0;
  uint64_t batches_in_local = 0;
  uint64_t batches_in_remote = 0;
  uint64_t bytes_out = 0;
  uint64_t batches_out = 0;
  /// Together the time since the task was made, up to this moment.
  absl::Duration busy;
  absl::Duration backpressured;
  absl::Duration idle;
  /// Of `busy`: on a worker thread, so without waiting for one or for what an operator asked
  /// outside.
  absl::Duration running;
  bool is_backpressured = false;
  /// The longest back-pressure without a break so far.
  absl::Duration longest_backpressure;
  /// The lowest of the inputs'; Min before the first, and for a source.
  EventTime watermark = EventTime::Min();
  /// Of the newest barrier: from its trigger to the first channel that delivered it, and from there
  /// to the last.
  absl::Duration checkpoint_start_delay;
  absl::Duration checkpoint_alignment;
  /// What each input channel may hold, and how long it takes to consume what all may; nothing
  /// without buffer debloating, and for a source.
  std::optional<uint64_t> debloated_bytes;
  absl::Duration time_to_consume;
  /// From Start to RUNNING; zero before it is.
  absl::Duration initialization;
  /// Of a source: its splits, those that hold event time back first; bounded in number.
  std::vector<SplitWatermark> split_watermarks;
};

/// One running subtask, as its TaskManager sees it.
///
/// Threads: every method may be called from any thread; what they ask for happens within the task's
/// steps. Lifecycle: Create → Start → (reports by TaskListener) → a terminal state. The task keeps
/// itself alive until then.
class Task {
 public:
  virtual ~Task() = default;

  /// Wires up operators and channels. Nothing runs yet. Errors: kInvalidArgument for a description
  /// that does not fit its graph.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<Task>> Create(TaskDescription description,
                                                                    TaskEnvironment environment);
  virtual void Start() = 0;
  virtual void Cancel() = 0;
  /// For source subtasks: sends the barrier on its way. For the others nothing: barriers reach them
  /// in band.
  virtual void TriggerCheckpoint(CheckpointBarrier barrier) = 0;
  virtual void NotifyCheckpointComplete(CheckpointId checkpoint) = 0;
  virtual void NotifyCheckpointAborted(CheckpointId checkpoint) = 0;
  /// Nobody is there to say how checkpoints up to `newest` end, so the task holds back nothing for
  /// their barriers. What it has prepared for them stays, until they are complete or aborted.
  virtual void AbandonAlignment(CheckpointId newest) = 0;
  virtual void HandleCoordinatorEvent(OperatorId operator_id, std::string payload) = 0;
  [[nodiscard]] virtual TaskMetricsSnapshot metrics() const = 0;
  /// What is dearer to ask: for reports every few seconds. Head operator first.
  [[nodiscard]] virtual std::vector<OperatorMetrics> operator_metrics() const = 0;
  [[nodiscard]] virtual QueueUsage input_usage() const = 0;
  [[nodiscard]] virtual QueueUsage output_usage() const = 0;
  [[nodiscard]] virtual size_t num_queued_mails() const = 0;
  [[nodiscard]] virtual HistogramSnapshot mail_latency_ms() const = 0;
  [[nodiscard]] virtual ExecutionAttemptId attempt() const = 0;
};

}  // namespace weir
