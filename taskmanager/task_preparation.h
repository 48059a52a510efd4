#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/graph/job_graph.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/data_client.h"
#include "runtime/task/task.h"

namespace weir {

namespace proto {
class TaskDeployment;
}

/// What all tasks of a deployment have in common.
struct PreparedJob {
  JobId job;
  std::shared_ptr<const StreamGraph> graph;
  JobGraph job_graph;
  absl::Duration buffer_timeout;
  absl::Duration latency_interval;
  absl::Duration auto_watermark_interval;
  bool checkpointing = true;
  TaskDescription::Alignment alignment;
  /// Of the job, on this TaskManager.
  std::string local_dir;
};

/// Where a task's channels come from. All borrowed.
struct ChannelSources {
  std::string task_manager_id;
  ChannelRegistry* registry = nullptr;
  DataClient* data_client = nullptr;
  MemoryBudget* memory_budget = nullptr;
  size_t channel_bytes = 0;
};

/// A task ready to be created, and what lives as long as it.
struct PreparedTask {
  TaskDescription description;
  /// Holds on the channels whose producers run elsewhere.
  std::vector<ChannelHandle> remote_channels;
  /// The producers of this process that it reads from.
  std::vector<ExecutionAttemptId> local_producers;
};

/// Checks that the library of this process builds the graph that was submitted. Errors:
/// kFailedPrecondition naming both fingerprints.
[[nodiscard]] absl::Status CheckFingerprint(const JobGraph& job_graph, const StreamGraph& graph);

/// Turns a deployment into a task's description: finds its operators in the job's graph by their
/// ids, reads the states to restore, and connects its channels: shared queues within this process,
/// fetched ones from elsewhere. Errors: kInvalidArgument for a deployment that does not fit its
/// job, kDataLoss for states that cannot be read.
[[nodiscard]] absl::StatusOr<PreparedTask> PrepareTask(const proto::TaskDeployment& deployment,
                                                       const PreparedJob& plan,
                                                       const ChannelSources& channels);

}  // namespace weir
