#include "jobmanager/job_master.h"

#include <algorithm>
#include <map>
#include <utility>

#include "jobmanager/deployment.h"
#include "jobmanager/job_metrics.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "jobmanager/vertex_parallelism.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/check.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";
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

JobMaster::JobMaster(JobDescription job, JobMasterServices services,
                     std::unique_ptr<CheckpointStorage> storage)
    : job_(std::move(job)),
      services_(std::move(services)),
      storage_(std::move(storage)),
      submitted_graph_(job_.graph),
      // A parallelism is the whole job's: a region could not follow the slots alone.
      executions_(job_.graph.get(),
                  job_.settings.Get(kFailoverStrategy) == "full" ||
                          AdaptiveSchedulerOptions::FromSettings(job_.settings).kind !=
                              SchedulerKind::kDefault
                      ? FailoverStrategy::kFull
                      : FailoverStrategy::kRegion),
      restart_strategy_(MakeRestartStrategy(job_.settings, job_.id.low())),
      scheduler_(job_.id, submitted_graph_, job_.requirements,
                 AdaptiveSchedulerOptions::FromSettings(job_.settings), services_.executor, this),
      checkpoints_(job_.id, job_.graph.get(), CheckpointSettingsOf(job_.settings),
                   services_.executor, this, storage_.get()) {
  last_modification_ = services_.executor->clock()->Now();
  timestamps_[JobStatus::kInitializing] = last_modification_;
  down_ = executions_.AllRegions();
  slots_.resize(executions_.num_slots());
  last_slots_.resize(executions_.num_slots());
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
  if (status == JobStatus::kRestarting && !scheduler_.is_stopping()) {
    scheduler_.OnFailure();
  } else if (status == JobStatus::kFailing || status == JobStatus::kCancelling ||
             IsGloballyTerminal(status)) {
    scheduler_.OnEnd(StrCat("the job is ", JobStatusName(status)));
  }
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

void JobMaster::Recover(JobRecovery recovery) {
  const bool from_start = recovery.checkpoints.empty();
  checkpoints_.AddRecovered(std::move(recovery.checkpoints), recovery.last_checkpoint_id);
  if (from_start) {
    Start();
    return;
  }
  NewAttempts();
  storage_->Sweep(InGeneration([](JobMaster& self, uint64_t newest_checkpoint) {
    self.checkpoints_.NumberFrom(CheckpointId(newest_checkpoint));
    self.TransitionTo(JobStatus::kCreated);
    self.BeginAttempt();
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
  const std::vector<ExecutionAttemptId> gone = executions_.AttemptsOf(down_);
  executions_.NewAttempts(down_, services_.executor->clock()->Now());
  if (services_.on_attempts) services_.on_attempts(job_.id, gone, executions_.AttemptsOf(down_));
}

void JobMaster::BeginAttempt() {
  const absl::Time now = services_.executor->clock()->Now();
  executions_.ForEachIn(down_, [&](ExecutionVertex& vertex) {
    CHECK(vertex.current->Transition(ExecutionState::kScheduled, now).ok());
  });
  if (AllDown()) {
    scheduler_.WaitForResources();
  } else {
    scheduler_.OnRegionRestart();
    ClaimSlots();
  }
}

void JobMaster::SetParallelism(const VertexParallelism& parallelism) {
  if (parallelism == ParallelismOf(*job_.graph)) return;
  const absl::Time now = services_.executor->clock()->Now();
  const std::vector<ExecutionAttemptId> gone = executions_.Attempts();
  const std::shared_ptr<const JobGraph> former =
      std::exchange(job_.graph, parallelism == ParallelismOf(*submitted_graph_)
                                    ? submitted_graph_
                                    : WithParallelism(*submitted_graph_, parallelism));
  executions_.Rescale(job_.graph.get(), now);
  down_ = executions_.AllRegions();
  slots_.assign(executions_.num_slots(), nullptr);
  last_slots_.resize(executions_.num_slots());
  checkpoints_.SetGraph(job_.graph.get());
  executions_.ForEach([&](ExecutionVertex& vertex) {
    if (vertex.current->state() != ExecutionState::kCreated) return;
    CHECK(vertex.current->Transition(ExecutionState::kScheduled, now).ok());
  });
  if (services_.on_attempts) services_.on_attempts(job_.id, gone, executions_.Attempts());
}

uint32_t JobMaster::NumAvailableSlots() const {
  return services_.resource_manager->NumAvailableSlots(job_.id);
}

void JobMaster::TakeRescaleCheckpoint(std::function<void(absl::StatusOr<CheckpointId>)> done) {
  // The answer comes out of the CheckpointCoordinator, which it will stop: so it takes a turn.
  checkpoints_.TriggerNow(
      [executor = services_.executor,
       answer = InGeneration([done = std::move(done)](JobMaster&, absl::StatusOr<CheckpointId> id) {
         done(std::move(id));
       })](absl::StatusOr<CheckpointId> id) {
        executor->Post([answer, id = std::move(id)]() mutable { answer(std::move(id)); });
      });
}

void JobMaster::StopForRescale() {
  ++generation_;
  checkpoints_.Stop(absl::CancelledError("the job is being rescaled"));
  restart_due_ = services_.executor->clock()->Now();
  down_ = executions_.AllRegions();
  TransitionTo(JobStatus::kRestarting);
  CancelTasks();
  CheckAllTerminal();
}

void JobMaster::GiveUp(const absl::Status& reason) { FailJob(reason, nullptr, Restartable::kNo); }

void JobMaster::RunWith(const VertexParallelism& parallelism) {
  ++generation_;  // Slots that were asked for before do not count.
  SetParallelism(parallelism);
  const auto is_missing = [](const auto& slot) { return slot == nullptr; };
  if (std::any_of(slots_.begin(), slots_.end(), is_missing)) {
    // In one step, lest others take what the job has meanwhile.
    absl::StatusOr<ResourceManager::Slots> replaced =
        services_.resource_manager->ReplaceSlots(job_.id, last_slots_);
    if (replaced.ok()) {
      slots_ = *std::move(replaced);
      for (size_t i = 0; i < slots_.size(); ++i) last_slots_[i] = slots_[i]->id();
    } else {
      services_.resource_manager->ReleaseSlots(job_.id);
      slots_.assign(slots_.size(), nullptr);
    }
  }
  ClaimSlots();
}

void JobMaster::ClaimSlots() {
  std::set<uint32_t> wanted;
  executions_.ForEachIn(
      down_, [&](ExecutionVertex& vertex) { wanted.insert(executions_.SlotOf(vertex)); });
  const bool has_all = std::all_of(wanted.begin(), wanted.end(),
                                   [this](uint32_t slot) { return slots_[slot] != nullptr; });
  if (has_all) {
    OnSlots();
    return;
  }
  // All or none, so that jobs which lost a TaskManager do not wait for what each other keeps.
  const std::set<uint32_t> in_use = SlotsInUse();
  ResourceManager::Slots released;
  std::vector<uint32_t> requested;
  std::vector<std::string> preferred;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (in_use.contains(slot) && slots_[slot] != nullptr) continue;
    if (slots_[slot] != nullptr) released.push_back(std::exchange(slots_[slot], nullptr));
    if (!wanted.contains(slot)) continue;
    requested.push_back(slot);
    preferred.push_back(last_slots_[slot]);
  }
  services_.resource_manager->ReleaseSlots(job_.id, released);
  services_.resource_manager->RequestSlots(
      job_.id, std::move(preferred), job_.settings.Get(kSlotRequestTimeout),
      InGeneration([requested = std::move(requested)](
                       JobMaster& self, absl::StatusOr<ResourceManager::Slots> slots) {
        if (!slots.ok()) {
          self.FailJob(slots.status(), nullptr, Restartable::kNo);
          return;
        }
        for (size_t i = 0; i < requested.size(); ++i) {
          self.last_slots_[requested[i]] = (*slots)[i]->id();
          self.slots_[requested[i]] = std::move((*slots)[i]);
        }
        self.OnSlots();
      }));
}

void JobMaster::OnSlots() {
  scheduler_.OnSlots();
  executions_.ForEachIn(down_, [&](ExecutionVertex& vertex) {
    const std::shared_ptr<TaskManagerGateway>& location = slots_[executions_.SlotOf(vertex)];
    vertex.current->Assign(location);
    task_managers_.insert(location);
  });
  checkpoints_.RestoreLatest(InGeneration(
      [](JobMaster& self, absl::StatusOr<std::shared_ptr<const CheckpointMetadata>> restored) {
        const std::vector<absl::Status> unreadable = self.checkpoints_.TakeUnreadable();
        for (const absl::Status& error : unreadable) {
          self.RecordFailure(error, nullptr, /*concurrent=*/true);
        }
        if (restored.ok() && !unreadable.empty() && !self.AllDown()) {
          // What ran on is ahead of the older checkpoint: all of the job goes back to it.
          self.FailRegions(unreadable.front(), nullptr, Restartable::kYes,
                           self.executions_.AllRegions());
        } else if (restored.ok()) {
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
  auto then = InGeneration(
      [id = metadata->id.value()](JobMaster& self, absl::StatusOr<StateAssignment> state) {
        if (state.ok()) {
          self.Deploy(*state);
          return;
        }
        absl::Status reason = state.status();
        const Restartable restartable = self.OnRestoreFailed(id, &reason);
        self.FailRegions(reason, nullptr, restartable, self.executions_.AllRegions());
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
  executions_.ForEachIn(down_, [&](ExecutionVertex& vertex) {
    CHECK(vertex.current->Transition(ExecutionState::kDeploying, now).ok());
  });
  TransitionTo(JobStatus::kRunning);
  if (AllDown()) {
    checkpoints_.Start(executions_.MakeCheckpointPlan());
  } else {
    checkpoints_.Resume(executions_.MakeCheckpointPlan());
  }
  const std::set<size_t> regions = std::exchange(down_, {});
  for (const auto& [location, message] :
       MakeDeployments(job_, state, services_.leader_epoch, regions, &executions_)) {
    location->Send(message);
  }
  scheduler_.OnDeployed(restored_checkpoint_);
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
  if (all_running_since_ == absl::InfinitePast()) {
    all_running_since_ = services_.executor->clock()->Now();
  }
  checkpoints_.OnAllTasksRunning();
  scheduler_.OnAllRunning();
}

JobMaster::Restartable JobMaster::OnRestoreFailed(uint64_t checkpoint, absl::Status* reason) {
  // What is refused once is refused again: the job, or what it starts from, has to change.
  if (absl::IsFailedPrecondition(*reason)) return Restartable::kNo;
  if (!absl::IsDataLoss(*reason)) return Restartable::kYes;
  checkpoints_.Stop(*reason);
  const bool older = checkpoints_.ForgetLatest();
  *reason = absl::DataLossError(
      StrCat("checkpoint ", checkpoint, " cannot be restored, ",
             older ? "the one before it is used"
                   : "and no older one is retained; start the job without it, or from a copy",
             ": ", ToStd(reason->message())));
  return older ? Restartable::kYes : Restartable::kNo;
}

void JobMaster::OnTaskFailed(ExecutionVertex& vertex, absl::Status reason, ExecutionState before) {
  if (before == ExecutionState::kCanceling) {
    if (status_ != JobStatus::kCancelling && !scheduler_.is_stopping()) {
      RecordFailure(reason, &vertex, /*concurrent=*/true);
    }
    CheckAllTerminal();
    return;
  }
  const bool was_restoring =
      before == ExecutionState::kDeploying || before == ExecutionState::kInitializing;
  if (was_restoring && restored_checkpoint_ != 0 &&
      (absl::IsDataLoss(reason) || absl::IsFailedPrecondition(reason))) {
    // Trying the same checkpoint again would fail again: go one back with the whole job, or give
    // up.
    const Restartable restartable = OnRestoreFailed(restored_checkpoint_, &reason);
    FailRegions(reason, &vertex, restartable, executions_.AllRegions());
    return;
  }
  FailJob(reason, &vertex, Restartable::kYes);
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

void JobMaster::OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) {
  if (IsGloballyTerminal(status_)) return;
  const absl::Time now = services_.executor->clock()->Now();
  ExecutionVertex* first_lost = nullptr;
  ExecutionVertex* first_canceling = nullptr;
  std::set<size_t> lost;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    Execution& execution = *vertex.current;
    if (execution.location() != task_manager || IsTerminal(execution.state())) return;
    const bool was_canceling = execution.state() == ExecutionState::kCanceling;
    CHECK(execution
              .Transition(was_canceling ? ExecutionState::kCanceled : ExecutionState::kFailed, now)
              .ok());
    ExecutionVertex*& first = was_canceling ? first_canceling : first_lost;
    if (first == nullptr) first = &vertex;
    if (!was_canceling) lost.insert(vertex.region);
  });
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (LocationOf(coordinator) != task_manager || !IsUp(coordinator.region)) continue;
    lost.insert(coordinator.region);
    if (first_lost == nullptr) {
      first_lost = &executions_.FindVertex(coordinator.vertex)->subtasks.front();
    }
  }
  for (std::shared_ptr<TaskManagerGateway>& slot : slots_) {
    if (slot.get() == task_manager) slot = nullptr;
  }
  std::erase_if(task_managers_, [&](const auto& kept) { return kept.get() == task_manager; });
  if (first_lost != nullptr) {
    FailRegions(reason, first_lost, Restartable::kYes, lost);
  } else {
    // Often the cause of the failure that is being cleaned up: its peers saw the connection break.
    if (first_canceling != nullptr && status_ != JobStatus::kCancelling &&
        !scheduler_.is_stopping()) {
      RecordFailure(reason, first_canceling, /*concurrent=*/true);
    }
    CheckAllTerminal();
  }
}

void JobMaster::OnCrash(const proto::CrashReport& report) {
  absl::Status reason = absl::InternalError(
      StrCat("user code crashed the TaskManager's process: ", report.signal(),
             " (operator=", report.operator_name(), " uid=", report.uid(),
             " subtask=", report.subtask(), "/", report.parallelism(), ")\n", report.text()));
  SetFailure(FailureOrigin::kUser, report.signal(), &reason);
  const auto attempt = IdFromBytes<ExecutionAttemptId>(report.attempt());
  ExecutionVertex* const vertex = executions_.Find(attempt);
  if (vertex != nullptr && !IsTerminal(vertex->current->state())) {
    const ExecutionState before = vertex->current->state();
    const absl::Time now = services_.executor->clock()->Now();
    CHECK(vertex->current->Transition(ExecutionState::kFailed, now).ok());
    OnTaskFailed(*vertex, reason, before);
    return;
  }
  const CoordinatorExecution* const coordinator = executions_.FindCoordinator(attempt);
  if (coordinator != nullptr && IsUp(coordinator->region)) {
    FailJob(reason, &executions_.FindVertex(coordinator->vertex)->subtasks.front(),
            Restartable::kYes);
    return;
  }
  const auto loss =
      std::find_if(exceptions_.begin(), exceptions_.end(), [&](const ExceptionEntry& entry) {
        return entry.taskmanager_id == report.task_manager_id() &&
               entry.exception_name == kTaskManagerLost;
      });
  if (loss == exceptions_.end()) return;
  const ExceptionEntry cause = MakeException(reason, nullptr);
  loss->exception_name = cause.exception_name;
  loss->failure_labels = cause.failure_labels;
  loss->stacktrace = StrCat(cause.stacktrace, loss->stacktrace);
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
  down_ = executions_.AllRegions();
  CancelTasks();
  CheckAllTerminal();
  return absl::OkStatus();
}

bool JobMaster::IsUp(size_t region) const {
  return (status_ == JobStatus::kRunning || status_ == JobStatus::kRestarting) &&
         !down_.contains(region);
}

void JobMaster::FailJob(const absl::Status& reason, const ExecutionVertex* vertex,
                        Restartable restartable) {
  FailRegions(reason, vertex, restartable,
              vertex == nullptr ? std::set<size_t>() : std::set<size_t>{vertex->region});
}

void JobMaster::FailRegions(const absl::Status& reason, const ExecutionVertex* vertex,
                            Restartable restartable, const std::set<size_t>& regions) {
  LogError(kComponent, StrCat("job failure: job=", ToString(job_.id),
                              " name=", job_.graph->job_name, vertex == nullptr ? "" : " task=",
                              vertex == nullptr ? "" : executions_.TaskNameOf(*vertex), ": ",
                              ToStd(reason.message())));
  ++generation_;
  services_.resource_manager->ForgetRequest(job_.id);
  services_.executor->CancelTimer(std::exchange(restart_timer_, TimerId()));
  RecordFailure(reason, vertex, /*concurrent=*/false);
  // Tasks that have stopped with a savepoint, in whatever region, do not go on.
  std::set<size_t> taken = checkpoints_.stopping() ? executions_.AllRegions() : regions;
  AnswerStop(reason);
  const absl::Time now = services_.executor->clock()->Now();
  const std::optional<absl::Duration> delay =
      restartable == Restartable::kYes ? restart_strategy_->OnFailure(now) : std::nullopt;
  if (delay.has_value()) {
    ++num_restarts_;
    // What was down already is restarted with what has failed now.
    restart_due_ = std::max(restart_due_, now + *delay);
    down_.merge(std::move(taken));
  } else {
    down_ = executions_.AllRegions();
  }
  if (AllDown()) {
    checkpoints_.Stop(reason);
  } else {
    checkpoints_.Suspend(reason);
  }
  const JobStatus next = delay.has_value() ? JobStatus::kRestarting : JobStatus::kFailing;
  if (status_ != next) TransitionTo(next);
  CancelTasks();
  CheckAllTerminal();
}

void JobMaster::CancelTasks() {
  const absl::Time now = services_.executor->clock()->Now();
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  executions_.ForEachIn(down_, [&](ExecutionVertex& vertex) {
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
    if (location != nullptr && down_.contains(coordinator.region)) {
      messages[location].mutable_cancel()->add_coordinators(IdToBytes(coordinator.attempt));
    }
  }
  for (const auto& [location, message] : messages) location->Send(message);
}

void JobMaster::CheckAllTerminal() {
  if (status_ == JobStatus::kRestarting) {
    ScheduleRestart();
    return;
  }
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
    default:
      return;
  }
}

void JobMaster::ScheduleRestart() {
  if (restart_timer_ != TimerId()) return;
  bool all_ended = true;
  executions_.ForEachIn(down_, [&](ExecutionVertex& vertex) {
    all_ended = all_ended && IsTerminal(vertex.current->state());
  });
  if (!all_ended) return;
  restart_timer_ =
      services_.executor->PostAfter(restart_due_ - services_.executor->clock()->Now(),
                                    InGeneration([](JobMaster& self) { self.BeginRestart(); }));
}

void JobMaster::BeginRestart() {
  restart_timer_ = TimerId();
  ++generation_;
  if (AllDown()) TransitionTo(JobStatus::kCreated);
  NewAttempts();
  BeginAttempt();
}

std::set<uint32_t> JobMaster::SlotsInUse() {
  std::set<uint32_t> in_use;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    if (down_.contains(vertex.region) || IsTerminal(vertex.current->state())) return;
    in_use.insert(executions_.SlotOf(vertex));
  });
  return in_use;
}

void JobMaster::End(JobStatus status) {
  const std::shared_ptr<JobMaster> self = shared_from_this();  // on_ended may let go of it.
  ++generation_;
  if (status == JobStatus::kFinished) {
    down_ = executions_.AllRegions();
    CancelTasks();  // Only the coordinators are left.
    checkpoints_.Stop(absl::CancelledError("the job has finished"));
  }
  TransitionTo(status);
  const auto then = [self] {
    self->DiscardCheckpoints();
    // Whoever stopped the job finds it ended after any crash.
    if (!self->stop_.has_value()) return;
    const CompletedStop stop = *std::exchange(self->stop_, std::nullopt);
    stop.done(stop.savepoint);
  };
  if (services_.record_end) {
    services_.record_end(*this, then);
  } else {
    then();
  }
  services_.resource_manager->ReleaseSlots(job_.id);
  proto::JobManagerMessage release;
  release.mutable_release_job()->set_job_id(IdToBytes(job_.id));
  for (const auto& task_manager : task_managers_) task_manager->Send(release);
  if (services_.on_ended) services_.on_ended(job_.id);
}

void JobMaster::DiscardCheckpoints() {
  if (!DiscardsCheckpoints(status_)) {
    checkpoints_.DiscardOrphans();
    storage_->Sweep([](uint64_t) {});
    return;
  }
  checkpoints_.DiscardAll();
  // The folder may also hold what TaskManagers left that died. The user's checkpoint is not ours.
  if (!job_.savepoint_path.starts_with(StrCat(job_.checkpoint_dir, "/"))) {
    storage_->Discard({job_.checkpoint_dir}, {});
  }
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
  if (status_ != JobStatus::kRunning && status_ != JobStatus::kRestarting) return;
  FailRegions(reason, nullptr, Restartable::kYes, executions_.AllRegions());
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
  const Failure failure = DescribeFailure(reason);
  entry.exception_name = failure.exception_name;
  entry.failure_labels["type"] = std::string(FailureOriginName(failure.origin));
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
  if (exceptions_.size() <= static_cast<size_t>(job_.settings.Get(kExceptionHistorySize))) return;
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

ScalingDetails JobMaster::Scaling() const {
  ScalingDetails details = scheduler_.Details();
  details.id = job_.id;
  details.status = status_;
  if (IsGloballyTerminal(status_)) details.reason.clear();
  return details;
}

absl::Status JobMaster::UpdateRequirements(ResourceRequirements requirements) {
  if (IsGloballyTerminal(status_) || status_ == JobStatus::kFailing ||
      status_ == JobStatus::kCancelling) {
    return absl::FailedPreconditionError(StrCat("the job cannot be rescaled, for it is ending: ",
                                                ToString(job_.id), " is ", JobStatusName(status_)));
  }
  return scheduler_.SetRequirements(std::move(requirements));
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
  input.num_rescales = scheduler_.num_rescales();
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
