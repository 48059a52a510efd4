#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace weir::sigma {

/// A match of a rule (or of a correlation) as one correlation sees it in one of its groups. Times
/// are event time, in milliseconds since 1970.
struct CorrelatedMatch {
  int64_t time_ms = 0;
  uint32_t rule = 0;    ///< Index in CorrelationRule::rules.
  std::string value{};  ///< Of value_count: the field's value, or the tuple of several.
  double number = 0;    ///< Of types that calculate.
  std::string event{};  ///< Where the event is found: topic/partition/offset, or a file's line.
};

/// What a correlation keeps of one group. Plain data: the keyed state of the operator.
struct CorrelationGroup {
  /// Beginning of time: never.
  static constexpr int64_t kNever = INT64_MIN;

  uint64_t definition = 0;                 ///< Of the correlation that it was made by.
  std::vector<CorrelatedMatch> waiting{};  ///< Event time has not come to them.
  std::vector<CorrelatedMatch> kept{};     ///< What conditions look at, by time.
  uint64_t num_matches = 0;                ///< Of an open window: all that it holds.
  int64_t quiet_until_ms = kNever;         ///< It does not fire again up to here.
  int64_t window_end_ms = kNever;          ///< Of an open window.
  /// Of value_sum: that of kept[window_begin…].
  uint64_t window_begin = 0;
  double sum = 0;

  // Of the operator:
  std::string correlation{};
  std::vector<std::string> group_values{};
  int64_t latest_ms = kNever;  ///< Latest match that came,
  int64_t arrival_ms = 0;      ///< and when, by the clock.
  int64_t check_at_ms =
      kNever;  ///< When, by the clock, it is looked whether event time stands still,
  int64_t checked_ms = kNever;  ///< and where it stood when that was decided.
  int64_t cleanup_ms = kNever;  ///< Timer that looks whether the group has expired.
};

/// A correlation's condition held for a group.
struct CorrelationFiring {
  int64_t time_ms = 0;   ///< Of the match, or the end of the window, at which it held.
  int64_t first_ms = 0;  ///< Earliest and latest match that the condition looked at.
  int64_t last_ms = 0;
  double value = 0;  ///< What was compared: count, sum, mean, percentile.
  /// Of value_percentile that asks for rare values: these.
  std::vector<std::string> values{};
  std::vector<std::string> events{};  ///< The latest kMaxEvents that took part.

  static constexpr size_t kMaxEvents = 10;
};

}  // namespace weir::sigma
