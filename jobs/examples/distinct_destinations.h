#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Finds scanners in connection logs (JSON lines with ts in seconds, src_ip, dst_ip): sources that
/// talk to more than
/// --threshold distinct destinations within a tumbling window, one line
/// {"src_ip":…,"window_end":…,"destinations":…} each. Arguments: --input FILE|DIR --out DIR
/// --window 60s --threshold 10 --out-of-orderness 5s.
[[nodiscard]] absl::Status BuildDistinctDestinations(StreamEnvironment& environment,
                                                     const JobArgs& args);

}  // namespace weir::examples
