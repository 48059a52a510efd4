// The JobMaster of a job that ran under a leader before: which of its tasks go on, and which are
// begun anew.

#include <algorithm>
#include <utility>

#include "jobmanager/job_master.h"
#include "jobmanager/proto_ids.h"
#include "jobmanager/vertex_parallelism.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";

}  // namespace

void JobMaster::Recover(JobRecovery recovery) {
  is_recovered_ = true;
  const bool from_start = recovery.checkpoints.empty();
  checkpoints_.AddRecovered(std::move(recovery.checkpoints), recovery.last_checkpoint_id);
  NewAttempts();
  // What began from the user's snapshot, and has no checkpoint yet, could not be restarted later.
  if (services_.reconciliation_timeout <= absl::ZeroDuration() ||
      (from_start && !job_.savepoint_path.empty())) {
    Begin();
    return;
  }
  TransitionTo(JobStatus::kReconciling);
  reconciliation_timer_ =
      services_.executor->PostAfter(services_.reconciliation_timeout,
                                    InGeneration([](JobMaster& self) { self.OnAllReported(); }));
  checkpoints_.LoadLatest(InGeneration([](JobMaster& self, const absl::Status& status) {
    self.is_latest_loaded_ = true;
    self.is_latest_readable_ = status.ok();
    self.TryReconcile();
  }));
}

uint32_t JobMaster::NumSlotsOf(const proto::RunningJob& report) const {
  return Reconciliation::NumSlots(*submitted_graph_, report);
}

void JobMaster::OnReport(std::shared_ptr<TaskManagerGateway> task_manager,
                         const proto::RunningJob& report) {
  reconciliation_.Add(std::move(task_manager), report);
  TryReconcile();
}

void JobMaster::OnAllReported() {
  if (!is_reconciling()) return;
  all_reported_ = true;
  TryReconcile();
}

void JobMaster::TryReconcile() {
  if (!is_reconciling() || !is_latest_loaded_) return;
  bool complete = all_reported_;
  if (const auto parallelism = reconciliation_.Parallelism(*submitted_graph_);
      !complete && parallelism.has_value()) {
    const auto graph = WithParallelism(*submitted_graph_, *parallelism);
    const std::map<size_t, Reconciliation::Region> regions =
        reconciliation_.Regions(*graph, FailoverRegions(*graph, executions_.strategy()),
                                checkpoints_.newest_completed().value());
    complete = std::all_of(regions.begin(), regions.end(),
                           [](const auto& entry) { return entry.second.is_reported; });
  }
  if (complete) EndReconciliation();
}

void JobMaster::EndReconciliation() {
  ++generation_;
  services_.executor->CancelTimer(reconciliation_timer_);
  const std::map<size_t, Reconciliation::Region> regions = TakeOver();
  if (!regions.empty()) {
    GoOnWith(regions);
  } else {
    LogInfo(kComponent, StrCat("no TaskManager runs the job any more: job=", ToString(job_.id)));
    Begin();
  }
}

std::map<size_t, Reconciliation::Region> JobMaster::TakeOver() {
  const Reconciliation reported = std::exchange(reconciliation_, {});
  const std::optional<VertexParallelism> parallelism = reported.Parallelism(*submitted_graph_);
  std::map<size_t, Reconciliation::Region> regions;
  std::map<TaskManagerGateway*, proto::JobManagerMessage> messages;
  for (const auto& task_manager : reported.TaskManagers()) {
    proto::AdoptTasks* const adopt = messages[task_manager.get()].mutable_adopt();
    adopt->set_leader_epoch(services_.leader_epoch.value());
    adopt->set_job_id(IdToBytes(job_.id));
    reported.WriteReceived(task_manager.get(), adopt);
    task_managers_.insert(task_manager);
  }
  if (parallelism.has_value()) {
    SetParallelism(*parallelism);
    regions = reported.Regions(*job_.graph, executions_.regions(),
                               checkpoints_.newest_completed().value());
  }
  const absl::Time now = services_.executor->clock()->Now();
  const std::vector<ExecutionAttemptId> gone = executions_.Attempts();
  for (auto& [number, region] : regions) {
    region.is_whole = region.is_whole && is_latest_readable_;
    for (const auto& [subtask, task] : region.tasks) {
      ExecutionVertex& vertex = executions_.FindVertex(subtask.first)->subtasks[subtask.second];
      executions_.Adopt(&vertex, task.attempt, task.attempt_number, task.state, task.location, now);
      const uint32_t slot = executions_.SlotOf(vertex);
      slots_[slot] = task.location;
      last_slots_[slot] = task.location->owner_id();
      messages[task.location.get()].mutable_adopt()->add_attempts(IdToBytes(task.attempt));
    }
    // Coordinators of a region that does not go on are closed with those that nobody wants.
    if (!region.is_whole) continue;
    for (const auto& [op, coordinator] : region.coordinators) {
      executions_.AdoptCoordinator(op, coordinator.attempt);
      messages[coordinator.location.get()].mutable_adopt()->add_coordinators(
          IdToBytes(coordinator.attempt));
    }
  }
  if (services_.on_attempts) services_.on_attempts(job_.id, gone, executions_.Attempts());
  services_.resource_manager->SetSlots(job_.id, slots_);
  checkpoints_.NumberFrom(reported.last_checkpoint());
  for (const auto& [task_manager, message] : messages) task_manager->Send(message);
  return regions;
}

void JobMaster::GoOnWith(const std::map<size_t, Reconciliation::Region>& regions) {
  std::set<ExecutionAttemptId> finished;
  std::set<ExecutionAttemptId> input_ended;
  bool stopping = false;
  size_t num_tasks = 0;
  down_ = executions_.AllRegions();
  for (const auto& [number, region] : regions) {
    if (!region.is_whole) continue;
    down_.erase(number);
    num_tasks += region.tasks.size();
    for (const auto& [subtask, task] : region.tasks) {
      if (task.state == ExecutionState::kFinished) finished.insert(task.attempt);
      if (task.input_ended) input_ended.insert(task.attempt);
      stopping = stopping || task.stop_checkpoint != 0;
      restored_checkpoint_ = std::max(restored_checkpoint_, task.restored_checkpoint);
    }
  }
  TransitionTo(JobStatus::kRunning);
  LogInfo(kComponent, StrCat("tasks that ran before go on: job=", ToString(job_.id),
                             " tasks=", num_tasks, " regions to be restarted=", down_.size()));
  checkpoints_.Adopt(executions_.MakeCheckpointPlan(), std::move(finished), std::move(input_ended),
                     stopping);
  scheduler_.OnAdopted(ParallelismOf(*job_.graph));
  if (!down_.empty()) {
    RestartRest();
    return;
  }
  OnTaskRunning();
  CheckAllTerminal();
}

// No task has failed, so the restart strategy is not asked.
void JobMaster::RestartRest() {
  ++generation_;
  const absl::Status reason =
      absl::UnavailableError("tasks of the job were not found again after the JobManager was lost");
  restart_due_ = services_.executor->clock()->Now();
  TransitionTo(JobStatus::kRestarting);
  if (AllDown()) {
    checkpoints_.Stop(reason);
  } else {
    checkpoints_.Suspend(reason);
  }
  CancelTasks();
  CheckAllTerminal();
}

}  // namespace weir
