#include "runtime/checkpoint/barrier_aligner.h"

namespace weir {

BarrierAligner::BarrierAligner(size_t num_channels)
    : arrived_(num_channels),
      ended_(num_channels),
      num_missing_(num_channels),
      num_open_(num_channels) {}

void BarrierAligner::Reset() {
  arrived_.assign(arrived_.size(), false);
  num_missing_ = num_open_;
  pending_.reset();
}

BarrierAligner::Outcome BarrierAligner::CompleteIfAligned() {
  Outcome outcome;
  if (!pending_.has_value() || num_missing_ > 0) return outcome;
  outcome.aligned = pending_;
  outcome.release_channels = true;
  Reset();
  return outcome;
}

BarrierAligner::Outcome BarrierAligner::OnBarrier(ChannelIndex from,
                                                  const CheckpointBarrier& barrier) {
  if (barrier.id < newest_ || (barrier.id == newest_ && !pending_.has_value())) return {};
  Outcome outcome;
  if (barrier.id > newest_) {
    if (pending_.has_value()) {
      outcome.abandoned = pending_->id;
      outcome.release_channels = true;
      Reset();
    }
    newest_ = barrier.id;
    pending_ = barrier;
  }
  if (!arrived_[from.value()] && !ended_[from.value()]) {
    arrived_[from.value()] = true;
    --num_missing_;
    outcome.block_channel = true;
  }
  Outcome completed = CompleteIfAligned();
  if (completed.aligned.has_value()) {
    completed.abandoned = outcome.abandoned;
    return completed;
  }
  return outcome;
}

BarrierAligner::Outcome BarrierAligner::OnChannelEnded(ChannelIndex channel) {
  if (ended_[channel.value()]) return {};
  ended_[channel.value()] = true;
  --num_open_;
  if (!arrived_[channel.value()]) --num_missing_;
  return CompleteIfAligned();
}

BarrierAligner::Outcome BarrierAligner::OnAborted(CheckpointId checkpoint) {
  Outcome outcome;
  if (checkpoint < newest_) return outcome;
  newest_ = checkpoint;
  if (pending_.has_value() && pending_->id <= checkpoint) {
    outcome.abandoned = pending_->id;
    outcome.release_channels = true;
    Reset();
  }
  return outcome;
}

}  // namespace weir
