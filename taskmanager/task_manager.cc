#include "taskmanager/task_manager.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/logging.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/metrics/process_statistics.h"
#include "runtime/metrics/prometheus_server.h"
#include "runtime/metrics/prometheus_text.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/data_client.h"
#include "runtime/network/data_server.h"
#include "runtime/network/network_threads.h"
#include "runtime/task/worker_pool.h"
#include "taskmanager/blob_cache.h"
#include "taskmanager/crash_handler.h"
#include "taskmanager/job_manager_connection.h"
#include "taskmanager/job_processes.h"
#include "taskmanager/job_registry.h"
#include "taskmanager/memory_guard.h"
#include "taskmanager/metrics_collector.h"
#include "taskmanager/owner_link.h"
#include "taskmanager/task_executor.h"
#include "taskmanager/timer_thread.h"
#include "taskmanager/working_folder.h"

namespace weir {
namespace {

constexpr int kIoThreads = 4;
constexpr int kCoordinatorThreads = 2;
constexpr int kBuilderThreads = 2;
// One that was stopped takes connections, but says nothing: the next one is asked soon.
constexpr absl::Duration kRegistrationTimeoutOfSeveral = absl::Seconds(2);

constexpr absl::Duration kCrashReportTimeout = absl::Milliseconds(800);
constexpr absl::Duration kCrashReportInterval = absl::Milliseconds(500);
constexpr absl::Duration kEarlierCrashInterval = absl::Seconds(2);
constexpr absl::Duration kMemoryWatchInterval = absl::Milliseconds(250);
constexpr int kExitOutOfMemory = 3;
// What a process takes before it has done anything, with huge pages and some room.
constexpr int64_t kProgramBytes = int64_t{96} << 20;

int NumCores() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

// Peers on the data plane are known by attempt ids, which nobody guesses; this only turns strangers
// away early.
constexpr std::string_view kClusterId = "weir";

DataServerOptions MakeServerOptions(const TaskManagerOptions& options) {
  DataServerOptions server;
  server.bind_address = options.host;
  server.port = options.data_port;
  server.cluster_id = std::string(kClusterId);
  server.compress = options.compress_batches;
  return server;
}

DataClientOptions MakeClientOptions() {
  DataClientOptions client;
  client.cluster_id = std::string(kClusterId);
  return client;
}

absl::StatusOr<std::shared_ptr<StateFileStore>> MakeStateStore(
    std::shared_ptr<const FileSystems> file_systems, JobId job, const std::string& folder) {
  if (folder.empty()) return absl::InvalidArgumentError("the job has no checkpoint folder");
  return std::make_shared<FileStateStore>(StrCat(folder, "/shared"), ToString(job),
                                          FileSharing::kLinkWherePossible, std::move(file_systems));
}

}  // namespace

TaskManagerOptions TaskManagerOptions::FromConfiguration(const Configuration& configuration) {
  TaskManagerOptions options;
  options.jobmanager_address =
      StrCat(configuration.Get(kJobManagerRpcAddress), ":", configuration.Get(kJobManagerRpcPort));
  if (std::string all = configuration.Get(kHighAvailabilityJobManagers); !all.empty()) {
    options.jobmanager_address = std::move(all);
  }
  options.host = configuration.Get(kTaskManagerHost);
  options.data_port = static_cast<uint16_t>(configuration.Get(kTaskManagerDataPort));
  options.num_slots = static_cast<uint32_t>(configuration.Get(kTaskManagerNumberOfTaskSlots));
  options.num_workers = static_cast<int>(configuration.Get(kTaskManagerWorkerThreads));
  options.memory_bytes = configuration.Get(kTaskManagerMemorySize).bytes();
  options.rocksdb = RocksDbOptions::FromConfiguration(configuration);
  options.channel_bytes = static_cast<size_t>(configuration.Get(kNetworkChannelBytes).bytes());
  options.buffer_debloat = {
      configuration.Get(kBufferDebloatEnabled), configuration.Get(kBufferDebloatTarget),
      configuration.Get(kBufferDebloatPeriod),
      static_cast<int>(configuration.Get(kBufferDebloatThresholdPercentages))};
  options.compress_batches = configuration.Get(kNetworkCompressionCodec) == "LZ4";
  options.temp_dir = configuration.Get(kIoTmpDirs);
  options.file_system_settings = configuration;
  options.jobmanager_loss_timeout = configuration.Get(kTaskManagerJobManagerLossTimeout);
  options.metrics_ports = configuration.Get(kMetricsReporterPromPort);
  options.metrics_interval = configuration.Get(kMetricsInterval);
  options.job_process_memory_limit = configuration.Get(kTaskManagerIsolationMemoryLimit);
  return options;
}

class TaskManager::Impl {
 public:
  Impl(TaskManagerOptions options, std::unique_ptr<WorkingFolder> folder,
       std::shared_ptr<const FileSystems> file_systems)
      : options_(std::move(options)),
        folder_(std::move(folder)),
        file_systems_(std::move(file_systems)),
        budget_(MemoryGuard::CountedBytes(options_.memory_bytes)),
        memory_guard_(&budget_),
        rocksdb_(ConfigureRocksDb(&budget_, options_.rocksdb)),
        workers_(options_.num_workers > 0 ? options_.num_workers : NumCores()),
        io_pool_("weir-io", kIoThreads),
        coordinator_pool_("weir-coord", kCoordinatorThreads),
        builder_pool_("weir-build", kBuilderThreads),
        control_pool_("weir-control", 1),
        strand_(&control_pool_),
        registry_(options_.channel_bytes, &budget_),
        data_server_(MakeServerOptions(options_), &network_, &registry_),
        data_client_(MakeClientOptions(), &network_),
        blobs_(options_.job_process.has_value() ? options_.job_process->blob_folder
                                                : StrCat(folder_->path(), "/blobs"),
               [this](const std::string& hash, const BlobCache::Sink& sink) {
                 return connection_->client().FetchBlob(hash, sink);
               }),
        jobs_(&blobs_, &builder_pool_, &timers_, options_.job_build_timeout) {}

