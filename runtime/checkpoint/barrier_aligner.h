#pragma once

#include <optional>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/record/stream_element.h"

namespace weir {

/// Turns the barriers of many channels into one "checkpoint reached" signal (exactly-once mode).
///
/// Place: one per subtask, told of every barrier, announced or in band; knows channels only by
/// index. Threads: within a step only. Does no I/O and blocks nothing: the caller holds channels
/// back as it is told. Invariant: at most one checkpoint aligns at a time; a newer barrier abandons
/// the older one. Source: K. M. Chandy and L. Lamport, "Distributed Snapshots", 1985, on channels
/// with aligned barriers.
class BarrierAligner {
 public:
  explicit BarrierAligner(size_t num_channels);

  /// What the caller has to do.
  struct Outcome {
    /// Read no more from the channel that delivered the barrier until channels are released.
    bool block_channel = false;
    /// Read from all channels again.
    bool release_channels = false;
    /// Every open channel has delivered this barrier: take the snapshot.
    std::optional<CheckpointBarrier> aligned;
    /// This older checkpoint will not be taken here.
    std::optional<CheckpointId> abandoned;
  };

  /// `from` delivered `barrier`. Barriers of checkpoints already taken or abandoned change nothing.
  [[nodiscard]] Outcome OnBarrier(ChannelIndex from, const CheckpointBarrier& barrier);
  /// `channel` delivers no more records: it counts as aligned from now on.
  [[nodiscard]] Outcome OnChannelEnded(ChannelIndex channel);
  /// The coordinator gave `checkpoint` up; its later barriers are ignored.
  [[nodiscard]] Outcome OnAborted(CheckpointId checkpoint);

  [[nodiscard]] bool aligning() const { return pending_.has_value(); }

 private:
  Outcome CompleteIfAligned();
  void Reset();

  std::vector<bool> arrived_;  // By channel; all false between checkpoints.
  std::vector<bool> ended_;
  size_t num_missing_;  // Open channels whose barrier is still to come.
  size_t num_open_;
  std::optional<CheckpointBarrier> pending_;
  CheckpointId newest_;  // The newest checkpoint seen; older barriers are stale.
};

}  // namespace weir
