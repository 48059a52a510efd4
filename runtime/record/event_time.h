#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/time/time.h"

namespace weir {

/// An instant on the time line of the events, in milliseconds since the Unix epoch.
/// kMin means "no event time known yet" and kMax "no more events".
class EventTime {
 public:
  constexpr EventTime() = default;
  static constexpr EventTime FromMillis(int64_t millis) {
    EventTime time;
    time.millis_ = millis;
    return time;
  }
  static EventTime FromTime(absl::Time time) { return FromMillis(absl::ToUnixMillis(time)); }
  static constexpr EventTime Min() { return FromMillis(std::numeric_limits<int64_t>::min()); }
  static constexpr EventTime Max() { return FromMillis(std::numeric_limits<int64_t>::max()); }

  [[nodiscard]] constexpr int64_t millis() const { return millis_; }
  [[nodiscard]] absl::Time ToTime() const { return absl::FromUnixMillis(millis_); }

  friend constexpr auto operator<=>(EventTime, EventTime) = default;
  /// Adds and subtracts whole milliseconds; saturates at Min and Max.
  friend constexpr EventTime operator+(EventTime time, int64_t millis) {
    int64_t sum = 0;
    if (__builtin_add_overflow(time.millis_, millis, &sum)) return millis > 0 ? Max() : Min();
    return FromMillis(sum);
  }
  friend constexpr EventTime operator-(EventTime time, int64_t millis) {
    int64_t difference = 0;
    if (__builtin_sub_overflow(time.millis_, millis, &difference)) {
      return millis > 0 ? Min() : Max();
    }
    return FromMillis(difference);
  }

  template <class H>
  friend H AbslHashValue(H state, EventTime time) {
    return H::combine(std::move(state), time.millis_);
  }

 private:
  int64_t millis_ = 0;
};

}  // namespace weir