  ~Impl() { static_cast<void>(Stop()); }

  absl::Status Start() {
    RETURN_IF_ERROR(data_server_.Start());
    if (options_.id.empty()) {
      struct TaskManagerTag;
      options_.id = StrCat(options_.host, ":", data_server_.port(), "-",
                           ToString(RandomId<HexId<TaskManagerTag>>()).substr(0, 6));
    }
    JobManagerConnectionOptions connection;
    connection.client.address = options_.jobmanager_address;
    if (options_.jobmanager_address.find(',') != std::string::npos) {
      connection.registration_timeout = kRegistrationTimeoutOfSeveral;
    }
    connection.description = {options_.id,
                              options_.host,
                              data_server_.port(),
                              options_.num_slots,
                              static_cast<uint32_t>(NumCores()),
                              options_.memory_bytes};
    connection.description.isolates_jobs = !options_.job_process_command.empty();
    if (options_.job_process.has_value()) {
      connection.description.owner_id = options_.job_process->owner_id;
      connection.description.job = options_.job_process->job;
      connection.only_once = true;
    }
    connection.cancellation_timeout = options_.cancellation_timeout;
    connection.jobmanager_loss_timeout = options_.jobmanager_loss_timeout;
    metrics_.emplace(ProcessSources{options_.id, options_.host, &budget_, &data_server_.counters(),
                                    &data_client_.counters()});
    connection_.emplace(std::move(connection), &strand_, &timers_, &budget_,
                        [this](const absl::Status& reason) { Terminate(reason); });
    if (!options_.job_process_command.empty()) MakeProcesses();
    executor_.emplace(MakeEnvironment(), &strand_);
    RETURN_IF_ERROR(StartMetrics());
    if (options_.handle_crashes) HandleCrashes();
    if (options_.owns_process) ScheduleMemoryCheck(absl::ZeroDuration());
    if (options_.job_process.has_value()) FollowOwner(*options_.job_process);
    connection_->Start(&*executor_);
    LogInfo("taskmanager",
            StrCat("started: id=", options_.id, " jobmanager=", options_.jobmanager_address,
                   " slots=", options_.num_slots, " workers=", workers_.num_workers(),
                   " data_port=", data_server_.port(), " metrics_port=", metrics_port()));
    return absl::OkStatus();
  }

