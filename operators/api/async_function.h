#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/functions.h"
#include "operators/async/async_inbox.h"

namespace weir {

/// Where the answer to one asynchronous request goes. Complete it once, from any thread; what comes
/// after that, after the request's timeout or after the task's end is ignored. A cheap handle:
/// copies are the same answer. A future that nobody completes times out.
template <class Out>
class ResultFuture {
 public:
  /// For operators.
  ResultFuture(std::shared_ptr<internal::AsyncInbox<Out>> inbox, internal::AsyncRequestId request)
      : inbox_(std::move(inbox)), request_(request) {}

  /// Any number of results; they get the input's event time.
  void Complete(std::vector<Out> results) const {
    inbox_->Put({request_, std::move(results), absl::OkStatus()});
  }
  /// Fails the task unless the request is retried. `reason` must not be OK.
  void CompleteExceptionally(absl::Status reason) const {
    if (reason.ok()) reason = absl::InternalError("a request was failed with the status OK");
    inbox_->Put({request_, {}, std::move(reason)});
  }

 private:
  std::shared_ptr<internal::AsyncInbox<Out>> inbox_;
  internal::AsyncRequestId request_;
};

/// Asks an outside service something for each record, many at a time. User functions derive from
/// it, are copied into every subtask, and may throw: that fails the task. A subtask calls its copy
/// from one thread at a time, within its steps: nothing here may block.
template <class In, class Out>
class AsyncFunction {
 public:
  using Input = In;
  using OutputRecord = Out;
  virtual ~AsyncFunction() = default;
  /// Makes clients and the like. State registered here is the function's own.
  [[nodiscard]] virtual absl::Status Open(OpenContext&) { return absl::OkStatus(); }
  /// Begins a request and returns; `future` is completed here or later, on any thread. `input` is
  /// valid for this call only: copy what the request needs. May be called again for a record: by a
  /// retry, and after a restore for each that was under way.
  virtual void AsyncInvoke(const In& input, ResultFuture<Out> future) = 0;
  /// The request's time has run out, its retries included; completes `future` before it returns.
  /// Fails the task by default.
  virtual void Timeout(const In&, ResultFuture<Out> future) {
    future.CompleteExceptionally(absl::DeadlineExceededError(
        "an asynchronous request has timed out; allow more time, or override Timeout to put out "
        "something else"));
  }
  /// Requests may still be under way; their answers are ignored.
  virtual void Close() {}
};

/// Whether, and after how long, a request is made again. A small value; made by one of the two
/// makers, then told by IfResult and IfException when: without either, never.
template <class Out>
class AsyncRetryStrategy {
 public:
  /// At most `max_attempts` times more, `delay` after the answer.
  static AsyncRetryStrategy FixedDelay(int max_attempts, absl::Duration delay) {
    return ExponentialBackoff(max_attempts, delay, delay, 1);
  }
  /// The same, with a delay that begins with `initial` and is multiplied by `multiplier` each time,
  /// up to `max`.
  static AsyncRetryStrategy ExponentialBackoff(int max_attempts, absl::Duration initial,
                                               absl::Duration max, double multiplier) {
    AsyncRetryStrategy strategy;
    strategy.max_attempts_ = max_attempts;
    strategy.initial_ = initial;
    strategy.max_ = max;
    strategy.multiplier_ = multiplier;
    return strategy;
  }
  static AsyncRetryStrategy None() { return {}; }

  [[nodiscard]] AsyncRetryStrategy IfResult(
      std::function<bool(const std::vector<Out>&)> predicate) const {
    AsyncRetryStrategy strategy = *this;
    strategy.if_result_ = std::move(predicate);
    return strategy;
  }
  [[nodiscard]] AsyncRetryStrategy IfException(
      std::function<bool(const absl::Status&)> predicate) const {
    AsyncRetryStrategy strategy = *this;
    strategy.if_exception_ = std::move(predicate);
    return strategy;
  }

  // For operators. `attempts` counts the calls so far.
  [[nodiscard]] bool ShouldRetry(int attempts, const std::vector<Out>& results,
                                 const absl::Status& status) const {
    if (attempts > max_attempts_) return false;
    return status.ok() ? if_result_ && if_result_(results) : if_exception_ && if_exception_(status);
  }
  [[nodiscard]] absl::Duration DelayAfter(int attempts) const {
    return std::min(max_, initial_ * std::pow(multiplier_, attempts - 1));
  }

 private:
  int max_attempts_ = 0;
  absl::Duration initial_;
  absl::Duration max_;
  double multiplier_ = 1;
  std::function<bool(const std::vector<Out>&)> if_result_;
  std::function<bool(const absl::Status&)> if_exception_;
};

}  // namespace weir
