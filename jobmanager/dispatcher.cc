#include "jobmanager/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/checkpoint/snapshot_files.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/file_state_store.h"

namespace weir {
namespace {

absl::Status NoSuchJob(JobId job_id) {
  return absl::NotFoundError(StrCat("Job ", ToString(job_id), " not found"));
}

const CheckpointDetails* FindCheckpoint(const CheckpointStatistics& checkpoints, CheckpointId id) {
  for (const CheckpointDetails& details : checkpoints.history) {
    if (details.id == id) return &details;
  }
  for (const auto* latest :
       {&checkpoints.latest_completed, &checkpoints.latest_savepoint, &checkpoints.latest_failed}) {
    if (latest->has_value() && (*latest)->id == id) return &**latest;
  }
  return nullptr;
}

}  // namespace

struct Dispatcher::PreparedJob {
  std::string entry;
  std::shared_ptr<const JobGraph> graph;
  std::string library_hash;
  std::string files_hash;
};

Dispatcher::Dispatcher(DispatcherOptions options, MainThreadExecutor* executor,
                       const BlobStore* blobs, JarStore* jars, const JobBuilder* builder)
    : options_(std::move(options)),
      executor_(executor),
      blobs_(blobs),
      jars_(jars),
      builder_(builder),
      resource_manager_({.heartbeat_interval = options_.configuration.Get(kHeartbeatInterval),
                         .heartbeat_timeout = options_.configuration.Get(kHeartbeatTimeout),
                         .leader_epoch = options_.leader_epoch,
                         .abi_stamp = options_.abi_stamp},
                        executor, this),
      metric_labels_(PrometheusLabel("host", options_.configuration.Get(kJobManagerRpcAddress))) {}

Dispatcher::~Dispatcher() = default;

absl::Status Dispatcher::Submit(JobDescription job) {
  if (jobs_.contains(job.id) || FindEnded(job.id) != nullptr) {
    return absl::AlreadyExistsError(
        StrCat("a job of this id was submitted before: ", ToString(job.id)));
  }
  job.checkpoint_dir = StrCat(options_.checkpoint_dir, "/", ToString(job.id));
  const JobId id = job.id;
  auto storage = std::make_unique<FolderCheckpointStorage>(
      job.checkpoint_dir, executor_, std::make_shared<FileStateStore>(job.checkpoint_dir, "job"));
  auto master = std::make_shared<JobMaster>(
      std::move(job),
      JobMasterServices{.executor = executor_,
                        .resource_manager = &resource_manager_,
                        .leader_epoch = options_.leader_epoch,
                        .on_attempts =
                            [this](JobId job_id, const std::vector<ExecutionAttemptId>& gone,
                                   const std::vector<ExecutionAttemptId>& begun) {
                              OnAttempts(job_id, gone, begun);
                            },
                        .on_ended = [this](JobId ended) { OnJobEnded(ended); }},
      std::move(storage));
  jobs_.emplace(id, master);
  master->Start();
  return absl::OkStatus();
}

void Dispatcher::CloseConnections() {
  executor_->Post([this] {
    stopping_ = true;
    resource_manager_.CloseAll();
  });
}

void Dispatcher::OnAttempts(JobId job_id, const std::vector<ExecutionAttemptId>& gone,
                            const std::vector<ExecutionAttemptId>& begun) {
  for (const ExecutionAttemptId& attempt : gone) jobs_by_attempt_.erase(attempt);
  const auto job = jobs_.find(job_id);
  if (job == jobs_.end()) return;
  for (const ExecutionAttemptId& attempt : begun) {
    jobs_by_attempt_.emplace(attempt, job->second.get());
  }
}

void Dispatcher::OnJobEnded(JobId job_id) {
  const auto found = jobs_.find(job_id);
  if (found == jobs_.end()) return;
  const JobMaster& job = *found->second;
  ended_jobs_.push_front({job.Overview(), job.Details(), job.Result(),
                          job.Exceptions(std::numeric_limits<size_t>::max()), job.Checkpoints(),
                          job.CheckpointConfiguration()});
  OnAttempts(job_id, job.Attempts(), {});
  jobs_.erase(found);
  while (ended_jobs_.size() > options_.max_ended_jobs) ended_jobs_.pop_back();
}

const Dispatcher::EndedJob* Dispatcher::FindEnded(JobId job_id) const {
  for (const EndedJob& job : ended_jobs_) {
    if (job.overview.id == job_id) return &job;
  }
  return nullptr;
}

template <class T, class OfRunning, class OfEnded>
void Dispatcher::AnswerByJob(JobId job_id, Callback<T> done, OfRunning of_running,
                             OfEnded of_ended) {
  executor_->Post([this, job_id, done = std::move(done), of_running = std::move(of_running),
                   of_ended = std::move(of_ended)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      done(of_running(*running->second));
    } else if (const EndedJob* const ended = FindEnded(job_id)) {
      done(of_ended(*ended));
    } else {
      done(NoSuchJob(job_id));
    }
  });
}

