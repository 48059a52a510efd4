#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace weir {

/// Tells the time. Code that waits, times out or stamps takes a Clock, so that tests move time by
/// hand (operators/testing/manual_clock.h). Safe from any thread.
class Clock {
 public:
  virtual ~Clock() = default;

  /// Returns the wall clock's time, which an administrator may set back.
  [[nodiscard]] virtual absl::Time Now() const = 0;

  /// Returns nanoseconds since some fixed instant; never goes back. For leases, time-outs and
  /// durations.
  [[nodiscard]] virtual int64_t MonotonicNanos() const = 0;
};

/// Returns the operating system's clock. It lives as long as the process.
[[nodiscard]] const Clock* SystemClock();

/// Returns the operating system's monotonic time; as SystemClock()->MonotonicNanos(), without the
/// virtual call.
[[nodiscard]] int64_t MonotonicNanos();

/// Measures real time from its construction or its last Restart.
class Stopwatch {
 public:
  Stopwatch() : begin_nanos_(MonotonicNanos()) {}

  void Restart() { begin_nanos_ = MonotonicNanos(); }
  [[nodiscard]] int64_t ElapsedNanos() const { return MonotonicNanos() - begin_nanos_; }
  [[nodiscard]] absl::Duration Elapsed() const { return absl::Nanoseconds(ElapsedNanos()); }

 private:
  int64_t begin_nanos_;
};

}  // namespace weir
