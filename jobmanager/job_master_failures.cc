// What the JobMaster does when something fails or is cancelled: who is taken down, when it begins
// anew, and what is told of it.

#include <algorithm>
#include <map>
#include <utility>

#include "jobmanager/job_master.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/check.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/network/connection_loss.h"

namespace weir {
namespace {

constexpr std::string_view kComponent = "job-master";
constexpr size_t kMaxConcurrentExceptions = 32;
// How long a job that is to be cancelled waits for lost tasks to run again.
constexpr absl::Duration kLostTasksTimeout = absl::Seconds(10);

absl::Status CauseOf(const proto::CrashReport& report) {
  absl::Status cause;
  if (report.operator_name().empty()) {
    cause = absl::InternalError(
        StrCat("the process of the job's tasks ended: ", report.signal(), "\n", report.text()));
  } else {
    cause = absl::InternalError(
        StrCat("user code crashed the TaskManager's process: ", report.signal(),
               " (operator=", report.operator_name(), " uid=", report.uid(),
               " subtask=", report.subtask(), "/", report.parallelism(), ")\n", report.text()));
  }
  SetFailure(OriginOfEnd(report.signal()), report.signal(), &cause);
  return cause;
}

}  // namespace

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
  if (IsDataConnectionLost(reason) &&
      (failing_ == Failing::kConnection || failing_ == Failing::kProcess)) {
    // By the same loss as others, in another region.
    RecordFailure(reason, &vertex, /*concurrent=*/true);
    TakeDown(reason, {vertex.region}, /*restarts=*/true);
    return;
  }
  FailJob(reason, &vertex, Restartable::kYes);
}

JobMaster::LostTasks JobMaster::EndTasksOn(const TaskManagerGateway* process) {
  const absl::Time now = services_.executor->clock()->Now();
  LostTasks lost;
  executions_.ForEach([&](ExecutionVertex& vertex) {
    Execution& execution = *vertex.current;
    if (execution.location() != process || IsTerminal(execution.state())) return;
    const bool was_canceling = execution.state() == ExecutionState::kCanceling;
    CHECK(execution
              .Transition(was_canceling ? ExecutionState::kCanceled : ExecutionState::kFailed, now)
              .ok());
    if (!was_canceling) {
      lost.failed.emplace(vertex.region, &vertex);
    } else if (lost.canceling == nullptr) {
      lost.canceling = &vertex;
    }
    has_lost_tasks_ = true;
  });
  for (const CoordinatorExecution& coordinator : executions_.coordinators()) {
    if (LocationOf(coordinator) != process || !IsUp(coordinator.region)) continue;
    lost.failed.emplace(coordinator.region,
                        &executions_.FindVertex(coordinator.vertex)->subtasks.front());
  }
  return lost;
}

void JobMaster::FailLost(const LostTasks& lost, const absl::Status& reason,
                         const ExecutionVertex* fault, const absl::Status& consequence) {
  const bool was_told_of = failing_ == Failing::kConnection && lost.canceling != nullptr;
  if (fault == nullptr) fault = lost.failed.empty() ? lost.canceling : lost.failed.begin()->second;
  std::set<size_t> regions;
  for (const auto& [region, vertex] : lost.failed) regions.insert(region);
  if (was_told_of) {
    RecordCause(reason, fault);
    if (!regions.empty()) TakeDown(reason, regions, /*restarts=*/true);
  } else if (!regions.empty()) {
    FailRegions(reason, fault, Restartable::kYes, regions);
  } else if (fault != nullptr && status_ != JobStatus::kCancelling && !scheduler_.is_stopping()) {
    // Often the cause of the failure that is being cleaned up: its peers saw the connection break.
    RecordFailure(reason, fault, /*concurrent=*/true);
  }
  if (was_told_of || !regions.empty()) {
    if (failing_ != Failing::kNothing) failing_ = Failing::kProcess;
    for (const auto& [region, vertex] : lost.failed) {
      if (region != fault->region) RecordFailure(consequence, vertex, /*concurrent=*/true);
    }
  }
  CheckAllTerminal();
}

