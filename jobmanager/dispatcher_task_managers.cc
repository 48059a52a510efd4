// The Dispatcher's side of TaskManagers: which there are, and whose their messages are.

#include <algorithm>
#include <utility>

#include "jobmanager/dispatcher.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"

namespace weir {

void Dispatcher::OnRegister(std::shared_ptr<TaskManagerGateway> task_manager,
                            const proto::Register& registration) {
  if (stopping_) {
    task_manager->Close();
    return;
  }
  if (!roster_.has_value()) {
    TakeIn(task_manager, registration);
    return;
  }
  registering_.emplace(task_manager.get(), task_manager->id());
  roster_->Add(task_manager->id(), [this, task_manager, registration] {
    // Its connection may have ended meanwhile.
    if (registering_.erase(task_manager.get()) > 0) TakeIn(task_manager, registration);
  });
}

void Dispatcher::TakeIn(const std::shared_ptr<TaskManagerGateway>& task_manager,
                        const proto::Register& registration) {
  const std::string& owner_id = registration.owner_id();
  if (!owner_id.empty() && expected_.contains(owner_id)) {
    ownerless_[task_manager.get()] = {
        owner_id, [this, task_manager, registration] { TakeIn(task_manager, registration); }};
    return;
  }
  std::map<JobId, uint32_t> held;
  for (const proto::RunningJob& report : registration.jobs()) {
    const auto id = IdFromBytes<JobId>(report.job_id());
    const auto job = jobs_.find(id);
    if (job != jobs_.end() && job->second->is_reconciling()) {
      held[id] = std::max(owner_id.empty() ? 0U : 1U, job->second->NumSlotsOf(report));
    }
  }
  const bool taken_in = resource_manager_.Register(task_manager, registration, held);
  if (taken_in) HandReports(task_manager, registration);
  const bool was_expected = expected_.erase(task_manager->id()) > 0;
  if (taken_in && owner_id.empty()) TakeInOwnerless(task_manager->id());
  if (!expected_.empty()) return;
  if (was_expected) OnAllRegistered();
  resource_manager_.EndUnclaimedProcesses();
}

void Dispatcher::TakeInOwnerless(const std::string& owner_id) {
  std::vector<std::function<void()>> waiting;
  std::erase_if(ownerless_, [&](auto& entry) {
    if (!owner_id.empty() && entry.second.owner_id != owner_id) return false;
    waiting.push_back(std::move(entry.second.take_in));
    return true;
  });
  for (const std::function<void()>& take_in : waiting) take_in();
}

void Dispatcher::HandReports(const std::shared_ptr<TaskManagerGateway>& task_manager,
                             const proto::Register& registration) {
  for (const proto::RunningJob& report : registration.jobs()) {
    const auto job = jobs_.find(IdFromBytes<JobId>(report.job_id()));
    if (job != jobs_.end() && job->second->is_reconciling()) {
      const std::shared_ptr<JobMaster> kept = job->second;  // It may end by it.
      kept->OnReport(task_manager, report);
    } else {
      Disown(task_manager.get(), report.job_id(), job != jobs_.end());
    }
  }
}

void Dispatcher::Disown(TaskManagerGateway* task_manager, const std::string& job_id,
                        bool job_goes_on) {
  proto::JobManagerMessage message;
  if (job_goes_on) {
    // All of it has begun anew, so nothing there is wanted.
    message.mutable_adopt()->set_leader_epoch(options_.leader_epoch.value());
    message.mutable_adopt()->set_job_id(job_id);
  } else {
    message.mutable_release_job()->set_job_id(job_id);
  }
  task_manager->Send(message);
}

void Dispatcher::StrikeOff(const std::string& task_manager_id) {
  const bool registers =
      std::any_of(registering_.begin(), registering_.end(),
                  [&](const auto& entry) { return entry.second == task_manager_id; });
  if (!registers && !resource_manager_.Knows(task_manager_id)) roster_->Remove(task_manager_id);
}

void Dispatcher::OnAllRegistered() {
  executor_->CancelTimer(std::exchange(expectation_timer_, TimerId()));
  for (const std::string& id : std::exchange(expected_, {})) roster_->Remove(id);
  TakeInOwnerless("");  // To be refused.
  resource_manager_.EndUnclaimedProcesses();
  std::vector<std::shared_ptr<JobMaster>> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  for (const auto& job : jobs) job->OnAllReported();
}

void Dispatcher::OnMessage(TaskManagerGateway* task_manager,
                           const proto::TaskManagerMessage& message) {
  if (!resource_manager_.IsRegistered(task_manager)) {
    ++num_stale_messages_;  // From a TaskManager that was given up, or replaced.
    return;
  }
  if (message.has_heartbeat()) {
    resource_manager_.OnHeartbeat(task_manager, message.heartbeat());
    for (const proto::TaskMetrics& task : message.heartbeat().tasks()) {
      const auto job = jobs_by_attempt_.find(IdFromBytes<ExecutionAttemptId>(task.attempt()));
      if (job != jobs_by_attempt_.end()) job->second->UpdateTask(task_manager, task);
    }
    return;
  }
  if (message.has_metrics()) {
    for (MetricsDecoder::Scope& scope :
         resource_manager_.OnMetrics(task_manager, message.metrics())) {
      const auto job = jobs_.find(scope.job);
      if (job != jobs_.end()) job->second->UpdateReport(scope.attempt, std::move(scope.report));
    }
    return;
  }
  const std::shared_ptr<JobMaster> job = FindRecipient(message);  // The message may end it.
  if (job == nullptr || !job->HandleMessage(message)) ++num_stale_messages_;
}

std::shared_ptr<JobMaster> Dispatcher::FindRecipient(
    const proto::TaskManagerMessage& message) const {
  const auto by_attempt = [this](const std::string& attempt) -> std::shared_ptr<JobMaster> {
    const auto job = jobs_by_attempt_.find(IdFromBytes<ExecutionAttemptId>(attempt));
    return job == jobs_by_attempt_.end() ? nullptr : job->second->shared_from_this();
  };
  const auto by_job = [this](const proto::OperatorEvent& event) -> std::shared_ptr<JobMaster> {
    const auto job = jobs_.find(IdFromBytes<JobId>(event.job_id()));
    return job == jobs_.end() ? nullptr : job->second;
  };
  switch (message.kind_case()) {
    case proto::TaskManagerMessage::kTaskState:
      return by_attempt(message.task_state().attempt());
    case proto::TaskManagerMessage::kInputEnded:
      return by_attempt(message.input_ended().attempt());
    case proto::TaskManagerMessage::kCheckpointAck:
      return by_attempt(message.checkpoint_ack().attempt());
    case proto::TaskManagerMessage::kCheckpointDecline:
      return by_attempt(message.checkpoint_decline().attempt());
    case proto::TaskManagerMessage::kCoordinatorAck:
      return by_attempt(message.coordinator_ack().attempt());
    case proto::TaskManagerMessage::kCoordinatorFailed:
      return by_attempt(message.coordinator_failed().attempt());
    case proto::TaskManagerMessage::kEventToCoordinator:
      return by_job(message.event_to_coordinator());
    case proto::TaskManagerMessage::kEventToTask:
      return by_job(message.event_to_task());
    case proto::TaskManagerMessage::kEventToCoordinators:
      return by_job(message.event_to_coordinators());
    default:
      return nullptr;
  }
}

void Dispatcher::OnClosed(TaskManagerGateway* task_manager) {
  registering_.erase(task_manager);
  ownerless_.erase(task_manager);
  resource_manager_.OnClosed(task_manager);
  // The process of a job may end because it is not needed any more, which is no loss.
  if (!roster_.has_value() || stopping_ || expected_.contains(task_manager->id())) return;
  executor_->Post([this, id = task_manager->id()] { StrikeOff(id); });
}

void Dispatcher::OnCrash(const proto::CrashReport& report) {
  LogError("dispatcher", StrCat("TaskManager crashed: id=", report.task_manager_id(),
                                " signal=", report.signal(), " operator=", report.operator_name()));
  const auto job = jobs_.find(IdFromBytes<JobId>(report.job_id()));
  if (job != jobs_.end()) {
    const std::shared_ptr<JobMaster> kept = job->second;
    kept->OnCrash(report);
  }
  resource_manager_.OnCrashed(report);
  // One that went while nobody led is not waited for.
  if (expected_.erase(report.task_manager_id()) == 0) return;
  roster_->Remove(report.task_manager_id());
  if (expected_.empty()) OnAllRegistered();
}

void Dispatcher::OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) {
  if (stopping_) return;  // Jobs do not fail because their JobManager ends.
  // Later, for it may be about to take its own place.
  if (roster_.has_value()) {
    executor_->Post([this, id = task_manager->id()] { StrikeOff(id); });
  }
  std::vector<std::shared_ptr<JobMaster>> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  for (const auto& job : jobs) job->OnTaskManagerLost(task_manager, reason);
}

void Dispatcher::OnSlotsChanged() {
  if (stopping_) return;
  std::vector<std::shared_ptr<JobMaster>> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  for (const auto& job : jobs) job->OnSlotsChanged();
}

}  // namespace weir
