#include "jobmanager/job_master.h"

#include <algorithm>
#include <map>
#include <utility>

#include "jobmanager/deployment.h"
#include "jobmanager/job_metrics.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";
constexpr size_t kMaxExceptions = 16;
constexpr size_t kMaxConcurrentExceptions = 32;

std::optional<ExecutionState> FromWire(proto::TaskState state) {
  switch (state) {
    case proto::DEPLOYING:
      return ExecutionState::kDeploying;
    case proto::INITIALIZING:
      return ExecutionState::kInitializing;
    case proto::RUNNING:
      return ExecutionState::kRunning;
    case proto::FINISHED:
      return ExecutionState::kFinished;
    case proto::CANCELING:
      return ExecutionState::kCanceling;
    case proto::CANCELED:
      return ExecutionState::kCanceled;
    case proto::FAILED:
      return ExecutionState::kFailed;
    default:
      return std::nullopt;  // States before deployment are the JobManager's own.
  }
}

bool IsActive(JobStatus status) {
  return status == JobStatus::kCreated || status == JobStatus::kRunning;
}

}  // namespace

JobMaster::JobMaster(JobDescription job, JobMasterServices services,
                     std::unique_ptr<CheckpointStorage> storage)
    : job_(std::move(job)),
      services_(std::move(services)),
      storage_(std::move(storage)),
      executions_(job_.graph.get()),
      restart_strategy_(MakeRestartStrategy(job_.settings, job_.id.low())),
      checkpoints_(job_.id, job_.graph.get(), CheckpointSettingsOf(job_.settings),
                   services_.executor, this, storage_.get()) {
  last_modification_ = services_.executor->clock()->Now();
  timestamps_[JobStatus::kInitializing] = last_modification_;
}

JobMaster::~JobMaster() { services_.executor->CancelTimer(restart_timer_); }

template <class Function>
auto JobMaster::InGeneration(Function function) {
  return [weak = weak_from_this(), generation = generation_,
          function = std::move(function)](auto&&... arguments) mutable {
    const std::shared_ptr<JobMaster> self = weak.lock();
    if (self == nullptr || self->generation_ != generation) return;
    function(*self, std::forward<decltype(arguments)>(arguments)...);
  };
}

void JobMaster::TransitionTo(JobStatus status) {
  CHECK(IsLegalTransition(status_, status))
      << "job=" << ToString(job_.id) << " from=" << JobStatusName(status_)
      << " to=" << JobStatusName(status);
  status_ = status;
  if (status == JobStatus::kRestarting) ++num_restarts_;
  if (status != JobStatus::kRunning) all_running_since_ = absl::InfinitePast();
  last_modification_ = services_.executor->clock()->Now();
  timestamps_[status] = last_modification_;
  LogInfo(kComponent, StrCat("job ", JobStatusName(status), ": job=", ToString(job_.id),
                             " name=", job_.graph->job_name));
}

void JobMaster::Start() {
  NewAttempts();
  // Of an earlier run under the same id, that has crashed.
  storage_->Sweep(InGeneration([](JobMaster& self, uint64_t newest_checkpoint) {
    self.checkpoints_.NumberFrom(CheckpointId(newest_checkpoint));
    if (self.job_.savepoint_path.empty()) {
      self.TransitionTo(JobStatus::kCreated);
      self.BeginAttempt();
    } else {
      self.RestoreUsersCheckpoint();
    }
  }));
}

void JobMaster::RestoreUsersCheckpoint() {
  // Divided here once, although each attempt does so again, so that a snapshot that does not fit is
  // known before anything is copied or deployed.
  auto check = [graph = job_.graph,
                allow = job_.allow_non_restored_state](const CheckpointMetadata& metadata) {
    return StateAssignment::Create(metadata, *graph, allow).status();
  };
  storage_->TakeOver(
      job_.savepoint_path, std::move(check),
      InGeneration([](JobMaster& self, absl::StatusOr<CheckpointStorage::Snapshot> taken) {
        if (!taken.ok()) {
          self.FailJob(absl::Status(taken.status().code(),
                                    ToAbsl(StrCat("cannot start from ", self.job_.savepoint_path,
                                                  ": ", ToStd(taken.status().message())))),
                       nullptr, Restartable::kNo);
          return;
        }
        self.checkpoints_.AddRestored(*taken, self.job_.savepoint_path, self.job_.claim_mode);
        self.TransitionTo(JobStatus::kCreated);
        self.BeginAttempt();
      }));
}

