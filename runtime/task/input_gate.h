#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/checkpoint/barrier_aligner.h"
#include "runtime/checkpoint/channel_state.h"
#include "runtime/network/channel_queue.h"
#include "runtime/record/stream_element.h"
#include "runtime/task/buffer_debloater.h"
#include "runtime/task/queue_usage.h"

namespace weir {

/// All input channels of one subtask as one ordered stream of elements: merges watermarks (the
/// minimum over the active channels), statuses, ends and caught-up marks, aligns barriers, and
/// holds back inputs that wait for another to catch up.
///
/// In an unaligned checkpoint the gate gives the barrier out ahead of what is queued, and has each
/// channel record what was queued, and what still comes, until the channel's own barrier. After a
/// restore such content is given out ahead of anything new from its channel.
///
/// Threads: within a step only, save for the channels' listeners, which hand over through a locked
/// ready list.
class InputGate {
 public:
  struct Channel {
    uint32_t input = 0;
    std::shared_ptr<ChannelQueue> queue;
    /// Whether the producer runs in another process.
    bool remote = false;
    /// The edge, as an index, and the producer's subtask: what channel state is found again by.
    size_t edge = 0;
    uint32_t producer = 0;
    /// Whether barriers may overtake its records.
    bool may_overtake = false;
  };
  /// `start_after` has pairs (input, other): channels of `input` are not read until all of `other`
  /// caught up.
  InputGate(std::vector<Channel> channels, uint32_t num_inputs,
            std::vector<std::pair<uint32_t, uint32_t>> start_after,
            CheckpointMode mode = CheckpointMode::kExactlyOnce);
  ~InputGate();

  /// Has `wake` called, on any thread, when there is input. Call once, before the first Next.
  void Listen(std::function<void()> wake);

  struct Input {
    uint32_t input = 0;
    StreamElement element;
  };
  /// Returns the next element for the head operator, or nothing for now. Errors: why a channel
  /// broke.
  [[nodiscard]] absl::StatusOr<std::optional<Input>> Next();

  /// From now on unaligned barriers overtake, `aligned_timeout` after their checkpoint's trigger by
  /// `clock`. Call once, before the first Next.
  void EnableUnaligned(absl::Duration aligned_timeout, const Clock* clock);
  /// Gives `contents` out ahead of what comes from their channels. Call once, before Listen.
  void Restore(std::vector<ChannelContent> contents, MemoryBudget* budget);
  /// Looks for announced barriers, and lets the one that is due overtake. Returns when to look
  /// again at the latest, if nothing wakes the task before.
  absl::Time PollUnaligned();
  /// Whether Next will give out a barrier that has overtaken.
  [[nodiscard]] bool HasOvertakenBarrier() const { return overtaken_barrier_.has_value(); }
  /// The checkpoint that channels are recorded for; 0 if none is.
  [[nodiscard]] CheckpointId recorded_checkpoint() const { return recorded_checkpoint_; }
  [[nodiscard]] bool RecordingComplete() const;
  struct Recordings {
    std::vector<ChannelContent> contents;
    uint64_t num_bytes = 0;
    /// There was no memory for all of it.
    bool overflowed = false;
    std::vector<MemoryCharge> charges;
  };
  /// Ends recording and returns what there is.
  [[nodiscard]] Recordings TakeRecordings();

  /// From now on channels hold only what is consumed within the options' target time. Call once,
  /// before the first Next.
  void EnableDebloating(const BufferDebloatOptions& options);
  /// Looks at the throughput, once a period. `active_nanos` is how long the task has not been idle
  /// since it began.
  void Debloat(int64_t active_nanos);
  /// Null if debloating is off.
  [[nodiscard]] const BufferDebloater* debloater() const { return debloater_.get(); }