  absl::Status Stop() {
    {
      const MutexLock lock(&mutex_);
      while (stopping_) stopped_changed_.Wait(&mutex_);
      if (stopped_) return absl::OkStatus();
      stopping_ = true;
    }
    owner_link_.reset();
    prometheus_.reset();
    crash_handler_.reset();
    if (processes_.has_value()) processes_->Stop();
    // Tasks first, then what they stand on, from the top down.
    absl::Status status = connection_.has_value() ? connection_->Stop() : absl::OkStatus();
    timers_.Shutdown();
    if (status.ok()) {
      builder_pool_.Shutdown();
      workers_.Shutdown();
      coordinator_pool_.Shutdown();
      data_client_.Stop();
      data_server_.Stop();
      network_.Stop();
      io_pool_.Shutdown();
      control_pool_.Shutdown();
    }
    const MutexLock lock(&mutex_);
    stopping_ = false;
    stopped_ = true;
    if (!terminated_.has_value()) terminated_ = absl::OkStatus();
    stopped_changed_.SignalAll();
    return status;
  }

  absl::Status WaitForTermination() {
    const MutexLock lock(&mutex_);
    while (!terminated_.has_value()) stopped_changed_.Wait(&mutex_);
    return *terminated_;
  }

  [[nodiscard]] const std::string& id() const { return options_.id; }
  [[nodiscard]] uint16_t data_port() const { return data_server_.port(); }
  [[nodiscard]] uint16_t metrics_port() const {
    return prometheus_ == nullptr ? 0 : prometheus_->port();
  }
  [[nodiscard]] uint64_t num_stale_messages() const { return connection_->num_stale_messages(); }

 private:
  [[nodiscard]] std::string CrashFolder() const {
    if (options_.job_process.has_value()) return options_.job_process->crash_folder;
    return std::filesystem::path(folder_->path()).parent_path().string();
  }

  // The leader's first, separated by commas.
  [[nodiscard]] std::string JobManagerAddresses() {
    const std::string leader = connection_->client().address();
    std::string addresses = leader;
    for (const std::string& address : connection_->client().addresses()) {
      if (address != leader) addresses += StrCat(",", address);
    }
    return addresses;
  }

  void MakeProcesses() {
    JobProcessesOptions processes;
    processes.command = options_.job_process_command;
    processes.task_manager_id = options_.id;
    processes.work_folder = StrCat(folder_->path(), "/processes");
    processes.blob_folder = StrCat(folder_->path(), "/blobs");
    processes.crash_folder = CrashFolder();
    processes.memory_bytes = options_.memory_bytes;
    processes.num_slots = options_.num_slots;
    processes.budget = &budget_;
    processes.report = [this](const CrashReport& report, const std::string& crash_file) {
      TellOfCrash(report, crash_file);
    };
    processes_.emplace(std::move(processes), &timers_);
  }

  // The process of a job ends with the TaskManager that started it, and has the memory it is given.
  void FollowOwner(const JobProcessOptions& process) {
    memory_bytes_.store(options_.memory_bytes, std::memory_order_relaxed);
    OwnerLinkHandlers handlers;
    handlers.memory = [this](int64_t bytes) {
      memory_bytes_.store(bytes, std::memory_order_relaxed);
      budget_.SetLimit(MemoryGuard::CountedBytes(bytes));
    };
    handlers.metrics = [this] { return metrics_->RenderPrometheus(); };
    handlers.end = [this] { Terminate(absl::OkStatus()); };
    owner_link_ = std::make_unique<OwnerLink>(process.link, std::move(handlers));
    if (options_.job_process_memory_limit > 0) WatchMemory();
  }

  // What user code takes is in no budget. It must not take it from the other jobs.
  void WatchMemory() {
    timers_.ScheduleAfter(kMemoryWatchInterval, [this] {
      const auto memory = static_cast<double>(memory_bytes_.load(std::memory_order_relaxed));
      const int64_t limit =
          static_cast<int64_t>(memory * options_.job_process_memory_limit) + kProgramBytes;
      const int64_t resident = ReadResidentBytes();
      if (resident <= limit) {
        WatchMemory();
      } else {
        io_pool_.Post([this, resident, limit] { DieOfMemory(resident, limit); });
      }
    });
  }