void JobMaster::NewAttempts() {
  const std::vector<ExecutionAttemptId> gone = executions_.Attempts();
  executions_.NewAttempts(services_.executor->clock()->Now());
  if (services_.on_attempts) services_.on_attempts(job_.id, gone, executions_.Attempts());
}

void JobMaster::BeginAttempt() {
  const absl::Time now = services_.executor->clock()->Now();
  executions_.ForEach([&](ExecutionVertex& vertex) {
    CHECK(vertex.current->Transition(ExecutionState::kScheduled, now).ok());
  });
  services_.resource_manager->RequestSlots(
      job_.id, executions_.num_slots(), job_.settings.Get(kSlotRequestTimeout),
      InGeneration([](JobMaster& self, absl::StatusOr<ResourceManager::Slots> slots) {
        if (slots.ok()) {
          self.OnSlots(*std::move(slots));
        } else {
          self.FailJob(slots.status(), nullptr, Restartable::kNo);
        }
      }));
}

void JobMaster::OnSlots(ResourceManager::Slots slots) {
  executions_.ForEach([&](ExecutionVertex& vertex) {
    const std::shared_ptr<TaskManagerGateway>& location = slots[executions_.SlotOf(vertex)];
    vertex.current->Assign(location);
    task_managers_.insert(location);
  });
  checkpoints_.RestoreLatest(InGeneration(
      [](JobMaster& self, absl::StatusOr<std::shared_ptr<const CheckpointMetadata>> restored) {
        if (restored.ok()) {
          self.AssignState(*std::move(restored));
        } else {
          self.FailJob(restored.status(), nullptr,
                       absl::IsDataLoss(restored.status()) ? Restartable::kNo : Restartable::kYes);
        }
      }));
}

void JobMaster::AssignState(std::shared_ptr<const CheckpointMetadata> metadata) {
  if (metadata == nullptr) {
    Deploy(StateAssignment());
    return;
  }
  auto then = InGeneration([](JobMaster& self, absl::StatusOr<StateAssignment> state) {
    if (state.ok()) {
      self.Deploy(*state);
    } else {
      self.FailJob(state.status(), nullptr, Restartable::kNo);
    }
  });
  services_.executor->RunBlocking([metadata = std::move(metadata), graph = job_.graph,
                                   allow = job_.allow_non_restored_state,
                                   then = std::move(then)]() mutable {
    return Mail([state = StateAssignment::Create(*metadata, *graph, allow),
                 then = std::move(then)]() mutable { then(std::move(state)); });
  });
}

void JobMaster::Deploy(const StateAssignment& state) {
  const absl::Time now = services_.executor->clock()->Now();
  restored_checkpoint_ = state.checkpoint_id();
  executions_.ForEach([&](ExecutionVertex& vertex) {
    CHECK(vertex.current->Transition(ExecutionState::kDeploying, now).ok());
  });
  TransitionTo(JobStatus::kRunning);
  checkpoints_.Start(executions_.MakeCheckpointPlan());
  for (const auto& [location, message] :
       MakeDeployments(job_, state, services_.leader_epoch, &executions_)) {
    location->Send(message);
  }
}

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
  const std::optional<ExecutionState> state = FromWire(report.state());
  if (state == before) return true;
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
      OnTaskFailed(*vertex, StatusFromWire(report.error_code(), report.error()),
                   before == ExecutionState::kDeploying || before == ExecutionState::kInitializing);
      break;
    case ExecutionState::kCanceled:
      if (IsActive(status_)) {
        OnTaskFailed(*vertex,
                     absl::AbortedError("the TaskManager cancelled the task without being asked"),
                     false);
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
  if (all_running_since_ == absl::InfinitePast()) {
    all_running_since_ = services_.executor->clock()->Now();
  }
  checkpoints_.OnAllTasksRunning();
}

