#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/testing/local_job.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

/// Builds the graph of a job function, as a TaskManager would, and checks that all arguments are
/// used.
[[nodiscard]] absl::StatusOr<StreamGraph> BuildTestGraph(
    const std::function<absl::Status(StreamGraph&, const JobArgs&)>& build,
    const std::vector<std::string>& arguments);

}  // namespace weir
