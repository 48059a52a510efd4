#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/mutex.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/metrics/time_account.h"
#include "runtime/task/input_gate.h"
#include "runtime/task/mailbox.h"
#include "runtime/task/operator_chain.h"
#include "runtime/task/record_writer.h"
#include "runtime/task/task.h"
#include "runtime/task/worker_pool.h"

namespace weir {

/// A subtask as a step function: each Step reads mail, then moves batches from the input gate (or
/// the source) through the chain to the writers, until there is nothing to do, no room, or the
/// quantum is over.
///
/// Threads: Step runs on one worker at a time and owns everything but the mailbox and the atomics.
/// Opening, which reads state files, runs on the I/O pool before the first step.
class StreamTask final : public Task,
                         public Steppable,
                         public std::enable_shared_from_this<StreamTask> {
 public:
  StreamTask(TaskDescription description, TaskEnvironment environment);
  ~StreamTask() override;

  /// Builds chain, gate and writers.
  [[nodiscard]] absl::Status Init();

  void Start() override;
  void Cancel() override;
  void TriggerCheckpoint(CheckpointBarrier barrier) override;
  void NotifyCheckpointComplete(CheckpointId checkpoint) override;
  void NotifyCheckpointAborted(CheckpointId checkpoint) override;
  void AbandonAlignment(CheckpointId newest) override;
  void HandleCoordinatorEvent(OperatorId operator_id, std::string payload) override;
  [[nodiscard]] TaskMetricsSnapshot metrics() const override;
  [[nodiscard]] std::vector<OperatorMetrics> operator_metrics() const override;
  [[nodiscard]] QueueUsage input_usage() const override;
  [[nodiscard]] QueueUsage output_usage() const override;
  [[nodiscard]] size_t num_queued_mails() const override { return mailbox_.size(); }
  [[nodiscard]] HistogramSnapshot mail_latency_ms() const override;
  [[nodiscard]] ExecutionAttemptId attempt() const override { return description_.attempt; }

  /// Runs `mail` within a later step; an error fails the task.
  void Post(Mailbox::Mail mail);
  void Wake();
  void WakeAt(absl::Time time);
  void ReportSplitWatermarks(std::vector<SplitWatermark> splits);

 protected:
  bool Step() override;

 private:
  /// Why a step ended.
  enum class StepEnd { kMore, kIdle, kBackPressured, kBlocked };

  static TimeAccount::Use UseAfter(StepEnd end);
  absl::StatusOr<StepEnd> RunSlice(int64_t deadline_nanos);
  /// Gives the drained chain something to do. Returns false if there is nothing now.
  absl::StatusOr<bool> TakeInput();
  /// Whether memory is too short for more input before the snapshot that is being written is
  /// further. Its end, or its progress, wakes the task.
  [[nodiscard]] bool HeldBySnapshot() const;
  /// Returns whether a latency marker was due and has been emitted.
  absl::StatusOr<bool> EmitLatencyMarker();
  absl::StatusOr<StepEnd> FinishSlice(StepEnd end);
  void FlushWriters();
  void Debloat(int64_t now_nanos);
  [[nodiscard]] bool AnyWriterFull() const;

  // Unaligned checkpoints. A barrier that is to overtake goes through the chain at once: what the
  // chain has begun is finished first, for which channels may hold more than their limit.
  absl::Status PollUnaligned();
  void NoteBarrierOnItsWay(const CheckpointBarrier& barrier);
  void NoteBarrierPassed(const CheckpointBarrier& barrier);
  void WakeToOvertake(absl::Time due);
  void SetOvertaking(bool overtaking);
  absl::Status WriteWhenRecorded();
  void AbandonRecordedSnapshot();

  void Open();
  absl::Status RestoreChannels();
  absl::Status OnSnapshot(const CheckpointBarrier& barrier,
                          std::vector<OperatorSnapshot> snapshots);
  absl::Status WriteSnapshot(TaskCheckpointAck ack, std::vector<OperatorSnapshot> snapshots,
                             InputGate::Recordings recordings);
  [[nodiscard]] ChannelStateOwner channel_state_owner() const;
  bool AcceptsSnapshot(const CheckpointBarrier& barrier);
  absl::Status OnSnapshotWritten(CheckpointId checkpoint, std::vector<OperatorSnapshot> snapshots,
                                 absl::StatusOr<TaskCheckpointAck> ack);
  absl::Status OnCheckpointComplete(CheckpointId checkpoint);
  absl::Status OnInputEnded();
  /// Whether nothing keeps the task from being finished any more.
  [[nodiscard]] bool MayFinish() const;

  void Transition(TaskState to, const absl::Status& reason);
  void Terminate(TaskState state, const absl::Status& reason);
  void PublishMetrics(int64_t now_nanos);

  const TaskDescription description_;
  const TaskEnvironment environment_;
  Mailbox mailbox_;
  std::unique_ptr<OperatorChain> chain_;
  std::unique_ptr<InputGate> gate_;
  std::vector<std::unique_ptr<RecordWriter>> writers_;
  std::vector<std::pair<size_t, uint32_t>> writer_ports_;       // By writer: operator and port.
  std::vector<std::unique_ptr<MetricGroup>> operator_metrics_;  // One per operator of the chain.

  std::atomic<bool> opened_{
      false};  // Pairs with the load in Step: hands what Open made to the workers.
  std::atomic<bool> cancel_requested_{false};
  TaskState state_ = TaskState::kDeploying;
  bool input_ended_ = false;
  std::optional<CheckpointId> final_checkpoint_;
  bool final_checkpoint_complete_ = false;
  std::optional<CheckpointId> stop_savepoint_;  // Its barrier has stopped the task.
  bool snapshot_in_flight_ = false;
  int64_t snapshot_begin_nanos_ = 0;
  CheckpointId snapshot_checkpoint_;        // Of the snapshot in flight.
  std::vector<ChannelEdge> channel_edges_;  // In the order of the description's gates.
  const bool unaligned_;
  bool overtaking_ = false;
  absl::Time overtake_wake_ = absl::InfinitePast();
  std::optional<CheckpointBarrier> barrier_on_its_way_;  // An unaligned one in the chain.
  struct RecordedSnapshot {
    TaskCheckpointAck ack;
    std::vector<OperatorSnapshot> snapshots;
  };
  std::optional<RecordedSnapshot> recorded_snapshot_;  // Waits for its channels' state.
  int64_t last_flush_nanos_ = 0;
  int64_t next_debloat_nanos_ = std::numeric_limits<int64_t>::max();
  absl::Time next_latency_marker_ = absl::InfinitePast();

  // What other threads may read.
  TimeAccount time_;
  int64_t start_nanos_ = 0;
  std::atomic<int64_t> initialization_nanos_{0};
  std::atomic<int64_t> running_nanos_{0};
  std::atomic<uint64_t> records_in_{0};
  std::atomic<uint64_t> records_out_{0};
  std::atomic<uint64_t> bytes_in_local_{0};
  std::atomic<uint64_t> bytes_in_remote_{0};
  std::atomic<uint64_t> batches_in_local_{0};
  std::atomic<uint64_t> batches_in_remote_{0};
  std::atomic<uint64_t> bytes_out_{0};
  std::atomic<uint64_t> batches_out_{0};
  std::atomic<int64_t> watermark_ms_;
  std::atomic<int64_t> start_delay_nanos_{0};
  std::atomic<int64_t> alignment_nanos_{0};
  std::atomic<uint64_t> debloated_bytes_{0};
  std::atomic<int64_t> time_to_consume_nanos_{0};

  mutable Mutex split_watermarks_mutex_;
  std::vector<SplitWatermark> split_watermarks_ ABSL_GUARDED_BY(split_watermarks_mutex_);

  Mutex self_mutex_;
  std::shared_ptr<StreamTask> self_ ABSL_GUARDED_BY(self_mutex_);  // Until the terminal state.
};

}  // namespace weir
