#include "jobmanager/job_manager.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "jobmanager/blob_store.h"
#include "jobmanager/ha/filesystem_ha_store.h"
#include "jobmanager/ha/high_availability.h"
#include "jobmanager/jar_store.h"
#include "jobmanager/job_builder.h"
#include "jobmanager/leader_session.h"
#include "jobmanager/rest/http_server.h"
#include "jobmanager/rest/rest_api.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/logging.h"
#include "runtime/base/mutex.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/metrics/prometheus_server.h"
#include "runtime/metrics/prometheus_text.h"

namespace weir {
namespace {

constexpr std::chrono::seconds kMetricsTimeout(3);
constexpr std::chrono::milliseconds kLeadRetryPause(500);

std::string ExecutableFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(StrCat("cannot create folder: ", path, ": ", error.message()));
}

std::string TemporaryFolder(const Configuration& configuration) {
  const std::string configured = configuration.Get(kIoTmpDirs);
  std::error_code error;
  return configured.empty() ? std::filesystem::temp_directory_path(error).string() : configured;
}

std::string FreshWorkingDir(const Configuration& configuration) {
  return StrCat(TemporaryFolder(configuration), "/weir-jobmanager-",
                ToString(RandomId<HexId<struct WorkingDirTag>>()));
}

// The same whenever this JobManager is started.
std::string LastingWorkingDir(const Configuration& configuration, const std::string& address,
                              uint16_t port) {
  return StrCat(TemporaryFolder(configuration), "/weir-jobmanager-", getuid(), "-", address, "-",
                port);
}

// Its name can be guessed, so it must not have been made by another user.
absl::Status MakePrivateFolder(const std::string& path) {
  RETURN_IF_ERROR(MakeFolder(std::filesystem::path(path).parent_path()));
  struct stat made = {};
  if ((mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) || lstat(path.c_str(), &made) != 0) {
    return absl::UnavailableError(
        StrCat("cannot create folder: ", path, ": ", std::strerror(errno)));
  }
  if (S_ISDIR(made.st_mode) && made.st_uid == geteuid()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("the working folder is another user's, or no folder; name another one by "
             "process.jobmanager.working-dir: ",
             path));
}

bool IsWildcard(std::string_view address) {
  return address.empty() || address == "0.0.0.0" || address == "::" || address == "[::]";
}

}  // namespace

JobManagerOptions JobManagerOptions::FromConfiguration(Configuration configuration) {
  JobManagerOptions options;
  options.bind_address = configuration.Get(kJobManagerRpcAddress);
  options.rest_bind_address = configuration.Get(kRestBindAddress);
  options.rest_port = static_cast<uint16_t>(configuration.Get(kRestPort));
  options.rpc_port = static_cast<uint16_t>(configuration.Get(kJobManagerRpcPort));
  options.checkpoint_dir = configuration.Get(kCheckpointingDir);
  options.metrics_ports = configuration.Get(kMetricsReporterPromPort);
  options.configuration = std::move(configuration);
  return options;
}

class JobManager::Impl final : public LeaderContender {
 public:
  explicit Impl(JobManagerOptions options) : options_(std::move(options)) {}
  ~Impl() override { Stop(); }

  absl::Status Start() {
    ASSIGN_OR_RETURN(file_systems_, FileSystems::FromConfiguration(options_.configuration));
    ASSIGN_OR_RETURN(high_availability_,
                     OpenHighAvailability(options_.configuration, SystemClock()));
    RETURN_IF_ERROR(FillDefaults());
    RETURN_IF_ERROR(OpenStores());
    if (!is_elected()) RETURN_IF_ERROR(LeadAlone());
    if (options_.rest_enabled) RETURN_IF_ERROR(StartRest());
    RETURN_IF_ERROR(StartPrometheus());
    LogInfo("jobmanager", StrCat("serving: rest=", options_.rest_bind_address, ":", rest_port(),
                                 " rpc=", options_.bind_address, ":", rpc_port(), " metrics_port=",
                                 metrics_port(), " checkpoints=", options_.checkpoint_dir));
    if (is_elected()) StartElection();
    return absl::OkStatus();
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    prometheus_.reset();
    if (http_server_ != nullptr) http_server_->Stop();
    if (election_.has_value()) election_->Stop();
    leadership_.Shutdown();
    if (const auto session = Session()) session->Stop();
    // Now that nothing acts for it any more.
    if (election_.has_value()) election_->Release();
    own_store_.reset();
    if (remove_working_dir_) {
      std::error_code ignored;
      std::filesystem::remove_all(options_.working_dir, ignored);
    }
  }