void Dispatcher::RequestClusterOverview(Callback<ClusterOverview> done) {
  executor_->Post([this, done = std::move(done)] {
    ClusterOverview overview = resource_manager_.Overview();
    overview.num_jobs_running = static_cast<uint32_t>(jobs_.size());
    for (const EndedJob& job : ended_jobs_) {
      switch (job.overview.status) {
        case JobStatus::kFinished:
          ++overview.num_jobs_finished;
          break;
        case JobStatus::kCanceled:
          ++overview.num_jobs_cancelled;
          break;
        default:
          ++overview.num_jobs_failed;
      }
    }
    done(overview);
  });
}

void Dispatcher::RequestJobs(Callback<std::vector<JobOverview>> done) {
  executor_->Post([this, done = std::move(done)] {
    std::vector<JobOverview> overviews;
    for (const auto& [id, job] : jobs_) overviews.push_back(job->Overview());
    for (const EndedJob& job : ended_jobs_) overviews.push_back(job.overview);
    std::stable_sort(
        overviews.begin(), overviews.end(),
        [](const JobOverview& a, const JobOverview& b) { return a.start_time > b.start_time; });
    done(std::move(overviews));
  });
}

void Dispatcher::RequestJob(JobId job_id, Callback<JobDetails> done) {
  AnswerByJob(
      job_id, std::move(done), [](JobMaster& job) { return job.Details(); },
      [](const EndedJob& job) { return job.details; });
}

void Dispatcher::RequestJobResult(JobId job_id, Callback<JobResult> done) {
  AnswerByJob(
      job_id, std::move(done), [](JobMaster& job) { return job.Result(); },
      [](const EndedJob& job) { return job.result; });
}

void Dispatcher::CancelJob(JobId job_id, StatusCallback done) {
  executor_->Post([this, job_id, done = std::move(done)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      const std::shared_ptr<JobMaster> job = running->second;  // Cancel may end it.
      done(job->Cancel());
    } else if (const EndedJob* const ended = FindEnded(job_id)) {
      const JobStatus status = ended->overview.status;
      done(status == JobStatus::kCanceled
               ? absl::OkStatus()
               : absl::FailedPreconditionError(
                     StrCat("the job cannot be cancelled, for it has ended: ", ToString(job_id),
                            " is ", JobStatusName(status))));
    } else {
      done(NoSuchJob(job_id));
    }
  });
}

void Dispatcher::RequestExceptions(JobId job_id, size_t max_entries,
                                   Callback<ExceptionHistory> done) {
  AnswerByJob(
      job_id, std::move(done),
      [max_entries](JobMaster& job) { return job.Exceptions(max_entries); },
      [max_entries](const EndedJob& job) {
        ExceptionHistory history = job.exceptions;
        if (history.entries.size() > max_entries) {
          history.entries.resize(max_entries);
          history.truncated = true;
        }
        return history;
      });
}

void Dispatcher::RequestCheckpoints(JobId job_id, Callback<CheckpointStatistics> done) {
  AnswerByJob(
      job_id, std::move(done), [](JobMaster& job) { return job.Checkpoints(); },
      [](const EndedJob& job) { return job.checkpoints; });
}

