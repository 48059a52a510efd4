#pragma once

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "operators/api/source.h"
#include "runtime/base/mutex.h"

namespace weir::internal {

/// How work on the I/O pool answers the enumerator that asked for it, even if that is gone by then.
/// Threads: any. Shared by the enumerator, which closes it, and its work.
class EnumeratorLink {
 public:
  explicit EnumeratorLink(SplitEnumeratorContext* context) : context_(context) {}

  /// Runs `mail` with the enumerator's other calls, unless it was closed before.
  static void Post(const std::shared_ptr<EnumeratorLink>& link,
                   absl::AnyInvocable<absl::Status()> mail) {
    // The lock is held over Post, which only queues, so that Close waits for it.
    const MutexLock lock(&link->mutex_);
    if (link->context_ != nullptr) link->context_->Post(link->Guarded(link, std::move(mail)));
  }
  static void PostAfter(const std::shared_ptr<EnumeratorLink>& link, absl::Duration delay,
                        absl::AnyInvocable<absl::Status()> mail) {
    const MutexLock lock(&link->mutex_);
    if (link->context_ != nullptr) {
      link->context_->PostAfter(delay, link->Guarded(link, std::move(mail)));
    }
  }

  void Close() {
    const MutexLock lock(&mutex_);
    context_ = nullptr;
  }
  [[nodiscard]] bool closed() const {
    const MutexLock lock(&mutex_);
    return context_ == nullptr;
  }

 private:
  // Mail and Close come one at a time, so open at the mail's begin means open to its end.
  static absl::AnyInvocable<absl::Status()> Guarded(const std::shared_ptr<EnumeratorLink>& link,
                                                    absl::AnyInvocable<absl::Status()> mail) {
    return [link, mail = std::move(mail)]() mutable {
      return link->closed() ? absl::OkStatus() : mail();
    };
  }

  mutable Mutex mutex_;
  SplitEnumeratorContext* context_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir::internal
