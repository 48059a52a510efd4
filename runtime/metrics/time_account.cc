#include "runtime/metrics/time_account.h"

#include <algorithm>
#include <thread>

namespace weir {

TimeAccount::TimeAccount(int64_t now_nanos) : since_(now_nanos) {}

// Every store releases and every load of Read acquires: a reader that sees a value written after
// the sequence turned odd sees it odd, or newer, when it looks again.
void TimeAccount::Switch(Use next, int64_t now_nanos) {
  const uint64_t sequence = sequence_.load(std::memory_order_relaxed);
  const Use use = use_.load(std::memory_order_relaxed);
  std::atomic<int64_t>& total = nanos_[static_cast<size_t>(use)];
  const int64_t elapsed = std::max<int64_t>(0, now_nanos - since_.load(std::memory_order_relaxed));
  sequence_.store(sequence + 1, std::memory_order_release);
  total.store(total.load(std::memory_order_relaxed) + elapsed, std::memory_order_release);
  if (use == Use::kBackPressured) {
    longest_back_pressure_.store(
        std::max(longest_back_pressure_.load(std::memory_order_relaxed), elapsed),
        std::memory_order_release);
  }
  since_.store(now_nanos, std::memory_order_release);
  use_.store(next, std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
}

TimeAccount::Totals TimeAccount::Read(int64_t now_nanos) const {
  for (;; std::this_thread::yield()) {
    const uint64_t before = sequence_.load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    Totals totals;
    int64_t nanos[3];
    for (size_t i = 0; i < 3; ++i) nanos[i] = nanos_[i].load(std::memory_order_acquire);
    totals.longest_back_pressure_nanos = longest_back_pressure_.load(std::memory_order_acquire);
    totals.use = use_.load(std::memory_order_acquire);
    totals.in_use_nanos = std::max<int64_t>(0, now_nanos - since_.load(std::memory_order_acquire));
    if (sequence_.load(std::memory_order_relaxed) != before) continue;
    nanos[static_cast<size_t>(totals.use)] += totals.in_use_nanos;
    totals.idle_nanos = nanos[0];
    totals.busy_nanos = nanos[1];
    totals.back_pressured_nanos = nanos[2];
    return totals;
  }
}

}  // namespace weir
