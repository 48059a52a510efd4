#include "jobmanager/dispatcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/checkpoint/snapshot_files.h"
#include "jobmanager/ha/fenced_checkpoint_storage.h"
#include "jobmanager/job_settings.h"
#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/file_system.h"

namespace weir {
namespace {

constexpr absl::Duration kStoreRetryPause = absl::Seconds(1);

// A TaskManager that cannot reach this leader finds out within the heartbeat's time-out, and
// cancels its tasks: not before may they begin elsewhere.
absl::Duration ReconciliationTimeout(const Configuration& configuration, bool keeps_jobs) {
  const absl::Duration timeout = configuration.Get(kJobManagerReconciliationTimeout);
  if (!keeps_jobs || timeout <= absl::ZeroDuration()) return absl::ZeroDuration();
  return std::max(timeout, configuration.Get(kHeartbeatTimeout));
}

// Returns the snapshot as it is retained, with the files that it needs as far as its metadata can
// be read.
RetainedCheckpoint ReadRetained(const FileSystems& file_systems,
                                const CheckpointPointers::Pointer& pointer) {
  RetainedCheckpoint retained{
      .id = pointer.id, .path = pointer.path, .files = {}, .owned = !pointer.is_users};
  if (pointer.is_users) {
    retained.users_path = pointer.path;
    retained.is_savepoint = true;
  } else if (const auto metadata = ReadCheckpoint(file_systems, pointer.path); metadata.ok()) {
    retained.files = FilesOfSnapshot(*metadata);
  }
  return retained;
}

JobRecovery ReadRecovery(const FileSystems& file_systems, const CheckpointPointers& pointers) {
  JobRecovery recovery;
  recovery.last_checkpoint_id = pointers.id_limit;
  for (const CheckpointPointers::Pointer& pointer : pointers.checkpoints) {
    // One that had become superfluous may be gone, while its pointer would have gone with the next.
    const bool is_newest = pointer == pointers.checkpoints.back();
    if (!is_newest && absl::IsDataLoss(ReadCheckpoint(file_systems, pointer.path).status())) {
      continue;
    }
    recovery.checkpoints.push_back(ReadRetained(file_systems, pointer));
  }
  return recovery;
}

EndedJobRecord ToRecord(const JobMaster& job) {
  EndedJobRecord record;
  record.overview = job.Overview();
  record.timestamps = job.Details().timestamps;
  record.result = job.Result();
  record.exceptions = job.Exceptions(std::numeric_limits<size_t>::max()).entries;
  record.checkpoint_dir = job.checkpoint_dir();
  const CheckpointStatistics checkpoints = job.Checkpoints();
  record.num_completed_checkpoints = checkpoints.counts.completed;
  if (checkpoints.latest_completed.has_value()) {
    record.latest_checkpoint = {checkpoints.latest_completed->id,
                                checkpoints.latest_completed->external_path, false};
    record.latest_checkpoint_trigger = checkpoints.latest_completed->trigger_time;
  }
  return record;
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

absl::Status NoSuchJobError(JobId job_id) {
  return absl::NotFoundError(StrCat("Job ", ToString(job_id), " not found"));
}

absl::StatusOr<RecoveredJobs> ReadRecoveredJobs(JobStore* store, const FileSystems& file_systems) {
  RecoveredJobs recovered;
  ASSIGN_OR_RETURN(JobStore::Contents contents, store->Load());
  recovered.ended_jobs = std::move(contents.ended_jobs);
  ASSIGN_OR_RETURN(recovered.task_managers, store->LoadTaskManagers());
  ASSIGN_OR_RETURN(recovered.savepoints, store->LoadSavepoints());
  for (JobStore::StoredJob& stored : contents.jobs) {
    RecoveredJobs::Job job;
    job.recovery = ReadRecovery(file_systems, stored.checkpoints);
    job.description = std::move(stored.description);
    job.pointers = std::move(stored.checkpoints);
    // Nobody would remove them later.
    std::erase_if(job.pointers.checkpoints, [&job](const CheckpointPointers::Pointer& pointer) {
      const std::vector<RetainedCheckpoint>& kept = job.recovery.checkpoints;
      return std::none_of(kept.begin(), kept.end(), [&pointer](const RetainedCheckpoint& one) {
        return one.path == pointer.path;
      });
    });
    recovered.jobs.push_back(std::move(job));
  }
  return recovered;
}

Dispatcher::EndedJob Dispatcher::FromRecord(EndedJobRecord record) {
  EndedJob job;
  job.details.id = record.overview.id;
  job.details.name = record.overview.name;
  job.details.status = record.overview.status;
  job.details.start_time = record.overview.start_time;
  job.details.end_time = record.overview.end_time;
  job.details.timestamps = record.timestamps;
  job.overview = std::move(record.overview);
  job.result = std::move(record.result);
  job.exceptions.entries = std::move(record.exceptions);
  job.checkpoint_config.checkpoint_storage = std::move(record.checkpoint_dir);
  job.checkpoints.counts.total = record.num_completed_checkpoints;
  job.checkpoints.counts.completed = record.num_completed_checkpoints;
  if (record.latest_checkpoint.id != CheckpointId()) {
    CheckpointDetails latest;
    latest.id = record.latest_checkpoint.id;
    latest.status = CheckpointStatus::kCompleted;
    latest.trigger_time = record.latest_checkpoint_trigger;
    latest.external_path = std::move(record.latest_checkpoint.path);
    latest.discarded = job.overview.status == JobStatus::kFinished;
    job.checkpoints.latest_completed = std::move(latest);
  }
  return job;
}

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
      reconciliation_timeout_(
          ReconciliationTimeout(options_.configuration, options_.job_store != nullptr)),
      metric_labels_(PrometheusLabel("host", options_.configuration.Get(kJobManagerRpcAddress))) {}

Dispatcher::~Dispatcher() = default;

std::shared_ptr<JobMaster> Dispatcher::AddJob(JobDescription job, CheckpointPointers pointers) {
  const JobId id = job.id;
  std::unique_ptr<CheckpointStorage> storage = std::make_unique<FolderCheckpointStorage>(
      job.checkpoint_dir, executor_, options_.file_systems);
  std::function<void(const JobMaster&, std::function<void()>)> record_end;
  if (options_.job_store != nullptr) {
    storage = std::make_unique<FencedCheckpointStorage>(std::move(storage), id, std::move(pointers),
                                                        options_.job_store, executor_);
    record_end = [this](const JobMaster& ended, std::function<void()> then) {
      RecordEnd(ended, std::move(then));
    };
  }
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
                        .on_ended = [this](JobId ended) { OnJobEnded(ended); },
                        .record_end = std::move(record_end),
                        .reconciliation_timeout = reconciliation_timeout_},
      std::move(storage));
  jobs_.emplace(id, master);
  return master;
}

void Dispatcher::Recover(RecoveredJobs recovered) {
  for (EndedJobRecord& record : recovered.ended_jobs) {
    ended_jobs_.push_back(FromRecord(std::move(record)));
  }
  ForgetOldResults();
  ExpectTaskManagers(std::move(recovered.task_managers));
  savepoints_.assign(std::make_move_iterator(recovered.savepoints.begin()),
                     std::make_move_iterator(recovered.savepoints.end()));
  num_former_savepoints_ = savepoints_.size();
  for (RecoveredJobs::Job& job : recovered.jobs) {
    LogInfo("dispatcher", StrCat("job recovered: job=", ToString(job.description.id),
                                 " name=", job.description.graph->job_name,
                                 " checkpoints=", job.pointers.checkpoints.size()));
    const bool is_cancelled = job.description.is_cancelled;
    const std::shared_ptr<JobMaster> master =
        AddJob(std::move(job.description), std::move(job.pointers));
    master->Recover(std::move(job.recovery));
    if (is_cancelled) static_cast<void>(master->Cancel());
  }
  CleanUpBlobs();
  if (expected_.empty()) OnAllRegistered();
}

void Dispatcher::ExpectTaskManagers(std::set<std::string> ids) {
  if (options_.job_store == nullptr) return;
  roster_.emplace(options_.job_store, executor_, ids);
  expected_ = std::move(ids);
  expectation_timer_ = executor_->PostAfter(reconciliation_timeout_, [this] { OnAllRegistered(); });
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
                          job.CheckpointConfiguration(), job.Scaling()});
  OnAttempts(job_id, job.Attempts(), {});
  jobs_.erase(found);
  ForgetOldResults();
  // Else once the store has forgotten it.
  if (options_.job_store == nullptr) CleanUpBlobs();
}

