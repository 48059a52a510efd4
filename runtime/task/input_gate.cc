#include "runtime/task/input_gate.h"

#include <algorithm>

#include "runtime/base/clock.h"
#include "runtime/base/status_macros.h"

namespace weir {

InputGate::InputGate(std::vector<Channel> channels, uint32_t num_inputs,
                     std::vector<std::pair<uint32_t, uint32_t>> start_after)
    : num_inputs_(num_inputs),
      start_after_(std::move(start_after)),
      input_held_(num_inputs),
      aligner_(channels.size()),
      ready_(std::make_shared<ReadyList>()) {
  for (Channel& channel : channels) {
    ChannelState& state = channels_.emplace_back();
    state.input = channel.input;
    state.queue = std::move(channel.queue);
    state.remote = channel.remote;
  }
  for (const auto& [input, other] : start_after_) {
    if (!input_held_[input]) ++num_held_inputs_;
    input_held_[input] = true;
  }
}

InputGate::~InputGate() {
  for (ChannelState& channel : channels_) channel.queue->SetDataListener([] {});
}

void InputGate::Listen(std::function<void()> wake) {
  ready_->wake = std::move(wake);
  for (uint32_t i = 0; i < channels_.size(); ++i) {
    channels_[i].queue->SetDataListener([ready = ready_, i] {
      {
        MutexLock lock(&ready->mutex);
        ready->channels.push_back(i);
        ready->any.store(true, std::memory_order_release);
      }
      ready->wake();
    });
  }
}

void InputGate::TakeReady() {
  if (!ready_->any.exchange(false, std::memory_order_acq_rel)) return;
  std::vector<uint32_t> added;
  {
    MutexLock lock(&ready_->mutex);
    added.swap(ready_->channels);
  }
  readable_.insert(readable_.end(), added.begin(), added.end());
}

bool InputGate::MayRead(const ChannelState& channel) const {
  return !channel.aligning && !input_held_[channel.input];
}

absl::StatusOr<std::optional<InputGate::Input>> InputGate::Next() {
  while (true) {
    if (!pending_.empty()) {
      std::optional<Input> next = std::move(pending_.front());
      pending_.pop_front();
      return next;
    }
    TakeReady();
    if (readable_.empty()) return std::nullopt;
    const uint32_t index = readable_.front();
    readable_.pop_front();
    ChannelState& channel = channels_[index];
    if (!MayRead(channel)) {
      channel.parked = true;
      continue;
    }
    std::optional<ChannelQueue::Popped> popped = channel.queue->Pop();
    if (!popped.has_value()) {
      RETURN_IF_ERROR(channel.queue->status());
      continue;
    }
    // Behind the others: every channel that has data gets its turn.
    readable_.push_back(index);
    Traffic& traffic = channel.remote ? remote_ : local_;
    traffic.num_bytes += popped->cost_bytes;
    if (std::holds_alternative<BatchPtr>(popped->element)) {
      ++traffic.num_batches;
      channel.last_used = debloat_period_;
    }
    RETURN_IF_ERROR(Handle(index, std::move(popped->element)));
  }
}

void InputGate::EnableDebloating(const BufferDebloatOptions& options) {
  size_t num_queues = 0;
  size_t capacity_bytes = 1;
  for (const ChannelState& channel : channels_) {
    num_queues += channel.remote ? 2 : 1;
    capacity_bytes = std::max(capacity_bytes, channel.queue->capacity_bytes());
  }
  debloater_ = std::make_unique<BufferDebloater>(options, num_queues, capacity_bytes);
  for (const ChannelState& channel : channels_) {
    channel.queue->SetLimit(debloater_->limit_bytes());
  }
}

void InputGate::Debloat(int64_t active_nanos) {
  TakeReady();
  const std::optional<size_t> limit =
      debloater_->Update({local_.num_bytes + remote_.num_bytes,
                          local_.num_batches + remote_.num_batches, active_nanos},
                         CountQueuesInUse());
  ++debloat_period_;
  if (!limit.has_value()) return;
  for (const ChannelState& channel : channels_) {
    if (!channel.ended) channel.queue->SetLimit(*limit);
  }
}

// Those that may hold data: a remote channel has a queue at each end.
size_t InputGate::CountQueuesInUse() {
  for (const uint32_t index : readable_) channels_[index].last_used = debloat_period_;
  size_t num_queues = 0;
  for (const ChannelState& channel : channels_) {
    if (channel.ended) continue;
    const bool used = channel.aligning || channel.parked ||
                      channel.last_used + BufferDebloater::kMaxSamples > debloat_period_;
    if (used) num_queues += channel.remote ? 2 : 1;
  }
  return num_queues;
}

QueueUsage InputGate::Usage() const {
  return MeasureQueues(channels_.size(), [this](size_t index) -> const ChannelQueue& {
    return *channels_[index].queue;
  });
}

absl::Status InputGate::Handle(uint32_t index, StreamElement element) {
  ChannelState& channel = channels_[index];
  if (const auto* watermark = std::get_if<Watermark>(&element)) {
    OnWatermark(channel, watermark->time);
  } else if (const auto* status = std::get_if<WatermarkStatus>(&element)) {
    OnStatus(channel, status->idle);
  } else if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
    if (!aligner_.aligning()) alignment_begin_nanos_ = MonotonicNanos();
    ApplyAlignment(index, aligner_.OnBarrier(ChannelIndex(index), *barrier));
  } else if (std::holds_alternative<CaughtUp>(element)) {
    OnCaughtUp(channel);
  } else if (std::holds_alternative<EndOfInput>(element)) {
    OnEnded(index);
  } else {
    pending_.push_back({channel.input, std::move(element)});
  }
  return absl::OkStatus();
}

