#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "runtime/base/mutex.h"

namespace weir {

/// Work for an IoPool: called once, must not throw. May own things that cannot be copied.
using IoWork = absl::AnyInvocable<void()>;

namespace internal {
struct IoStrandState;
}

/// Threads for work that blocks (file writes, uploads, commits, HTTP), which a task's step must not
/// do.
///
/// Lifecycle: made by the process's main; Shutdown, or the destructor, runs what is queued and
/// joins the threads. Threads: any may post. Work of one pool runs concurrently and in any order;
/// IoStrand gives an order. Bound: none. Whoever posts bounds what it has in flight; queued() is
/// there to be watched.
class IoPool {
 public:
  /// Starts `num_threads` (at least one) threads, named `name`-0 and so on (the system keeps 15
  /// characters).
  IoPool(std::string name, int num_threads);
  ~IoPool();
  IoPool(const IoPool&) = delete;
  IoPool& operator=(const IoPool&) = delete;

  /// Queues `work`. Returns false, and destroys it without calling it, once Shutdown has begun;
  /// work that runs on this pool may still post during Shutdown, and that is run too.
  bool Post(IoWork work);

  /// Runs everything queued, then joins the threads. Blocks. May be called twice, from any thread
  /// but the pool's.
  void Shutdown();

  /// Returns how much work, of strands too, waits to be started.
  [[nodiscard]] size_t queued() const;
  /// Returns whether nothing runs or waits at this moment: whoever posts no more has no work here.
  [[nodiscard]] bool idle() const;
  [[nodiscard]] int num_threads() const { return num_threads_; }

 private:
  friend class IoStrand;

  void RunThread(int index);
  bool PostToStrand(const std::shared_ptr<internal::IoStrandState>& strand, IoWork work);
  void RunStrand(const std::shared_ptr<internal::IoStrandState>& strand);
  bool Accepts() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const int num_threads_;
  mutable Mutex mutex_;  // Guards the queues of this pool's strands as well.
  CondVar work_ready_;
  std::deque<IoWork> queue_ ABSL_GUARDED_BY(mutex_);
  size_t num_in_strands_ ABSL_GUARDED_BY(mutex_) = 0;  // Work that waits in strands.
  size_t num_strand_turns_ ABSL_GUARDED_BY(mutex_) =
      0;  // Entries of queue_ that are a strand's turn.
  int num_running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  std::once_flag joined_;
  std::vector<std::jthread> threads_;
};

/// Runs its work on an IoPool one by one, in the order posted: one file's writes, one sink's
/// commits.
///
/// A strand is cheap (no thread) and fair (one piece of work a turn). Threads: any may post; what
/// one piece of work wrote, the next one sees. Destroying it lets queued work run; it must not
/// outlive its pool.
class IoStrand {
 public:
  explicit IoStrand(IoPool* pool);
  IoStrand(const IoStrand&) = delete;
  IoStrand& operator=(const IoStrand&) = delete;

  /// Queues `work` behind all posted before. Returns false, without calling it, once the pool shuts
  /// down.
  bool Post(IoWork work);

  /// Returns how much work of this strand waits to be started.
  [[nodiscard]] size_t queued() const;

 private:
  IoPool* const pool_;
  const std::shared_ptr<internal::IoStrandState>
      state_;  // Shared with the turns in the pool's queue.
};

}  // namespace weir
