#include "taskmanager/task_executor.h"

#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>

#include "proto/control_plane.pb.h"
#include "runtime/base/config.h"
#include "runtime/base/failure.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "taskmanager/wire_ids.h"

namespace weir {
namespace {

// Returns the settings that tasks read. The JobManager has checked them against the options it
// knows; a key that only it knows is its own affair.
absl::StatusOr<Configuration> ReadSettings(const proto::JobInformation& information) {
  const std::shared_ptr<const OptionRegistry> known = WeirOptions();
  Configuration settings(known);
  for (const auto& [key, value] : information.settings()) {
    if (known->Find(key) == nullptr) continue;
    RETURN_IF_ERROR(settings.SetText(key, value, "the job's settings"));
  }
  return settings;
}

// Operators' factories and constructors are user code.
absl::StatusOr<std::shared_ptr<Task>> CreateTask(TaskDescription description,
                                                 const TaskEnvironment& environment) {
  const auto thrown = [name = description.vertex_name](std::string_view what) {
    return ThrownByUserCode(StrCat("an operator could not be made: vertex=", name, " what=", what));
  };
  try {
    return Task::Create(std::move(description), environment);
  } catch (const std::exception& exception) {
    return thrown(exception.what());
  } catch (...) {
    return thrown("(not a std::exception)");
  }
}

}  // namespace

TaskExecutor::TaskExecutor(TaskExecutorEnvironment environment, IoStrand* strand)
    : environment_(std::move(environment)), strand_(strand) {}

TaskExecutor::~TaskExecutor() = default;

void TaskExecutor::Handle(Message message) {
  switch (message->kind_case()) {
    case proto::JobManagerMessage::kDeploy:
      return Deploy(message);
    case proto::JobManagerMessage::kCancel:
      return Cancel(message);
    case proto::JobManagerMessage::kTrigger:
      return TriggerCheckpoint(message);
    case proto::JobManagerMessage::kComplete:
      return WhenBuilt(FromWireId<JobId>(message->complete().job_id()),
                       [this, message] { CompleteCheckpoint(message); });
    case proto::JobManagerMessage::kAborted:
      return WhenBuilt(FromWireId<JobId>(message->aborted().job_id()),
                       [this, message] { AbortCheckpoint(message); });
    case proto::JobManagerMessage::kEventToTask:
      return WhenBuilt(FromWireId<JobId>(message->event_to_task().job_id()),
                       [this, message] { DeliverToTask(message->event_to_task()); });
    case proto::JobManagerMessage::kEventToCoordinator:
      return WhenBuilt(FromWireId<JobId>(message->event_to_coordinator().job_id()),
                       [this, message] { DeliverToCoordinator(message->event_to_coordinator()); });
    case proto::JobManagerMessage::kEventToCoordinators:
      return WhenBuilt(
          FromWireId<JobId>(message->event_to_coordinators().job_id()),
          [this, message] { DeliverToCoordinators(message->event_to_coordinators()); });
    case proto::JobManagerMessage::kTriggerCoordinator:
      return TriggerCoordinators(message);
    case proto::JobManagerMessage::kAdopt:
      return Adopt(message);
    case proto::JobManagerMessage::kReleaseJob:
      return ReleaseJob(FromWireId<JobId>(message->release_job().job_id()));
    case proto::JobManagerMessage::kRunJobProcess:
      return RunJobProcess(message);
    case proto::JobManagerMessage::kEndJobProcess:
      return EndJobProcess(message);
    default:
      return;  // Of the connection, not of a job.
  }
}

void TaskExecutor::Deploy(const Message& message) {
  const proto::DeployTasks& deploy = message->deploy();
  const auto id = FromWireId<JobId>(deploy.job().job_id());
  const Deployment number(deploy.leader_epoch(), deploy.deployment_number());
  Job& job = jobs_[id];
  for (const proto::TaskDeployment& deployment : deploy.tasks()) {
    const auto attempt = FromWireId<ExecutionAttemptId>(deployment.attempt());
    job.tasks.insert(attempt);
    RunningTask& task = tasks_[attempt];
    task.job = id;
    task.identity = {FromWireId<JobVertexId>(deployment.vertex()), deployment.subtask(),
                     deployment.attempt_number(), number, deployment.restored_checkpoint()};
    {
      const MutexLock lock(&attempts_mutex_);
      attempts_[attempt].job = id;
    }
    ReportTaskState(attempt, TaskState::kDeploying, absl::OkStatus());
  }
  for (const proto::CoordinatorDeployment& deployment : deploy.coordinators()) {
    const auto attempt = FromWireId<ExecutionAttemptId>(deployment.attempt());
    job.coordinators.insert(attempt);
    coordinators_[attempt] = {id, FromWireId<OperatorId>(deployment.operator_id()), nullptr,
                              number};
  }
  if (!job.building && !job.built.ok()) {
    job.building = true;
    environment_.jobs->Obtain(deploy.job(), [this, id](const JobRegistry::Result& result) {
      strand_->Post([this, id, result] { OnBuilt(id, result); });
    });
  }
  WhenBuilt(id, [this, message] { Materialize(message); });
}

void TaskExecutor::WhenBuilt(JobId job, Work work) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;  // Released or lost: nobody is left to hear it.
  if (found->second.building) {
    found->second.waiting.push_back(std::move(work));
  } else {
    work();
  }
}