  /// Whether an input still waits for another one to catch up.
  [[nodiscard]] bool HoldsBackInputs() const { return num_held_inputs_ > 0; }
  void OnCheckpointAborted(CheckpointId checkpoint);
  /// How long the alignment of the last barrier took, and how many bytes came in meanwhile; with a
  /// barrier that has overtaken, until its recordings were taken.
  [[nodiscard]] absl::Duration last_alignment() const { return last_alignment_; }
  [[nodiscard]] uint64_t last_alignment_bytes() const { return last_alignment_bytes_; }
  [[nodiscard]] EventTime watermark() const { return watermark_; }
  /// What came in from channels of this process, or from those of others.
  struct Traffic {
    uint64_t num_bytes = 0;
    uint64_t num_batches = 0;
  };
  [[nodiscard]] const Traffic& local_traffic() const { return local_; }
  [[nodiscard]] const Traffic& remote_traffic() const { return remote_; }
  /// How full the channels are. Any thread.
  [[nodiscard]] QueueUsage Usage() const;

 private:
  struct ChannelState {
    uint32_t input = 0;
    std::shared_ptr<ChannelQueue> queue;
    bool remote = false;
    size_t edge = 0;
    uint32_t producer = 0;
    CheckpointId announced;  // The newest that the aligner was told of.
    // What a restored checkpoint held; null once it is given out.
    std::unique_ptr<std::deque<StreamElement>> replay;
    // Of the checkpoint being recorded: whether this channel is, and what it had in `replay`.
    bool recorded = false;
    std::vector<StreamElement> recorded_replay;
    EventTime watermark = EventTime::Min();
    bool idle = false;
    bool ended = false;
    bool caught_up = false;
    bool aligning = false;   // Delivered its barrier; waits for the others'.
    bool parked = false;     // Had data while it must not be read.
    uint64_t last_used = 0;  // In which period of debloating it had a batch.
  };
  // Shared with the channels' listeners, which may outlive the gate.
  struct ReadyList {
    Mutex mutex;
    std::vector<uint32_t> channels ABSL_GUARDED_BY(mutex);
    std::function<void()> wake;
    // Pairs with the exchange in TakeReady: a channel added after it wakes the task.
    std::atomic<bool> any{false};
  };

  void TakeReady();
  size_t CountQueuesInUse();
  bool MayRead(const ChannelState& channel) const;
  void ReleaseParked();
  absl::Status Handle(uint32_t index, StreamElement element);
  void OnWatermark(ChannelState& channel, EventTime time);
  void OnStatus(ChannelState& channel, bool idle);
  void OnCaughtUp(ChannelState& channel);
  void OnEnded(uint32_t index);
  void ApplyAlignment(uint32_t index, const BarrierAligner::Outcome& outcome);
  void NoteAlignmentBegins();
  void NoteAlignmentEnds();
  void CheckAnnouncement(uint32_t index);
  void OvertakeIfDue();
  void NoteGivenOut(const StreamElement& element);
  void StopRecording();
  StreamElement PopReplay(ChannelState& channel);
  void MergeWatermarks();
  void UpdateIdle();

  std::vector<ChannelState> channels_;
  const uint32_t num_inputs_;
  const std::vector<std::pair<uint32_t, uint32_t>> start_after_;
  std::vector<bool> input_held_;  // By input: waits for another.
  uint32_t num_held_inputs_ = 0;
  BarrierAligner aligner_;
  int64_t alignment_begin_nanos_ = 0;
  uint64_t alignment_begin_bytes_ = 0;
  absl::Duration last_alignment_;
  uint64_t last_alignment_bytes_ = 0;
  const Clock* clock_ = nullptr;  // Null: no barrier overtakes.
  absl::Duration aligned_timeout_;
  absl::Time overtake_due_ = absl::InfiniteFuture();
  std::optional<CheckpointId> overtaken_barrier_;  // Is in pending_.
  CheckpointId recorded_checkpoint_;
  MemoryCharge replay_charge_;
  size_t num_replays_ = 0;
  EventTime watermark_ = EventTime::Min();
  bool idle_ = false;
  std::shared_ptr<ReadyList> ready_;
  std::deque<uint32_t> readable_;  // Channels that had data when last looked at.
  std::deque<Input> pending_;      // Merged elements for the head.
  Traffic local_;
  Traffic remote_;
  std::unique_ptr<BufferDebloater> debloater_;
  uint64_t debloat_period_ = BufferDebloater::kMaxSamples;  // Its number.
};

}  // namespace weir
