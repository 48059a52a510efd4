#include "runtime/task/worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "runtime/base/alternate_signal_stack.h"
#include "runtime/base/strings.h"

namespace weir {

WorkerPool::WorkerPool(int num_workers) : num_workers_(std::max(1, num_workers)) {
  for (int i = 0; i < num_workers_; ++i) {
    threads_.emplace_back([this, i] { RunWorker(i); });
  }
  threads_.emplace_back([this] { RunAlarms(); });
}

WorkerPool::~WorkerPool() { Shutdown(); }

void WorkerPool::Shutdown() {
  {
    MutexLock lock(&mutex_);
    closing_ = true;
    work_ready_.SignalAll();
  }
  {
    MutexLock lock(&alarm_mutex_);
    alarms_closing_ = true;
    alarm_changed_.SignalAll();
  }
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  std::deque<std::shared_ptr<Steppable>> dropped;
  MutexLock lock(&mutex_);
  dropped.swap(queue_);
}

void WorkerPool::Wake(std::shared_ptr<Steppable> task) {
  using Turn = Steppable::Turn;
  Turn turn = task->turn_.load(std::memory_order_acquire);
  while (true) {
    if (turn == Turn::kQueued || turn == Turn::kRunningAgain) {
      // Whoever woke it before us will have it step; our caller's writes must be visible to that
      // step.
      if (task->turn_.compare_exchange_weak(turn, turn, std::memory_order_acq_rel)) return;
    } else {
      const Turn next = turn == Turn::kIdle ? Turn::kQueued : Turn::kRunningAgain;
      if (task->turn_.compare_exchange_weak(turn, next, std::memory_order_acq_rel)) {
        if (next == Turn::kQueued) Enqueue(std::move(task));
        return;
      }
    }
  }
}

void WorkerPool::Enqueue(std::shared_ptr<Steppable> task) {
  MutexLock lock(&mutex_);
  if (closing_) return;
  queue_.push_back(std::move(task));
  work_ready_.Signal();
}

void WorkerPool::RunWorker(int index) {
  using Turn = Steppable::Turn;
  pthread_setname_np(pthread_self(), StrCat("worker-", index).c_str());
  const AlternateSignalStack signal_stack;
  while (true) {
    std::shared_ptr<Steppable> task;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !closing_) work_ready_.Wait(&mutex_);
      if (closing_) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task->turn_.exchange(Turn::kRunning, std::memory_order_acq_rel);
    const bool more = task->Step();
    Turn turn = Turn::kRunning;
    if (more ||
        !task->turn_.compare_exchange_strong(turn, Turn::kIdle, std::memory_order_acq_rel)) {
      task->turn_.store(Turn::kQueued, std::memory_order_release);
      Enqueue(std::move(task));
    }
  }
}

void WorkerPool::WakeAt(std::weak_ptr<Steppable> task, absl::Time time) {
  MutexLock lock(&alarm_mutex_);
  const bool first = alarms_.empty() || time < alarms_.top().time;
  alarms_.push({time, std::move(task)});
  if (first) alarm_changed_.Signal();
}

void WorkerPool::RunAlarms() {
  pthread_setname_np(pthread_self(), "worker-alarms");
  while (true) {
    std::vector<std::weak_ptr<Steppable>> due;
    {
      MutexLock lock(&alarm_mutex_);
      if (alarms_closing_) return;
      const absl::Time now = absl::Now();
      while (!alarms_.empty() && alarms_.top().time <= now) {
        due.push_back(alarms_.top().task);
        alarms_.pop();
      }
      if (due.empty()) {
        if (alarms_.empty()) {
          alarm_changed_.Wait(&alarm_mutex_);
        } else {
          alarm_changed_.WaitFor(&alarm_mutex_, alarms_.top().time - now);
        }
      }
    }
    for (const std::weak_ptr<Steppable>& task : due) {
      if (std::shared_ptr<Steppable> alive = task.lock()) Wake(std::move(alive));
    }
  }
}

}  // namespace weir