void JobMaster::OnTaskFailed(ExecutionVertex& vertex, const absl::Status& reason,
                             bool was_restoring) {
  if (!IsActive(status_)) {
    if (status_ != JobStatus::kCancelling) RecordFailure(reason, &vertex, /*concurrent=*/true);
    CheckAllTerminal();
    return;
  }
  Restartable restartable = Restartable::kYes;
  if (was_restoring && restored_checkpoint_ != 0 && absl::IsDataLoss(reason)) {
    // Trying the same checkpoint again would fail again: go one back, or give up.
    checkpoints_.Stop(reason);
    if (!checkpoints_.ForgetLatest()) restartable = Restartable::kNo;
  }
  FailJob(reason, &vertex, restartable);
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
  const absl::Status wire = StatusFromWire(report.error_code(), report.error());
  const absl::Status reason(wire.code(),
                            ToAbsl(StrCat("the operator coordinator of ",
                                          job_.graph->FindVertex(coordinator->vertex)->name,
                                          " failed: ", ToStd(wire.message()))));
  const ExecutionVertex& first = executions_.FindVertex(coordinator->vertex)->subtasks.front();
  if (IsActive(status_)) {
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
  if (sender == nullptr || coordinator == nullptr || status_ != JobStatus::kRunning) {
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
  if (executions_.FindCoordinator(sender) == nullptr || status_ != JobStatus::kRunning) {
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
  if (sender == nullptr || status_ != JobStatus::kRunning) {
    ++num_stale_messages_;
    return true;
  }
  // Each TaskManager gives it to all coordinators it has, but the sender.
  std::set<TaskManagerGateway*> locations;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.operator_id != sender->operator_id) locations.insert(LocationOf(coordinator));
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

void JobMaster::OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) {
  if (IsGloballyTerminal(status_)) return;
  const absl::Time now = services_.executor->clock()->Now();
  ExecutionVertex* first_lost = nullptr;
  ExecutionVertex* first_canceling = nullptr;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    Execution& execution = *vertex.current;
    if (execution.location() != task_manager || IsTerminal(execution.state())) return;
    const bool was_canceling = execution.state() == ExecutionState::kCanceling;
    CHECK(execution
              .Transition(was_canceling ? ExecutionState::kCanceled : ExecutionState::kFailed, now)
              .ok());
    ExecutionVertex*& first = was_canceling ? first_canceling : first_lost;
    if (first == nullptr) first = &vertex;
  });
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (first_lost == nullptr && LocationOf(coordinator) == task_manager) {
      first_lost = &executions_.FindVertex(coordinator.vertex)->subtasks.front();
    }
  }
  std::erase_if(task_managers_, [&](const auto& kept) { return kept.get() == task_manager; });
  if (first_lost != nullptr && IsActive(status_)) {
    FailJob(reason, first_lost, Restartable::kYes);
  } else {
    // Often the cause of the failure that is being cleaned up: its peers saw the connection break.
    if (first_canceling != nullptr && status_ != JobStatus::kCancelling) {
      RecordFailure(reason, first_canceling, /*concurrent=*/true);
    }
    CheckAllTerminal();
  }
}

absl::Status JobMaster::Cancel() {
  if (status_ == JobStatus::kFinished || status_ == JobStatus::kFailed) {
    return absl::FailedPreconditionError(StrCat("the job cannot be cancelled, for it has ended: ",
                                                ToString(job_.id), " is ", JobStatusName(status_)));
  }
  if (status_ == JobStatus::kCancelling || status_ == JobStatus::kCanceled) {
    return absl::OkStatus();
  }
  ++generation_;
  services_.executor->CancelTimer(restart_timer_);
  AnswerStop(absl::CancelledError("the job is being cancelled"));
  TransitionTo(JobStatus::kCancelling);
  checkpoints_.Stop(absl::CancelledError("the job is being cancelled"));
  CancelTasks();
  CheckAllTerminal();
  return absl::OkStatus();
}

void JobMaster::FailJob(const absl::Status& reason, const ExecutionVertex* vertex,
                        Restartable restartable) {
  LogError(kComponent, StrCat("job failure: job=", ToString(job_.id),
                              " name=", job_.graph->job_name, vertex == nullptr ? "" : " task=",
                              vertex == nullptr ? "" : executions_.TaskNameOf(*vertex), ": ",
                              ToStd(reason.message())));
  ++generation_;
  RecordFailure(reason, vertex, /*concurrent=*/false);
  checkpoints_.Stop(reason);
  AnswerStop(reason);
  const absl::Time now = services_.executor->clock()->Now();
  const std::optional<absl::Duration> delay =
      restartable == Restartable::kYes ? restart_strategy_->OnFailure(now) : std::nullopt;
  if (delay.has_value()) restart_due_ = now + *delay;
  TransitionTo(delay.has_value() ? JobStatus::kRestarting : JobStatus::kFailing);
  CancelTasks();
  CheckAllTerminal();
}

