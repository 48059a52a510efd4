#pragma once

#include <csignal>
#include <optional>

#include "absl/time/time.h"

namespace weir {

/// Turns SIGINT, SIGTERM and SIGCHLD into return values.
///
/// Construct it before any thread is made: it blocks the signals, which threads inherit, and lets
/// them through again at its end. Ignores SIGPIPE from then on. One per process. Threads: one.
class SignalWaiter {
 public:
  SignalWaiter();
  ~SignalWaiter();
  SignalWaiter(const SignalWaiter&) = delete;
  SignalWaiter& operator=(const SignalWaiter&) = delete;

  /// Returns the next signal, or nothing after `timeout`. Blocks.
  [[nodiscard]] std::optional<int> Wait(absl::Duration timeout);

 private:
  sigset_t signals_;
  sigset_t before_;
};

/// Returns whether the signal asks the process to end.
[[nodiscard]] inline bool AsksToEnd(int signal) { return signal == SIGINT || signal == SIGTERM; }

}  // namespace weir