void TaskExecutor::OnBuilt(JobId job, const JobRegistry::Result& result) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end() || !found->second.building) return;
  found->second.building = false;
  found->second.built = result;
  const std::deque<Work> waiting = std::exchange(found->second.waiting, {});
  for (const Work& work : waiting) work();
}

absl::StatusOr<PreparedJob> TaskExecutor::MakePlan(JobId id, Job& job,
                                                   const proto::JobInformation& information) const {
  if (!job.built.ok()) return job.built.status();
  PreparedJob plan;
  plan.job = id;
  plan.graph = (*job.built)->graph;
  ASSIGN_OR_RETURN(plan.job_graph, ParseJobGraph(information.job_graph()));
  RETURN_IF_ERROR(CheckFingerprint(plan.job_graph, *plan.graph));
  ASSIGN_OR_RETURN(const Configuration settings, ReadSettings(information));
  plan.buffer_timeout = settings.Get(kBufferTimeout);
  plan.latency_interval = settings.Get(kLatencyInterval);
  plan.auto_watermark_interval = settings.Get(kAutoWatermarkInterval);
  plan.checkpointing = settings.Get(kCheckpointingInterval) > absl::ZeroDuration();
  if (settings.Get(kCheckpointingMode) == "AT_LEAST_ONCE") {
    plan.alignment.mode = CheckpointMode::kAtLeastOnce;
  }
  plan.alignment.unaligned = settings.Get(kCheckpointingUnaligned);
  plan.alignment.aligned_timeout = settings.Get(kAlignedCheckpointTimeout);
  plan.local_dir = StrCat(environment_.local_dir, "/", ToString(id));
  if (job.state_store == nullptr) {
    ASSIGN_OR_RETURN(std::shared_ptr<StateFileStore> remote,
                     environment_.state_store(id, information.checkpoint_dir()));
    const bool keep =
        settings.Get(kStateRecoveryFromLocal) || settings.Get(kStateBackendLocalRecovery);
    job.state_store = std::make_shared<LocalStateStore>(
        std::move(remote), keep ? StrCat(plan.local_dir, "/state") : "");
  }
  return plan;
}

void TaskExecutor::Materialize(const Message& message) {
  const proto::DeployTasks& deploy = message->deploy();
  const auto id = FromWireId<JobId>(deploy.job().job_id());
  Job& job = jobs_[id];
  const absl::StatusOr<PreparedJob> plan = MakePlan(id, job, deploy.job());
  if (plan.ok()) {
    job.parallelism.clear();
    for (const JobGraph::Vertex& vertex : plan->job_graph.vertices) {
      job.parallelism[vertex.id] = vertex.parallelism;
    }
  }
  // Coordinators first: the readers that follow may ask them at once.
  for (int i = 0; i < deploy.coordinators_size(); ++i) {
    const auto attempt = FromWireId<ExecutionAttemptId>(deploy.coordinators(i).attempt());
    if (!coordinators_.contains(attempt)) continue;  // Cancelled meanwhile.
    const absl::Status status = plan.ok() ? StartCoordinator(*plan, message, i) : plan.status();
    if (status.ok()) continue;
    ForgetCoordinator(attempt);
    ReportCoordinatorFailed(id, attempt, status);
  }
  for (int i = 0; i < deploy.tasks_size(); ++i) {
    const auto attempt = FromWireId<ExecutionAttemptId>(deploy.tasks(i).attempt());
    if (!tasks_.contains(attempt)) continue;
    const absl::Status status = plan.ok() ? StartTask(*plan, job, message, i) : plan.status();
    if (status.ok()) continue;
    LogWarning("task-executor", StrCat("cannot deploy a task: attempt=", ToString(attempt),
                                       " error=", ToStd(status.message())));
    EndDeployment(attempt, TaskState::kFailed, status);
  }
}