void JobMaster::CancelTasks() {
  const absl::Time now = services_.executor->clock()->Now();
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    Execution& execution = *vertex.current;
    if (IsTerminal(execution.state()) || execution.state() == ExecutionState::kCanceling) return;
    if (execution.Transition(ExecutionState::kCanceling, now).ok()) {
      messages[execution.location()].mutable_cancel()->add_attempts(IdToBytes(execution.id()));
    } else {
      CHECK(execution.Transition(ExecutionState::kCanceled, now).ok());  // Never deployed.
    }
  });
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    TaskManagerGateway* const location = LocationOf(coordinator);
    if (location != nullptr) {
      messages[location].mutable_cancel()->add_coordinators(IdToBytes(coordinator.attempt));
    }
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::CheckAllTerminal() {
  if (IsGloballyTerminal(status_) || !executions_.All(&IsTerminal)) return;
  switch (status_) {
    case JobStatus::kRunning:
      End(JobStatus::kFinished);  // A failed or cancelled task would have moved the job on.
      return;
    case JobStatus::kFailing:
      End(JobStatus::kFailed);
      return;
    case JobStatus::kCancelling:
      End(JobStatus::kCanceled);
      return;
    case JobStatus::kRestarting:
      break;
    default:
      return;
  }
  if (restart_timer_ != TimerId()) return;
  services_.resource_manager->ReleaseSlots(job_.id);
  restart_timer_ = services_.executor->PostAfter(restart_due_ - services_.executor->clock()->Now(),
                                                 InGeneration([](JobMaster& self) {
                                                   self.restart_timer_ = TimerId();
                                                   ++self.generation_;
                                                   self.TransitionTo(JobStatus::kCreated);
                                                   self.NewAttempts();
                                                   self.BeginAttempt();
                                                 }));
}

void JobMaster::End(JobStatus status) {
  const std::shared_ptr<JobMaster> self = shared_from_this();  // on_ended may let go of it.
  ++generation_;
  if (status == JobStatus::kFinished) {
    CancelTasks();  // Only the coordinators are left.
    checkpoints_.Stop(absl::CancelledError("the job has finished"));
  }
  if (DiscardsCheckpoints(status)) {
    checkpoints_.DiscardAll();
    // The folder may also hold what TaskManagers left that died. The user's checkpoint is not ours.
    if (!job_.savepoint_path.starts_with(StrCat(job_.checkpoint_dir, "/"))) {
      storage_->Discard({job_.checkpoint_dir}, {});
    }
  } else {
    checkpoints_.DiscardOrphans();
    storage_->Sweep([](uint64_t) {});
  }
  TransitionTo(status);
  if (stop_.has_value()) {
    const CompletedStop stop = *std::exchange(stop_, std::nullopt);
    stop.done(stop.savepoint);
  }
  services_.resource_manager->ReleaseSlots(job_.id);
  proto::JobManagerMessage release;
  release.mutable_release_job()->set_job_id(IdToBytes(job_.id));
  for (const auto& task_manager : task_managers_) task_manager->Send(release);
  if (services_.on_ended) services_.on_ended(job_.id);
}

void JobMaster::TriggerCheckpoint(CheckpointCoordinator::TriggerCallback done) {
  checkpoints_.TriggerNow(std::move(done));
}

void JobMaster::TriggerSavepoint(const SavepointRequest& request,
                                 CheckpointCoordinator::SavepointCallback done) {
  if (StrCat(request.target_directory, "/").starts_with(StrCat(job_.checkpoint_dir, "/"))) {
    done(absl::InvalidArgumentError(
        StrCat("a savepoint cannot lie in the folder of its job's checkpoints, which may go with "
               "the job; name another target directory: ",
               request.target_directory)));
    return;
  }
  checkpoints_.TriggerSavepoint(request, [this, then = request.then, done = std::move(done)](
                                             absl::StatusOr<std::string> path) {
    if (path.ok() && StopsJob(then)) {
      stop_ = CompletedStop{*std::move(path), done};
      return;
    }
    if (path.ok() && then == AfterSavepoint::kCancel) {
      LogInfo(kComponent,
              StrCat("cancelled with a savepoint: job=", ToString(job_.id), " savepoint=", *path));
      const absl::Status status = Cancel();
      if (!status.ok()) {
        done(absl::Status(status.code(),
                          ToAbsl(StrCat("the savepoint is complete, but ", ToStd(status.message()),
                                        " savepoint=", *path))));
        return;
      }
    }
    done(std::move(path));
  });
}

std::string JobMaster::SavepointDirectory() const { return job_.settings.Get(kSavepointDir); }

