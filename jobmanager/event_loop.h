#pragma once

#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "jobmanager/main_thread_executor.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/mutex.h"

namespace weir {

/// The JobManager's main thread: an actor's mailbox with timers.
///
/// Lifecycle: Start → Stop. The I/O pool must outlive Stop, and the loop must outlive the pool's
/// work. Threads: as MainThreadExecutor says; the lock guards the hand-over alone.
class EventLoop final : public MainThreadExecutor {
 public:
  /// Both are borrowed. `clock` gives the time of timers; the thread waits in real time.
  EventLoop(const Clock* clock, IoPool* io_pool);
  ~EventLoop() override;

  void Start();
  /// Ends the thread after the mail that runs; what is queued is destroyed unrun. Blocks. May be
  /// called twice, but not from the loop's own thread.
  void Stop();

  void Post(Mail mail) override;
  TimerId PostAfter(absl::Duration delay, Mail mail) override;
  void CancelTimer(TimerId timer) override;
  void RunBlocking(absl::AnyInvocable<Mail()> work) override;
  [[nodiscard]] const Clock* clock() const override { return clock_; }

 private:
  using TimerKey = std::pair<int64_t, TimerId>;  // Deadline by the monotonic clock.

  void Run();
  /// Returns the next mail that is due, or a null one once the loop ends.
  Mail WaitForMail();
  void TakeDueTimers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Clock* const clock_;
  IoPool* const io_pool_;
  Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::pair<TimerId, Mail>> queue_ ABSL_GUARDED_BY(mutex_);  // Id 0: no timer's mail.
  std::map<TimerKey, Mail> timers_ ABSL_GUARDED_BY(mutex_);
  std::map<TimerId, int64_t> deadlines_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace weir
