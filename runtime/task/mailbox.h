#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/metrics/histogram.h"

namespace weir {

/// What others ask of a task, run between its slices, in the order posted.
/// Threads: any may Post; RunPending within a step only. After Close mail is dropped.
class Mailbox {
 public:
  using Mail = absl::AnyInvocable<absl::Status()>;

  void Post(Mail mail) {
    MutexLock lock(&mutex_);
    if (closed_) return;
    mail_.push_back({std::move(mail), MonotonicNanos()});
    has_mail_.store(true, std::memory_order_release);
  }

  /// Runs what was posted before the call. Stops at the first error and returns it; the rest is
  /// dropped then.
  [[nodiscard]] absl::Status RunPending() {
    if (!has_mail_.load(std::memory_order_acquire)) return absl::OkStatus();
    std::vector<Posted> mail;
    {
      MutexLock lock(&mutex_);
      mail.swap(mail_);
      has_mail_.store(false, std::memory_order_release);
    }
    for (Posted& item : mail) {
      latency_ms_.Record((MonotonicNanos() - item.posted_nanos) / 1'000'000);
      RETURN_IF_ERROR(item.mail());
    }
    return absl::OkStatus();
  }

  void Close() {
    std::vector<Posted> dropped;
    MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(mail_);
  }

  /// What waits. Any thread.
  [[nodiscard]] size_t size() const {
    if (!has_mail_.load(std::memory_order_acquire)) return 0;
    MutexLock lock(&mutex_);
    return mail_.size();
  }
  /// How long each mail that has run waited. Any thread may read.
  [[nodiscard]] const Histogram& latency_ms() const { return latency_ms_; }

 private:
  struct Posted {
    Mail mail;
    int64_t posted_nanos = 0;
  };

  std::atomic<bool> has_mail_{false};  // Pairs with the lock: lets a step look without taking it.
  mutable Mutex mutex_;
  std::vector<Posted> mail_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  Histogram latency_ms_;  // Written by RunPending.
};

}  // namespace weir
