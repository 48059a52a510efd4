#pragma once

#include <memory>
#include <utility>

#include "jobmanager/ha/leader_election.h"
#include "jobmanager/main_thread_executor.h"

namespace weir {

/// The main thread as a leader sees it: no mail runs once the lease has lapsed, so that every
/// handler of a Dispatcher and of what it owns checks its leadership first.
///
/// A JobManager that was stopped for long thus does nothing when it wakes, not even with what
/// waited in its queues. Threads: as MainThreadExecutor says.
class FencedExecutor final : public MainThreadExecutor {
 public:
  /// `executor` is borrowed.
  FencedExecutor(MainThreadExecutor* executor, std::shared_ptr<const LeaderLease> lease)
      : executor_(executor), lease_(std::move(lease)) {}

  void Post(Mail mail) override { executor_->Post(Fenced(std::move(mail))); }
  TimerId PostAfter(absl::Duration delay, Mail mail) override {
    return executor_->PostAfter(delay, Fenced(std::move(mail)));
  }
  void CancelTimer(TimerId timer) override { executor_->CancelTimer(timer); }
  void RunBlocking(absl::AnyInvocable<Mail()> work) override {
    executor_->RunBlocking([this, work = std::move(work)]() mutable -> Mail {
      if (!lease_->Holds()) return nullptr;
      Mail mail = work();
      return mail ? Fenced(std::move(mail)) : nullptr;
    });
  }
  [[nodiscard]] const Clock* clock() const override { return executor_->clock(); }

 private:
  [[nodiscard]] Mail Fenced(Mail mail) {
    return [lease = lease_, mail = std::move(mail)]() mutable {
      if (lease->Holds()) mail();
    };
  }

  MainThreadExecutor* const executor_;
  const std::shared_ptr<const LeaderLease> lease_;
};

}  // namespace weir
