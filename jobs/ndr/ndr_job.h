#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::ndr {

/// Finds lateral movement in network events: signals per internal source address, correlated into
/// detections. Arguments: see docs/guides/ndr.md.
[[nodiscard]] absl::Status BuildNdr(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::ndr
