#include "taskmanager/timer_thread.h"

#include <pthread.h>

#include "runtime/base/clock.h"

namespace weir {

TimerThread::TimerThread() : thread_([this] { Run(); }) {}

TimerThread::~TimerThread() { Shutdown(); }

void TimerThread::ScheduleAfter(absl::Duration delay, Work work) {
  const int64_t due = MonotonicNanos() + absl::ToInt64Nanoseconds(delay);
  const MutexLock lock(&mutex_);
  if (closing_) return;
  due_.emplace(due, std::move(work));
  changed_.Signal();
}

void TimerThread::Shutdown() {
  std::multimap<int64_t, Work> dropped;
  {
    const MutexLock lock(&mutex_);
    closing_ = true;
    dropped.swap(due_);
    changed_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

void TimerThread::Run() {
  pthread_setname_np(pthread_self(), "weir-timers");
  while (true) {
    Work work;
    {
      const MutexLock lock(&mutex_);
      while (!closing_ && (due_.empty() || due_.begin()->first > MonotonicNanos())) {
        if (due_.empty()) {
          changed_.Wait(&mutex_);
        } else {
          changed_.WaitFor(&mutex_, absl::Nanoseconds(due_.begin()->first - MonotonicNanos()));
        }
      }
      if (closing_) return;
      work = std::move(due_.begin()->second);
      due_.erase(due_.begin());
    }
    work();
  }
}

}  // namespace weir
