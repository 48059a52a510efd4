#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

/// Where the time of a task goes: every nanosecond since the account was opened is busy, idle or
/// back-pressured, the one in progress too.
///
/// Threads: one writer, any reader: a reader sees the totals of one moment.
class TimeAccount {
 public:
  enum class Use : uint8_t { kIdle, kBusy, kBackPressured };

  /// Opens the account, idle. Times are of the monotonic clock, in nanoseconds.
  explicit TimeAccount(int64_t now_nanos);

  /// Ends the use in progress and begins the next one.
  void Switch(Use next, int64_t now_nanos);

  struct Totals {
    int64_t idle_nanos = 0;
    int64_t busy_nanos = 0;
    int64_t back_pressured_nanos = 0;
    Use use = Use::kIdle;      // The one in progress.
    int64_t in_use_nanos = 0;  // Since it began.
    /// The longest time without a break that was back-pressured and has ended.
    int64_t longest_back_pressure_nanos = 0;
  };
  /// Returns the totals up to `now_nanos`.
  [[nodiscard]] Totals Read(int64_t now_nanos) const;

 private:
  // Odd while Switch writes; pairs with the loads in Read, which tries again if it changed.
  std::atomic<uint64_t> sequence_{0};
  std::atomic<int64_t> nanos_[3] = {};
  std::atomic<int64_t> longest_back_pressure_{0};
  std::atomic<int64_t> since_;
  std::atomic<Use> use_{Use::kIdle};
};

}  // namespace weir
