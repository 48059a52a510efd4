#include "tests/jobmanager/rest/fake_dispatcher.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "runtime/base/strings.h"

namespace weir {
namespace {

absl::Time Ago(int64_t milliseconds) {
  return FakeDispatcher::Now() - absl::Milliseconds(milliseconds);
}

absl::Status UnknownJob(JobId job_id) {
  return absl::NotFoundError(StrCat("Job ", ToString(job_id), " not found"));
}

bool IsKnown(JobId job_id) { return job_id == FakeDispatcher::KnownJob(); }

SubtaskDetails MakeSubtask(uint32_t index) {
  SubtaskDetails subtask;
  subtask.index = index;
  subtask.state = ExecutionState::kRunning;
  subtask.timestamps[ExecutionState::kCreated] = Ago(1000);
  subtask.timestamps[ExecutionState::kScheduled] = Ago(990);
  subtask.timestamps[ExecutionState::kDeploying] = Ago(950);
  subtask.timestamps[ExecutionState::kInitializing] = Ago(900);
  subtask.timestamps[ExecutionState::kRunning] = Ago(800);
  subtask.endpoint = "127.0.0.1:42815";
  subtask.taskmanager_id = "127.0.0.1:39319-6b3827";
  subtask.metrics.read_records = 100 + index;
  subtask.metrics.busy_time = absl::Milliseconds(400);
  subtask.ratios = {.backpressured = index == 0 ? 0.0 : 0.3, .idle = 0.5, .busy = 0.2};
  subtask.current_input_watermark_ms = 145816;
  return subtask;
}

VertexDetails MakeVertex(JobVertexId id, std::string name) {
  VertexDetails vertex{.id = id, .name = std::move(name), .parallelism = 2};
  vertex.subtasks = {MakeSubtask(0), MakeSubtask(1)};
  return vertex;
}

JobDetails MakeJob() {
  JobDetails job{.id = FakeDispatcher::KnownJob(),
                 .name = "golden",
                 .status = JobStatus::kRunning,
                 .start_time = Ago(1200)};
  job.timestamps[JobStatus::kInitializing] = Ago(1200);
  job.timestamps[JobStatus::kCreated] = Ago(1100);
  job.timestamps[JobStatus::kRunning] = Ago(1050);
  job.vertices = {MakeVertex(FakeDispatcher::Source(), "Source: gen -> map"),
                  MakeVertex(FakeDispatcher::Sink(), "win -> sink: Writer")};
  job.plan.nodes = {
      {.id = FakeDispatcher::Source(),
       .parallelism = 2,
       .description = "Source: gen<br/>+- map<br/>"},
      {.id = FakeDispatcher::Sink(),
       .parallelism = 2,
       .description = "win<br/>+- sink: Writer<br/>",
       .inputs = {{.source = FakeDispatcher::Source(), .num = 0, .ship_strategy = "HASH"}}}};
  job.execution_config = {.restart_strategy = "exponential-delay", .parallelism = 2};
  return job;
}

TaskCheckpointStatistics MakeTask(JobVertexId id) {
  TaskCheckpointStatistics task{.vertex_id = id};
  for (uint32_t i = 0; i < 2; ++i) {
    SubtaskCheckpointStatistics subtask{.index = i, .ack_time = Ago(100 - i)};
    subtask.end_to_end_duration = absl::Milliseconds(20 + i);
    subtask.checkpointed_size_bytes = 1000;
    subtask.state_size_bytes = 4000;
    task.subtasks.push_back(subtask);
  }
  return task;
}

CheckpointDetails MakeCheckpoint(uint64_t id) {
  CheckpointDetails checkpoint{
      .id = CheckpointId(id), .status = CheckpointStatus::kCompleted, .trigger_time = Ago(121)};
  checkpoint.tasks = {MakeTask(FakeDispatcher::Source()), MakeTask(FakeDispatcher::Sink())};
  checkpoint.external_path = StrCat("file:/checkpoints/chk-", id);
  return checkpoint;
}

TaskManagerInfo MakeTaskManager() {
  TaskManagerInfo info{.id = "127.0.0.1:39319-6b3827",
                       .path = "127.0.0.1:39319",
                       .data_port = 42815,
                       .last_heartbeat = Ago(10),
                       .num_slots = 4,
                       .num_free_slots = 2};
  info.total_resource = {.cpu_cores = 4, .task_heap_bytes = 300 << 20};
  info.free_resource = {.cpu_cores = 2, .task_heap_bytes = 150 << 20};
  info.num_cpu_cores = 2;
  info.allocated_slots = {{.job_id = FakeDispatcher::KnownJob(), .resource = {.cpu_cores = 1}}};
  return info;
}

MetricReport MakeMetrics(const std::vector<std::pair<std::string, double>>& metrics) {
  MetricReportBuilder report("", "");
  for (const auto& [name, value] : metrics) report.Add(name, value);
  return report.Finish();
}

}  // namespace

FakeDispatcher::FakeDispatcher() = default;

void FakeDispatcher::HoldOverviews() {
  const MutexLock lock(&mutex_);
  hold_overviews_ = true;
}

std::vector<DispatcherGateway::Callback<ClusterOverview>> FakeDispatcher::TakeHeldOverviews() {
  const MutexLock lock(&mutex_);
  return std::exchange(held_, {});
}

void FakeDispatcher::ThrowOnTaskManagers() {
  const MutexLock lock(&mutex_);
  throw_on_taskmanagers_ = true;
}

std::vector<JobId> FakeDispatcher::cancelled() const {
  const MutexLock lock(&mutex_);
  return cancelled_;
}

std::optional<SavepointRequest> FakeDispatcher::last_savepoint() const {
  const MutexLock lock(&mutex_);
  return last_savepoint_;
}

std::optional<JarRunRequest> FakeDispatcher::last_run() const {
  const MutexLock lock(&mutex_);
  return last_run_;
}

std::map<std::string, std::string> FakeDispatcher::uploads() const {
  const MutexLock lock(&mutex_);
  return uploads_;
}

std::string FakeDispatcher::last_upload_path() const {
  const MutexLock lock(&mutex_);
  return last_upload_path_;
}

void FakeDispatcher::RequestClusterOverview(Callback<ClusterOverview> done) {
  {
    const MutexLock lock(&mutex_);
    if (hold_overviews_) {
      held_.push_back(std::move(done));
      return;
    }
  }
  done(ClusterOverview{
      .num_taskmanagers = 1, .num_slots = 4, .num_free_slots = 2, .num_jobs_running = 1});
}

void FakeDispatcher::RequestJobs(Callback<std::vector<JobOverview>> done) {
  JobOverview job{
      .id = KnownJob(), .name = "golden", .status = JobStatus::kRunning, .start_time = Ago(1200)};
  job.last_modification = Ago(800);
  job.task_counts[ExecutionState::kRunning] = 4;
  done(std::vector<JobOverview>{job});
}

void FakeDispatcher::RequestJob(JobId job_id, Callback<JobDetails> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  done(MakeJob());
}

void FakeDispatcher::RequestJobResult(JobId job_id, Callback<JobResult> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  JobResult result{.id = job_id, .status = JobStatus::kRunning};
  if (!cancelled().empty()) result.status = JobStatus::kCanceled;
  done(result);
}

void FakeDispatcher::CancelJob(JobId job_id, StatusCallback done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  {
    const MutexLock lock(&mutex_);
    cancelled_.push_back(job_id);
  }
  done(absl::OkStatus());
}

std::optional<ResourceRequirements> FakeDispatcher::last_requirements() const {
  const MutexLock lock(&mutex_);
  return last_requirements_;
}

void FakeDispatcher::RequestScaling(JobId job_id, Callback<ScalingDetails> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  ScalingDetails scaling{.id = job_id,
                         .status = JobStatus::kRunning,
                         .scheduler = "adaptive",
                         .reason = "the job runs with another parallelism than is wanted",
                         .wanted_slots = 4,
                         .available_slots = 2};
  scaling.vertices = {{.id = Source(),
                       .name = "Source: gen -> map",
                       .parallelism = 2,
                       .max_parallelism = 128,
                       .wanted = {1, 4},
                       .parallelism_configured = true},
                      {.id = Sink(),
                       .name = "win -> sink: Writer",
                       .parallelism = 2,
                       .max_parallelism = 128,
                       .wanted = {2, 4}}};
  scaling.num_rescales = 1;
  scaling.history = {{.number = 2,
                      .cause = RescaleCause::kNewResourceAvailable,
                      .reason = "slots have become available",
                      .begin = Ago(300),
                      .phases = {{.phase = RescalePhase::kCheckpoint, .begin = Ago(300)}}},
                     {.number = 1,
                      .cause = RescaleCause::kUpdateRequirement,
                      .result = RescaleResult::kCompleted,
                      .reason = "other resource requirements were asked for",
                      .begin = Ago(900),
                      .end = Ago(400),
                      .checkpoint = 7,
                      .phases = {{RescalePhase::kCheckpoint, Ago(900), Ago(700)},
                                 {RescalePhase::kStop, Ago(700), Ago(600)},
                                 {RescalePhase::kStart, Ago(600), Ago(400)}},
                      .vertices = {{.id = Source(),
                                    .name = "Source: gen -> map",
                                    .slot_sharing_group = "default",
                                    .wanted = {1, 2},
                                    .before = 1,
                                    .after = 2}}}};
  done(std::move(scaling));
}

void FakeDispatcher::UpdateRequirements(JobId job_id, ResourceRequirements requirements,
                                        StatusCallback done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  if (!requirements.contains(Sink())) {
    return done(absl::InvalidArgumentError("a vertex is missing"));
  }
  {
    const MutexLock lock(&mutex_);
    last_requirements_ = std::move(requirements);
  }
  done(absl::OkStatus());
}

void FakeDispatcher::RequestExceptions(JobId job_id, size_t max_entries,
                                       Callback<ExceptionHistory> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  ExceptionHistory history;
  history.entries = {{.exception_name = "UNAVAILABLE",
                      .stacktrace = "TaskManager with id x is no longer reachable.",
                      .time = Ago(500)}};
  history.truncated = max_entries < history.entries.size();
  done(history);
}

void FakeDispatcher::RequestCheckpoints(JobId job_id, Callback<CheckpointStatistics> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  CheckpointStatistics statistics;
  statistics.counts = {.total = 2, .completed = 2};
  statistics.latest_completed = MakeCheckpoint(2);
  statistics.history = {MakeCheckpoint(2), MakeCheckpoint(1)};
  statistics.summary.state_size = Summarize({4000, 8000});
  done(statistics);
}

void FakeDispatcher::RequestCheckpointDetails(JobId job_id, CheckpointId checkpoint_id,
                                              Callback<CheckpointDetails> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  if (checkpoint_id.value() > 2) {
    return done(absl::NotFoundError(
        StrCat("Could not find checkpointing statistics for checkpoint ", checkpoint_id.value())));
  }
  done(MakeCheckpoint(checkpoint_id.value()));
}

void FakeDispatcher::RequestCheckpointConfig(JobId job_id, Callback<CheckpointConfig> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  done(CheckpointConfig());
}

void FakeDispatcher::TriggerCheckpoint(JobId job_id, Callback<CheckpointId> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  done(CheckpointId(3));
}

void FakeDispatcher::ResolveSavepointDirectory(JobId job_id, std::string given,
                                               Callback<std::string> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  if (given.empty()) return done(absl::InvalidArgumentError("no directory is set"));
  done(std::move(given));
}

void FakeDispatcher::TriggerSavepoint(JobId job_id, SavepointRequest request,
                                      Callback<std::string> done) {
  if (!IsKnown(job_id)) return done(UnknownJob(job_id));
  {
    const MutexLock lock(&mutex_);
    last_savepoint_ = request;
  }
  if (request.target_directory == "/full") return done(absl::ResourceExhaustedError("disk full"));
  done(StrCat(request.target_directory, "/savepoint-40b817-0123456789ab"));
}

void FakeDispatcher::RequestFormerSavepoint(JobId, std::string operation_id,
                                            Callback<std::string> done) {
  if (operation_id == kFormerSavepoint) return done("/s/savepoint-former");
  if (operation_id == kLostSavepoint) return done(absl::AbortedError("the JobManager was lost"));
  done(absl::NotFoundError("no such operation"));
}

void FakeDispatcher::DisposeSavepoint(std::string path, StatusCallback done) {
  done(path == "/missing" ? absl::NotFoundError("there is no savepoint at /missing")
                          : absl::OkStatus());
}

void FakeDispatcher::RequestTaskManagers(Callback<std::vector<TaskManagerInfo>> done) {
  {
    const MutexLock lock(&mutex_);
    if (throw_on_taskmanagers_) throw std::runtime_error("a bug of the gateway");
  }
  done(std::vector<TaskManagerInfo>{MakeTaskManager()});
}

void FakeDispatcher::RequestTaskManager(std::string taskmanager_id,
                                        Callback<TaskManagerInfo> done) {
  if (taskmanager_id != MakeTaskManager().id) {
    return done(absl::NotFoundError(StrCat("No TaskManager registered under ", taskmanager_id)));
  }
  done(MakeTaskManager());
}

// The numbers are those of the recorded answers.
void FakeDispatcher::RequestMetrics(MetricQuery query, Callback<std::vector<ScopeMetrics>> done) {
  std::vector<ScopeMetrics> metrics;
  const bool known_job =
      query.job_ids.empty() ||
      std::find(query.job_ids.begin(), query.job_ids.end(), KnownJob()) != query.job_ids.end();
  switch (query.scope) {
    case MetricQuery::Scope::kJobManager:
      metrics.push_back(
          {0, MakeMetrics({{"taskSlotsTotal", 4}, {"taskSlotsAvailable", 2}, {"load", 0.25}})});
      break;
    case MetricQuery::Scope::kTaskManagers:
      if (query.taskmanager_ids.empty() || query.taskmanager_ids.front() == MakeTaskManager().id) {
        metrics.push_back({0, MakeMetrics({{"Status.JVM.Memory.Heap.Used", 127856112},
                                           {"Status.JVM.Memory.Heap.Max", 384827392},
                                           {"Status.JVM.CPU.Load", 0.25},
                                           {"Status.Flink.Memory.Managed.Used", 1048576}})});
      }
      break;
    case MetricQuery::Scope::kJobs:
      if (!known_job) break;
      for (const double uptime : {250799.0, 285610.0}) {
        if (!query.job_ids.empty() && uptime > 250799) break;
        MetricReportBuilder report("", "");
        report.Add("numRestarts", 0);
        report.Add("lastCheckpointDuration", 3878);
        report.Add("uptime", uptime);
        report.AddText("lastCheckpointExternalPath", "file:/checkpoints/chk-2");
        metrics.push_back({0, report.Finish()});
      }
      break;
    case MetricQuery::Scope::kSubtasks:
      if (!known_job || (query.vertex_id != Sink() && query.vertex_id != Source())) break;
      metrics.push_back({0, MakeMetrics({{"numRecordsInPerSecond", 231.98333333333332},
                                         {"busyTimeMsPerSecond", 585},
                                         {"win.numLateRecordsDropped", 3}})});
      metrics.push_back({1, MakeMetrics({{"numRecordsInPerSecond", 232.11666666666667},
                                         {"busyTimeMsPerSecond", 509},
                                         {"win.numLateRecordsDropped", 0}})});
      break;
    case MetricQuery::Scope::kCoordinators:
      if (known_job && query.vertex_id == Source()) {
        metrics.push_back(
            {0, MakeMetrics({{"Source__gen.coordinator.enumerator.unassignedSplits", 7}})});
      }
      break;
  }
  done(std::move(metrics));
}

void FakeDispatcher::RequestMetricReports(Callback<std::vector<MetricReport>> done) {
  MetricReportBuilder report("flink_jobmanager", PrometheusLabel("host", "127.0.0.1"));
  report.Add("taskSlotsTotal", 4);
  done(std::vector<MetricReport>{report.Finish()});
}

void FakeDispatcher::RequestConfig(Callback<std::vector<ConfigurationEntry>> done) {
  done(std::vector<ConfigurationEntry>{{.key = "rest.port", .value = "8081"},
                                       {.key = "s3.secret-key", .value = "hidden"}});
}

void FakeDispatcher::UploadJar(std::string name, std::string path, Callback<std::string> done) {
  std::ifstream file(path, std::ios::binary);
  {
    const MutexLock lock(&mutex_);
    last_upload_path_ = path;
    uploads_[name] = std::string(std::istreambuf_iterator<char>(file), {});
  }
  done(StrCat("0123_", name));
}

void FakeDispatcher::ListJars(Callback<std::vector<JarFile>> done) {
  done(std::vector<JarFile>{{.id = "ndr",
                             .name = "ndr",
                             .uploaded = Ago(0),
                             .entries = {{.name = "ndr", .description = "lateral movement"}}}});
}

void FakeDispatcher::DeleteJar(std::string jar_id, StatusCallback done) {
  if (jar_id == "ndr") return done(absl::FailedPreconditionError("ndr is shipped with weir"));
  done(absl::NotFoundError(StrCat("File ", jar_id, " does not exist.")));
}

void FakeDispatcher::RunJar(JarRunRequest request, Callback<JobId> done) {
  const bool known = request.jar_id == "ndr";
  {
    const MutexLock lock(&mutex_);
    last_run_ = std::move(request);
  }
  if (!known) return done(absl::NotFoundError("Jar file does not exist"));
  done(KnownJob());
}

}  // namespace weir
