// The JobMaster's dealings with its tasks and coordinators: what they report, and what they say to
// each other.

#include <set>
#include <utility>

#include "jobmanager/job_master.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/failure.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// `report` is a TaskStateChanged or a CoordinatorFailed.
template <class Report>
absl::Status FailureFromWire(const Report& report) {
  absl::Status status = StatusFromWire(report.error_code(), report.error());
  if (!report.exception_name().empty()) {
    const bool known = report.failure_origin() >= 0 && report.failure_origin() <= 2;
    SetFailure(
        known ? static_cast<FailureOrigin>(report.failure_origin()) : FailureOrigin::kUnknown,
        report.exception_name(), &status);
  }
  return status;
}

}  // namespace

void JobMaster::UpdateTask(const TaskManagerGateway* from, const proto::TaskMetrics& metrics) {
  ExecutionVertex* const vertex =
      executions_.Find(IdFromBytes<ExecutionAttemptId>(metrics.attempt()));
  if (vertex != nullptr && vertex->current->location() == from) {
    vertex->current->UpdateMetrics(metrics);
  }
}

bool JobMaster::HandleMessage(const proto::TaskManagerMessage& message) {
  switch (message.kind_case()) {
    case proto::TaskManagerMessage::kTaskState:
      return OnTaskState(message);
    case proto::TaskManagerMessage::kInputEnded:
      return OnInputEnded(message);
    case proto::TaskManagerMessage::kCheckpointAck:
    case proto::TaskManagerMessage::kCheckpointDecline:
    case proto::TaskManagerMessage::kCoordinatorAck:
      return OnCheckpointAnswer(message);
    case proto::TaskManagerMessage::kCoordinatorFailed:
      return OnCoordinatorFailed(message);
    case proto::TaskManagerMessage::kEventToCoordinator:
      return OnEventToCoordinator(message.event_to_coordinator());
    case proto::TaskManagerMessage::kEventToTask:
      return OnEventToTask(message.event_to_task());
    case proto::TaskManagerMessage::kEventToCoordinators:
      return OnEventToCoordinators(message.event_to_coordinators());
    default:
      return false;
  }
}

bool JobMaster::OnTaskState(const proto::TaskManagerMessage& message) {
  const proto::TaskStateChanged& report = message.task_state();
  ExecutionVertex* const vertex =
      executions_.Find(IdFromBytes<ExecutionAttemptId>(report.attempt()));
  if (vertex == nullptr) return false;
  if (report.has_metrics()) vertex->current->UpdateMetrics(report.metrics());
  const ExecutionState before = vertex->current->state();
  const std::optional<ExecutionState> state = ExecutionStateFromWire(report.state());
  // A task that is on its way down unasked, as when its TaskManager stops, has not been cancelled
  // by the job: it fails once it is there.
  if (state == before || state == ExecutionState::kCanceling) return true;
  if (!state.has_value() ||
      !vertex->current->Transition(*state, services_.executor->clock()->Now()).ok()) {
    ++num_stale_messages_;
    return true;
  }
  last_modification_ = services_.executor->clock()->Now();
  switch (*state) {
    case ExecutionState::kRunning:
      OnTaskRunning();
      break;
    case ExecutionState::kFinished:
      checkpoints_.OnTaskFinished(vertex->current->id());
      OnTaskRunning();
      CheckAllTerminal();
      break;
    case ExecutionState::kFailed:
      OnTaskFailed(*vertex, FailureFromWire(report), before);
      break;
    case ExecutionState::kCanceled:
      if (before != ExecutionState::kCanceling) {
        OnTaskFailed(*vertex,
                     absl::AbortedError("the TaskManager cancelled the task without being asked"),
                     before);
      } else {
        CheckAllTerminal();
      }
      break;
    default:
      break;
  }
  return true;
}

void JobMaster::OnTaskRunning() {
  if (status_ != JobStatus::kRunning) return;
  const bool all = executions_.All([](ExecutionState state) {
    return state == ExecutionState::kRunning || state == ExecutionState::kFinished;
  });
  if (!all) return;
  has_lost_tasks_ = false;
  if (cancels_once_running_) {
    CancelNow();
    return;
  }
  if (all_running_since_ == absl::InfinitePast()) {
    all_running_since_ = services_.executor->clock()->Now();
  }
  checkpoints_.OnAllTasksRunning();
  scheduler_.OnAllRunning();
}

bool JobMaster::OnInputEnded(const proto::TaskManagerMessage& message) {
  const auto attempt = IdFromBytes<ExecutionAttemptId>(message.input_ended().attempt());
  if (executions_.Find(attempt) == nullptr) return false;
  checkpoints_.OnInputEnded(attempt);
  return true;
}

