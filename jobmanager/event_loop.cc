#include "jobmanager/event_loop.h"

#include <pthread.h>

#include <algorithm>

namespace weir {

EventLoop::EventLoop(const Clock* clock, IoPool* io_pool) : clock_(clock), io_pool_(io_pool) {}

EventLoop::~EventLoop() { Stop(); }

void EventLoop::Start() {
  thread_ = std::jthread([this] {
    pthread_setname_np(pthread_self(), "jobmanager");
    Run();
  });
}

void EventLoop::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
  // Mail may own callbacks whose destructors post again: they go without the lock held.
  std::deque<std::pair<TimerId, Mail>> queue;
  std::map<TimerKey, Mail> timers;
  MutexLock lock(&mutex_);
  queue.swap(queue_);
  timers.swap(timers_);
  deadlines_.clear();
}

void EventLoop::Post(Mail mail) {
  MutexLock lock(&mutex_);
  if (stopping_) return;
  queue_.emplace_back(TimerId(), std::move(mail));
  changed_.Signal();
}

TimerId EventLoop::PostAfter(absl::Duration delay, Mail mail) {
  const int64_t deadline =
      clock_->MonotonicNanos() + std::max<int64_t>(0, absl::ToInt64Nanoseconds(delay));
  MutexLock lock(&mutex_);
  if (stopping_) return TimerId();
  const TimerId timer(++last_timer_);
  timers_.emplace(TimerKey(deadline, timer), std::move(mail));
  deadlines_.emplace(timer, deadline);
  changed_.Signal();
  return timer;
}

void EventLoop::CancelTimer(TimerId timer) {
  if (timer == TimerId()) return;
  Mail dropped;
  MutexLock lock(&mutex_);
  if (const auto found = deadlines_.find(timer); found != deadlines_.end()) {
    const auto entry = timers_.find(TimerKey(found->second, timer));
    dropped = std::move(entry->second);
    timers_.erase(entry);
    deadlines_.erase(found);
    return;
  }
  // It was due already and waits in the queue.
  for (auto& [id, mail] : queue_) {
    if (id != timer) continue;
    dropped = std::move(mail);
    mail = [] {};
  }
}

void EventLoop::RunBlocking(absl::AnyInvocable<Mail()> work) {
  io_pool_->Post([this, work = std::move(work)]() mutable {
    Mail continuation = work();
    if (continuation) Post(std::move(continuation));
  });
}

void EventLoop::Run() {
  while (Mail mail = WaitForMail()) mail();
}

Mail EventLoop::WaitForMail() {
  MutexLock lock(&mutex_);
  while (true) {
    if (stopping_) return nullptr;
    TakeDueTimers();
    if (!queue_.empty()) {
      Mail mail = std::move(queue_.front().second);
      queue_.pop_front();
      return mail;
    }
    if (timers_.empty()) {
      changed_.Wait(&mutex_);
    } else {
      const int64_t wait = timers_.begin()->first.first - clock_->MonotonicNanos();
      changed_.WaitFor(&mutex_, absl::Nanoseconds(wait));
    }
  }
}

void EventLoop::TakeDueTimers() {
  if (timers_.empty()) return;
  const int64_t now = clock_->MonotonicNanos();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto entry = timers_.begin();
    deadlines_.erase(entry->first.second);
    queue_.emplace_back(entry->first.second, std::move(entry->second));
    timers_.erase(entry);
  }
}

}  // namespace weir
