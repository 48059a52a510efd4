#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Counts generated events by key, and at the end writes one line {"key":…,"count":…} per key, each
/// exactly once. Arguments: --records N --keys K --seed S --rate R (events a second, 0 = no limit)
/// --out DIR.
[[nodiscard]] absl::Status BuildKeyedCount(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
