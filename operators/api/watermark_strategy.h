#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir {

/// How a stream's records get event times, and how far event time has come. A value; copied into
/// every subtask.
///
/// Example: WatermarkStrategy<Flow>::BoundedOutOfOrderness(absl::Seconds(5))
///              .WithTimestamps([](const Flow& flow) { return flow.start; })
///              .WithIdleness(absl::Seconds(30))
template <class T>
class WatermarkStrategy {
 public:
  using TimestampAssigner = std::function<EventTime(const T&)>;

  /// Records come in order of time.
  static WatermarkStrategy Monotonous() { return BoundedOutOfOrderness(absl::ZeroDuration()); }
  /// No record comes more than `bound` behind the latest one.
  static WatermarkStrategy BoundedOutOfOrderness(absl::Duration bound) {
    WatermarkStrategy strategy;
    strategy.has_watermarks_ = true;
    strategy.bound_ms_ = absl::ToInt64Milliseconds(bound);
    return strategy;
  }
  /// The stream takes no part in event time: it counts as idle, so it never holds time back where
  /// it joins others.
  static WatermarkStrategy NoWatermarks() { return {}; }

  /// Takes each record's event time from the record. Without it, the time that the source gave is
  /// kept.
  [[nodiscard]] WatermarkStrategy WithTimestamps(TimestampAssigner assigner) const {
    WatermarkStrategy strategy = *this;
    strategy.assigner_ = std::move(assigner);
    return strategy;
  }
  /// A split or subtask without records for `timeout` no longer holds event time back.
  [[nodiscard]] WatermarkStrategy WithIdleness(absl::Duration timeout) const {
    WatermarkStrategy strategy = *this;
    strategy.idle_timeout_ = timeout;
    return strategy;
  }

  [[nodiscard]] bool has_watermarks() const { return has_watermarks_; }
  [[nodiscard]] bool has_assigner() const { return static_cast<bool>(assigner_); }
  [[nodiscard]] EventTime TimestampOf(const T& record, EventTime source_time) const {
    return assigner_ ? assigner_(record) : source_time;
  }
  [[nodiscard]] int64_t bound_ms() const { return bound_ms_; }
  /// Infinite if the stream never counts as idle.
  [[nodiscard]] absl::Duration idle_timeout() const { return idle_timeout_; }

 private:
  bool has_watermarks_ = false;
  int64_t bound_ms_ = 0;
  absl::Duration idle_timeout_ = absl::InfiniteDuration();
  TimestampAssigner assigner_;
};

/// Follows the event times of one split, or of one stream. Threads: one at a time.
class WatermarkTracker {
 public:
  void OnRecord(EventTime time) { latest_ = std::max(latest_, time); }
  /// The watermark after what was seen: the latest time, less `bound_ms` and one millisecond,
  /// because another record may have that very time. Min while nothing was seen.
  [[nodiscard]] EventTime Current(int64_t bound_ms) const {
    return latest_ == EventTime::Min() ? latest_ : latest_ - bound_ms - 1;
  }

 private:
  EventTime latest_ = EventTime::Min();
};

}  // namespace weir
