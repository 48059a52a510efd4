#pragma once

#include <cstdint>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"

namespace weir {

/// One thread that calls things later: heartbeats, leases, reconnects, coordinators' timers.
///
/// Threads: any may schedule. Work runs on the service's thread and must only pass the word on
/// (post to a strand). Lifecycle: Shutdown, or the destructor, drops what is not yet due, without
/// calling it.
class TimerThread {
 public:
  using Work = absl::AnyInvocable<void()>;

  TimerThread();
  ~TimerThread();
  TimerThread(const TimerThread&) = delete;
  TimerThread& operator=(const TimerThread&) = delete;

  /// Calls `work` once `delay` has passed; drops it after Shutdown.
  void ScheduleAfter(absl::Duration delay, Work work);

  /// Waits for work under way and joins the thread. May be called twice, not from the thread
  /// itself.
  void Shutdown();

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  // By monotonic due time, then in the order scheduled.
  std::multimap<int64_t, Work> due_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace weir
