#pragma once

#include "absl/status/status.h"
#include "operators/api/stream_environment.h"

namespace weir::examples {

/// Asynchronous I/O: asks a directory, which answers each question after a few milliseconds on a
/// thread of its own, for the owner of every host with a failed login; up to 100 questions are
/// under way at a time. Arguments: --records N --rate R --out DIR (default: prints).
[[nodiscard]] absl::Status BuildHostOwners(StreamEnvironment& environment, const JobArgs& args);

}  // namespace weir::examples