void InputGate::OnWatermark(ChannelState& channel, EventTime time) {
  if (time <= channel.watermark) return;
  channel.watermark = time;
  // A watermark of an idle channel makes it active again, as its records do.
  if (channel.idle) OnStatus(channel, false);
  MergeWatermarks();
}

void InputGate::OnStatus(ChannelState& channel, bool idle) {
  if (channel.idle == idle) return;
  channel.idle = idle;
  // What held time back may be silent now; what was silent holds it back only from its next
  // watermark on.
  if (idle) MergeWatermarks();
  UpdateIdle();
}

void InputGate::UpdateIdle() {
  bool all_ended = true;
  bool all_silent = true;
  for (const ChannelState& channel : channels_) {
    all_ended = all_ended && channel.ended;
    all_silent = all_silent && (channel.idle || channel.ended);
  }
  const bool idle = all_silent && !all_ended;
  if (idle == idle_ || all_ended) return;
  idle_ = idle;
  pending_.push_back({0, WatermarkStatus{idle_}});
}

void InputGate::MergeWatermarks() {
  EventTime lowest = EventTime::Max();    // Over the channels that hold event time back.
  EventTime furthest = EventTime::Min();  // Over all that have not come to the end of time.
  bool any_active = false;
  bool all_at_end = true;
  for (const ChannelState& channel : channels_) {
    if (channel.watermark == EventTime::Max()) continue;
    all_at_end = false;
    furthest = std::max(furthest, channel.watermark);
    if (channel.idle || channel.ended) continue;
    lowest = std::min(lowest, channel.watermark);
    any_active = true;
  }
  // With no channel left to hold it back, time has come as far as any channel knows; but the end of
  // time has come only when it has for idle channels too: they may still send records.
  const EventTime merged = all_at_end ? EventTime::Max() : any_active ? lowest : furthest;
  if (merged <= watermark_) return;
  watermark_ = merged;
  pending_.push_back({0, Watermark{watermark_}});
}

void InputGate::OnCaughtUp(ChannelState& channel) {
  if (channel.caught_up) return;
  channel.caught_up = true;
  const uint32_t input = channel.input;
  for (const ChannelState& c : channels_) {
    if (c.input == input && !c.caught_up) return;
  }
  pending_.push_back({input, CaughtUp{}});
  for (const auto& [held, other] : start_after_) {
    if (other != input || !input_held_[held]) continue;
    input_held_[held] =
        std::any_of(start_after_.begin(), start_after_.end(), [&](const auto& pair) {
          return pair.first == held &&
                 std::any_of(channels_.begin(), channels_.end(), [&](const ChannelState& c) {
                   return c.input == pair.second && !c.caught_up;
                 });
        });
    if (!input_held_[held]) --num_held_inputs_;
  }
  ReleaseParked();
}

void InputGate::OnEnded(uint32_t index) {
  ChannelState& channel = channels_[index];
  if (channel.ended) return;
  channel.ended = true;
  OnCaughtUp(channel);
  MergeWatermarks();
  UpdateIdle();
  const bool input_ended =
      std::all_of(channels_.begin(), channels_.end(),
                  [&](const ChannelState& c) { return c.input != channel.input || c.ended; });
  if (input_ended) pending_.push_back({channel.input, EndOfInput{}});
  // Last: a barrier that this completes lies behind the end, or the task's last checkpoint would
  // not be its last.
  ApplyAlignment(index, aligner_.OnChannelEnded(ChannelIndex(index)));
}

void InputGate::ApplyAlignment(uint32_t index, const BarrierAligner::Outcome& outcome) {
  if (outcome.release_channels) {
    for (ChannelState& channel : channels_) channel.aligning = false;
    ReleaseParked();
  }
  if (outcome.block_channel) channels_[index].aligning = true;
  if (outcome.aligned.has_value()) {
    last_alignment_ = absl::Nanoseconds(MonotonicNanos() - alignment_begin_nanos_);
    pending_.push_back({0, *outcome.aligned});
  }
}

void InputGate::OnCheckpointAborted(CheckpointId checkpoint) {
  ApplyAlignment(0, aligner_.OnAborted(checkpoint));
}

void InputGate::ReleaseParked() {
  for (uint32_t i = 0; i < channels_.size(); ++i) {
    if (!channels_[i].parked || !MayRead(channels_[i])) continue;
    channels_[i].parked = false;
    readable_.push_back(i);
  }
}

}  // namespace weir
