#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Windows and late data: counts the logins of each host and hour of event time. Ones that come up
/// to three hours late make the window fire again; later ones come as lines of their own.
/// Arguments: --records N --rate R --out DIR (default: prints).
[[nodiscard]] absl::Status BuildLateLogins(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
