#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::sigma {

/// Tags events with the Sigma rules they match; rules may change while it runs. Arguments: see
/// docs/guides/sigma.md.
[[nodiscard]] absl::Status BuildSigma(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::sigma