  [[noreturn]] void DieOfMemory(int64_t resident, int64_t limit) {
    CrashReport report;
    report.task_manager_id = options_.id;
    report.pid = getpid();
    report.job = options_.job_process->job;
    report.signal = "OutOfMemory";
    report.text = StrCat(
        "the job's process takes more memory than its slots' share allows, so it was ended: its "
        "code may hold or leak memory that weir does not count; give the job more slots, raise "
        "taskmanager.memory.size or taskmanager.isolation.process.memory-limit: resident_bytes=",
        resident, " limit_bytes=", limit,
        " share_bytes=", memory_bytes_.load(std::memory_order_relaxed),
        " counted_bytes=", budget_.used_bytes());
    LogError("taskmanager", report.text);
    static_cast<void>(connection_->ReportCrash(report, kCrashReportTimeout));
    _exit(kExitOutOfMemory);
  }

  void HandleCrashes() {
    const std::string folder = CrashFolder();
    absl::StatusOr<std::unique_ptr<CrashHandler>> handler =
        CrashHandler::Install({folder, options_.id, [this](CrashReport report) {
                                 // In a job's process also threads of its own are its code.
                                 if (report.job == JobId() && options_.job_process.has_value()) {
                                   report.job = options_.job_process->job;
                                 }
                                 return connection_->ReportCrash(report, kCrashReportTimeout);
                               }});
    if (handler.ok()) {
      crash_handler_ = *std::move(handler);
    } else {
      LogWarning("taskmanager", ToStd(handler.status().message()));
    }
    if (!options_.job_process.has_value()) ReportEarlierCrashes(folder);
  }

  // There may be no JobManager now; the next one is to know.
  void TellOfCrash(const CrashReport& report, const std::string& crash_file) {
    if (!crash_file.empty() && IsCrashReported(crash_file)) return;
    if (connection_->ReportCrash(report, kCrashReportTimeout)) {
      if (!crash_file.empty()) MarkCrashReported(crash_file);
      return;
    }
    timers_.ScheduleAfter(kCrashReportInterval, [this, report, crash_file] {
      io_pool_.Post([this, report, crash_file] { TellOfCrash(report, crash_file); });
    });
  }

  // Those of processes that could not tell of it themselves.
  void ReportEarlierCrashes(const std::string& folder) {
    if (FindUnreportedCrashes(folder).empty()) return;
    timers_.ScheduleAfter(kEarlierCrashInterval, [this, folder] {
      io_pool_.Post([this, folder] {
        for (const std::string& path : FindUnreportedCrashes(folder)) {
          const absl::StatusOr<CrashReport> report = ReadCrashFile(path);
          if (report.ok() && !connection_->ReportCrash(*report, kCrashReportTimeout)) continue;
          MarkCrashReported(path);  // So is what is no crash file.
        }
        ReportEarlierCrashes(folder);
      });
    });
  }

  void Terminate(const absl::Status& reason) {
    const MutexLock lock(&mutex_);
    if (!terminated_.has_value()) terminated_ = reason;
    stopped_changed_.SignalAll();
  }

  absl::Status StartMetrics() {
    ScheduleMetrics();
    if (options_.metrics_ports.empty()) return absl::OkStatus();
    PrometheusServerOptions server;
    server.bind_address = options_.host;
    ASSIGN_OR_RETURN(server.ports, ParsePortRange(options_.metrics_ports));
    absl::StatusOr<std::unique_ptr<PrometheusServer>> started =
        PrometheusServer::Start(server, [this] {
          std::vector<std::string> texts;
          if (processes_.has_value()) texts = processes_->RenderMetrics();
          texts.insert(texts.begin(), metrics_->RenderPrometheus());
          return MergePrometheusTexts(texts);
        });
    if (started.ok()) {
      prometheus_ = *std::move(started);
    } else {
      // As a reporter of Flink's: without it the process works all the same.
      LogWarning("taskmanager", ToStd(started.status().message()));
    }
    return absl::OkStatus();
  }

  void ScheduleMemoryCheck(absl::Duration delay) {
    if (delay == absl::InfiniteDuration()) return;
    timers_.ScheduleAfter(
        delay, [this] { strand_.Post([this] { ScheduleMemoryCheck(memory_guard_.Check()); }); });
  }

