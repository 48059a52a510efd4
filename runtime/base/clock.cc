#include "runtime/base/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace weir {
namespace {

class OperatingSystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  int64_t MonotonicNanos() const override { return weir::MonotonicNanos(); }
};

}  // namespace

const Clock* SystemClock() {
  static const OperatingSystemClock clock;
  return &clock;
}

int64_t MonotonicNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace weir
