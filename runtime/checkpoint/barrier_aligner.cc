#include "runtime/checkpoint/barrier_aligner.h"

#include <utility>

#include "runtime/base/check.h"

namespace weir {

BarrierAligner::BarrierAligner(size_t num_channels, CheckpointMode mode,
                               std::vector<bool> may_overtake)
    : mode_(mode),
      may_overtake_(std::move(may_overtake)),
      arrived_(num_channels),
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

void BarrierAligner::Begin(const CheckpointBarrier& barrier, Outcome* outcome) {
  if (barrier.id > newest_) {
    if (pending_.has_value()) {
      outcome->abandoned = pending_->id;
      outcome->release_channels = true;
      Reset();
    }
    newest_ = barrier.id;
    pending_ = barrier;
  }
  // A producer that has come to its end sends an aligned one; the others count.
  pending_->unaligned = pending_->unaligned || barrier.unaligned;
}

BarrierAligner::Outcome BarrierAligner::OnAnnounced(const CheckpointBarrier& barrier) {
  if (barrier.id < newest_ || (barrier.id == newest_ && !pending_.has_value())) return {};
  Outcome outcome;
  Begin(barrier, &outcome);
  return outcome;
}

bool BarrierAligner::CanOvertake() const {
  if (!pending_.has_value() || !pending_->unaligned || mode_ != CheckpointMode::kExactlyOnce) {
    return false;
  }
  for (size_t i = 0; i < may_overtake_.size(); ++i) {
    if (!may_overtake_[i] && !arrived_[i] && !ended_[i]) return false;
  }
  return true;
}

BarrierAligner::Outcome BarrierAligner::Overtake() {
  DCHECK(CanOvertake());
  Outcome outcome;
  outcome.aligned = pending_;
  outcome.release_channels = true;
  for (uint32_t i = 0; i < arrived_.size(); ++i) {
    if (!arrived_[i] && !ended_[i]) outcome.record.push_back(ChannelIndex(i));
  }
  Reset();
  return outcome;
}

BarrierAligner::Outcome BarrierAligner::OnBarrier(ChannelIndex from,
                                                  const CheckpointBarrier& barrier) {
  if (barrier.id < newest_ || (barrier.id == newest_ && !pending_.has_value())) return {};
  Outcome outcome;
  Begin(barrier, &outcome);
  if (!arrived_[from.value()] && !ended_[from.value()]) {
    arrived_[from.value()] = true;
    --num_missing_;
    outcome.block_channel = mode_ == CheckpointMode::kExactlyOnce;
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
