#pragma once

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir {

/// The time from `start` up to, but not including, `end`.
struct TimeWindow {
  EventTime start;
  EventTime end;

  /// The last instant that belongs to the window. A window fires when the watermark reaches it.
  [[nodiscard]] EventTime MaxTimestamp() const { return end - 1; }
  friend auto operator<=>(const TimeWindow&, const TimeWindow&) = default;
  template <class H>
  friend H AbslHashValue(H state, const TimeWindow& window) {
    return H::combine(std::move(state), window.start, window.end);
  }
};

/// Puts records into windows by their event time. Windows are aligned to the epoch, shifted by
/// `offset`.
class WindowAssigner {
 public:
  /// Windows of `size`, one after another.
  static WindowAssigner Tumbling(absl::Duration size,
                                 absl::Duration offset = absl::ZeroDuration()) {
    return Sliding(size, size, offset);
  }
  /// A window of `size` begins every `slide`.
  static WindowAssigner Sliding(absl::Duration size, absl::Duration slide,
                                absl::Duration offset = absl::ZeroDuration()) {
    WindowAssigner assigner;
    assigner.size_ms_ = absl::ToInt64Milliseconds(size);
    assigner.slide_ms_ = absl::ToInt64Milliseconds(slide);
    assigner.offset_ms_ = absl::ToInt64Milliseconds(offset);
    return assigner;
  }

  /// Calls `visit(TimeWindow)` for each window that `time` lies in, the latest first.
  template <class Visit>
  void ForEachWindow(EventTime time, Visit&& visit) const {
    const int64_t millis = time.millis();
    int64_t remainder = (millis - offset_ms_) % slide_ms_;
    if (remainder < 0) remainder += slide_ms_;
    for (int64_t start = millis - remainder; start > millis - size_ms_; start -= slide_ms_) {
      visit(TimeWindow{EventTime::FromMillis(start), EventTime::FromMillis(start + size_ms_)});
    }
  }
  [[nodiscard]] int64_t size_ms() const { return size_ms_; }
  [[nodiscard]] int64_t slide_ms() const { return slide_ms_; }
  [[nodiscard]] bool IsValid() const { return size_ms_ > 0 && slide_ms_ > 0; }

 private:
  int64_t size_ms_ = 0;
  int64_t slide_ms_ = 0;
  int64_t offset_ms_ = 0;
};

}  // namespace weir