// At once, so that a deployment that waits does not start it and nobody ends it twice.
void TaskExecutor::EndDeployment(ExecutionAttemptId attempt, TaskState state,
                                 const absl::Status& reason) {
  static_cast<void>(EndAttempt(attempt, state));
  ReportTaskState(attempt, state, reason);
  TaskEnded(attempt, state);
}

absl::Status TaskExecutor::StartTask(const PreparedJob& plan, Job& job, const Message& message,
                                     int index) {
  const proto::TaskDeployment& deployment = message->deploy().tasks(index);
  ASSIGN_OR_RETURN(PreparedTask prepared, PrepareTask(deployment, plan, environment_.channels));
  const ExecutionAttemptId attempt = prepared.description.attempt;
  RunningTask& running = tasks_[attempt];
  running.local_dir = prepared.description.local_dir;
  // Before anything can fail: they are to be closed in any case.
  running.remote_channels = std::move(prepared.remote_channels);
  running.local_producers = std::move(prepared.local_producers);
  for (const TaskDescription::Operator& op : prepared.description.operators) {
    job.subtasks[{plan.graph->operator_id(op.node), deployment.subtask()}] = attempt;
  }
  if (const auto earlier = job.finished.find({running.identity.vertex, running.identity.subtask});
      earlier != job.finished.end()) {
    for (const FinishedTask& old : earlier->second) {
      environment_.channels.registry->Release(
          old.attempt, absl::CancelledError("superseded by a newer attempt"));
    }
    job.finished.erase(earlier);
  }
  TaskEnvironment environment;
  environment.workers = environment_.workers;
  environment.io_pool = environment_.io_pool;
  environment.memory_budget = environment_.memory_budget;
  environment.clock = environment_.clock;
  environment.listener = this;
  environment.state_store = job.state_store;
  environment.buffer_debloat = environment_.buffer_debloat;
  environment.commit_lease = environment_.commit_lease;
  TaskIdentity identity{plan.job,
                        message->deploy().job().job_name(),
                        running.identity.vertex,
                        prepared.description.vertex_name,
                        running.identity.subtask,
                        attempt,
                        prepared.description.attempt_number};
  ASSIGN_OR_RETURN(running.task, CreateTask(std::move(prepared.description), environment));
  environment_.metrics->AddTask(std::move(identity), running.task);
  {
    const MutexLock lock(&attempts_mutex_);
    if (const auto record = attempts_.find(attempt); record != attempts_.end()) {
      record->second.task = running.task;
      record->second.state_store = job.state_store;
      record->second.restores = deployment.restore_size() > 0;
    }
  }
  running.task->Start();
  return absl::OkStatus();
}

absl::Status TaskExecutor::StartCoordinator(const PreparedJob& plan, const Message& message,
                                            int index) {
  const proto::CoordinatorDeployment& deployment = message->deploy().coordinators(index);
  CoordinatorDescription description;
  description.job = plan.job;
  description.operator_id = FromWireId<OperatorId>(deployment.operator_id());
  description.attempt = FromWireId<ExecutionAttemptId>(deployment.attempt());
  description.parallelism = deployment.parallelism();
  description.graph = plan.graph;
  if (deployment.has_state()) description.restored = deployment.state();
  const std::optional<StreamNodeIndex> node = plan.graph->FindNode(description.operator_id);
  if (!node.has_value() || plan.graph->nodes()[*node].coordinator == nullptr) {
    return absl::InvalidArgumentError(StrCat("the job has no such operator coordinator: operator=",
                                             ToString(description.operator_id)));
  }
  description.node = *node;
  description.operator_name = plan.graph->nodes()[*node].name;
  CoordinatorEnvironment environment;
  environment.coordinator_pool = environment_.coordinator_pool;
  environment.io_pool = environment_.io_pool;
  environment.clock = environment_.clock;
  environment.timers = environment_.timers;
  environment.listener = this;
  const ExecutionAttemptId attempt = description.attempt;
  const std::string operator_name =
      StrCat(plan.graph->nodes()[*node].is_source() ? "Source: " : "", description.operator_name);
  auto host = std::make_shared<CoordinatorHost>(std::move(description), environment);
  coordinators_[attempt].host = host;
  // The host lives as long as the group is in use.
  environment_.metrics->AddCoordinator(plan.job, attempt, operator_name,
                                       std::shared_ptr<const MetricGroup>(host, host->metrics()));
  host->Start();
  return absl::OkStatus();
}

