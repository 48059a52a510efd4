#pragma once

#include <atomic>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"

namespace weir {

/// What others ask of a task, run between its slices, in the order posted.
/// Threads: any may Post; RunPending within a step only. After Close mail is dropped.
class Mailbox {
 public:
  using Mail = absl::AnyInvocable<absl::Status()>;

  void Post(Mail mail) {
    MutexLock lock(&mutex_);
    if (closed_) return;
    mail_.push_back(std::move(mail));
    has_mail_.store(true, std::memory_order_release);
  }

  /// Runs what was posted before the call. Stops at the first error and returns it; the rest is
  /// dropped then.
  [[nodiscard]] absl::Status RunPending() {
    if (!has_mail_.load(std::memory_order_acquire)) return absl::OkStatus();
    std::vector<Mail> mail;
    {
      MutexLock lock(&mutex_);
      mail.swap(mail_);
      has_mail_.store(false, std::memory_order_release);
    }
    for (Mail& item : mail) RETURN_IF_ERROR(item());
    return absl::OkStatus();
  }

  void Close() {
    std::vector<Mail> dropped;
    MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(mail_);
  }

 private:
  std::atomic<bool> has_mail_{false};  // Pairs with the lock: lets a step look without taking it.
  Mutex mutex_;
  std::vector<Mail> mail_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weir
