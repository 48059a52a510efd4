#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/memory_budget.h"
#include "runtime/graph/ids.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/stream_element.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_subtask_state.h"
#include "runtime/state/state_file_store.h"
#include "runtime/task/output.h"

namespace weir {

class KeyedStateBackendBase;

/// Whether an operator is through with what it was given.
enum class Progress {
  kDone,
  kSuspended,  ///< Its output is full, or its slice is over: it goes on as soon as there is room.
  kBlocked,    ///< It waits for something outside of the task, and wakes the task when that has
               ///< happened.
};

/// A batch and the row an operator goes on at. Kept by the chain while the operator is suspended.
struct BatchCursor {
  BatchPtr batch;
  size_t row = 0;
  [[nodiscard]] bool AtEnd() const { return row >= batch->size(); }
};

/// A way back into a task that outlives it: for what runs on other threads. Once the task has
/// ended, calls do nothing. Threads: any.
class TaskHandle {
 public:
  virtual ~TaskHandle() = default;
  /// Runs `mail` within the task, between slices. An error fails the task.
  virtual void Post(absl::AnyInvocable<absl::Status()> mail) = 0;
  /// Makes the task's next step happen soon, e.g. because a source has data again.
  virtual void Wake() = 0;
  /// Makes the task's step happen at `time` at the latest.
  virtual void WakeAt(absl::Time time) = 0;
  /// Fails the task with a reason found outside of a step.
  virtual void Fail(absl::Status reason) = 0;
  /// Whether output may be made visible at this moment: not while the TaskManager has no JobManager
  /// that owns the task. To be asked before each try of a commit.
  [[nodiscard]] virtual bool MayCommit() const { return true; }
};

/// How far event time has come in one split of a source, and since when: what tells who holds the
/// watermark.
struct SplitWatermark {
  std::string split;
  EventTime watermark = EventTime::Min();
  /// When the watermark last moved, or the split was added.
  absl::Time since;
  bool idle = false;    ///< Does not hold event time back.
  bool paused = false;  ///< Ahead of others, by watermark alignment.
};

inline constexpr absl::Duration kDefaultAutoWatermarkInterval = absl::Milliseconds(200);

/// What an operator instance knows of its place, and how it reaches the rest of the task.
/// Threads: constant after Open; handle() may be kept and used on any thread.
class OperatorContext {
 public:
  virtual ~OperatorContext() = default;

  struct Place {
    JobId job;
    OperatorId operator_id;
    std::string uid;
    std::string name;
    /// Where in the job's source, like "word_count.cc:42"; empty = unknown.
    std::string declared_at;
    uint32_t subtask = 0;
    uint32_t parallelism = 1;
    uint32_t max_parallelism = 128;
    KeyGroupRange key_groups;
    ExecutionAttemptId attempt;
    /// How often this subtask was started before.
    uint32_t attempt_number = 0;
    /// A folder of this operator instance on the local disk; it may not exist yet.
    std::string local_dir;
    /// Whether snapshots will be taken, so that state tracks its changes.
    bool checkpointing = true;
  };
  [[nodiscard]] virtual const Place& place() const = 0;
  [[nodiscard]] virtual MemoryBudget* memory_budget() const = 0;
  [[nodiscard]] virtual IoPool* io_pool() const = 0;
  [[nodiscard]] virtual const Clock* clock() const = 0;
  /// The operator's own metrics, shown by REST and the exporters. Lives as long as the task.
  [[nodiscard]] virtual MetricGroup* metrics() const = 0;

  [[nodiscard]] virtual const std::shared_ptr<TaskHandle>& handle() const = 0;
  /// Where the job's state files are; for restoring.
  [[nodiscard]] virtual const std::shared_ptr<StateFileStore>& state_store() const = 0;
  /// Sends an event to the operator's coordinator.
  virtual void SendToCoordinator(std::string event) = 0;