void TaskExecutor::Cancel(const Message& message) {
  for (const std::string& id : message->cancel().attempts())
    CancelTask(FromWireId<ExecutionAttemptId>(id));
  for (const std::string& id : message->cancel().coordinators()) {
    CloseCoordinator(FromWireId<ExecutionAttemptId>(id));
  }
}

void TaskExecutor::CancelTask(ExecutionAttemptId attempt) {
  const auto found = tasks_.find(attempt);
  if (found == tasks_.end()) return;  // It has ended, and said so.
  if (found->second.task != nullptr) {
    {
      const MutexLock lock(&attempts_mutex_);
      if (const auto record = attempts_.find(attempt); record != attempts_.end()) {
        record->second.canceling = true;
      }
    }
    found->second.task->Cancel();
  } else {
    EndDeployment(attempt, TaskState::kCanceled, absl::OkStatus());
  }
}

void TaskExecutor::CloseCoordinator(ExecutionAttemptId attempt) {
  const auto found = coordinators_.find(attempt);
  if (found == coordinators_.end()) return;
  environment_.metrics->RemoveCoordinator(attempt);
  if (found->second.host != nullptr) {
    found->second.host->Close();
    closed_coordinators_.push_back(std::move(found->second.host));
  }
  ForgetCoordinator(attempt);
}

void TaskExecutor::ForgetCoordinator(ExecutionAttemptId attempt) {
  const auto found = coordinators_.find(attempt);
  if (found == coordinators_.end()) return;
  if (const auto job = jobs_.find(found->second.job); job != jobs_.end()) {
    job->second.coordinators.erase(attempt);
  }
  coordinators_.erase(found);
  const MutexLock lock(&attempts_mutex_);
  events_.Forget(attempt);
}

void TaskExecutor::DropClosedCoordinators() {
  std::vector<std::shared_ptr<CoordinatorHost>> rest;
  // Closed first: what is closed then posts nothing behind the look at the pool.
  for (const auto& host : closed_coordinators_) {
    if (!host->is_closed()) rest.push_back(host);
  }
  if (rest.size() < closed_coordinators_.size() && environment_.io_pool->idle()) {
    closed_coordinators_.swap(rest);
  }
}

void TaskExecutor::TriggerCheckpoint(const Message& message) {
  const CheckpointBarrier barrier{CheckpointId(message->trigger().checkpoint_id()),
                                  message->trigger().trigger_time_ms(),
                                  static_cast<BarrierKind>(message->trigger().barrier_kind())};
  for (const std::string& id : message->trigger().attempts()) {
    const auto attempt = FromWireId<ExecutionAttemptId>(id);
    const auto found = tasks_.find(attempt);
    if (found == tasks_.end()) continue;
    NoteCheckpoint(found->second.job, barrier.id);
    if (StopsTask(barrier.kind)) found->second.stop_checkpoint = barrier.id;
    WhenBuilt(found->second.job, [this, attempt, barrier] {
      const auto task = tasks_.find(attempt);
      if (task != tasks_.end() && task->second.task != nullptr)
        task->second.task->TriggerCheckpoint(barrier);
    });
  }
}

