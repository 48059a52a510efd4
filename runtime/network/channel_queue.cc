#include "runtime/network/channel_queue.h"

#include <algorithm>

#include "runtime/base/strings.h"

namespace weir {
namespace {

// A queue of many tiny batches costs more than their bytes.
constexpr size_t kElementOverheadBytes = 64;

void Call(const std::shared_ptr<const ChannelQueue::Listener>& listener) {
  if (listener != nullptr) (*listener)();
}

std::shared_ptr<const ChannelQueue::Listener> Share(ChannelQueue::Listener listener) {
  if (listener == nullptr) return nullptr;
  return std::make_shared<const ChannelQueue::Listener>(std::move(listener));
}

}  // namespace

std::string ToString(const ChannelKey& key) {
  return StrCat(ToString(key.producer), "/", key.edge, "/", key.subpartition);
}

ChannelQueue::ChannelQueue(size_t capacity_bytes, MemoryBudget* budget)
    : capacity_bytes_(capacity_bytes), budget_(budget), limit_bytes_(capacity_bytes) {}

ChannelQueue::~ChannelQueue() {
  MutexLock lock(&mutex_);
  if (budget_ != nullptr) budget_->Release(static_cast<int64_t>(queued_bytes_));
}

void ChannelQueue::Push(StreamElement element) {
  const size_t cost_bytes = IsBatch(element) ? SizeBytes(element) + kElementOverheadBytes : 0;
  Push(std::move(element), cost_bytes);
}

void ChannelQueue::Push(StreamElement element, size_t cost_bytes) {
  SharedListener listener;
  {
    MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    bool wake = elements_.empty();
    if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
      pushed_barrier_.store(barrier->id.value(), std::memory_order_release);
      if (barrier->unaligned) {
        wake |= RaiseAnnounced({barrier->id, barrier->trigger_time_ms});
      }
    }
    if (recording_ != nullptr) wake |= Record(element, cost_bytes);
    if (wake) listener = data_listener_;
    elements_.push_back({std::move(element), cost_bytes});
    queued_bytes_ += cost_bytes;
    if (budget_ != nullptr) budget_->Charge(static_cast<int64_t>(cost_bytes));
    if (queued_bytes_ >= limit_bytes()) full_.store(true, std::memory_order_release);
  }
  Call(listener);
}

void ChannelQueue::Announce(const Announcement& announcement) {
  SharedListener listener;
  {
    MutexLock lock(&mutex_);
    if (broken_.ok() && RaiseAnnounced(announcement)) listener = data_listener_;
  }
  Call(listener);
}

bool ChannelQueue::RaiseAnnounced(const Announcement& announcement) {
  // Writers hold the mutex; the aligner reads without it.
  if (announced_.load(std::memory_order_relaxed) >= announcement.id.value()) return false;
  announced_trigger_ms_.store(announcement.trigger_time_ms, std::memory_order_relaxed);
  announced_.store(announcement.id.value(), std::memory_order_release);
  return true;
}

void ChannelQueue::StartRecording(CheckpointId id) {
  SharedListener consumed_listener;
  std::unique_ptr<ActiveRecording> previous;  // Destroyed without the lock.
  {
    MutexLock lock(&mutex_);
    previous = std::exchange(recording_, std::make_unique<ActiveRecording>());
    recording_->until = id;
    recording_->complete = !broken_.ok();
    recording_->content.charge = MemoryCharge(budget_, 0);
    for (const Popped& queued : elements_) (void)Record(queued.element, queued.cost_bytes);
    if (!recording_->complete) consumed_listener = consumed_listener_;
  }
  Call(consumed_listener);
}

bool ChannelQueue::Record(const StreamElement& element, size_t cost_bytes) {
  if (recording_->complete) return false;
  Recording& content = recording_->content;
  if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
    recording_->complete = barrier->id >= recording_->until;
  } else if (std::holds_alternative<EndOfInput>(element)) {
    recording_->complete = true;
  } else if (IsBatch(element) || std::holds_alternative<Watermark>(element) ||
             std::holds_alternative<WatermarkStatus>(element)) {
    // What else there is, sources say again after a restart, and in time.
    content.elements.push_back(element);
    content.num_bytes += cost_bytes;
    content.charge.Resize(static_cast<int64_t>(content.num_bytes));
    if (budget_ != nullptr && budget_->OverLimit()) {
      content = Recording();
      content.overflowed = true;
      recording_->complete = true;
    }
  }
  return recording_->complete;
}

bool ChannelQueue::RecordingComplete() const {
  MutexLock lock(&mutex_);
  return recording_ == nullptr || recording_->complete;
}

ChannelQueue::Recording ChannelQueue::TakeRecording() {
  std::unique_ptr<ActiveRecording> taken;
  {
    MutexLock lock(&mutex_);
    taken.swap(recording_);
  }
  return taken == nullptr ? Recording() : std::move(taken->content);
}

CheckpointId ChannelQueue::awaited_barrier() const {
  MutexLock lock(&mutex_);
  return recording_ == nullptr || recording_->complete ? CheckpointId(0) : recording_->until;
}

