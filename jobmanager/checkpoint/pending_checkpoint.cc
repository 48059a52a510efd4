#include "jobmanager/checkpoint/pending_checkpoint.h"

#include <utility>

namespace weir {
namespace {

// What a finished task had in the last checkpoint, if the operator still has as many subtasks.
std::string LastState(const CheckpointMetadata* last, const CheckpointedOperator& op,
                      uint32_t subtask) {
  const CheckpointedOperator* const before = last == nullptr ? nullptr : last->FindOperator(op.id);
  if (before == nullptr || before->parallelism() != op.parallelism()) return {};
  return before->subtasks[subtask];
}

}  // namespace

PendingCheckpoint::PendingCheckpoint(CheckpointId id, absl::Time trigger_time,
                                     const CheckpointPlan& plan,
                                     const std::set<ExecutionAttemptId>& finished)
    : id_(id), trigger_time_(trigger_time), plan_(plan) {
  for (const CheckpointPlan::Coordinator& coordinator : plan_.coordinators) {
    missing_coordinators_.insert(coordinator.attempt);
  }
  for (const CheckpointPlan::Task& task : plan_.tasks) {
    if (!finished.contains(task.attempt)) missing_tasks_.insert(task.attempt);
  }
}

PendingCheckpoint::AckResult PendingCheckpoint::AcknowledgeCoordinator(
    ExecutionAttemptId coordinator, std::string state) {
  if (missing_coordinators_.erase(coordinator) == 0) return AckResult::kIgnored;
  coordinator_states_.emplace(coordinator, std::move(state));
  return AckResult::kAccepted;
}

PendingCheckpoint::AckResult PendingCheckpoint::AcknowledgeTask(
    ExecutionAttemptId task, std::map<OperatorId, std::string> states,
    const std::vector<std::string>& files) {
  if (missing_tasks_.erase(task) == 0) return AckResult::kIgnored;
  task_states_.emplace(task, std::move(states));
  files_.insert(files.begin(), files.end());
  return AckResult::kAccepted;
}

void PendingCheckpoint::OnTaskFinished(ExecutionAttemptId task) { missing_tasks_.erase(task); }

bool PendingCheckpoint::AdvancePhase() {
  if (phase_ == Phase::kCoordinators && missing_coordinators_.empty()) {
    phase_ = Phase::kTasks;
    return true;
  }
  if (phase_ == Phase::kTasks && missing_tasks_.empty()) {
    phase_ = Phase::kWriting;
    return true;
  }
  return false;
}

bool PendingCheckpoint::HoldsEventsOf(ExecutionAttemptId coordinator) const {
  return phase_ == Phase::kCoordinators && coordinator_states_.contains(coordinator);
}

CheckpointMetadata PendingCheckpoint::BuildMetadata(JobId job_id, const JobGraph& graph,
                                                    const CheckpointMetadata* last) const {
  CheckpointMetadata metadata;
  metadata.id = id_;
  metadata.job_id = job_id;
  metadata.job_name = graph.job_name;
  metadata.trigger_time = trigger_time_;
  std::map<std::pair<JobVertexId, uint32_t>, ExecutionAttemptId> attempts;
  for (const CheckpointPlan::Task& task : plan_.tasks) {
    attempts.emplace(std::pair(task.vertex, task.subtask), task.attempt);
  }
  std::map<OperatorId, ExecutionAttemptId> coordinators;
  for (const CheckpointPlan::Coordinator& coordinator : plan_.coordinators) {
    coordinators.emplace(coordinator.operator_id, coordinator.attempt);
  }
  for (const JobGraph::Vertex& vertex : graph.vertices) {
    for (const JobGraph::Operator& op : vertex.operators) {
      CheckpointedOperator& out = metadata.operators.emplace_back();
      out.id = op.id;
      out.uid = op.uid;
      out.name = op.name;
      out.max_parallelism = vertex.max_parallelism;
      out.subtasks.resize(vertex.parallelism);
      for (uint32_t subtask = 0; subtask < vertex.parallelism; ++subtask) {
        const auto attempt = attempts.find(std::pair(vertex.id, subtask));
        const auto states =
            attempt == attempts.end() ? task_states_.end() : task_states_.find(attempt->second);
        if (states == task_states_.end()) {
          out.subtasks[subtask] = LastState(last, out, subtask);
        } else if (const auto state = states->second.find(op.id); state != states->second.end()) {
          out.subtasks[subtask] = state->second;
        }
      }
      if (const auto found = coordinators.find(op.id); found != coordinators.end()) {
        out.coordinator_state = coordinator_states_.at(found->second);
      }
    }
  }
  return metadata;
}

}  // namespace weir