void Dispatcher::CleanUpBlobs() {
  if (blobs_ == nullptr) return;
  std::set<std::string> needed;
  for (const auto& [id, job] : jobs_) {
    needed.insert(job->description().library_hash);
    needed.insert(job->description().files_hash);
  }
  executor_->RunBlocking(
      [store = options_.job_store, blobs = blobs_, needed = std::move(needed)]() mutable -> Mail {
        absl::Status status;
        if (store != nullptr) {
          absl::StatusOr<std::set<std::string>> stored = store->NeededBlobs();
          status = stored.status();
          if (stored.ok()) needed.merge(*std::move(stored));
        }
        if (status.ok()) status = blobs->RetainOnly(needed).status();
        // What stays behind costs space only, and the next end of a job tries again.
        if (!status.ok() && !absl::IsAborted(status)) {
          LogWarning("dispatcher",
                     StrCat("blobs that no job needs stay behind: ", ToStd(status.message())));
        }
        return nullptr;
      });
}

void Dispatcher::ForgetOldResults() {
  while (ended_jobs_.size() > options_.max_ended_jobs) {
    if (options_.job_store != nullptr) {
      executor_->RunBlocking(
          [store = options_.job_store, id = ended_jobs_.back().overview.id]() -> Mail {
            // What stays behind is forgotten after the next start.
            if (const absl::Status status = store->RemoveResult(id); !status.ok()) {
              LogWarning("dispatcher", ToStd(status.message()));
            }
            return nullptr;
          });
    }
    ended_jobs_.pop_back();
  }
}