void Dispatcher::RequestCheckpointDetails(JobId job_id, CheckpointId checkpoint_id,
                                          Callback<CheckpointDetails> done) {
  RequestCheckpoints(job_id, [checkpoint_id, done = std::move(done)](
                                 absl::StatusOr<CheckpointStatistics> checkpoints) {
    if (!checkpoints.ok()) {
      done(checkpoints.status());
    } else if (const CheckpointDetails* const found = FindCheckpoint(*checkpoints, checkpoint_id)) {
      done(*found);
    } else {
      done(absl::NotFoundError(StrCat("Could not find checkpointing statistics for checkpoint ",
                                      checkpoint_id.value())));
    }
  });
}

void Dispatcher::RequestCheckpointConfig(JobId job_id, Callback<CheckpointConfig> done) {
  AnswerByJob(
      job_id, std::move(done), [](JobMaster& job) { return job.CheckpointConfiguration(); },
      [](const EndedJob& job) { return job.checkpoint_config; });
}

void Dispatcher::TriggerCheckpoint(JobId job_id, Callback<CheckpointId> done) {
  executor_->Post([this, job_id, done = std::move(done)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      running->second->TriggerCheckpoint(done);
    } else if (FindEnded(job_id) != nullptr) {
      done(absl::FailedPreconditionError(
          StrCat("cannot trigger a checkpoint: the job has ended: ", ToString(job_id))));
    } else {
      done(NoSuchJob(job_id));
    }
  });
}

void Dispatcher::ResolveSavepointDirectory(JobId job_id, std::string given,
                                           Callback<std::string> done) {
  executor_->Post([this, job_id, given = std::move(given), done = std::move(done)] {
    const auto running = jobs_.find(job_id);
    if (running == jobs_.end()) {
      done(FindEnded(job_id) == nullptr
               ? NoSuchJob(job_id)
               : absl::FailedPreconditionError(
                     StrCat("cannot take a savepoint: the job has ended: ", ToString(job_id))));
      return;
    }
    const std::string folder = given.empty() ? running->second->SavepointDirectory() : given;
    if (folder.empty()) {
      done(absl::InvalidArgumentError(
          StrCat("Config key [", kSavepointDir.key,
                 "] is not set. Property [target-directory] must be provided.")));
      return;
    }
    done(NormalizedPath(folder));
  });
}

void Dispatcher::TriggerSavepoint(JobId job_id, SavepointRequest request,
                                  Callback<std::string> done) {
  executor_->Post([this, job_id, request = std::move(request), done = std::move(done)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      const std::shared_ptr<JobMaster> job = running->second;  // It may end meanwhile.
      job->TriggerSavepoint(request, done);
    } else {
      done(NoSuchJob(job_id));
    }
  });
}

void Dispatcher::DisposeSavepoint(std::string path, StatusCallback done) {
  path = SnapshotFolder(path);
  executor_->Post([this, path = std::move(path), done = std::move(done)] {
    for (const auto& [id, job] : jobs_) {
      if (!job->NeedsSnapshot(path)) continue;
      done(absl::FailedPreconditionError(
          StrCat("cannot dispose of a snapshot that a running job needs; cancel or stop the job "
                 "first: job=",
                 ToString(id), " path=", path)));
      return;
    }
    executor_->RunBlocking(
        [path, done] { return Mail([status = DisposeSnapshot(path), done] { done(status); }); });
  });
}

void Dispatcher::RequestTaskManagers(Callback<std::vector<TaskManagerInfo>> done) {
  executor_->Post([this, done = std::move(done)] { done(resource_manager_.TaskManagers()); });
}

void Dispatcher::RequestTaskManager(std::string taskmanager_id, Callback<TaskManagerInfo> done) {
  executor_->Post([this, taskmanager_id = std::move(taskmanager_id), done = std::move(done)] {
    for (TaskManagerInfo& info : resource_manager_.TaskManagers()) {
      if (info.id != taskmanager_id) continue;
      done(std::move(info));
      return;
    }
    done(absl::NotFoundError(StrCat("there is no TaskManager ", taskmanager_id)));
  });
}