void JobMaster::OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) {
  if (IsGloballyTerminal(status_)) return;
  reconciliation_.Remove(task_manager);
  const LostTasks lost = EndTasksOn(task_manager);
  for (std::shared_ptr<TaskManagerGateway>& slot : slots_) {
    if (slot.get() == task_manager) slot = nullptr;
  }
  std::erase_if(task_managers_, [&](const auto& kept) { return kept.get() == task_manager; });
  FailLost(lost, reason, nullptr, reason);
}

void JobMaster::OnCrash(const proto::CrashReport& report) {
  const absl::Status reason = CauseOf(report);
  const auto attempt = IdFromBytes<ExecutionAttemptId>(report.attempt());
  const ExecutionVertex* vertex = executions_.Find(attempt);
  if (const CoordinatorExecution* const coordinator = executions_.FindCoordinator(attempt)) {
    vertex = &executions_.FindVertex(coordinator->vertex)->subtasks.front();
  }
  if (vertex != nullptr && vertex->current->location() != nullptr) {
    const LostTasks lost = EndTasksOn(vertex->current->location());
    if (!lost.failed.empty() || lost.canceling != nullptr) {
      absl::Status consequence = absl::UnavailableError(
          StrCat("the process of the task crashed, in another task: ", report.signal()));
      SetFailure(FailureOrigin::kUser, report.signal(), &consequence);
      FailLost(lost, reason, vertex, consequence);
      return;
    }
  }
  NameCauseOfLoss(report, reason);
}

void JobMaster::NameCauseOfLoss(const proto::CrashReport& report, const absl::Status& reason) {
  // Of the process itself, or of its TaskManager, with which it went.
  const auto loss =
      std::find_if(exceptions_.begin(), exceptions_.end(), [&](const ExceptionEntry& entry) {
        return entry.process_id == report.task_manager_id() ||
               entry.taskmanager_id == report.task_manager_id();
      });
  ExceptionEntry cause = MakeException(reason, nullptr);
  if (loss == exceptions_.end()) {
    // It went while nobody led: no restart is counted, but the history tells.
    if (!is_recovered_) return;
    cause.process_id = report.task_manager_id();
    AddException(std::move(cause));
    return;
  }
  if (loss->exception_name != kTaskManagerLost) return;
  loss->exception_name = cause.exception_name;
  loss->failure_labels = cause.failure_labels;
  loss->stacktrace = StrCat(cause.stacktrace, loss->stacktrace);
}

absl::Status JobMaster::Cancel() {
  if (status_ == JobStatus::kFinished || status_ == JobStatus::kFailed) {
    return absl::FailedPreconditionError(StrCat("the job cannot be cancelled, for it has ended: ",
                                                ToString(job_.id), " is ", JobStatusName(status_)));
  }
  if (status_ == JobStatus::kCancelling || status_ == JobStatus::kCanceled ||
      cancels_once_running_) {
    return absl::OkStatus();
  }
  const bool restarts = status_ == JobStatus::kRestarting || status_ == JobStatus::kCreated ||
                        status_ == JobStatus::kRunning;
  if (restarts && has_lost_tasks_ && has_begun_commits_ && HasCheckpoints()) {
    CancelOnceLostTasksRun();
  } else {
    CancelNow();
  }
  return absl::OkStatus();
}

void JobMaster::CancelOnceLostTasksRun() {
  LogInfo(kComponent, StrCat("the job is cancelled once its lost tasks run again, which ends what "
                             "they left open: job=",
                             ToString(job_.id)));
  cancels_once_running_ = true;
  cancel_timer_ = services_.executor->PostAfter(kLostTasksTimeout, [weak = weak_from_this()] {
    const std::shared_ptr<JobMaster> self = weak.lock();
    if (self != nullptr && !IsGloballyTerminal(self->status_)) self->CancelNow();
  });
  // Whoever cancels does not wait for a backoff.
  restart_due_ = services_.executor->clock()->Now();
  if (restart_timer_ == TimerId()) return;
  services_.executor->CancelTimer(std::exchange(restart_timer_, TimerId()));
  ScheduleRestart();
}

