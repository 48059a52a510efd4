#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "runtime/graph/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// What each subtask and coordinator of a job restores from a checkpoint, also when it was taken
/// with another parallelism: keyed state goes to all subtasks whose key groups it touches, operator
/// state by RedistributeOperatorState, channel state to the same subtask or, with another
/// parallelism, to all, which take their shares. A value; immutable.
class StateAssignment {
 public:
  /// Nothing to restore.
  StateAssignment() = default;

  /// Divides the state of `metadata` among the subtasks of `graph`; operators meet by id.
  /// Takes time by the size of the state's description, so it runs on the I/O pool.
  /// Errors: kFailedPrecondition if an operator of the checkpoint is not in the graph (unless
  /// `allow_non_restored_state`) or if the max parallelism of keyed state differs; kDataLoss.
  [[nodiscard]] static absl::StatusOr<StateAssignment> Create(const CheckpointMetadata& metadata,
                                                              const JobGraph& graph,
                                                              bool allow_non_restored_state);

  /// Returns serialised OperatorSubtaskStates; empty if the subtask starts anew.
  [[nodiscard]] const std::vector<std::string>& StatesOf(OperatorId op, uint32_t subtask) const;
  /// Returns null if the coordinator starts anew.
  [[nodiscard]] const std::string* CoordinatorStateOf(OperatorId op) const;
  /// Returns 0 if there is nothing to restore.
  [[nodiscard]] uint64_t checkpoint_id() const { return checkpoint_id_; }

 private:
  [[nodiscard]] absl::Status AssignOperator(const CheckpointedOperator& from,
                                            const JobGraph::Vertex& vertex);

  uint64_t checkpoint_id_ = 0;
  std::map<OperatorId, std::vector<std::vector<std::string>>> states_;  // By subtask.
  std::map<OperatorId, std::string> coordinator_states_;
};

}  // namespace weir