void TaskExecutor::CompleteCheckpoint(const Message& message) {
  const auto id = FromWireId<JobId>(message->complete().job_id());
  const Job& job = jobs_[id];
  const CheckpointId checkpoint(message->complete().checkpoint_id());
  NoteCheckpoint(id, checkpoint);
  if (job.state_store != nullptr && job.state_store->keeps_files()) {
    environment_.io_pool->Post(
        [store = job.state_store, checkpoint] { store->OnComplete(checkpoint); });
  }
  for (const ExecutionAttemptId& attempt : job.tasks) {
    RunningTask& running = tasks_.at(attempt);
    if (running.stop_checkpoint <= checkpoint) running.stop_checkpoint = CheckpointId();
    if (running.task != nullptr) running.task->NotifyCheckpointComplete(checkpoint);
  }
  for (const ExecutionAttemptId& attempt : job.coordinators) {
    const RunningCoordinator& running = coordinators_.at(attempt);
    if (running.host != nullptr) running.host->NotifyCheckpointComplete(checkpoint);
  }
}

void TaskExecutor::AbortCheckpoint(const Message& message) {
  const auto id = FromWireId<JobId>(message->aborted().job_id());
  const Job& job = jobs_[id];
  const CheckpointId checkpoint(message->aborted().checkpoint_id());
  NoteCheckpoint(id, checkpoint);
  for (const ExecutionAttemptId& attempt : job.tasks) {
    RunningTask& running = tasks_.at(attempt);
    if (running.stop_checkpoint <= checkpoint) running.stop_checkpoint = CheckpointId();
    if (running.task != nullptr) running.task->NotifyCheckpointAborted(checkpoint);
  }
}

void TaskExecutor::DeliverToTask(const proto::OperatorEvent& event) {
  const auto operator_id = FromWireId<OperatorId>(event.operator_id());
  const Job& job = jobs_[FromWireId<JobId>(event.job_id())];
  const auto subtask = job.subtasks.find({operator_id, event.subtask()});
  if (subtask == job.subtasks.end()) return;
  const auto task = tasks_.find(subtask->second);
  if (task == tasks_.end() || task->second.task == nullptr) return;
  ++task->second.received[EventChannelId::Of(proto::EventChannel::TO_TASK, event)];
  task->second.task->HandleCoordinatorEvent(operator_id, event.payload());
}

void TaskExecutor::DeliverToCoordinator(const proto::OperatorEvent& event) {
  const Job& job = jobs_[FromWireId<JobId>(event.job_id())];
  const auto operator_id = FromWireId<OperatorId>(event.operator_id());
  for (const ExecutionAttemptId& attempt : job.coordinators) {
    RunningCoordinator& coordinator = coordinators_.at(attempt);
    if (coordinator.operator_id == operator_id && coordinator.host != nullptr) {
      ++coordinator.received[EventChannelId::Of(proto::EventChannel::TO_COORDINATOR, event)];
      coordinator.host->HandleEvent(event.subtask(), event.payload());
    }
  }
}

void TaskExecutor::DeliverToCoordinators(const proto::OperatorEvent& event) {
  const Job& job = jobs_[FromWireId<JobId>(event.job_id())];
  const auto sender = FromWireId<OperatorId>(event.operator_id());
  for (const ExecutionAttemptId& attempt : job.coordinators) {
    RunningCoordinator& coordinator = coordinators_.at(attempt);
    if (coordinator.operator_id != sender && coordinator.host != nullptr) {
      ++coordinator.received[EventChannelId::Of(proto::EventChannel::TO_COORDINATORS, event)];
      coordinator.host->HandleCoordinatorEvent(sender, event.payload());
    }
  }
}

void TaskExecutor::TriggerCoordinators(const Message& message) {
  const CheckpointId checkpoint(message->trigger_coordinator().checkpoint_id());
  for (const std::string& id : message->trigger_coordinator().attempts()) {
    const auto attempt = FromWireId<ExecutionAttemptId>(id);
    const auto found = coordinators_.find(attempt);
    if (found == coordinators_.end()) continue;
    NoteCheckpoint(found->second.job, checkpoint);
    WhenBuilt(found->second.job, [this, attempt, checkpoint] {
      const auto coordinator = coordinators_.find(attempt);
      if (coordinator != coordinators_.end() && coordinator->second.host != nullptr) {
        coordinator->second.host->TriggerCheckpoint(checkpoint);
      }
    });
  }
}

