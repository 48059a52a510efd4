#include "operators/testing/mini_cluster.h"

#include <utility>

#include "operators/testing/internal/test_folder.h"
#include "runtime/base/status_macros.h"

namespace weir {

MiniCluster::MiniCluster(MiniClusterOptions options)
    : options_(options), folder_(std::make_unique<internal::TestFolder>()) {}

MiniCluster::~MiniCluster() = default;

absl::Status MiniCluster::Execute(const Build& build, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalJob> job, Submit(build));
  return job->WaitUntilFinished(timeout);
}

absl::StatusOr<std::unique_ptr<LocalJob>> MiniCluster::Submit(const Build& build,
                                                              const LocalCheckpoint* restore) {
  StreamGraph graph;
  StreamEnvironment environment(&graph);
  RETURN_IF_ERROR(build(environment));
  LocalJobOptions options;
  options.parallelism = options_.parallelism;
  options.num_workers = options_.num_workers;
  options.buffer_timeout = options_.buffer_timeout;
  options.checkpointing = options_.checkpointing;
  options.directory = folder_->path();
  auto job = std::make_unique<LocalJob>(std::move(graph), std::move(options));
  RETURN_IF_ERROR(job->Start(restore));
  return job;
}

}  // namespace weir