  void ScheduleMetrics() {
    timers_.ScheduleAfter(options_.metrics_interval, [this] {
      strand_.Post([this] {
        metrics_->Collect(MonotonicNanos(), SystemClock()->Now());
        connection_->SendMetrics(*metrics_->Latest());
        ScheduleMetrics();
      });
    });
  }

  TaskExecutorEnvironment MakeEnvironment() {
    TaskExecutorEnvironment environment;
    environment.workers = &workers_;
    environment.io_pool = &io_pool_;
    environment.coordinator_pool = &coordinator_pool_;
    environment.memory_budget = &budget_;
    environment.clock = SystemClock();
    environment.timers = &timers_;
    environment.jobs = &jobs_;
    environment.channels = {options_.id, &registry_, &data_client_, &budget_,
                            options_.channel_bytes};
    environment.state_store = [file_systems = file_systems_](JobId job, const std::string& dir) {
      return MakeStateStore(file_systems, job, dir);
    };
    environment.buffer_debloat = options_.buffer_debloat;
    environment.local_dir = StrCat(folder_->path(), "/jobs");
    environment.reports = &*connection_;
    environment.metrics = &*metrics_;
    environment.commit_lease = &*connection_;
    if (processes_.has_value()) environment.processes = &*processes_;
    environment.jobmanager_addresses = [this] { return JobManagerAddresses(); };
    return environment;
  }

  // In the order of dependence: each may use those above it.
  TaskManagerOptions options_;
  const std::unique_ptr<WorkingFolder> folder_;
  const std::shared_ptr<const FileSystems> file_systems_;
  MemoryBudget budget_;
  MemoryGuard memory_guard_;                   // On the strand.
  const std::shared_ptr<const void> rocksdb_;  // The set-up of the databases that charge budget_.
  TimerThread timers_;
  WorkerPool workers_;
  IoPool io_pool_;
  IoPool coordinator_pool_;
  IoPool builder_pool_;  // Of its own: a Build that does not end must not hold up state or commits.
  IoPool control_pool_;
  IoStrand strand_;
  NetworkThreads network_;
  ChannelRegistry registry_;
  DataServer data_server_;
  DataClient data_client_;
  BlobCache blobs_;
  JobRegistry jobs_;
  std::optional<MetricsCollector> metrics_;
  std::optional<JobManagerConnection> connection_;
  std::optional<JobProcesses> processes_;
  std::optional<TaskExecutor> executor_;
  std::unique_ptr<CrashHandler> crash_handler_;
  std::unique_ptr<PrometheusServer> prometheus_;
  std::atomic<int64_t> memory_bytes_{0};  // Of the process of a job.
  std::unique_ptr<OwnerLink> owner_link_;

  Mutex mutex_;
  CondVar stopped_changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> terminated_ ABSL_GUARDED_BY(mutex_);
};

TaskManager::TaskManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TaskManager::~TaskManager() = default;

absl::StatusOr<std::unique_ptr<TaskManager>> TaskManager::Start(TaskManagerOptions options) {
  ASSIGN_OR_RETURN(std::unique_ptr<WorkingFolder> folder, WorkingFolder::Create(options.temp_dir));
  ASSIGN_OR_RETURN(std::shared_ptr<const FileSystems> file_systems,
                   FileSystems::FromConfiguration(options.file_system_settings));
  auto impl =
      std::make_unique<Impl>(std::move(options), std::move(folder), std::move(file_systems));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<TaskManager>(new TaskManager(std::move(impl)));
}

void TaskManager::WarmUp() { ControlClient::WarmUp(); }

absl::Status TaskManager::Stop() { return impl_->Stop(); }
absl::Status TaskManager::WaitForTermination() { return impl_->WaitForTermination(); }
const std::string& TaskManager::id() const { return impl_->id(); }
uint16_t TaskManager::data_port() const { return impl_->data_port(); }
uint16_t TaskManager::metrics_port() const { return impl_->metrics_port(); }
uint64_t TaskManager::num_stale_messages() const { return impl_->num_stale_messages(); }

}  // namespace weir