void Dispatcher::RequestMetrics(MetricQuery query, Callback<std::vector<ScopeMetrics>> done) {
  executor_->Post(
      [this, query = std::move(query), done = std::move(done)] { done(FindMetrics(query)); });
}

void Dispatcher::RequestMetricReports(Callback<std::vector<MetricReport>> done) {
  executor_->Post([this, done = std::move(done)] {
    std::vector<MetricReport> reports;
    reports.push_back(ReportProcess());
    for (const auto& [id, job] : jobs_) {
      reports.push_back(job->Metrics(metric_labels_));
      for (MetricReport& report : job->CoordinatorReports(metric_labels_)) {
        reports.push_back(std::move(report));
      }
    }
    done(std::move(reports));
  });
}

std::vector<ScopeMetrics> Dispatcher::FindMetrics(const MetricQuery& query) {
  std::vector<ScopeMetrics> found;
  switch (query.scope) {
    case MetricQuery::Scope::kJobManager:
      found.push_back({0, ReportProcess()});
      break;
    case MetricQuery::Scope::kTaskManagers:
      for (MetricReport& report : resource_manager_.ProcessMetrics(query.taskmanager_ids)) {
        found.push_back({0, std::move(report)});
      }
      break;
    case MetricQuery::Scope::kJobs:
      for (const auto& [id, job] : jobs_) {
        const bool asked =
            query.job_ids.empty() ||
            std::find(query.job_ids.begin(), query.job_ids.end(), id) != query.job_ids.end();
        if (asked) found.push_back({0, job->Metrics(metric_labels_)});
      }
      break;
    case MetricQuery::Scope::kSubtasks:
    case MetricQuery::Scope::kCoordinators: {
      const auto job = query.job_ids.empty() ? jobs_.end() : jobs_.find(query.job_ids.front());
      if (job == jobs_.end()) break;
      return query.scope == MetricQuery::Scope::kSubtasks
                 ? job->second->SubtaskMetrics(query.vertex_id)
                 : job->second->CoordinatorMetrics(query.vertex_id);
    }
  }
  return found;
}

MetricReport Dispatcher::ReportProcess() {
  const ClusterOverview overview = resource_manager_.Overview();
  MetricReportBuilder report("flink_jobmanager", metric_labels_);
  report.Add("numRegisteredTaskManagers", overview.num_taskmanagers);
  report.Add("numRunningJobs", static_cast<double>(jobs_.size()));
  report.Add("taskSlotsTotal", overview.num_slots);
  report.Add("taskSlotsAvailable", overview.num_free_slots);
  process_metrics_.AddTo(ReadProcessStatistics(), executor_->clock()->MonotonicNanos(), &report);
  return report.Finish();
}

void Dispatcher::RequestConfig(Callback<std::vector<ConfigurationEntry>> done) {
  std::vector<ConfigurationEntry> entries;
  for (auto& [key, value] : options_.configuration.ToMap()) entries.push_back({key, value});
  done(std::move(entries));
}

void Dispatcher::UploadJar(std::string name, std::string path, Callback<std::string> done) {
  executor_->RunBlocking([jars = jars_, name = std::move(name), path = std::move(path),
                          done = std::move(done)]() mutable {
    return Mail([id = jars->Upload(name, path), done = std::move(done)] { done(id); });
  });
}

void Dispatcher::ListJars(Callback<std::vector<JarFile>> done) {
  executor_->RunBlocking([jars = jars_, done = std::move(done)]() mutable {
    return Mail([list = jars->List(), done = std::move(done)] { done(list); });
  });
}

void Dispatcher::DeleteJar(std::string jar_id, StatusCallback done) {
  executor_->RunBlocking(
      [jars = jars_, jar_id = std::move(jar_id), done = std::move(done)]() mutable {
        return Mail([status = jars->Delete(jar_id), done = std::move(done)] { done(status); });
      });
}