bool JobMaster::NeedsSnapshot(const std::string& path) const {
  return checkpoints_.Retains(path) || path.starts_with(StrCat(job_.checkpoint_dir, "/")) ||
         (status_ == JobStatus::kInitializing && path == job_.savepoint_path);
}

void JobMaster::AnswerStop(const absl::Status& reason) {
  if (!stop_.has_value()) return;
  const CompletedStop stop = *std::exchange(stop_, std::nullopt);
  stop.done(absl::AbortedError(
      StrCat("the savepoint is complete, but the job did not stop; if it restarts, it goes on from "
             "the savepoint: savepoint=",
             stop.savepoint, ": ", ToStd(reason.message()))));
}

bool JobMaster::DiscardsCheckpoints(JobStatus status) const {
  const std::string retention = job_.settings.Get(kCheckpointingRetention);
  switch (status) {
    case JobStatus::kFinished:
      return true;
    case JobStatus::kCanceled:
      return retention != "RETAIN_ON_CANCELLATION";
    default:
      return retention == "NO_EXTERNALIZED_CHECKPOINTS";
  }
}

void JobMaster::FailAttempt(const absl::Status& reason) {
  if (IsActive(status_)) FailJob(reason, nullptr, Restartable::kYes);
}

void JobMaster::TriggerCoordinators(CheckpointId id,
                                    const std::vector<ExecutionAttemptId>& coordinators) {
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  for (const ExecutionAttemptId attempt : coordinators) {
    TaskManagerGateway* const location = LocationOf(*executions_.FindCoordinator(attempt));
    proto::TriggerCoordinatorCheckpoint* const trigger =
        messages[location].mutable_trigger_coordinator();
    trigger->set_checkpoint_id(id.value());
    trigger->add_attempts(IdToBytes(attempt));
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::TriggerSources(CheckpointId id, absl::Time trigger_time, BarrierKind kind,
                               const std::vector<ExecutionAttemptId>& sources) {
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  for (const ExecutionAttemptId attempt : sources) {
    proto::TriggerCheckpoint* const trigger =
        messages[executions_.Find(attempt)->current->location()].mutable_trigger();
    trigger->set_checkpoint_id(id.value());
    trigger->set_trigger_time_ms(absl::ToUnixMillis(trigger_time));
    trigger->set_barrier_kind(static_cast<uint32_t>(kind));
    trigger->add_attempts(IdToBytes(attempt));
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::NotifyCheckpointComplete(CheckpointId id) {
  proto::JobManagerMessage message;
  message.mutable_complete()->set_job_id(IdToBytes(job_.id));
  message.mutable_complete()->set_checkpoint_id(id.value());
  SendToAll(message);
}

void JobMaster::NotifyCheckpointAborted(CheckpointId id) {
  proto::JobManagerMessage message;
  message.mutable_aborted()->set_job_id(IdToBytes(job_.id));
  message.mutable_aborted()->set_checkpoint_id(id.value());
  SendToAll(message);
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

ExceptionEntry JobMaster::MakeException(const absl::Status& reason,
                                        const ExecutionVertex* vertex) const {
  ExceptionEntry entry;
  entry.exception_name = absl::StatusCodeToString(reason.code());
  entry.stacktrace = std::string(ToStd(reason.message()));
  entry.time = services_.executor->clock()->Now();
  if (vertex != nullptr) {
    const SubtaskDetails details = vertex->current->Details();
    entry.task_name = executions_.TaskNameOf(*vertex);
    entry.endpoint = details.endpoint;
    entry.taskmanager_id = details.taskmanager_id;
  }
  return entry;
}

void JobMaster::RecordFailure(const absl::Status& reason, const ExecutionVertex* vertex,
                              bool concurrent) {
  if (concurrent && !exceptions_.empty()) {
    std::vector<ExceptionEntry>& siblings = exceptions_.front().concurrent;
    if (siblings.size() < kMaxConcurrentExceptions) {
      siblings.push_back(MakeException(reason, vertex));
    }
    return;
  }
  exceptions_.push_front(MakeException(reason, vertex));
  if (exceptions_.size() <= kMaxExceptions) return;
  exceptions_.pop_back();
  exceptions_truncated_ = true;
}

JobOverview JobMaster::Overview() const {
  JobOverview overview;
  overview.id = job_.id;
  overview.name = job_.graph->job_name;
  overview.status = status_;
  overview.start_time = timestamps_[JobStatus::kInitializing];
  overview.last_modification = last_modification_;
  if (IsGloballyTerminal(status_)) overview.end_time = timestamps_[status_];
  overview.task_counts = executions_.CountStates();
  return overview;
}

JobDetails JobMaster::Details() const {
  JobDetails details;
  details.id = job_.id;
  details.name = job_.graph->job_name;
  details.status = status_;
  details.start_time = timestamps_[JobStatus::kInitializing];
  if (IsGloballyTerminal(status_)) details.end_time = timestamps_[status_];
  details.timestamps = timestamps_;
  details.vertices = executions_.Details();
  details.plan = executions_.MakePlan();
  details.execution_config.restart_strategy = restart_strategy_->Describe();
  details.execution_config.parallelism = job_.settings.Get(kParallelismDefault);
  details.execution_config.user_config = job_.graph->settings;
  return details;
}

JobResult JobMaster::Result() const {
  JobResult result;
  result.id = job_.id;
  result.status = status_;
  const absl::Time end =
      IsGloballyTerminal(status_) ? timestamps_[status_] : services_.executor->clock()->Now();
  result.net_runtime = end - timestamps_[JobStatus::kInitializing];
  if (status_ == JobStatus::kFailed && !exceptions_.empty()) result.failure = exceptions_.front();
  return result;
}

ExceptionHistory JobMaster::Exceptions(size_t max_entries) const {
  ExceptionHistory history;
  history.truncated = exceptions_truncated_ || exceptions_.size() > max_entries;
  const auto count = static_cast<std::ptrdiff_t>(std::min(max_entries, exceptions_.size()));
  history.entries.assign(exceptions_.begin(), exceptions_.begin() + count);
  return history;
}

CheckpointConfig JobMaster::CheckpointConfiguration() const {
  return CheckpointConfigOf(job_.settings, job_.checkpoint_dir);
}

MetricReport JobMaster::Metrics(const std::string& labels) const {
  const CheckpointStatisticsTracker& checkpoints = checkpoints_.tracker();
  JobMetricsInput input;
  input.status = status_;
  input.timestamps = timestamps_;
  input.all_running_since = all_running_since_;
  input.num_restarts = num_restarts_;
  input.checkpoint_counts = checkpoints.counts();
  input.latest_completed = checkpoints.latest_completed();
  input.latest_totals = checkpoints.latest_totals();
  input.latest_restore_time = checkpoints.latest_restore_time();
  MetricReportBuilder report("flink_jobmanager_job", LabelsOf(labels));
  AddJobMetrics(input, services_.executor->clock()->Now(), &report);
  return report.Finish();
}

std::string JobMaster::LabelsOf(const std::string& labels) const {
  return StrCat(labels, ",", PrometheusLabel("job_id", ToString(job_.id)), ",",
                PrometheusLabel("job_name", job_.graph->job_name));
}

std::vector<ScopeMetrics> JobMaster::SubtaskMetrics(JobVertexId vertex) {
  std::vector<ScopeMetrics> metrics;
  const ExecutionJobVertex* const found = executions_.FindVertex(vertex);
  if (found == nullptr) return metrics;
  for (const ExecutionVertex& subtask : found->subtasks) {
    const MetricReport& report = subtask.current->report();
    if (report.layout != nullptr) metrics.push_back({subtask.subtask, report});
  }
  return metrics;
}

std::vector<ScopeMetrics> JobMaster::CoordinatorMetrics(JobVertexId vertex) {
  std::vector<ScopeMetrics> metrics;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.vertex == vertex && coordinator.report.layout != nullptr) {
      metrics.push_back({0, coordinator.report});
    }
  }
  return metrics;
}

std::vector<MetricReport> JobMaster::CoordinatorReports(const std::string& labels) const {
  std::vector<MetricReport> reports;
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (coordinator.report.layout == nullptr) continue;
    MetricReportBuilder report(
        "flink_jobmanager_job_operator_coordinator",
        StrCat(LabelsOf(labels), ",", PrometheusLabel("task_id", ToString(coordinator.vertex)), ",",
               PrometheusLabel("operator_id", ToString(coordinator.operator_id))));
    for (size_t i = 0; i < coordinator.report.values.size(); ++i) {
      // "<operator>.coordinator.<metric>": the operator is a label here.
      std::string_view name = coordinator.report.layout->names[i];
      constexpr std::string_view kCoordinator = ".coordinator.";
      const size_t at = name.find(kCoordinator);
      if (at != std::string_view::npos) name.remove_prefix(at + kCoordinator.size());
      report.Add(name, coordinator.report.values[i]);
    }
    reports.push_back(report.Finish());
  }
  return reports;
}

}  // namespace weir
