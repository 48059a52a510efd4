#pragma once

#include <cstdint>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/graph/ids.h"

namespace weir {

/// Who takes part in the checkpoints of one attempt of a job. Plain data.
struct CheckpointPlan {
  struct Task {
    ExecutionAttemptId attempt;
    JobVertexId vertex;
    uint32_t subtask = 0;
    /// Sources are triggered; the others see the barriers.
    bool is_source = false;
  };
  struct Coordinator {
    ExecutionAttemptId attempt;
    OperatorId operator_id;
  };
  std::vector<Task> tasks;
  std::vector<Coordinator> coordinators;
};

}  // namespace weir
