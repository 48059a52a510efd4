#include "operators/process/stateful_operator.h"

namespace weir::internal {

std::pair<std::vector<KeyedStateHandle>, std::vector<OperatorStateHandle>> SplitStates(
    std::vector<OperatorSubtaskState> restored) {
  std::pair<std::vector<KeyedStateHandle>, std::vector<OperatorStateHandle>> split;
  for (OperatorSubtaskState& state : restored) {
    if (state.keyed.has_value()) split.first.push_back(*std::move(state.keyed));
    if (state.operator_state.has_value()) split.second.push_back(*std::move(state.operator_state));
  }
  return split;
}

OperatorStateHolder::OperatorStateHolder() = default;
OperatorStateHolder::~OperatorStateHolder() = default;

absl::Status OperatorStateHolder::Open(std::vector<OperatorSubtaskState> restored) {
  return backend_.Restore(SplitStates(std::move(restored)).second);
}

OperatorSnapshot OperatorStateHolder::Snapshot() const {
  OperatorSnapshot snapshot;
  snapshot.write = [handle = backend_.Snapshot()](
                       StateFileStore&) mutable -> absl::StatusOr<OperatorSubtaskState> {
    OperatorSubtaskState state;
    state.operator_state = std::move(handle);
    return state;
  };
  return snapshot;
}

KeyedOperatorBase::KeyedOperatorBase() = default;
KeyedOperatorBase::~KeyedOperatorBase() = default;

KeyedStateBackendOptions KeyedOperatorBase::BackendOptions(OperatorContext& context) {
  const OperatorContext::Place& place = context.place();
  KeyedStateBackendOptions options;
  options.range = place.key_groups;
  options.max_parallelism = place.max_parallelism;
  options.memory_budget = context.memory_budget();
  options.metrics = context.metrics();
  options.clock = context.clock();
  options.local_dir = place.local_dir;
  options.track_changes = place.checkpointing;
  return options;
}

absl::Status KeyedOperatorBase::OpenState(OperatorContext& context, KeyedStateBackendBase* backend,
                                          std::vector<OperatorSubtaskState> restored) {
  context_ = &context;
  keyed_state_ = backend;
  auto [keyed, operator_states] = SplitStates(std::move(restored));
  if (!keyed.empty()) {
    RETURN_IF_ERROR(backend->Restore(std::move(keyed), *context.state_store()));
  }
  return operator_state_.Restore(std::move(operator_states));
}

void KeyedOperatorBase::WakeFor(std::optional<int64_t> next_timer_ms) {
  if (next_timer_ms.has_value()) {
    context_->handle()->WakeAt(absl::FromUnixMillis(*next_timer_ms));
  }
}

absl::StatusOr<OperatorSnapshot> KeyedOperatorBase::Snapshot(CheckpointId checkpoint) {
  std::unique_ptr<KeyedSnapshot> snapshot =
      keyed_state_->Snapshot(checkpoint, [handle = context_->handle()] { handle->Wake(); });
  OperatorSnapshot result;
  // `finish` owns the snapshot; both functions live and end together.
  result.write = [snapshot = snapshot.get(), operator_state = operator_state_.Snapshot()](
                     StateFileStore& store) mutable -> absl::StatusOr<OperatorSubtaskState> {
    OperatorSubtaskState state;
    ASSIGN_OR_RETURN(state.keyed, snapshot->Run(store));
    state.operator_state = std::move(operator_state);
    return state;
  };
  result.finish = [this, snapshot = std::move(snapshot)](bool) mutable {
    keyed_state_->FinishSnapshot(std::move(snapshot));
  };
  return result;
}

absl::Status KeyedOperatorBase::NotifyCheckpointComplete(CheckpointId checkpoint) {
  keyed_state_->NotifyCheckpointComplete(checkpoint);
  return absl::OkStatus();
}

void KeyedOperatorBase::PublishMetrics(int64_t now_nanos) {
  if (keyed_state_ != nullptr) keyed_state_->PublishMetrics(now_nanos);
}

}  // namespace weir::internal
