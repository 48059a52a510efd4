#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Joins: finds failed logins that the same user's success follows within two seconds (interval
/// join), with the role that the user had at that time (temporal join with a table of roles).
/// Arguments: --records N --rate R --out DIR (default: prints).
[[nodiscard]] absl::Status BuildLoginJoins(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
