#pragma once

#include <deque>
#include <map>
#include <utility>

#include "jobmanager/main_thread_executor.h"
#include "operators/testing/manual_clock.h"

namespace weir {

/// A main thread that a test turns by hand: nothing runs but in RunUntilIdle and Advance.
class ManualExecutor final : public MainThreadExecutor {
 public:
  void Post(Mail mail) override { queue_.push_back(std::move(mail)); }

  TimerId PostAfter(absl::Duration delay, Mail mail) override {
    const TimerId id(++last_timer_);
    timers_.emplace(std::pair(clock_.Now() + std::max(delay, absl::ZeroDuration()), id),
                    std::move(mail));
    return id;
  }

  void CancelTimer(TimerId timer) override {
    std::erase_if(timers_, [timer](const auto& entry) { return entry.first.second == timer; });
  }

  void RunBlocking(absl::AnyInvocable<Mail()> work) override {
    blocking_.push_back(std::move(work));
  }

  [[nodiscard]] const Clock* clock() const override { return &clock_; }
  [[nodiscard]] absl::Time now() const { return clock_.Now(); }

  /// Runs all mail and, unless it is held, all blocking work; no time passes.
  void RunUntilIdle() {
    while (true) {
      if (!queue_.empty()) {
        Mail mail = std::move(queue_.front());
        queue_.pop_front();
        mail();
      } else if (!hold_blocking_ && !blocking_.empty()) {
        absl::AnyInvocable<Mail()> work = std::move(blocking_.front());
        blocking_.pop_front();
        if (Mail mail = work()) queue_.push_back(std::move(mail));
      } else if (!timers_.empty() && timers_.begin()->first.first <= clock_.Now()) {
        Mail mail = std::move(timers_.begin()->second);
        timers_.erase(timers_.begin());
        mail();
      } else {
        return;
      }
    }
  }

  /// Lets time pass, timer by timer.
  void Advance(absl::Duration duration) {
    const absl::Time end = clock_.Now() + duration;
    RunUntilIdle();
    while (!timers_.empty() && timers_.begin()->first.first <= end) {
      clock_.Advance(timers_.begin()->first.first - clock_.Now());
      RunUntilIdle();
    }
    clock_.Advance(end - clock_.Now());
    RunUntilIdle();
  }

  void set_hold_blocking(bool hold) { hold_blocking_ = hold; }
  [[nodiscard]] size_t num_blocking() const { return blocking_.size(); }

 private:
  ManualClock clock_;
  std::deque<Mail> queue_;
  std::deque<absl::AnyInvocable<Mail()>> blocking_;
  std::map<std::pair<absl::Time, TimerId>, Mail> timers_;
  uint64_t last_timer_ = 0;
  bool hold_blocking_ = false;
};

}  // namespace weir