  uint16_t rest_port() const { return http_server_ == nullptr ? 0 : http_server_->port(); }
  uint16_t rpc_port() const {
    const std::shared_ptr<LeaderSession> session = Session();
    return session == nullptr ? options_.rpc_port : session->rpc_port();
  }
  uint16_t metrics_port() const { return prometheus_ == nullptr ? 0 : prometheus_->port(); }
  DispatcherGateway* gateway() const {
    const std::shared_ptr<LeaderSession> session = Session();
    return session == nullptr ? nullptr : session->gateway();
  }

  // LeaderContender:
  void OnGranted(std::shared_ptr<LeaderLease> lease) override {
    leadership_.Post([this, lease = std::move(lease)] { Lead(lease); });
  }
  void OnRevoked(const absl::Status&) override {
    leads_.store(false, std::memory_order_release);
    leadership_.Post([this] {
      if (const auto session = Session()) session->Stop();
    });
  }

 private:
  bool is_elected() const { return high_availability_.store != nullptr; }

  absl::Status FillDefaults() {
    RETURN_IF_ERROR(ChooseWorkingDir());
    // What is shared lies in the shared folder, the rest in this JobManager's own.
    const std::string& folder = is_elected() ? high_availability_.folder : options_.working_dir;
    if (options_.checkpoint_dir.empty()) options_.checkpoint_dir = StrCat(folder, "/checkpoints");
    // TaskManagers have other working directories.
    options_.checkpoint_dir = NormalizedPath(options_.checkpoint_dir);
    if (options_.builder_path.empty()) {
      options_.builder_path = StrCat(ExecutableFolder(), "/weir-job-builder");
    }
    if (options_.builtin_library_dir.empty()) {
      options_.builtin_library_dir =
          std::filesystem::path(StrCat(ExecutableFolder(), "/../lib/jobs")).lexically_normal();
    }
    upload_dir_ = options_.configuration.Get(kWebUploadDir);
    if (upload_dir_.empty()) upload_dir_ = StrCat(folder, "/jars");
    blob_dir_ = StrCat(folder, "/blobs");
    options_.configuration.Set(kCheckpointingDir, options_.checkpoint_dir);
    RETURN_IF_ERROR(PrepareFolder(options_.checkpoint_dir));
    RETURN_IF_ERROR(MakeFolder(StrCat(options_.working_dir, "/build")));
    upload_dir_ = NormalizedPath(upload_dir_);
    return PrepareFolder(upload_dir_);
  }

  // Makes a folder; of an object store it is looked whether it can be used, so that wrong keys or a
  // bucket that is missing are found before any job runs.
  absl::Status PrepareFolder(const std::string& folder) {
    if (!IsObjectPath(folder)) return MakeFolder(folder);
    const absl::Status status = file_systems_->List(folder).status();
    if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
    LogWarning("jobmanager",
               StrCat("the place of checkpoints cannot be reached yet: ", ToStd(status.message())));
    return absl::OkStatus();
  }

  absl::Status ChooseWorkingDir() {
    if (options_.working_dir.empty()) {
      options_.working_dir = options_.configuration.Get(kJobManagerWorkingDir);
    }
    if (!options_.working_dir.empty()) return absl::OkStatus();
    if (options_.rpc_port != 0 && !is_elected()) {
      options_.working_dir =
          LastingWorkingDir(options_.configuration, options_.bind_address, options_.rpc_port);
      return MakePrivateFolder(options_.working_dir);
    }
    // Nobody could find this process's jobs again: not even its TaskManagers find the next one.
    options_.working_dir = FreshWorkingDir(options_.configuration);
    options_.keep_jobs = false;
    // Checkpoints are to outlive the process: they may not be in a folder that goes with it.
    remove_working_dir_ = is_elected() || !options_.checkpoint_dir.empty();
    return absl::OkStatus();
  }