void TaskExecutor::ReleaseJob(JobId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  // Copies: each that ends takes itself out.
  const std::vector<ExecutionAttemptId> tasks(found->second.tasks.begin(),
                                              found->second.tasks.end());
  const std::vector<ExecutionAttemptId> coordinators(found->second.coordinators.begin(),
                                                     found->second.coordinators.end());
  for (const ExecutionAttemptId& attempt : tasks) CancelTask(attempt);
  for (const ExecutionAttemptId& attempt : coordinators) CloseCoordinator(attempt);
  ReleaseFinished(found->second);
  jobs_.erase(found);
  StopHolding(id);
  // Tasks that are still being cancelled remove their own folders, which lie in this one.
  RemoveFolder(StrCat(environment_.local_dir, "/", ToString(id)));
}

void TaskExecutor::RunJobProcess(const Message& message) {
  if (environment_.processes == nullptr) return;  // It never said that it could.
  const proto::RunJobProcess& run = message->run_job_process();
  environment_.processes->Run(run.process_id(), FromWireId<JobId>(run.job_id()), run.num_slots(),
                              environment_.jobmanager_addresses());
}

void TaskExecutor::EndJobProcess(const Message& message) {
  if (environment_.processes == nullptr) return;
  const proto::EndJobProcess& end = message->end_job_process();
  environment_.processes->End(end.process_id(), end.at_once());
}

void TaskExecutor::CancelAll(std::function<void()> ended) {
  if (environment_.processes != nullptr) environment_.processes->KillAll();
  std::vector<ExecutionAttemptId> tasks;
  std::vector<ExecutionAttemptId> coordinators;
  for (const auto& [attempt, task] : tasks_) tasks.push_back(attempt);
  for (const auto& [attempt, coordinator] : coordinators_) coordinators.push_back(attempt);
  when_idle_.push_back(std::move(ended));
  for (const ExecutionAttemptId& attempt : tasks) CancelTask(attempt);
  for (const ExecutionAttemptId& attempt : coordinators) CloseCoordinator(attempt);
  for (auto& [id, job] : jobs_) {
    ReleaseFinished(job);
    RemoveFolder(StrCat(environment_.local_dir, "/", ToString(id)));
  }
  jobs_.clear();
  {
    const MutexLock lock(&attempts_mutex_);
    held_.clear();
    awaits_adoption_.store(false, std::memory_order_release);
  }
  CallIfIdle();
}

void TaskExecutor::CallIfIdle() {
  if (!tasks_.empty()) return;
  const std::vector<std::function<void()>> ended = std::exchange(when_idle_, {});
  for (const std::function<void()>& call : ended) call();
}

void TaskExecutor::TaskEnded(ExecutionAttemptId attempt, TaskState state) {
  const auto found = tasks_.find(attempt);
  if (found == tasks_.end()) return;
  RunningTask ended = std::move(found->second);
  tasks_.erase(found);
  {
    const MutexLock lock(&attempts_mutex_);
    attempts_.erase(attempt);
    events_.Forget(attempt);
  }
  environment_.metrics->RemoveTask(attempt);
  for (ChannelHandle& channel : ended.remote_channels) channel.Close();
  const auto job = jobs_.find(ended.job);
  if (job != jobs_.end()) job->second.tasks.erase(attempt);
  if (state == TaskState::kFinished && job != jobs_.end()) {
    job->second.finished[{ended.identity.vertex, ended.identity.subtask}].push_back(
        {attempt, ended.identity});
  } else {
    environment_.channels.registry->Release(
        attempt, absl::CancelledError(StrCat("the producer has ended: state=", ToString(state))));
  }
  // Channels that this consumer asked for, but whose producer never came and never will.
  if (state != TaskState::kFinished) {
    for (const ExecutionAttemptId& producer : ended.local_producers) {
      if (tasks_.contains(producer)) continue;
      environment_.channels.registry->Release(producer,
                                              absl::CancelledError("the consumer has ended"));
    }
  }
  if (!ended.local_dir.empty()) RemoveFolder(ended.local_dir);
  CallIfIdle();
}

void TaskExecutor::ReleaseFinished(Job& job) {
  for (const auto& [subtask, attempts] : job.finished) {
    for (const FinishedTask& task : attempts) {
      environment_.channels.registry->Release(task.attempt,
                                              absl::CancelledError("the job has ended"));
    }
  }
  job.finished.clear();
}

void TaskExecutor::RemoveFolder(std::string path) const {
  environment_.io_pool->Post([path = std::move(path)] {
    std::error_code error;  // What stays goes with the TaskManager's own folder.
    std::filesystem::remove_all(path, error);
  });
}

}  // namespace weir
