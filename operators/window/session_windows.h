#pragma once

#include <cstdint>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/window/time_window.h"
#include "operators/window/trigger.h"
#include "runtime/base/strings.h"
#include "runtime/record/event_time.h"
#include "runtime/state/timer_service.h"

namespace weir {

// A window assigner of the user's own is a value with
//   using Window = TimeWindow or GlobalWindow,
//   static constexpr bool kMerging: whether windows that touch become one,
//   TimeDomain domain(), absl::Status Validate(),
//   void AssignWindows(const T&, EventTime time, std::vector<Window>& windows),
//     where `time` is the record's, or the clock's for processing time,
//   using DefaultTrigger, a default-made Trigger for these windows.

/// Sessions: windows of records with less than a gap between one and the next, per key. `Gap` is
/// fn(const T&) -> absl::Duration.
template <TimeDomain kDomain, class Gap>
class SessionWindows {
 public:
  using Window = TimeWindow;
  using DefaultTrigger = std::conditional_t<kDomain == TimeDomain::kEventTime, EventTimeTrigger,
                                            ProcessingTimeTrigger>;
  static constexpr bool kMerging = true;

  explicit SessionWindows(Gap gap) : gap_(std::move(gap)) {}
  [[nodiscard]] TimeDomain domain() const { return kDomain; }
  [[nodiscard]] absl::Status Validate() const {
    if constexpr (requires { gap_.Validate(); }) return gap_.Validate();
    return absl::OkStatus();
  }
  template <class T>
  [[nodiscard]] int64_t GapMillis(const T& value) {
    const int64_t gap_ms = absl::ToInt64Milliseconds(gap_(value));
    if (gap_ms <= 0) {
      throw std::invalid_argument(
          StrCat("the gap of a session window must be above zero: gap_ms=", gap_ms));
    }
    return gap_ms;
  }
  template <class T>
  void AssignWindows(const T& value, EventTime time, std::vector<TimeWindow>& windows) {
    windows.push_back({time, time + GapMillis(value)});
  }

 private:
  Gap gap_;
};

namespace internal {

struct StaticGap {
  absl::Duration gap;
  template <class T>
  absl::Duration operator()(const T&) const {
    return gap;
  }
  [[nodiscard]] absl::Status Validate() const {
    if (gap >= absl::Milliseconds(1)) return absl::OkStatus();
    return absl::InvalidArgumentError("the gap of session windows must be at least 1 ms");
  }
};

template <TimeDomain kDomain>
struct SessionWindowsOf {
  /// Records with less than `gap` between them are one session.
  static SessionWindows<kDomain, StaticGap> WithGap(absl::Duration gap) {
    return SessionWindows<kDomain, StaticGap>({gap});
  }
  /// Each record says itself for how long it keeps its session open: fn(const T&) ->
  /// absl::Duration, above zero.
  template <class Gap>
  static SessionWindows<kDomain, Gap> WithDynamicGap(Gap gap) {
    return SessionWindows<kDomain, Gap>(std::move(gap));
  }
};

template <class Assigner>
struct IsSessionAssigner : std::false_type {};
template <TimeDomain kDomain, class Gap>
struct IsSessionAssigner<SessionWindows<kDomain, Gap>> : std::true_type {};

}  // namespace internal

struct EventTimeSessionWindows : internal::SessionWindowsOf<TimeDomain::kEventTime> {};
struct ProcessingTimeSessionWindows : internal::SessionWindowsOf<TimeDomain::kProcessingTime> {};

/// One window for all records of a key: for triggers of the user's choice.
class GlobalWindows {
 public:
  using Window = GlobalWindow;
  using DefaultTrigger = NeverTrigger;
  static constexpr bool kMerging = false;

  static GlobalWindows Create() { return {}; }
  /// Its records need no event time.
  [[nodiscard]] TimeDomain domain() const { return TimeDomain::kProcessingTime; }
  [[nodiscard]] absl::Status Validate() const { return absl::OkStatus(); }
  template <class T>
  void AssignWindows(const T&, EventTime, std::vector<GlobalWindow>& windows) {
    windows.emplace_back();
  }
};

}  // namespace weir
