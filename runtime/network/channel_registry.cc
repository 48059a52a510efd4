#include "runtime/network/channel_registry.h"

#include "runtime/base/strings.h"

namespace weir {
namespace {

std::pair<uint32_t, uint32_t> SubpartitionOf(const ChannelKey& key) {
  return {key.edge, key.subpartition};
}

// What late consumers of an attempt are told; an attempt that ended well has nothing left for them.
absl::Status ReleasedStatus(const ExecutionAttemptId& producer, const absl::Status& reason) {
  if (!reason.ok()) return reason;
  return absl::UnavailableError(
      StrCat("the producer has ended and its channels are gone: attempt=", ToString(producer)));
}

}  // namespace

ChannelRegistry::ChannelRegistry(size_t capacity_bytes, MemoryBudget* budget)
    : capacity_bytes_(capacity_bytes), budget_(budget) {}

ChannelRegistry::~ChannelRegistry() = default;

std::shared_ptr<ChannelQueue> ChannelRegistry::GetOrCreate(const ChannelKey& key) {
  std::shared_ptr<ChannelQueue> queue;
  absl::Status released;
  std::vector<Waiter> waiters;
  {
    MutexLock lock(&mutex_);
    if (const auto it = released_.find(key.producer); it != released_.end()) {
      released = it->second;
    } else {
      Attempt& attempt = attempts_[key.producer];
      Channel& channel = attempt.channels[SubpartitionOf(key)];
      if (channel.queue != nullptr) return channel.queue;
      channel.queue = queue = std::make_shared<ChannelQueue>(capacity_bytes_, budget_);
      if (auto waiting = attempt.waiters.extract(SubpartitionOf(key)); !waiting.empty()) {
        waiters = std::move(waiting.mapped());
        for (const Waiter& waiter : waiters) waits_.erase(waiter.id);
      }
    }
  }
  if (!released.ok()) {
    queue = std::make_shared<ChannelQueue>(capacity_bytes_, budget_);
    queue->Break(std::move(released));
  }
  for (const Waiter& waiter : waiters) waiter.callback(queue);
  return queue;
}

std::shared_ptr<ChannelQueue> ChannelRegistry::Find(const ChannelKey& key) const {
  MutexLock lock(&mutex_);
  const auto attempt = attempts_.find(key.producer);
  if (attempt == attempts_.end()) return nullptr;
  const auto channel = attempt->second.channels.find(SubpartitionOf(key));
  return channel == attempt->second.channels.end() ? nullptr : channel->second.queue;
}

ChannelRegistry::WaitId ChannelRegistry::WhenPresent(const ChannelKey& key,
                                                     PresentCallback callback) {
  absl::StatusOr<std::shared_ptr<ChannelQueue>> present;
  {
    MutexLock lock(&mutex_);
    if (const auto released = released_.find(key.producer); released != released_.end()) {
      present = released->second;
    } else {
      Attempt& attempt = attempts_[key.producer];
      const auto channel = attempt.channels.find(SubpartitionOf(key));
      if (channel == attempt.channels.end()) {
        const WaitId id = next_wait_++;
        attempt.waiters[SubpartitionOf(key)].push_back({id, std::move(callback)});
        waits_.emplace(id, key);
        return id;
      }
      present = channel->second.queue;
    }
  }
  callback(std::move(present));
  return 0;
}

void ChannelRegistry::CancelWait(WaitId id) {
  PresentCallback dropped;  // Destroyed without the lock.
  MutexLock lock(&mutex_);
  const auto wait = waits_.find(id);
  if (wait == waits_.end()) return;
  const ChannelKey key = wait->second;
  waits_.erase(wait);
  const auto attempt = attempts_.find(key.producer);
  auto& waiters = attempt->second.waiters[SubpartitionOf(key)];
  for (Waiter& waiter : waiters) {
    if (waiter.id != id) continue;
    dropped = std::move(waiter.callback);
    std::swap(waiter, waiters.back());
    waiters.pop_back();
    break;
  }
  if (waiters.empty()) attempt->second.waiters.erase(SubpartitionOf(key));
  if (attempt->second.channels.empty() && attempt->second.waiters.empty()) {
    attempts_.erase(attempt);
  }
}

absl::Status ChannelRegistry::ClaimConsumer(const ChannelKey& key) {
  MutexLock lock(&mutex_);
  const auto attempt = attempts_.find(key.producer);
  if (attempt == attempts_.end() || !attempt->second.channels.contains(SubpartitionOf(key))) {
    return absl::NotFoundError(StrCat("the channel is gone: channel=", ToString(key)));
  }
  if (std::exchange(attempt->second.channels[SubpartitionOf(key)].claimed, true)) {
    return absl::FailedPreconditionError(
        StrCat("the channel already has a consumer; a restarted consumer needs a restarted "
               "producer: channel=",
               ToString(key)));
  }
  return absl::OkStatus();
}

void ChannelRegistry::Release(const ExecutionAttemptId& producer, absl::Status reason) {
  const absl::Status released = ReleasedStatus(producer, reason);
  Attempt attempt;
  {
    MutexLock lock(&mutex_);
    if (auto found = attempts_.extract(producer); !found.empty()) {
      attempt = std::move(found.mapped());
    }
    for (const auto& [subpartition, waiters] : attempt.waiters) {
      for (const Waiter& waiter : waiters) waits_.erase(waiter.id);
    }
    if (released_.emplace(producer, released).second) released_order_.push_back(producer);
    if (released_order_.size() > kMaxReleasedAttempts) {
      released_.erase(released_order_.front());
      released_order_.pop_front();
    }
  }
  for (const auto& [subpartition, channel] : attempt.channels) channel.queue->Break(reason);
  for (const auto& [subpartition, waiters] : attempt.waiters) {
    for (const Waiter& waiter : waiters) waiter.callback(released);
  }
}

size_t ChannelRegistry::num_channels() const {
  MutexLock lock(&mutex_);
  size_t count = 0;
  for (const auto& [producer, attempt] : attempts_) count += attempt.channels.size();
  return count;
}

}  // namespace weir
