#pragma once

#include <optional>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/record/stream_element.h"

namespace weir {

/// What a subtask does with records behind a barrier while other barriers are still to come.
enum class CheckpointMode : uint8_t {
  kExactlyOnce,  ///< It holds them back.
  kAtLeastOnce,  ///< It reads on: after a restart some of them come again.
};

/// Turns the barriers of many channels into one "take the snapshot" signal.
///
///              OnBarrier, OnAnnounced            all barriers, or Overtake
///     nothing ───────────────────────► aligning ───────────────────────────► nothing
///                                          └── newer barrier, OnAborted ──►
///
/// Place: one per subtask, told of every barrier, announced or in band; knows channels only by
/// index. Threads: within a step only. Does no I/O and blocks nothing: the caller holds channels
/// back as it is told, and knows the time. Invariant: at most one checkpoint aligns at a time; a
/// newer barrier abandons the older one. Source: K. M. Chandy and L. Lamport, "Distributed
/// Snapshots", 1985, on channels with aligned barriers; with Overtake, what a channel held ahead of
/// its barrier is recorded as their channel state.
class BarrierAligner {
 public:
  /// `may_overtake` says of each channel whether its state can be part of a checkpoint; empty: of
  /// all.
  explicit BarrierAligner(size_t num_channels, CheckpointMode mode = CheckpointMode::kExactlyOnce,
                          std::vector<bool> may_overtake = {});

  /// What the caller has to do.
  struct Outcome {
    /// Read no more from the channel that delivered the barrier until channels are released.
    bool block_channel = false;
    /// Read from all channels again.
    bool release_channels = false;
    /// Take the snapshot: every open channel has delivered this barrier, or it has overtaken.
    std::optional<CheckpointBarrier> aligned;
    /// Record what these channels hold ahead of the barrier; of Overtake only.
    std::vector<ChannelIndex> record;
    /// This older checkpoint will not be taken here.
    std::optional<CheckpointId> abandoned;
  };

  /// `from` delivered `barrier`. Barriers of checkpoints already taken or abandoned change nothing.
  [[nodiscard]] Outcome OnBarrier(ChannelIndex from, const CheckpointBarrier& barrier);
  /// Unaligned `barrier` is on its way in some channel, behind data.
  [[nodiscard]] Outcome OnAnnounced(const CheckpointBarrier& barrier);
  /// `channel` delivers no more records: it counts as aligned from now on.
  [[nodiscard]] Outcome OnChannelEnded(ChannelIndex channel);
  /// The coordinator gave `checkpoint` up; its later barriers are ignored.
  [[nodiscard]] Outcome OnAborted(CheckpointId checkpoint);
  /// Takes the checkpoint now, without the barriers that are missing. Only while CanOvertake().
  [[nodiscard]] Outcome Overtake();

  [[nodiscard]] bool aligning() const { return pending_.has_value(); }
  /// The checkpoint that aligns, if any.
  [[nodiscard]] const std::optional<CheckpointBarrier>& pending() const { return pending_; }
  /// Whether the checkpoint that aligns is unaligned, and waits for no channel whose state cannot
  /// be part of it.
  [[nodiscard]] bool CanOvertake() const;

 private:
  void Begin(const CheckpointBarrier& barrier, Outcome* outcome);
  Outcome CompleteIfAligned();
  void Reset();

  const CheckpointMode mode_;
  const std::vector<bool> may_overtake_;
  std::vector<bool> arrived_;  // By channel; all false between checkpoints.
  std::vector<bool> ended_;
  size_t num_missing_;  // Open channels whose barrier is still to come.
  size_t num_open_;
  std::optional<CheckpointBarrier> pending_;
  CheckpointId newest_;  // The newest checkpoint seen; older barriers are stale.
};

}  // namespace weir