bool JobMaster::OnCheckpointAnswer(const proto::TaskManagerMessage& message) {
  if (message.has_checkpoint_ack()) {
    const auto attempt = IdFromBytes<ExecutionAttemptId>(message.checkpoint_ack().attempt());
    if (executions_.Find(attempt) == nullptr) return false;
    checkpoints_.OnTaskAck(message.checkpoint_ack());
  } else if (message.has_checkpoint_decline()) {
    const auto attempt = IdFromBytes<ExecutionAttemptId>(message.checkpoint_decline().attempt());
    if (executions_.Find(attempt) == nullptr) return false;
    checkpoints_.OnTaskDecline(message.checkpoint_decline());
  } else {
    const auto attempt = IdFromBytes<ExecutionAttemptId>(message.coordinator_ack().attempt());
    if (executions_.FindCoordinator(attempt) == nullptr) return false;
    checkpoints_.OnCoordinatorAck(message.coordinator_ack());
  }
  return true;
}

bool JobMaster::OnCoordinatorFailed(const proto::TaskManagerMessage& message) {
  const proto::CoordinatorFailed& report = message.coordinator_failed();
  const CoordinatorExecution* const coordinator =
      executions_.FindCoordinator(IdFromBytes<ExecutionAttemptId>(report.attempt()));
  if (coordinator == nullptr) return false;
  const absl::Status reason =
      WithMessage(FailureFromWire(report), StrCat("the operator coordinator of ",
                                                  job_.graph->FindVertex(coordinator->vertex)->name,
                                                  " failed: ", report.error()));
  const ExecutionVertex& first = executions_.FindVertex(coordinator->vertex)->subtasks.front();
  if (IsUp(coordinator->region)) {
    FailJob(reason, &first, Restartable::kYes);
  } else if (status_ != JobStatus::kCancelling && !IsGloballyTerminal(status_)) {
    RecordFailure(reason, &first, /*concurrent=*/true);
  }
  return true;
}

bool JobMaster::OnEventToCoordinator(const proto::OperatorEvent& event) {
  if (event.job_id() != IdToBytes(job_.id)) return false;
  const ExecutionVertex* const sender =
      executions_.Find(IdFromBytes<ExecutionAttemptId>(event.sender_attempt()));
  const CoordinatorExecution* const coordinator =
      executions_.FindCoordinator(IdFromBytes<OperatorId>(event.operator_id()));
  if (sender == nullptr || coordinator == nullptr || !IsUp(sender->region)) {
    ++num_stale_messages_;
    return true;
  }
  proto::JobManagerMessage message;
  *message.mutable_event_to_coordinator() = event;
  LocationOf(*coordinator)->Send(message);
  return true;
}

bool JobMaster::OnEventToTask(const proto::OperatorEvent& event) {
  if (event.job_id() != IdToBytes(job_.id)) return false;
  const auto sender = IdFromBytes<ExecutionAttemptId>(event.sender_attempt());
  const CoordinatorExecution* const coordinator = executions_.FindCoordinator(sender);
  if (coordinator == nullptr || !IsUp(coordinator->region)) {
    ++num_stale_messages_;
    return true;
  }
  checkpoints_.OnCoordinatorEvent(event);
  return true;
}

bool JobMaster::OnEventToCoordinators(const proto::OperatorEvent& event) {
  if (event.job_id() != IdToBytes(job_.id)) return false;
  const CoordinatorExecution* const sender =
      executions_.FindCoordinator(IdFromBytes<ExecutionAttemptId>(event.sender_attempt()));
  if (sender == nullptr || !IsUp(sender->region)) {
    ++num_stale_messages_;
    return true;
  }
  // Each TaskManager gives it to all coordinators it has, but the sender.
  std::set<TaskManagerGateway*> locations;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.operator_id == sender->operator_id || !IsUp(coordinator.region)) continue;
    locations.insert(LocationOf(coordinator));
  }
  proto::JobManagerMessage message;
  *message.mutable_event_to_coordinators() = event;
  for (TaskManagerGateway* const location : locations) location->Send(message);
  return true;
}

void JobMaster::DeliverToTask(const proto::OperatorEvent& event) {
  ExecutionJobVertex* const vertex =
      executions_.FindVertexOf(IdFromBytes<OperatorId>(event.operator_id()));
  if (vertex == nullptr || event.subtask() >= vertex->subtasks.size()) {
    ++num_stale_messages_;
    return;
  }
  const Execution& execution = *vertex->subtasks[event.subtask()].current;
  if (execution.location() == nullptr || IsTerminal(execution.state())) return;
  proto::JobManagerMessage message;
  *message.mutable_event_to_task() = event;
  execution.location()->Send(message);
}

TaskManagerGateway* JobMaster::LocationOf(const CoordinatorExecution& coordinator) {
  return executions_.FindVertex(coordinator.vertex)->subtasks.front().current->location();
}

std::set<TaskManagerGateway*> JobMaster::Locations() {
  std::set<TaskManagerGateway*> locations;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    if (vertex.current->location() != nullptr) locations.insert(vertex.current->location());
  });
  return locations;
}

void JobMaster::SendToAll(const proto::JobManagerMessage& message) {
  for (TaskManagerGateway* const location : Locations()) location->Send(message);
}

}  // namespace weir
