#pragma once

#include <string>

#include "absl/time/time.h"
#include "runtime/record/event_time.h"

namespace weir::correlation {

/// Something noteworthy that one entity did: a row of a signal query. Weak alone; rules ask for
/// several kinds together.
struct Signal {
  std::string type;    ///< What rules require, e.g. "PORT_SCAN".
  std::string entity;  ///< Who did it: what signals are correlated by, e.g. a source address.
  EventTime time;      ///< When it was complete: the end of the signal's window.
  std::string json;    ///< All columns as a JSON object, for the detection's evidence.
};

/// Returns `time` as ISO 8601 in UTC, with as many fraction digits as it needs.
[[nodiscard]] inline std::string FormatTimestamp(EventTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", time.ToTime(), absl::UTCTimeZone());
}

}  // namespace weir::correlation