  /// How often a watermark generator is asked when no records come.
  [[nodiscard]] virtual absl::Duration auto_watermark_interval() const {
    return kDefaultAutoWatermarkInterval;
  }
  /// Shows, in place of what was shown before, how far the splits of a source have come. Within a
  /// step only.
  virtual void ReportSplitWatermarks(std::vector<SplitWatermark>) {}
};

/// What an operator adds to a checkpoint. `write` runs on the I/O pool and may block; it must not
/// touch anything that the operator goes on to change.
struct OperatorSnapshot {
  using Write = absl::AnyInvocable<absl::StatusOr<OperatorSubtaskState>(StateFileStore&)>;
  Write write;
  /// Runs within the task when `write` is through, however it ended; may be empty.
  absl::AnyInvocable<void(bool succeeded)> finish;
};

/// One step of the dataflow within one subtask.
///
/// Lifecycle: Open (with restored state) → any of the Process and Snapshot methods → Close, also
/// after a failure. Threads: one step at a time; the worker may change between steps, so no
/// thread_local. Bound: an operator never emits more than one record beyond Output::Full(). A
/// method that returns kSuspended is called again with the same argument until it returns kDone;
/// the operator keeps its place in its own members or in the cursor. Between two such calls
/// checkpoints may be taken of other operators, not of this one. Errors: a status that is not OK
/// fails the task. User code may throw; the chain turns that into a status.
class StreamOperator {
 public:
  virtual ~StreamOperator() = default;

  /// `restored` are the states of this operator's subtasks that fall to this one; empty at a first
  /// start.
  [[nodiscard]] virtual absl::Status Open(OperatorContext& context, Output& output,
                                          std::vector<OperatorSubtaskState> restored) = 0;

  /// Processes records of input `input` from the cursor on.
  [[nodiscard]] virtual absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                                              Output& output) = 0;
  /// Advances event time (the minimum over all inputs): fires timers in slices, then emits the
  /// watermark.
  [[nodiscard]] virtual absl::StatusOr<Progress> ProcessWatermark(Watermark watermark,
                                                                  Output& output);
  /// The inputs together have become idle, or active again. Forwarded, but by operators that make
  /// watermarks of their own.
  virtual void ProcessWatermarkStatus(WatermarkStatus status, Output& output);
  /// Input `input` has caught up with what was there when its sources started. Forwarded when all
  /// have.
  [[nodiscard]] virtual absl::StatusOr<Progress> ProcessCaughtUp(uint32_t input, Output& output);
  /// Input `input` has ended. Emits what the operator still holds because of it; EndOfInput itself
  /// is emitted by the chain when all inputs have ended.
  [[nodiscard]] virtual absl::StatusOr<Progress> EndInput(uint32_t input, Output& output);

  /// The step's chance to do what is due without input: processing-time timers, finished requests.
  /// Called when the task was woken, before it takes input.
  [[nodiscard]] virtual absl::StatusOr<Progress> OnWake(Output& output);

  /// The task has no input for now: what the operator keeps to send it with more should go.
  [[nodiscard]] virtual absl::Status OnIdle() { return absl::OkStatus(); }

  /// Takes the synchronous part of a snapshot: microseconds.
  [[nodiscard]] virtual absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId checkpoint);
  /// The checkpoint is complete everywhere: side effects held back for it may be committed.
  [[nodiscard]] virtual absl::Status NotifyCheckpointComplete(CheckpointId checkpoint);
  [[nodiscard]] virtual absl::Status NotifyCheckpointAborted(CheckpointId checkpoint);
  /// Whether commits are under way that the task must wait for before it may finish.
  [[nodiscard]] virtual bool HasPendingCommits() const { return false; }

  /// An event from the operator's coordinator.
  [[nodiscard]] virtual absl::Status HandleCoordinatorEvent(std::string_view event);

  /// What the operator keeps by key; null if it has no keyed state.
  [[nodiscard]] virtual const KeyedStateBackendBase* keyed_state() const { return nullptr; }

  /// Shows in metrics what has come about; called after each step, between any two records.
  /// `now_nanos` is of the monotonic clock.
  virtual void PublishMetrics(int64_t) {}

  /// Releases what the operator holds. Called once or twice, after success and after failure.
  virtual void Close() {}
};

/// The head of a chain that has no input: reads from outside.
class SourceOperator : public StreamOperator {
 public:
  enum class PollResult {
    kMore,     ///< Emitted something, or will at once: poll again.
    kNothing,  ///< Nothing now; the source wakes the task when there is.
    kEnd,      ///< Nothing ever again; the last watermark was emitted.
  };
  /// Emits up to about one batch. Called only while the output has room.
  [[nodiscard]] virtual absl::StatusOr<PollResult> Poll(Output& output) = 0;

  [[nodiscard]] absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                                      Output& output) final;
};

}  // namespace weir
