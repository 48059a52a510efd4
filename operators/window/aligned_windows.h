#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/window/time_window.h"
#include "runtime/record/event_time.h"
#include "runtime/state/timer_service.h"

namespace weir {

/// Windows whose bounds are the same for all keys: tumbling, sliding and cumulative ones, over
/// event or processing time. Made by TumblingEventTimeWindows and its like.
///
/// All bounds together cut time into slices, the parts that lie wholly in or out of any window; a
/// window is a run of slices. Aggregates are kept per slice, so the work per record does not depend
/// on how many windows it is in. Instants are milliseconds. A value; any thread.
class AlignedWindows {
 public:
  using Window = TimeWindow;
  /// "No window": what a function below returns for an instant between windows.
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::min();

  struct Slice {
    int64_t start = 0;
    int64_t end = 0;
  };

  /// A window of `size` begins every `slide`; offset shifts all from the epoch.
  AlignedWindows(TimeDomain domain, absl::Duration size, absl::Duration slide,
                 absl::Duration offset);
  /// Windows that begin every `max_size` and end each `step` later, up to `max_size`.
  static AlignedWindows Cumulative(TimeDomain domain, absl::Duration max_size, absl::Duration step,
                                   absl::Duration offset);
  /// Windows of `days` days from midnight to midnight in `zone`, counted from 1970-01-01: 23 or 25
  /// hours long where clocks change.
  static AlignedWindows Days(TimeDomain domain, int64_t days, absl::TimeZone zone);

  /// Errors: kInvalidArgument, saying what is wrong with which number.
  [[nodiscard]] absl::Status Validate() const;
  [[nodiscard]] TimeDomain domain() const { return domain_; }
  [[nodiscard]] int64_t MaxSlicesPerWindow() const;

  /// The slice that holds `time`.
  [[nodiscard]] Slice SliceOf(int64_t time) const;
  /// End of the window that ends first, or last, of those that hold `time`; kNone if none does.
  [[nodiscard]] int64_t FirstWindowEnd(int64_t time) const;
  [[nodiscard]] int64_t LastWindowEnd(int64_t time) const;
  /// End of the window that ends next after the one that ends at `end`.
  [[nodiscard]] int64_t NextWindowEnd(int64_t end) const;
  /// Start of the window that ends at `end`.
  [[nodiscard]] int64_t WindowStart(int64_t end) const;
  [[nodiscard]] TimeWindow WindowEndingAt(int64_t end) const {
    return {EventTime::FromMillis(WindowStart(end)), EventTime::FromMillis(end)};
  }

  /// Calls `visit(TimeWindow)` for each window that `time` lies in, the one that ends first, first.
  template <class Visit>
  void ForEachWindow(EventTime time, Visit&& visit) const {
    const int64_t last = LastWindowEnd(time.millis());
    if (last == kNone) return;
    for (int64_t end = FirstWindowEnd(time.millis()); end <= last; end = NextWindowEnd(end)) {
      visit(WindowEndingAt(end));
    }
  }

 private:
  enum class Kind { kSliding, kCumulative, kDays };

  [[nodiscard]] Slice DaysOf(int64_t time) const;

  Kind kind_ = Kind::kSliding;
  TimeDomain domain_;
  int64_t size_ = 0;
  int64_t slide_ = 0;  // Of cumulative windows, the step; of days, their number.
  int64_t offset_ = 0;
  bool exact_ = true;  // Whether all durations given were whole milliseconds within bounds.
  absl::TimeZone zone_;
};

}  // namespace weir
