#include "runtime/task/input_gate.h"

#include <algorithm>
#include <iterator>

#include "runtime/base/check.h"
#include "runtime/base/clock.h"
#include "runtime/base/status_macros.h"

namespace weir {
namespace {

std::vector<bool> MayOvertake(const std::vector<InputGate::Channel>& channels) {
  std::vector<bool> may_overtake;
  for (const InputGate::Channel& channel : channels) may_overtake.push_back(channel.may_overtake);
  return may_overtake;
}

}  // namespace

InputGate::InputGate(std::vector<Channel> channels, uint32_t num_inputs,
                     std::vector<std::pair<uint32_t, uint32_t>> start_after, CheckpointMode mode)
    : num_inputs_(num_inputs),
      start_after_(std::move(start_after)),
      input_held_(num_inputs),
      aligner_(channels.size(), mode, MayOvertake(channels)),
      ready_(std::make_shared<ReadyList>()) {
  for (Channel& channel : channels) {
    ChannelState& state = channels_.emplace_back();
    state.input = channel.input;
    state.queue = std::move(channel.queue);
    state.remote = channel.remote;
    state.edge = channel.edge;
    state.producer = channel.producer;
  }
  for (const auto& [input, other] : start_after_) {
    if (!input_held_[input]) ++num_held_inputs_;
    input_held_[input] = true;
  }
}

InputGate::~InputGate() {
  StopRecording();
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
  if (clock_ == nullptr) return;
  for (const uint32_t index : added) CheckAnnouncement(index);
}

bool InputGate::MayRead(const ChannelState& channel) const {
  return !channel.aligning && !input_held_[channel.input];
}

absl::StatusOr<std::optional<InputGate::Input>> InputGate::Next() {
  while (true) {
    if (!pending_.empty()) {
      std::optional<Input> next = std::move(pending_.front());
      pending_.pop_front();
      if (overtaken_barrier_.has_value()) NoteGivenOut(next->element);
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
    if (channel.replay != nullptr) {
      readable_.push_back(index);
      RETURN_IF_ERROR(Handle(index, PopReplay(channel)));
      // The new producer has not said that it is idle.
      if (channel.replay == nullptr) OnStatus(channel, false);
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
    if (!aligner_.aligning()) NoteAlignmentBegins();
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
    NoteAlignmentEnds();
    pending_.push_back({0, *outcome.aligned});
  } else if (clock_ != nullptr) {
    OvertakeIfDue();
  }
}

void InputGate::NoteAlignmentBegins() {
  alignment_begin_nanos_ = MonotonicNanos();
  alignment_begin_bytes_ = local_.num_bytes + remote_.num_bytes;
}

void InputGate::NoteAlignmentEnds() {
  last_alignment_ = absl::Nanoseconds(MonotonicNanos() - alignment_begin_nanos_);
  last_alignment_bytes_ = local_.num_bytes + remote_.num_bytes - alignment_begin_bytes_;
  overtake_due_ = absl::InfiniteFuture();
}

void InputGate::OnCheckpointAborted(CheckpointId checkpoint) {
  if (recorded_checkpoint_ == checkpoint) StopRecording();
  ApplyAlignment(0, aligner_.OnAborted(checkpoint));
}

void InputGate::EnableUnaligned(absl::Duration aligned_timeout, const Clock* clock) {
  aligned_timeout_ = aligned_timeout;
  clock_ = clock;
}

void InputGate::CheckAnnouncement(uint32_t index) {
  ChannelState& channel = channels_[index];
  const ChannelQueue::Announcement announced = channel.queue->announcement();
  if (announced.id <= channel.announced) return;
  channel.announced = announced.id;
  if (!aligner_.aligning()) NoteAlignmentBegins();
  ApplyAlignment(index, aligner_.OnAnnounced(CheckpointBarrier{
                            .id = announced.id,
                            .trigger_time_ms = announced.trigger_time_ms,
                            .unaligned = true,
                        }));
}

absl::Time InputGate::PollUnaligned() {
  TakeReady();
  OvertakeIfDue();
  return aligner_.aligning() ? overtake_due_ : absl::InfiniteFuture();
}

void InputGate::OvertakeIfDue() {
  if (!aligner_.CanOvertake()) return;
  if (aligned_timeout_ > absl::ZeroDuration()) {
    overtake_due_ = absl::FromUnixMillis(aligner_.pending()->trigger_time_ms) + aligned_timeout_;
    if (clock_->Now() < overtake_due_) return;
  }
  const BarrierAligner::Outcome outcome = aligner_.Overtake();
  StopRecording();
  recorded_checkpoint_ = outcome.aligned->id;
  for (const ChannelIndex index : outcome.record) {
    ChannelState& channel = channels_[index.value()];
    channel.recorded = true;
    if (channel.replay != nullptr) {
      channel.recorded_replay.assign(channel.replay->begin(), channel.replay->end());
    }
    channel.queue->StartRecording(outcome.aligned->id);
  }
  overtaken_barrier_ = outcome.aligned->id;
  ApplyAlignment(0, outcome);
}

void InputGate::NoteGivenOut(const StreamElement& element) {
  const auto* barrier = std::get_if<CheckpointBarrier>(&element);
  if (barrier != nullptr && barrier->id == *overtaken_barrier_) overtaken_barrier_.reset();
}

bool InputGate::RecordingComplete() const {
  return std::all_of(channels_.begin(), channels_.end(), [](const ChannelState& channel) {
    return !channel.recorded || channel.queue->RecordingComplete();
  });
}

InputGate::Recordings InputGate::TakeRecordings() {
  NoteAlignmentEnds();
  Recordings taken;
  for (ChannelState& channel : channels_) {
    if (!std::exchange(channel.recorded, false)) continue;
    ChannelQueue::Recording recording = channel.queue->TakeRecording();
    ChannelContent& content = taken.contents.emplace_back();
    content.edge = channel.edge;
    content.producer = channel.producer;
    content.elements = std::exchange(channel.recorded_replay, {});
    for (const StreamElement& element : content.elements) taken.num_bytes += SizeBytes(element);
    std::move(recording.elements.begin(), recording.elements.end(),
              std::back_inserter(content.elements));
    taken.num_bytes += recording.num_bytes;
    taken.overflowed = taken.overflowed || recording.overflowed;
    taken.charges.push_back(std::move(recording.charge));
  }
  recorded_checkpoint_ = CheckpointId();
  return taken;
}

void InputGate::StopRecording() {
  for (ChannelState& channel : channels_) {
    if (!std::exchange(channel.recorded, false)) continue;
    channel.recorded_replay.clear();
    static_cast<void>(channel.queue->TakeRecording());
  }
  recorded_checkpoint_ = CheckpointId();
}

void InputGate::Restore(std::vector<ChannelContent> contents, MemoryBudget* budget) {
  replay_charge_ = MemoryCharge(budget, 0);
  for (ChannelContent& content : contents) {
    if (content.elements.empty()) continue;
    // Where the producers have become fewer or more, any channel of the edge will do.
    std::vector<uint32_t> candidates;
    for (uint32_t i = 0; i < channels_.size(); ++i) {
      if (channels_[i].edge == content.edge) candidates.push_back(i);
    }
    DCHECK(!candidates.empty());
    uint32_t index = candidates[content.producer % candidates.size()];
    for (const uint32_t candidate : candidates) {
      if (channels_[candidate].producer == content.producer) index = candidate;
    }
    ChannelState& channel = channels_[index];
    if (channel.replay == nullptr) {
      channel.replay = std::make_unique<std::deque<StreamElement>>();
      readable_.push_back(index);
      ++num_replays_;
    }
    for (StreamElement& element : content.elements) {
      replay_charge_.Resize(replay_charge_.bytes() + static_cast<int64_t>(SizeBytes(element)));
      channel.replay->push_back(std::move(element));
    }
  }
}

StreamElement InputGate::PopReplay(ChannelState& channel) {
  StreamElement element = std::move(channel.replay->front());
  channel.replay->pop_front();
  if (channel.replay->empty()) {
    channel.replay.reset();
    if (--num_replays_ == 0) replay_charge_.Release();
  }
  return element;
}

void InputGate::ReleaseParked() {
  for (uint32_t i = 0; i < channels_.size(); ++i) {
    if (!channels_[i].parked || !MayRead(channels_[i])) continue;
    channels_[i].parked = false;
    readable_.push_back(i);
  }
}

}  // namespace weir
