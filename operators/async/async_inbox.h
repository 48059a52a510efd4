#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "runtime/base/mutex.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// One attempt at one request: `slot` says which, `attempt` grows over all uses of the slot, so
/// that an answer that comes late is told from the one that is waited for.
struct AsyncRequestId {
  uint32_t slot = 0;
  uint64_t attempt = 0;
};

template <class Out>
struct AsyncAnswer {
  AsyncRequestId request;
  std::vector<Out> results;
  absl::Status status;
};

/// Takes answers on any thread and gives them to the task's. Outlives the operator for as long as
/// there are futures.
template <class Out>
class AsyncInbox {
 public:
  explicit AsyncInbox(std::shared_ptr<TaskHandle> task) : task_(std::move(task)) {}

  void Put(AsyncAnswer<Out> answer) {
    bool wake = false;
    {
      MutexLock lock(&mutex_);
      if (closed_) return;
      // Who finds it empty wakes; the task takes all there is.
      wake = answers_.empty();
      answers_.push_back(std::move(answer));
    }
    if (wake) task_->Wake();
  }
  /// Exchanges `*answers`, which is empty, for what has come.
  void TakeAll(std::vector<AsyncAnswer<Out>>* answers) {
    MutexLock lock(&mutex_);
    answers->swap(answers_);
  }
  void Close() {
    MutexLock lock(&mutex_);
    closed_ = true;
    answers_.clear();
  }

 private:
  const std::shared_ptr<TaskHandle> task_;
  Mutex mutex_;
  std::vector<AsyncAnswer<Out>> answers_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::internal