void JobMaster::CancelNow() {
  ++generation_;
  failing_ = Failing::kNothing;
  services_.executor->CancelTimer(restart_timer_);
  services_.executor->CancelTimer(cancel_timer_);
  services_.executor->CancelTimer(reconciliation_timer_);
  if (is_reconciling()) static_cast<void>(TakeOver());  // To be cancelled like any other.
  AnswerStop(absl::CancelledError("the job is being cancelled"));
  TransitionTo(JobStatus::kCancelling);
  checkpoints_.Stop(absl::CancelledError("the job is being cancelled"));
  down_ = executions_.AllRegions();
  CancelTasks();
  CheckAllTerminal();
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
  RecordFailure(reason, vertex, /*concurrent=*/false);
  const absl::Time now = services_.executor->clock()->Now();
  const std::optional<absl::Duration> delay =
      restartable == Restartable::kYes ? restart_strategy_->OnFailure(now) : std::nullopt;
  if (delay.has_value()) {
    ++num_restarts_;
    // What was down already is restarted with what has failed now.
    restart_due_ = std::max(restart_due_, now + *delay);
  }
  failing_ = IsDataConnectionLost(reason) ? Failing::kConnection : Failing::kTask;
  TakeDown(reason, regions, delay.has_value());
}

void JobMaster::TakeDown(const absl::Status& reason, std::set<size_t> regions, bool restarts) {
  ++generation_;
  services_.resource_manager->ForgetRequest(job_.id);
  services_.executor->CancelTimer(std::exchange(restart_timer_, TimerId()));
  // Tasks that have stopped with a savepoint, in whatever region, do not go on.
  if (checkpoints_.stopping() || !restarts) regions = executions_.AllRegions();
  AnswerStop(reason);
  down_.merge(std::move(regions));
  if (AllDown()) {
    checkpoints_.Stop(reason);
  } else {
    checkpoints_.Suspend(reason);
  }
  const JobStatus next = restarts ? JobStatus::kRestarting : JobStatus::kFailing;
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
  failing_ = Failing::kNothing;
  ++generation_;
  if (AllDown()) TransitionTo(JobStatus::kCreated);
  NewAttempts();
  BeginAttempt();
}

void JobMaster::FailAttempt(const absl::Status& reason) {
  if (status_ != JobStatus::kRunning && status_ != JobStatus::kRestarting) return;
  FailRegions(reason, nullptr, Restartable::kYes, executions_.AllRegions());
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
    const TaskManagerGateway* const location = vertex->current->location();
    if (location != nullptr) entry.process_id = location->id();
  }
  return entry;
}

void JobMaster::RecordCause(const absl::Status& reason, const ExecutionVertex* vertex) {
  if (exceptions_.empty()) return;
  ExceptionEntry cause = MakeException(reason, vertex);
  cause.concurrent = std::exchange(exceptions_.front().concurrent, {});
  cause.concurrent.insert(cause.concurrent.begin(), std::move(exceptions_.front()));
  exceptions_.front() = std::move(cause);
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
  AddException(MakeException(reason, vertex));
}

void JobMaster::AddException(ExceptionEntry entry) {
  exceptions_.push_front(std::move(entry));
  if (exceptions_.size() <= static_cast<size_t>(job_.settings.Get(kExceptionHistorySize))) return;
  exceptions_.pop_back();
  exceptions_truncated_ = true;
}

ExceptionHistory JobMaster::Exceptions(size_t max_entries) const {
  ExceptionHistory history;
  history.truncated = exceptions_truncated_ || exceptions_.size() > max_entries;
  const auto count = static_cast<std::ptrdiff_t>(std::min(max_entries, exceptions_.size()));
  history.entries.assign(exceptions_.begin(), exceptions_.begin() + count);
  return history;
}

}  // namespace weir
