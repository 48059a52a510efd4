#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "runtime/base/clock.h"

namespace weir {

/// A Clock that stands still until a test moves it. Safe from any thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(absl::Time now = absl::FromUnixSeconds(1'700'000'000))
      : wall_nanos_(absl::ToUnixNanos(now)) {}

  absl::Time Now() const override {
    return absl::FromUnixNanos(wall_nanos_.load(std::memory_order_acquire));
  }
  int64_t MonotonicNanos() const override {
    return monotonic_nanos_.load(std::memory_order_acquire);
  }

  /// Moves both clocks on; `duration` is not negative.
  void Advance(absl::Duration duration) {
    const int64_t nanos = absl::ToInt64Nanoseconds(duration);
    wall_nanos_.fetch_add(nanos, std::memory_order_acq_rel);
    monotonic_nanos_.fetch_add(nanos, std::memory_order_acq_rel);
  }

  /// Sets the wall clock only, as an administrator might, forth or back.
  void SetNow(absl::Time now) {
    wall_nanos_.store(absl::ToUnixNanos(now), std::memory_order_release);
  }

 private:
  std::atomic<int64_t> wall_nanos_;
  std::atomic<int64_t> monotonic_nanos_{1};
};

}  // namespace weir
