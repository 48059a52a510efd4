#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Broadcast state: counts each user's failed logins by rules that may change while the job runs. A
/// rule is a line "NAME HOST LIMIT", or "NAME" to take it away; LIMIT failures of one user on that
/// host are an alert. Arguments: --rules FILE (read on as it grows; default: two rules that come
/// with the job) --records N --rate R --out DIR (default: prints).
[[nodiscard]] absl::Status BuildHotRules(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
