#pragma once

#include <map>
#include <set>

#include "jobmanager/checkpoint/state_assignment.h"
#include "jobmanager/execution_graph.h"
#include "jobmanager/job_description.h"
#include "jobmanager/task_manager_gateway.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/ids.h"

namespace weir {

/// Returns, for each TaskManager, the one message that deploys all of its tasks and coordinators of
/// `regions`. Each of their attempts must have a location. Coordinators go where subtask 0 of their
/// vertex is.
///
/// A FORWARD edge has one subpartition per producer; all others have one per consumer.
[[nodiscard]] std::map<TaskManagerGateway*, proto::JobManagerMessage> MakeDeployments(
    const JobDescription& job, const StateAssignment& state, DeploymentId deployment,
    const std::set<size_t>& regions, ExecutionGraph* executions);

}  // namespace weir
