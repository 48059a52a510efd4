#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/record/stream_element.h"
#include "runtime/task/operator.h"
#include "runtime/task/operator_metrics.h"
#include "runtime/task/output.h"

namespace weir {

/// The operators of one subtask, joined without channels between them.
///
/// Every operator has a short input queue. The chain always runs the deepest operator that has
/// input and room in its output, so a suspended operator goes on before anything upstream of it
/// adds more, and at most one batch waits at each operator. No operator calls another: a batch is
/// handed on by reference, one virtual call each. Threads: within a step only.
class OperatorChain {
 public:
  struct Link {
    std::unique_ptr<StreamOperator> op;
    std::unique_ptr<OperatorContext> context;
    uint32_t num_inputs = 1;
    uint32_t num_ports = 1;
  };
  /// What the chain tells its task.
  struct Events {
    /// Asked when a barrier enters the chain: whether its checkpoint is taken here, or only passed
    /// on.
    std::function<bool(const CheckpointBarrier&)> accepts_snapshot;
    /// The barrier has left the last operator; the snapshots are in the operators' order.
    std::function<absl::Status(CheckpointBarrier, std::vector<OperatorSnapshot>)> on_snapshot;
  };

  OperatorChain(std::vector<Link> links, Events events);
  ~OperatorChain();
  OperatorChain(const OperatorChain&) = delete;
  OperatorChain& operator=(const OperatorChain&) = delete;

  /// Joins port `port` of operator `from` to operator `to`, further down; its only input is then 0.
  void Join(size_t from, uint32_t port, size_t to);
  /// Sends what operator `from` emits on `port` to a target outside the chain.
  void AddTarget(size_t from, uint32_t port, OutputTarget* target);

  /// Makes every operator send its records in batches of at most `records`, so that outputs are
  /// full, and operators suspend, more often.
  void SetMaxBatchRecords(size_t records);
  /// The same for one port of one operator.
  void SetMaxBatchRecords(size_t index, uint32_t port, size_t records);
  /// The keyed state of operator `index`, null if it has none. For tests and diagnosis.
  [[nodiscard]] const KeyedStateBackendBase* keyed_state(size_t index) const;

  /// Opens the operators, last to first, so that each finds its successors ready.
  [[nodiscard]] absl::Status Open(std::vector<std::vector<OperatorSubtaskState>> restored);

  /// Queues an element for input `input` of the head.
  void Feed(uint32_t input, StreamElement element);

  enum class RunResult {
    kDrained,        ///< Every queue is empty; feed more.
    kBackPressured,  ///< The deepest operator with input waits for room in a target outside.
    kBlocked,        ///< It waits for something else outside, and wakes the task then.
    kQuantumOver,
  };
  /// Works until nothing can go on or `deadline_nanos`, on the monotonic clock, has passed.
  [[nodiscard]] absl::StatusOr<RunResult> Run(int64_t deadline_nanos);

  /// For a source at the head: polls it once, if the chain is drained and it has room.
  [[nodiscard]] absl::StatusOr<SourceOperator::PollResult> PollSource();
  [[nodiscard]] bool has_source() const { return source_ != nullptr; }
  [[nodiscard]] bool source_ended() const { return source_ended_; }
  /// Ends a source before its time: emits the last watermark and the end of the input. Does nothing
  /// if it has ended, or there is none.
  [[nodiscard]] absl::Status EndSource();
  /// Whether the head has taken the snapshot of a barrier that stops the task: it is given nothing
  /// more, nor do operators behind it that have taken theirs get a wake. NotifyCheckpointAborted
  /// lets all go on.
  [[nodiscard]] bool suspended() const;
  /// Whether an operator's state should not grow until its snapshot is further; see
  /// KeyedStateBackendBase::GrowthMustWait. The task is woken then.
  [[nodiscard]] bool GrowthMustWait() const;

  /// Lets the source emit a latency marker of the time `now_ms`. Returns false if its output is
  /// full.
  [[nodiscard]] absl::StatusOr<bool> EmitLatencyMarker(int64_t now_ms);

  /// Gives every operator with room its OnWake. Returns true if one wants to go on.
  [[nodiscard]] absl::StatusOr<bool> WakeOperators();
  /// Emits records that operators hold back to fill a batch. Returns true if that queued something
  /// in the chain.
  [[nodiscard]] absl::StatusOr<bool> Flush();
  /// Tells the operators that there is no input for now.
  [[nodiscard]] absl::Status NotifyIdle();

  /// Takes a snapshot of every operator without a barrier: the last one of a task that takes no
  /// checkpoints.
  [[nodiscard]] absl::StatusOr<std::vector<OperatorSnapshot>> TakeFinalSnapshot(
      CheckpointId checkpoint);
  [[nodiscard]] absl::Status NotifyCheckpointComplete(CheckpointId checkpoint);
  [[nodiscard]] absl::Status NotifyCheckpointAborted(CheckpointId checkpoint);
  [[nodiscard]] absl::Status HandleCoordinatorEvent(OperatorId id, std::string_view event);
  [[nodiscard]] bool HasPendingCommits() const;
  /// Whether every operator has seen the end of all its inputs.
  [[nodiscard]] bool finished() const { return num_ended_ == links_.size(); }
  void Close();

  /// Makes what was counted so far readable by operator_metrics. `now_nanos` is of the monotonic
  /// clock.
  void PublishMetrics(int64_t now_nanos);
  /// Returns what is known of each operator, head first. Any thread, as long as the chain lives.
  [[nodiscard]] std::vector<OperatorMetrics> operator_metrics() const;

  [[nodiscard]] uint64_t records_in() const { return records_in_; }
  /// What the last operator emitted.
  [[nodiscard]] uint64_t records_out() const;

 private:
  struct ChainedOperator;

  absl::StatusOr<Progress> Process(ChainedOperator& link);
  absl::StatusOr<Progress> ProcessElement(ChainedOperator& link, uint32_t input,
                                          const StreamElement& element);
  absl::StatusOr<Progress> ProcessEnd(ChainedOperator& link, uint32_t input);
  absl::StatusOr<Progress> ProcessCaughtUp(ChainedOperator& link, uint32_t input);
  absl::Status TakeSnapshot(ChainedOperator& link, const CheckpointBarrier& barrier);
  void NoteSourceEnded();
  absl::Status ForEachOperator(const std::function<absl::Status(StreamOperator&)>& call);

  std::vector<std::unique_ptr<ChainedOperator>> links_;
  const Events events_;
  SourceOperator* source_ = nullptr;
  bool source_ended_ = false;
  size_t num_ended_ = 0;
  std::vector<OperatorSnapshot> snapshots_;
  size_t num_snapshots_ = 0;
  bool accepts_snapshot_ = true;
  CheckpointId newest_aborted_;
  uint64_t records_in_ = 0;
  bool closed_ = false;
};

}  // namespace weir
