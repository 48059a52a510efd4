#include "runtime/network/channel_queue.h"

namespace weir {
namespace {

// A queue of many tiny batches costs more than their bytes.
constexpr size_t kElementOverheadBytes = 64;

void Call(const std::shared_ptr<const ChannelQueue::Listener>& listener) {
  if (listener != nullptr) (*listener)();
}

}  // namespace

ChannelQueue::ChannelQueue(size_t capacity_bytes, MemoryBudget* budget)
    : capacity_bytes_(capacity_bytes), budget_(budget) {}

ChannelQueue::~ChannelQueue() {
  MutexLock lock(&mutex_);
  if (budget_ != nullptr) budget_->Release(static_cast<int64_t>(queued_bytes_));
}

void ChannelQueue::Push(StreamElement element) {
  const size_t cost_bytes = IsBatch(element) ? SizeBytes(element) + kElementOverheadBytes : 0;
  Push(std::move(element), cost_bytes);
}

void ChannelQueue::Push(StreamElement element, size_t cost_bytes) {
  if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
    announced_.store(barrier->id.value(), std::memory_order_release);
  }
  std::shared_ptr<const Listener> listener;
  {
    MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    if (elements_.empty()) listener = data_listener_;
    elements_.push_back({std::move(element), cost_bytes});
    queued_bytes_ += cost_bytes;
    if (budget_ != nullptr) budget_->Charge(static_cast<int64_t>(cost_bytes));
    if (queued_bytes_ >= capacity_bytes_) full_.store(true, std::memory_order_release);
  }
  Call(listener);
}

void ChannelQueue::Break(absl::Status reason) {
  std::shared_ptr<const Listener> data_listener;
  std::shared_ptr<const Listener> space_listener;
  {
    MutexLock lock(&mutex_);
    if (!broken_.ok()) return;
    broken_ = std::move(reason);
    full_.store(false, std::memory_order_release);
    data_listener = data_listener_;
    space_listener = space_listener_;
  }
  Call(data_listener);
  Call(space_listener);
}

void ChannelQueue::SetSpaceListener(Listener listener) {
  auto shared = std::make_shared<const Listener>(std::move(listener));
  MutexLock lock(&mutex_);
  space_listener_.swap(shared);
}

std::optional<ChannelQueue::Popped> ChannelQueue::Pop() {
  std::shared_ptr<const Listener> listener;
  std::optional<Popped> popped;
  {
    MutexLock lock(&mutex_);
    if (elements_.empty()) return std::nullopt;
    popped = std::move(elements_.front());
    elements_.pop_front();
    queued_bytes_ -= popped->cost_bytes;
    if (budget_ != nullptr) budget_->Release(static_cast<int64_t>(popped->cost_bytes));
    // Half-empty before the producer goes on: it then has room for several batches a wake-up.
    if (full_.load(std::memory_order_relaxed) && queued_bytes_ <= capacity_bytes_ / 2) {
      full_.store(false, std::memory_order_release);
      listener = space_listener_;
    }
  }
  Call(listener);
  return popped;
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
  auto shared = std::make_shared<const Listener>(std::move(listener));
  bool call = false;
  {
    MutexLock lock(&mutex_);
    data_listener_ = shared;
    call = !elements_.empty() || !broken_.ok();
  }
  if (call) (*shared)();
}

size_t ChannelQueue::queued_bytes() const {
  MutexLock lock(&mutex_);
  return queued_bytes_;
}

}  // namespace weir
