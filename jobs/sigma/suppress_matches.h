#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/match_events.h"
#include "operators/api/functions.h"

namespace weir::sigma {

/// A tagged event with one detection, and whose period it belongs to.
struct SuppressionInput {
  std::string key{};  ///< Rule and values of the chosen fields; of events without detections any.
  TaggedEvent event;
  bool has_detection = false;
};

/// Splits an event with several detections into one event for each, since each rule has periods of
/// its own. Their keys are the rule's id and the values of `fields`: of the event, or of the group
/// of a correlation. An event without detections stays as it is.
[[nodiscard]] std::vector<SuppressionInput> SplitDetections(const TaggedEvent& event,
                                                            const std::vector<std::string>& fields);

/// What is known of a rule and values while their period lasts. Times are milliseconds since 1970.
struct SuppressionPeriod {
  int64_t end_ms = 0;     ///< By the time of events; the end belongs to the next period.
  int64_t timer_ms = 0;   ///< By the clock: it ends then at the latest.
  uint64_t num_held = 0;  ///< Events held back,
  int64_t first_ms = 0;   ///< the times of the first and the last of them,
  int64_t last_ms = 0;
  TaggedEvent last;  ///< and the last of them itself, if there is to be a summary.
};

struct SuppressMatchesOptions {
  absl::Duration period = absl::Seconds(60);
  /// Whether a period in which events were held back ends with an event that tells how many: the
  /// last of them with `sigma_suppressed`.
  bool summary = false;
};

/// Lets through one event of each key in a period, which begins with it.
///
/// Periods are in event time; an event without a time has the clock's. A period ends by the clock,
/// too, so that its state goes and its summary comes when nothing follows; and when the input ends.
class SuppressMatches final
    : public KeyedProcessFunction<std::string, SuppressionInput, TaggedEvent> {
 public:
  using Context = KeyedContext<std::string>;

  explicit SuppressMatches(SuppressMatchesOptions options) : options_(options) {}

  [[nodiscard]] absl::Status Open(KeyedOpenContext<std::string>& context) override;
  void ProcessElement(const SuppressionInput& input, Context& context,
                      Collector<TaggedEvent>& out) override;
  void OnTimer(TimerKind kind, Context& context, Collector<TaggedEvent>& out) override;

 private:
  void End(const SuppressionPeriod& period, Context& context, Collector<TaggedEvent>& out);

  SuppressMatchesOptions options_;
  ValueState<SuppressionPeriod> period_;
  Counter* num_held_ = nullptr;
};

}  // namespace weir::sigma
