#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "operators/window/aligned_windows.h"

namespace weir {

/// Windows of `size`, one after another, aligned to the epoch and shifted by `offset`.
struct TumblingEventTimeWindows {
  static AlignedWindows Of(absl::Duration size, absl::Duration offset = absl::ZeroDuration()) {
    return {TimeDomain::kEventTime, size, size, offset};
  }
  /// Windows of `days` whole days in `zone`, also where clocks change.
  static AlignedWindows OfDays(int64_t days, absl::TimeZone zone) {
    return AlignedWindows::Days(TimeDomain::kEventTime, days, zone);
  }
};
struct TumblingProcessingTimeWindows {
  static AlignedWindows Of(absl::Duration size, absl::Duration offset = absl::ZeroDuration()) {
    return {TimeDomain::kProcessingTime, size, size, offset};
  }
  static AlignedWindows OfDays(int64_t days, absl::TimeZone zone) {
    return AlignedWindows::Days(TimeDomain::kProcessingTime, days, zone);
  }
};

/// A window of `size` begins every `slide`. They overlap where the slide is shorter than the size;
/// where it is longer, records between windows are left out.
struct SlidingEventTimeWindows {
  static AlignedWindows Of(absl::Duration size, absl::Duration slide,
                           absl::Duration offset = absl::ZeroDuration()) {
    return {TimeDomain::kEventTime, size, slide, offset};
  }
};
struct SlidingProcessingTimeWindows {
  static AlignedWindows Of(absl::Duration size, absl::Duration slide,
                           absl::Duration offset = absl::ZeroDuration()) {
    return {TimeDomain::kProcessingTime, size, slide, offset};
  }
};

/// Windows that begin together every `max_size` and end one `step` after another: a running total
/// of the day so far, each hour. `max_size` is a multiple of `step`.
struct CumulativeEventTimeWindows {
  static AlignedWindows Of(absl::Duration max_size, absl::Duration step,
                           absl::Duration offset = absl::ZeroDuration()) {
    return AlignedWindows::Cumulative(TimeDomain::kEventTime, max_size, step, offset);
  }
};
struct CumulativeProcessingTimeWindows {
  static AlignedWindows Of(absl::Duration max_size, absl::Duration step,
                           absl::Duration offset = absl::ZeroDuration()) {
    return AlignedWindows::Cumulative(TimeDomain::kProcessingTime, max_size, step, offset);
  }
};

}  // namespace weir
