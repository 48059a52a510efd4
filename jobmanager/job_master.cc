#include "jobmanager/job_master.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "jobmanager/deployment.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "jobmanager/vertex_parallelism.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/check.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";

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

JobMaster::~JobMaster() {
  services_.executor->CancelTimer(restart_timer_);
  services_.executor->CancelTimer(reconciliation_timer_);
  services_.executor->CancelTimer(cancel_timer_);
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
  Begin();
}

void JobMaster::Begin() {
  // Of an earlier run under the same id, that has crashed.
  storage_->Sweep(InGeneration([](JobMaster& self, uint64_t newest_checkpoint) {
    self.checkpoints_.NumberFrom(CheckpointId(newest_checkpoint));
    if (self.job_.savepoint_path.empty() ||
        self.checkpoints_.newest_completed() != CheckpointId()) {
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
    std::vector<uint32_t> all(slots_.size());
    std::iota(all.begin(), all.end(), 0);
    // In one step, lest others take what the job has meanwhile.
    slots_.assign(slots_.size(), nullptr);
    const absl::Status replaced = services_.resource_manager->ReplaceSlots(
        {job_.id, last_slots_, job_.uploaded_library}, job_.settings.Get(kSlotRequestTimeout),
        TakeSlots(std::move(all)));
    if (replaced.ok()) return;
    services_.resource_manager->ReleaseSlots(job_.id);
  }
  ClaimSlots();
}

ResourceManager::SlotsCallback JobMaster::TakeSlots(std::vector<uint32_t> requested) {
  return InGeneration([requested = std::move(requested)](
                          JobMaster& self, absl::StatusOr<ResourceManager::Slots> slots) {
    if (!slots.ok()) {
      // Without slots it has waited long enough; a process that did not start may the next time.
      self.FailJob(slots.status(), nullptr,
                   absl::IsUnavailable(slots.status()) ? Restartable::kYes : Restartable::kNo);
      return;
    }
    for (size_t i = 0; i < requested.size(); ++i) {
      self.last_slots_[requested[i]] = (*slots)[i]->owner_id();
      self.slots_[requested[i]] = std::move((*slots)[i]);
    }
    self.OnSlots();
  });
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
  services_.resource_manager->RequestSlots({job_.id, std::move(preferred), job_.uploaded_library},
                                           job_.settings.Get(kSlotRequestTimeout),
                                           TakeSlots(std::move(requested)));
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
  has_begun_commits_ = has_begun_commits_ || restored_checkpoint_ != 0;
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
  for (const auto& [location, message] : MakeDeployments(
           job_, state, {services_.leader_epoch.value(), generation_}, regions, &executions_)) {
    location->Send(message);
  }
  scheduler_.OnDeployed(restored_checkpoint_);
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

JobDescription JobMaster::Description() const {
  JobDescription description = job_;
  description.graph = submitted_graph_;
  description.requirements = scheduler_.requirements();
  description.is_cancelled = status_ == JobStatus::kCancelling;
  return description;
}

absl::Status JobMaster::UpdateRequirements(ResourceRequirements requirements) {
  if (IsGloballyTerminal(status_) || status_ == JobStatus::kFailing ||
      status_ == JobStatus::kCancelling) {
    return absl::FailedPreconditionError(StrCat("the job cannot be rescaled, for it is ending: ",
                                                ToString(job_.id), " is ", JobStatusName(status_)));
  }
  return scheduler_.SetRequirements(std::move(requirements));
}

}  // namespace weir