  absl::Status OpenStores() {
    const std::string copies = StrCat(options_.working_dir, "/copies");
    ASSIGN_OR_RETURN(blobs_, BlobStore::Open(blob_dir_, file_systems_, copies));
    builder_.emplace(options_.builder_path, StrCat(options_.working_dir, "/build"),
                     options_.configuration.Get(kJobBuilderTimeout));
    jars_ = std::make_unique<JarStore>(upload_dir_, options_.builtin_library_dir, &*builder_,
                                       file_systems_, copies);
    return absl::OkStatus();
  }

  // Without others: leads from the start to the end.
  absl::Status LeadAlone() {
    // Without anything kept, the clock tells which JobManager is younger.
    LeaderEpoch epoch(static_cast<uint64_t>(absl::ToUnixMillis(SystemClock()->Now())));
    if (options_.keep_jobs) {
      FilesystemHaStoreOptions store;
      store.folder = StrCat(options_.working_dir, "/ha");
      store.exclusive = true;
      ASSIGN_OR_RETURN(own_store_, FilesystemHaStore::Open(std::move(store), SystemClock()));
      ASSIGN_OR_RETURN(const std::optional<LeaderEpoch> acquired, own_store_->TryAcquire({}));
      if (!acquired.has_value()) {
        return absl::UnavailableError(
            StrCat("another process changed the folder of this JobManager "
                   "just now; start it again: ",
                   options_.working_dir));
      }
      epoch = *acquired;
    }
    ASSIGN_OR_RETURN(std::shared_ptr<LeaderSession> session,
                     StartSession(epoch, nullptr, own_store_.get()));
    SetSession(std::move(session));
    leads_.store(true, std::memory_order_release);
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<LeaderSession>> StartSession(
      LeaderEpoch epoch, std::shared_ptr<const LeaderLease> lease, HaStore* store) {
    LeaderSessionOptions session;
    session.configuration = options_.configuration;
    session.bind_address = options_.bind_address;
    session.rpc_port = options_.rpc_port;
    session.checkpoint_dir = options_.checkpoint_dir;
    session.epoch = epoch;
    session.lease = std::move(lease);
    session.store = store;
    session.file_systems = file_systems_;
    return LeaderSession::Start(std::move(session), &*blobs_, jars_.get(), &*builder_);
  }

  void StartElection() {
    LeaderInformation self;
    const std::string configured = options_.configuration.Get(kRestAddress);
    const bool is_default = options_.configuration.SourceOf(kRestAddress.key) == "default";
    own_rest_address_ =
        StrCat(is_default && !IsWildcard(options_.rest_bind_address) ? options_.rest_bind_address
                                                                     : configured,
               ":", rest_port());
    self.rest_address = own_rest_address_;
    self.rpc_address = StrCat(options_.bind_address, ":", options_.rpc_port);
    election_.emplace(high_availability_.election, high_availability_.store.get(), self, this,
                      SystemClock());
    election_->Start();
  }

  // On the leadership's thread. While it cannot lead although it may, nobody can: so it tries on.
  void Lead(const std::shared_ptr<LeaderLease>& lease) {
    while (lease->Holds()) {
      absl::StatusOr<std::shared_ptr<LeaderSession>> session =
          StartSession(lease->epoch(), lease, high_availability_.store.get());
      if (session.ok()) {
        SetSession(*std::move(session));
        if (lease->Holds()) leads_.store(true, std::memory_order_release);
        return;
      }
      LogError("jobmanager",
               StrCat("cannot take the lead, trying again: ", ToStd(session.status().message())));
      std::this_thread::sleep_for(kLeadRetryPause);
    }
  }

  // Any thread of the REST server. A standby sends who asks to the leader.
  std::optional<HttpResponse> Intercept(std::string_view target) const {
    // A process that was stopped sees its lease lapsed before anybody tells it so.
    if (leads_.load(std::memory_order_acquire) && Session()->leads()) return std::nullopt;
    const std::optional<LeaderInformation> leader =
        election_.has_value() ? election_->leader() : std::nullopt;
    if (!leader.has_value() || leader->rest_address == own_rest_address_) {
      HttpResponse response = ErrorResponse(
          503, "no JobManager leads at present; a new leader is being elected, try again soon");
      response.headers.emplace_back("Retry-After", "1");
      return response;
    }
    HttpResponse response = ErrorResponse(
        307, StrCat("this JobManager is a standby; the leader is at ", leader->rest_address));
    response.headers.emplace_back("Location", StrCat("http://", leader->rest_address, target));
    return response;
  }

  absl::Status StartRest() {
    HttpServerOptions http;
    http.bind_address = options_.rest_bind_address;
    http.port = options_.rest_port;
    if (is_elected()) {
      http.intercept = [this](std::string_view target) { return Intercept(target); };
    }
    RestApiOptions rest;
    LeaderGateway leader([this] {
      const std::shared_ptr<LeaderSession> session = Session();
      return std::shared_ptr<DispatcherGateway>(session, session->gateway());
    });
    ASSIGN_OR_RETURN(http_server_,
                     HttpServer::Start(http, MakeRestRouter(std::move(leader), rest)));
    return absl::OkStatus();
  }

  absl::Status StartPrometheus() {
    if (options_.metrics_ports.empty()) return absl::OkStatus();
    PrometheusServerOptions server;
    server.bind_address = options_.bind_address;
    ASSIGN_OR_RETURN(server.ports, ParsePortRange(options_.metrics_ports));
    absl::StatusOr<std::unique_ptr<PrometheusServer>> started =
        PrometheusServer::Start(server, [this] { return RenderMetrics(); });
    if (started.ok()) {
      prometheus_ = *std::move(started);
    } else {
      // As a reporter of Flink's: without it the process works all the same.
      LogWarning("jobmanager", ToStd(started.status().message()));
    }
    return absl::OkStatus();
  }

  // On the metrics server's thread, which may wait.
  std::string RenderMetrics() {
    if (!leads_.load(std::memory_order_acquire)) return RenderPrometheus({});
    using Reports = absl::StatusOr<std::vector<MetricReport>>;
    const auto answer = std::make_shared<std::promise<Reports>>();
    std::future<Reports> answered = answer->get_future();
    Session()->gateway()->RequestMetricReports(
        [answer](Reports reports) { answer->set_value(std::move(reports)); });
    if (answered.wait_for(kMetricsTimeout) != std::future_status::ready) {
      throw std::runtime_error("the JobManager's event loop did not answer in time");
    }
    const Reports reports = answered.get();
    if (!reports.ok()) throw std::runtime_error(std::string(ToStd(reports.status().message())));
    std::vector<const MetricReport*> pointers;
    for (const MetricReport& report : *reports) pointers.push_back(&report);
    return RenderPrometheus(pointers);
  }

  // The newest, stopped or not; null if this JobManager never led.
  std::shared_ptr<LeaderSession> Session() const {
    const MutexLock lock(&mutex_);
    return session_;
  }
  void SetSession(std::shared_ptr<LeaderSession> session) {
    std::shared_ptr<LeaderSession> earlier;  // Destroyed without the lock.
    const MutexLock lock(&mutex_);
    earlier = std::exchange(session_, std::move(session));
  }

  JobManagerOptions options_;
  std::shared_ptr<const FileSystems> file_systems_;
  HighAvailability high_availability_;
  std::string upload_dir_;
  std::string blob_dir_;
  std::string own_rest_address_;  // Written before the election begins.
  bool remove_working_dir_ = false;
  bool stopped_ = false;
  std::optional<BlobStore> blobs_;
  std::optional<JobBuilder> builder_;
  std::unique_ptr<JarStore> jars_;
  std::unique_ptr<HaStore> own_store_;
  std::atomic<bool> leads_{false};
  mutable Mutex mutex_;
  std::shared_ptr<LeaderSession> session_ ABSL_GUARDED_BY(mutex_);
  IoPool leadership_{"jm-lead", 1};  // Starts and stops sessions, while the election goes on.
  std::optional<LeaderElection> election_;
  std::unique_ptr<HttpServer> http_server_;
  std::unique_ptr<PrometheusServer> prometheus_;
};

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Start(JobManagerOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<JobManager>(new JobManager(std::move(impl)));
}

JobManager::JobManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

JobManager::~JobManager() = default;

void JobManager::Stop() { impl_->Stop(); }

uint16_t JobManager::rest_port() const { return impl_->rest_port(); }

uint16_t JobManager::rpc_port() const { return impl_->rpc_port(); }

uint16_t JobManager::metrics_port() const { return impl_->metrics_port(); }

DispatcherGateway* JobManager::gateway() const { return impl_->gateway(); }

}  // namespace weir
