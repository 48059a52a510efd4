#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "runtime/base/mutex.h"

namespace weir {

/// Something that workers run in steps: never on two workers at once, and again after each Wake.
class Steppable {
 public:
  virtual ~Steppable() = default;

 protected:
  friend class WorkerPool;
  /// Does some work. Returns true if there is more to do at once.
  virtual bool Step() = 0;

 private:
  enum class Turn : uint8_t { kIdle, kQueued, kRunning, kRunningAgain };
  std::atomic<Turn> turn_{Turn::kIdle};
};

/// The threads that step the tasks of a TaskManager, one per core, from one run queue.
///
/// Threads: Wake and WakeAt may be called from any thread, inside a step too.
/// Lifecycle: Shutdown, or the destructor, lets running steps end and drops what is queued.
class WorkerPool {
 public:
  explicit WorkerPool(int num_workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// Has `task` stepped soon. If it is in a step now, once more after that. The pool keeps it alive
  /// meanwhile.
  void Wake(std::shared_ptr<Steppable> task);
  /// Wakes `task` at `time`, unless it is gone by then.
  void WakeAt(std::weak_ptr<Steppable> task, absl::Time time);
  void Shutdown();
  [[nodiscard]] int num_workers() const { return num_workers_; }

 private:
  struct Alarm {
    absl::Time time;
    std::weak_ptr<Steppable> task;
    bool operator>(const Alarm& other) const { return time > other.time; }
  };

  void Enqueue(std::shared_ptr<Steppable> task);
  void RunWorker(int index);
  void RunAlarms();

  const int num_workers_;
  Mutex mutex_;
  CondVar work_ready_;
  std::deque<std::shared_ptr<Steppable>> queue_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  Mutex alarm_mutex_;
  CondVar alarm_changed_;
  std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms_
      ABSL_GUARDED_BY(alarm_mutex_);
  bool alarms_closing_ ABSL_GUARDED_BY(alarm_mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace weir
