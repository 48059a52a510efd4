#include "tests/support/local_job.h"

#include "runtime/base/status_macros.h"

namespace weir {

absl::StatusOr<StreamGraph> BuildTestGraph(
    const std::function<absl::Status(StreamGraph&, const JobArgs&)>& build,
    const std::vector<std::string>& arguments) {
  StreamGraph graph;
  ASSIGN_OR_RETURN(const JobArgs args, JobArgs::Parse(arguments));
  RETURN_IF_ERROR(build(graph, args));
  RETURN_IF_ERROR(args.CheckAllUsed());
  return graph;
}

}  // namespace weir
