#include "jobs/sigma/correlation/event_clock.h"

#include <cmath>

#include "absl/time/time.h"
#include "jobs/sigma/engine/predicate.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

std::optional<int64_t> ParseEventTime(std::string_view text) {
  text = StripWhitespace(text);
  if (const std::optional<double> number = ParseNumber(text)) {
    // Seconds reach 1e11 in the year 5138, milliseconds began above that in 1973.
    double millis = *number * 1000;
    if (*number >= 1e17) {
      millis = *number / 1e6;
    } else if (*number >= 1e14) {
      millis = *number / 1e3;
    } else if (*number >= 1e11) {
      millis = *number;
    }
    if (*number < 0 || !std::isfinite(millis) || millis > 1e16) return std::nullopt;
    return static_cast<int64_t>(std::llround(millis));
  }
  if (text.size() < 10) return std::nullopt;
  std::string normal(text);
  for (const size_t at : {size_t{4}, size_t{7}}) {
    if (normal[at] == '/') normal[at] = '-';
  }
  if (normal.size() > 10 && (normal[10] == ' ' || normal[10] == 't')) normal[10] = 'T';
  for (const char* format : {"%Y-%m-%dT%H:%M:%E*S%Ez", "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%dT%H:%M%Ez",
                             "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    absl::Time time;
    std::string error;
    if (absl::ParseTime(format, normal, absl::UTCTimeZone(), &time, &error)) {
      return absl::ToUnixMillis(time);
    }
  }
  return std::nullopt;
}

const std::vector<std::string>& UsualTimeFields() {
  static const std::vector<std::string> fields = {"@timestamp",
                                                  "UtcTime",
                                                  "TimeCreatedSystemTime",
                                                  "SystemTime",
                                                  "TimeCreated",
                                                  "Event.System.TimeCreated.#attributes.SystemTime",
                                                  "Event.System.TimeCreated.@SystemTime",
                                                  "Event.System.TimeCreated.SystemTime",
                                                  "EventTime",
                                                  "eventTime",
                                                  "event_time",
                                                  "published",
                                                  "createdDateTime",
                                                  "activityDateTime",
                                                  "timestamp",
                                                  "Timestamp",
                                                  "_time",
                                                  "ts",
                                                  "time"};
  return fields;
}

}  // namespace weir::sigma
