#pragma once

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/strong_id.h"

namespace weir {

/// Work for the JobManager's main thread: called once, must neither block nor throw.
using Mail = absl::AnyInvocable<void()>;
using TimerId = StrongId<struct TimerIdTag>;

/// The one thread on which Dispatcher, ResourceManager, JobMasters and CheckpointCoordinators live,
/// so that none of them has a lock. EventLoop is the real one; tests turn theirs by hand.
///
/// Threads: every method may be called from any thread. Mail posted by one thread runs in order.
class MainThreadExecutor {
 public:
  virtual ~MainThreadExecutor() = default;

  /// Runs `mail` on the main thread. After the end of the executor it is destroyed unrun.
  virtual void Post(Mail mail) = 0;

  /// Runs `mail` on the main thread, not before `delay` has passed.
  virtual TimerId PostAfter(absl::Duration delay, Mail mail) = 0;

  /// Forgets a timer; one that has already run, or was forgotten, is no error. Called on the main
  /// thread, no mail of that timer runs afterwards.
  virtual void CancelTimer(TimerId timer) = 0;

  /// Runs `work` where it may block, then the mail that it returns on the main thread.
  virtual void RunBlocking(absl::AnyInvocable<Mail()> work) = 0;

  [[nodiscard]] virtual const Clock* clock() const = 0;
};

}  // namespace weir
