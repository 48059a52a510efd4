#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/mutex.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// The blocking work of one sink writer: done in order on the I/O pool, bounded by the bytes that
/// wait.
///
/// Whoever waits for work does it himself if nobody else is at it, so waiting on a thread of the
/// pool never waits for a free one. The first error ends all work; it fails the task and is what
/// every later call returns. Threads: Push and HasRoom within the task's steps; the rest any.
class SinkIoQueue : public std::enable_shared_from_this<SinkIoQueue> {
 public:
  using Work = absl::AnyInvocable<absl::Status()>;

  /// `handle` is woken when there is room again, and told of the first error.
  [[nodiscard]] static std::shared_ptr<SinkIoQueue> Create(IoPool* pool,
                                                           std::shared_ptr<TaskHandle> handle,
                                                           size_t max_waiting_bytes);

  /// Whether less than the bound waits. One Push may go beyond it.
  [[nodiscard]] bool HasRoom() const;
  /// Queues `work`, which stands for `bytes`; returns its ticket for WaitFor.
  uint64_t Push(size_t bytes, Work work);
  /// Returns the last ticket given; 0 if there was none.
  [[nodiscard]] uint64_t last_ticket() const;
  [[nodiscard]] absl::Status status() const;
  /// Blocks until all work up to `ticket` is done. Errors: the first one of any work; kCancelled
  /// after Close.
  [[nodiscard]] absl::Status WaitFor(uint64_t ticket);
  /// Throws away what has not begun, waits for what has.
  void Close();

 private:
  struct Item {
    size_t bytes;
    Work work;
  };

  SinkIoQueue(IoPool* pool, std::shared_ptr<TaskHandle> handle, size_t max_waiting_bytes);
  // Does the first piece of work; the caller has seen that there is one and that nobody works.
  void WorkOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WorkAll();

  IoPool* const pool_;
  const std::shared_ptr<TaskHandle> handle_;
  const size_t max_waiting_bytes_;
  std::atomic<size_t> waiting_bytes_{0};
  mutable Mutex mutex_;
  CondVar work_done_;
  std::deque<Item> items_ ABSL_GUARDED_BY(mutex_);
  bool working_ ABSL_GUARDED_BY(mutex_) = false;  // Somebody runs work, without the lock.
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;   // A turn on the pool is queued or running.
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t done_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir::internal