void Dispatcher::RecordEnd(const JobMaster& job, std::function<void()> then) {
  WriteResult(std::make_shared<const EndedJobRecord>(ToRecord(job)), std::move(then));
}

void Dispatcher::WriteResult(std::shared_ptr<const EndedJobRecord> ended,
                             std::function<void()> then) {
  executor_->RunBlocking([this, store = options_.job_store, ended = std::move(ended),
                          then = std::move(then)]() mutable {
    absl::Status status = store->PutResult(*ended);
    return Mail([this, store, status = std::move(status), ended = std::move(ended),
                 then = std::move(then)]() mutable {
      if (status.ok()) {
        then();
        executor_->RunBlocking([this, store, id = ended->overview.id]() -> Mail {
          if (const absl::Status removed = store->RemoveJob(id); !removed.ok()) {
            LogWarning("dispatcher", ToStd(removed.message()));
          }
          return [this] { CleanUpBlobs(); };
        });
        return;
      }
      LogError("dispatcher", StrCat("cannot keep how a job ended: job=",
                                    ToString(ended->overview.id), ": ", ToStd(status.message())));
      if (absl::IsAborted(status)) return;
      executor_->PostAfter(kStoreRetryPause,
                           [this, ended = std::move(ended), then = std::move(then)]() mutable {
                             WriteResult(std::move(ended), std::move(then));
                           });
    });
  });
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
      done(NoSuchJobError(job_id));
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
      const absl::Status status = job->Cancel();
      if (status.ok()) KeepDescription(job_id, [](const absl::Status&) {});
      done(status);
    } else if (const EndedJob* const ended = FindEnded(job_id)) {
      const JobStatus status = ended->overview.status;
      done(status == JobStatus::kCanceled
               ? absl::OkStatus()
               : absl::FailedPreconditionError(
                     StrCat("the job cannot be cancelled, for it has ended: ", ToString(job_id),
                            " is ", JobStatusName(status))));
    } else {
      done(NoSuchJobError(job_id));
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

void Dispatcher::RequestScaling(JobId job_id, Callback<ScalingDetails> done) {
  AnswerByJob(
      job_id, std::move(done), [](JobMaster& job) { return job.Scaling(); },
      [](const EndedJob& job) { return job.scaling; });
}

void Dispatcher::UpdateRequirements(JobId job_id, ResourceRequirements requirements,
                                    StatusCallback done) {
  executor_->Post([this, job_id, requirements = std::move(requirements), done = std::move(done)] {
    if (const auto running = jobs_.find(job_id); running != jobs_.end()) {
      const std::shared_ptr<JobMaster> job = running->second;  // It may end by it.
      const absl::Status status = job->UpdateRequirements(requirements);
      if (status.ok()) {
        KeepDescription(job_id, done);
      } else {
        done(status);
      }
    } else if (FindEnded(job_id) != nullptr) {
      done(absl::FailedPreconditionError(
          StrCat("the job cannot be rescaled, for it has ended: ", ToString(job_id))));
    } else {
      done(NoSuchJobError(job_id));
    }
  });
}

void Dispatcher::KeepDescription(JobId job_id, StatusCallback done) {
  if (options_.job_store == nullptr || !jobs_.contains(job_id)) {
    done(absl::OkStatus());
    return;
  }
  DescriptionWrite& write = description_writes_[job_id];
  write.waiting.push_back(std::move(done));
  if (!write.is_under_way) WriteDescription(job_id);
}

// One write at a time, so that the newest is the last.
void Dispatcher::WriteDescription(JobId job_id) {
  DescriptionWrite& write = description_writes_[job_id];
  const auto job = jobs_.find(job_id);
  const std::vector<StatusCallback> waiting = std::exchange(write.waiting, {});
  if (job == jobs_.end()) {
    description_writes_.erase(job_id);  // It has ended meanwhile.
    for (const StatusCallback& done : waiting) done(absl::OkStatus());
    return;
  }
  write.is_under_way = true;
  executor_->RunBlocking([this, store = options_.job_store, job_id, waiting,
                          description = job->second->Description()] {
    return Mail([this, job_id, waiting, status = store->PutJob(description)] {
      DescriptionWrite& written = description_writes_[job_id];
      written.is_under_way = false;
      if (written.waiting.empty()) {
        description_writes_.erase(job_id);
      } else {
        WriteDescription(job_id);
      }
      for (const StatusCallback& done : waiting) {
        done(status.ok()
                 ? status
                 : absl::UnavailableError(StrCat("it is in effect, but cannot be kept for the next "
                                                 "JobManager; try again: ",
                                                 ToStd(status.message()))));
      }
    });
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
      done(NoSuchJobError(job_id));
    }
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

}  // namespace weir