void Dispatcher::RunJar(JarRunRequest request, Callback<JobId> done) {
  absl::StatusOr<Configuration> settings =
      MakeJobSettings(options_.configuration, {}, request.flink_configuration);
  if (!settings.ok()) {
    done(settings.status());
    return;
  }
  executor_->RunBlocking([this, request = std::move(request), settings = *std::move(settings),
                          done = std::move(done)]() mutable {
    absl::StatusOr<PreparedJob> prepared = Prepare(request, settings);
    return Mail([this, request = std::move(request), prepared = std::move(prepared),
                 done = std::move(done)]() mutable {
      if (prepared.ok()) {
        done(SubmitPrepared(std::move(request), *std::move(prepared)));
      } else {
        done(prepared.status());
      }
    });
  });
}

absl::StatusOr<Dispatcher::PreparedJob> Dispatcher::Prepare(const JarRunRequest& request,
                                                            const Configuration& settings) {
  ASSIGN_OR_RETURN(JarStore::JobLocation job, jars_->FindJob(request.jar_id, request.entry_class));
  PreparedJob prepared;
  ASSIGN_OR_RETURN(prepared.library_hash, blobs_->PutFile(job.path));
  prepared.entry = job.entry;
  BuildRequest build;
  // The blob, not the file that it was made of: what is built is what TaskManagers will load.
  build.library = blobs_->PathOf(prepared.library_hash);
  build.entry = std::move(job.entry);
  build.arguments = request.program_args;
  build.default_parallelism =
      request.parallelism.value_or(static_cast<uint32_t>(settings.Get(kParallelismDefault)));
  build.max_parallelism = static_cast<uint32_t>(settings.Get(kPipelineMaxParallelism));
  build.chaining = settings.Get(kOperatorChaining);
  absl::StatusOr<BuiltJob> built = builder_->Build(build);
  // Whatever Build did wrong is the request's fault, not the server's.
  if (!built.ok() && !absl::IsUnavailable(built.status())) {
    return absl::InvalidArgumentError(built.status().message());
  }
  if (!built.ok()) return built.status();
  if (!built->files.empty()) {
    ASSIGN_OR_RETURN(prepared.files_hash, blobs_->Put(built->files));
  }
  if (std::string name = settings.Get(kPipelineName); !name.empty()) {
    built->graph.job_name = std::move(name);
  }
  prepared.graph = std::make_shared<const JobGraph>(std::move(built->graph));
  return prepared;
}

absl::StatusOr<JobId> Dispatcher::SubmitPrepared(JarRunRequest request, PreparedJob prepared) {
  JobDescription job;
  ASSIGN_OR_RETURN(job.settings, MakeJobSettings(options_.configuration, prepared.graph->settings,
                                                 request.flink_configuration));
  if (request.parallelism.has_value()) {
    job.settings.Set(kParallelismDefault, *request.parallelism);
  }
  job.id = request.job_id.has_value() ? *request.job_id : RandomId<JobId>();
  job.graph = std::move(prepared.graph);
  job.library_hash = std::move(prepared.library_hash);
  job.files_hash = std::move(prepared.files_hash);
  job.entry = std::move(prepared.entry);
  job.arguments = std::move(request.program_args);
  if (!request.savepoint_path.empty()) {
    job.savepoint_path = SnapshotFolder(request.savepoint_path);
  }
  job.allow_non_restored_state = request.allow_non_restored_state;
  job.claim_mode = request.claim_mode;
  const JobId id = job.id;
  LogInfo("dispatcher", StrCat("job submitted: job=", ToString(id), " name=", job.graph->job_name));
  RETURN_IF_ERROR(Submit(std::move(job)));
  return id;
}

void Dispatcher::OnRegister(std::shared_ptr<TaskManagerGateway> task_manager,
                            const proto::Register& registration) {
  resource_manager_.Register(std::move(task_manager), registration);
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
  resource_manager_.OnClosed(task_manager);
}

void Dispatcher::OnTaskManagerLost(TaskManagerGateway* task_manager, const absl::Status& reason) {
  if (stopping_) return;  // Jobs do not fail because their JobManager ends.
  std::vector<std::shared_ptr<JobMaster>> jobs;
  for (const auto& [id, job] : jobs_) jobs.push_back(job);
  for (const auto& job : jobs) job->OnTaskManagerLost(task_manager, reason);
}

}  // namespace weir