void ChannelQueue::Break(absl::Status reason) {
  SharedListener data_listener;
  SharedListener space_listener;
  {
    MutexLock lock(&mutex_);
    if (reason.ok() || !broken_.ok()) return;
    broken_ = std::move(reason);
    if (recording_ != nullptr) recording_->complete = true;
    full_.store(false, std::memory_order_release);
    data_listener = data_listener_;
    space_listener = space_listener_;
  }
  Call(data_listener);
  Call(space_listener);
}

void ChannelQueue::SetSpaceListener(Listener listener) {
  SharedListener shared = Share(std::move(listener));
  MutexLock lock(&mutex_);
  space_listener_.swap(shared);
}

std::optional<ChannelQueue::Popped> ChannelQueue::Pop() { return PopIf(true); }

std::optional<ChannelQueue::Popped> ChannelQueue::PopControl() { return PopIf(false); }

std::optional<ChannelQueue::Popped> ChannelQueue::PopIf(bool batches_too) {
  SharedListener space_listener;
  SharedListener consumed_listener;
  std::optional<Popped> popped;
  {
    MutexLock lock(&mutex_);
    if (elements_.empty()) return std::nullopt;
    if (!batches_too && IsBatch(elements_.front().element)) return std::nullopt;
    popped = std::move(elements_.front());
    elements_.pop_front();
    const size_t cost_bytes = popped->cost_bytes;
    queued_bytes_ -= cost_bytes;
    if (budget_ != nullptr) budget_->Release(static_cast<int64_t>(cost_bytes));
    // Half-empty before the producer goes on: it then has room for several batches a wake-up.
    if (full_.load(std::memory_order_relaxed) && queued_bytes_ <= limit_bytes() / 2) {
      full_.store(false, std::memory_order_release);
      space_listener = space_listener_;
    }
    const bool below = ReturnableBytes() < ReturnThresholdBytes();
    consumed_bytes_ += cost_bytes;
    if (below && ReturnableBytes() >= ReturnThresholdBytes()) {
      consumed_listener = consumed_listener_;
    }
  }
  Call(space_listener);
  Call(consumed_listener);
  return popped;
}

void ChannelQueue::SetLimit(size_t bytes) {
  SharedListener space_listener;
  SharedListener consumed_listener;
  {
    MutexLock lock(&mutex_);
    const size_t limit = std::clamp<size_t>(bytes, 1, std::max<size_t>(capacity_bytes_, 1));
    if (limit == limit_bytes()) return;
    limit_bytes_.store(limit, std::memory_order_relaxed);
    if (broken_.ok() && queued_bytes_ >= limit) {
      full_.store(true, std::memory_order_release);
    } else if (full_.load(std::memory_order_relaxed) && queued_bytes_ <= limit / 2) {
      full_.store(false, std::memory_order_release);
      space_listener = space_listener_;
    }
    consumed_listener = consumed_listener_;
  }
  Call(space_listener);
  Call(consumed_listener);
}

size_t ChannelQueue::ReturnableBytes() const {
  const size_t limit = limit_bytes();
  const size_t withheld = capacity_bytes_ > limit ? capacity_bytes_ - limit : 0;
  return consumed_bytes_ > withheld ? consumed_bytes_ - withheld : 0;
}

// A sender out of credit has used up the limit. Once that is popped the threshold has been passed,
// as it is at most a quarter of it: so credit always comes back.
size_t ChannelQueue::ReturnThresholdBytes() const {
  const size_t limit = limit_bytes();
  if (limit >= capacity_bytes_) return consumed_threshold_bytes_;
  return std::min(consumed_threshold_bytes_, std::max<size_t>(limit / 4, 1));
}

bool ChannelQueue::Empty() const {
  MutexLock lock(&mutex_);
  return elements_.empty();
}

absl::Status ChannelQueue::status() const {
  MutexLock lock(&mutex_);
  return elements_.empty() ? broken_ : absl::OkStatus();
}

void ChannelQueue::SetDataListener(Listener listener) {
  const SharedListener shared = Share(std::move(listener));
  SharedListener previous;  // Destroyed without the lock: it may own what calls back into here.
  bool call = false;
  {
    MutexLock lock(&mutex_);
    previous = std::exchange(data_listener_, shared);
    call = !elements_.empty() || !broken_.ok();
  }
  if (call) Call(shared);
}

void ChannelQueue::SetConsumedListener(size_t threshold_bytes, Listener listener) {
  SharedListener shared = Share(std::move(listener));
  MutexLock lock(&mutex_);
  consumed_threshold_bytes_ = threshold_bytes;
  consumed_listener_.swap(shared);
}

size_t ChannelQueue::TakeConsumedBytes() {
  MutexLock lock(&mutex_);
  const size_t returned = ReturnableBytes();
  consumed_bytes_ -= returned;
  return returned;
}

ChannelQueue::Load ChannelQueue::load() const {
  const MutexLock lock(&mutex_);
  return {elements_.size(), queued_bytes_};
}

size_t ChannelQueue::queued_bytes() const {
  MutexLock lock(&mutex_);
  return queued_bytes_;
}

}  // namespace weir
