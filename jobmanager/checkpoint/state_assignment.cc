#include "jobmanager/checkpoint/state_assignment.h"

#include <algorithm>

#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/channel_state.h"
#include "runtime/record/serde.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_state.h"
#include "runtime/state/operator_subtask_state.h"

namespace weir {
namespace {

struct OldState {
  std::vector<std::optional<KeyedStateHandle>> keyed;  // By old subtask.
  std::vector<OperatorStateHandle> operator_states;
  std::vector<ChannelStateHandle> channel_states;
  bool has_operator_state = false;
};

absl::StatusOr<OldState> ParseStates(const CheckpointedOperator& from,
                                     const JobGraph::Vertex& vertex) {
  OldState old;
  for (uint32_t subtask = 0; subtask < from.parallelism(); ++subtask) {
    OperatorSubtaskState state;
    if (!from.subtasks[subtask].empty() && !FromBytes(from.subtasks[subtask], state)) {
      return absl::DataLossError(
          StrCat("the state of an operator in the checkpoint is damaged or of another version: "
                 "operator=",
                 from.uid, " subtask=", subtask));
    }
    if (state.keyed.has_value() && state.keyed->max_parallelism != vertex.max_parallelism) {
      return absl::FailedPreconditionError(
          StrCat("cannot restore keyed state: max parallelism differs from the checkpoint's; set "
                 "it back (pipeline.max-parallelism), or start without the checkpoint: operator=",
                 from.uid, " checkpoint_max_parallelism=", state.keyed->max_parallelism,
                 " job_max_parallelism=", vertex.max_parallelism));
    }
    old.keyed.push_back(std::move(state.keyed));
    if (state.channel_state.has_value()) {
      old.channel_states.push_back(*std::move(state.channel_state));
    }
    old.has_operator_state = old.has_operator_state || state.operator_state.has_value();
    // A subtask without operator state takes part with an empty one, so that indexes stay.
    old.operator_states.push_back(state.operator_state.has_value()
                                      ? *std::move(state.operator_state)
                                      : OperatorStateBackend().Snapshot());
  }
  return old;
}

std::vector<KeyedStateHandle> KeyedStateOf(const OldState& old, const JobGraph::Vertex& vertex,
                                           uint32_t subtask) {
  std::vector<KeyedStateHandle> handles;
  const KeyGroupRange range = RangeOfSubtask(subtask, vertex.max_parallelism, vertex.parallelism);
  for (const std::optional<KeyedStateHandle>& handle : old.keyed) {
    if (handle.has_value() && !handle->key_groups.Intersect(range).IsEmpty()) {
      handles.push_back(*handle);
    }
  }
  return handles;
}

}  // namespace

absl::StatusOr<StateAssignment> StateAssignment::Create(const CheckpointMetadata& metadata,
                                                        const JobGraph& graph,
                                                        bool allow_non_restored_state) {
  StateAssignment assignment;
  assignment.checkpoint_id_ = metadata.id.value();
  std::map<OperatorId, const JobGraph::Vertex*> vertices;
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    for (const JobGraph::Operator& op : vertex.operators) vertices.emplace(op.id, &vertex);
  }
  for (const CheckpointedOperator& op : metadata.operators) {
    const auto found = vertices.find(op.id);
    if (found != vertices.end()) {
      RETURN_IF_ERROR(assignment.AssignOperator(op, *found->second));
      continue;
    }
    const bool has_state = op.coordinator_state.has_value() ||
                           std::any_of(op.subtasks.begin(), op.subtasks.end(),
                                       [](const std::string& state) { return !state.empty(); });
    if (has_state && !allow_non_restored_state) {
      return absl::FailedPreconditionError(
          StrCat("the checkpoint holds state of an operator that the job does not have; give the "
                 "operator its uid back, or allow non-restored state to drop it: operator=",
                 op.name, " uid=", op.uid, " checkpoint=", metadata.id.value()));
    }
  }
  return assignment;
}

absl::Status StateAssignment::AssignOperator(const CheckpointedOperator& from,
                                             const JobGraph::Vertex& vertex) {
  if (from.coordinator_state.has_value()) {
    coordinator_states_.emplace(from.id, *from.coordinator_state);
  }
  ASSIGN_OR_RETURN(OldState old, ParseStates(from, vertex));
  std::vector<std::vector<OperatorStateHandle>> operator_states(vertex.parallelism);
  if (old.has_operator_state) {
    ASSIGN_OR_RETURN(operator_states,
                     RedistributeOperatorState(std::move(old.operator_states), vertex.parallelism));
  }
  std::vector<std::vector<std::string>>& out = states_[from.id];
  out.resize(vertex.parallelism);
  for (uint32_t subtask = 0; subtask < vertex.parallelism; ++subtask) {
    std::vector<KeyedStateHandle> keyed = KeyedStateOf(old, vertex, subtask);
    std::vector<OperatorStateHandle>& handles = operator_states[subtask];
    for (size_t i = 0; i < std::max(keyed.size(), handles.size()); ++i) {
      OperatorSubtaskState state;
      if (i < keyed.size()) state.keyed = std::move(keyed[i]);
      if (i < handles.size()) state.operator_state = std::move(handles[i]);
      out[subtask].push_back(ToBytes(state));
    }
    for (const ChannelStateHandle& handle : old.channel_states) {
      if (!ReadsChannelState(handle, subtask, vertex.parallelism)) continue;
      OperatorSubtaskState state;
      state.channel_state = handle;
      out[subtask].push_back(ToBytes(state));
    }
  }
  return absl::OkStatus();
}

const std::vector<std::string>& StateAssignment::StatesOf(OperatorId op, uint32_t subtask) const {
  static const std::vector<std::string> kNone;
  const auto found = states_.find(op);
  return found == states_.end() ? kNone : found->second[subtask];
}

const std::string* StateAssignment::CoordinatorStateOf(OperatorId op) const {
  const auto found = coordinator_states_.find(op);
  return found == coordinator_states_.end() ? nullptr : &found->second;
}

}  // namespace weir
