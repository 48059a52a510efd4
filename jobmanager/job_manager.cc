#include "jobmanager/job_manager.h"

#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "jobmanager/blob_store.h"
#include "jobmanager/control_server.h"
#include "jobmanager/dispatcher.h"
#include "jobmanager/event_loop.h"
#include "jobmanager/jar_store.h"
#include "jobmanager/job_builder.h"
#include "jobmanager/rest/http_server.h"
#include "jobmanager/rest/rest_api.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/logging.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"
#include "runtime/base/weir_options.h"
#include "runtime/graph/job_library.h"
#include "runtime/metrics/prometheus_server.h"
#include "runtime/metrics/prometheus_text.h"

namespace weir {
namespace {

constexpr int kIoThreads = 4;
constexpr std::chrono::seconds kMetricsTimeout(3);

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

std::string FreshWorkingDir(const Configuration& configuration) {
  std::string parent = configuration.Get(kIoTmpDirs);
  std::error_code error;
  if (parent.empty()) parent = std::filesystem::temp_directory_path(error);
  return StrCat(parent, "/weir-jobmanager-", ToString(RandomId<HexId<struct WorkingDirTag>>()));
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

class JobManager::Impl {
 public:
  explicit Impl(JobManagerOptions options)
      : options_(std::move(options)),
        io_pool_("jm-io", kIoThreads),
        loop_(SystemClock(), &io_pool_) {}
  ~Impl() { Stop(); }

  absl::Status Start() {
    RETURN_IF_ERROR(FillDefaults());
    RETURN_IF_ERROR(StartDispatcher());
    ASSIGN_OR_RETURN(
        control_server_,
        ControlServer::Start({.bind_address = options_.bind_address,
                              .port = options_.rpc_port,
                              .keepalive = options_.configuration.Get(kHeartbeatTimeout)},
                             &loop_, &*blobs_, dispatcher_.get()));
    if (options_.rest_enabled) RETURN_IF_ERROR(StartRest());
    RETURN_IF_ERROR(StartPrometheus());
    LogInfo("jobmanager", StrCat("serving: rest=", options_.rest_bind_address, ":", rest_port(),
                                 " rpc=", options_.bind_address, ":", rpc_port(), " metrics_port=",
                                 metrics_port(), " checkpoints=", options_.checkpoint_dir));
    return absl::OkStatus();
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    // The doors first, while the loop still answers what is under way; then the loop, so that
    // nothing reaches the Dispatcher any more; then the pool, whose work may still post to it.
    prometheus_.reset();
    if (http_server_ != nullptr) http_server_->Stop();
    if (dispatcher_ != nullptr) dispatcher_->CloseConnections();
    if (control_server_ != nullptr) control_server_->Stop();
    loop_.Stop();
    io_pool_.Shutdown();
    dispatcher_.reset();
    if (remove_working_dir_) {
      std::error_code ignored;
      std::filesystem::remove_all(options_.working_dir, ignored);
    }
  }

  uint16_t rest_port() const { return http_server_ == nullptr ? 0 : http_server_->port(); }
  uint16_t rpc_port() const { return control_server_->port(); }
  uint16_t metrics_port() const { return prometheus_ == nullptr ? 0 : prometheus_->port(); }
  DispatcherGateway* gateway() const { return dispatcher_.get(); }

 private:
  absl::Status FillDefaults() {
    if (options_.working_dir.empty()) {
      options_.working_dir = FreshWorkingDir(options_.configuration);
      // Checkpoints are to outlive the process: they may not be in a folder that goes with it.
      remove_working_dir_ = !options_.checkpoint_dir.empty();
    }
    if (options_.checkpoint_dir.empty()) {
      options_.checkpoint_dir = StrCat(options_.working_dir, "/checkpoints");
    }
    std::error_code error;
    const std::filesystem::path absolute =
        std::filesystem::absolute(options_.checkpoint_dir, error);
    // TaskManagers have other working directories.
    if (!error) options_.checkpoint_dir = absolute.lexically_normal();
    if (options_.builder_path.empty()) {
      options_.builder_path = StrCat(ExecutableFolder(), "/weir-job-builder");
    }
    if (options_.builtin_library_dir.empty()) {
      options_.builtin_library_dir =
          std::filesystem::path(StrCat(ExecutableFolder(), "/../lib/jobs")).lexically_normal();
    }
    upload_dir_ = options_.configuration.Get(kWebUploadDir);
    if (upload_dir_.empty()) upload_dir_ = StrCat(options_.working_dir, "/jars");
    options_.configuration.Set(kCheckpointingDir, options_.checkpoint_dir);
    RETURN_IF_ERROR(MakeFolder(options_.checkpoint_dir));
    RETURN_IF_ERROR(MakeFolder(StrCat(options_.working_dir, "/build")));
    return MakeFolder(upload_dir_);
  }

  absl::Status StartDispatcher() {
    ASSIGN_OR_RETURN(blobs_, BlobStore::Open(StrCat(options_.working_dir, "/blobs")));
    builder_.emplace(options_.builder_path, StrCat(options_.working_dir, "/build"),
                     options_.configuration.Get(kJobBuilderTimeout));
    jars_ = std::make_unique<JarStore>(upload_dir_, options_.builtin_library_dir, &*builder_);
    dispatcher_ = std::make_unique<Dispatcher>(
        DispatcherOptions{
            .configuration = options_.configuration,
            .checkpoint_dir = options_.checkpoint_dir,
            // Without other JobManagers to agree with, the clock tells which one is younger.
            .leader_epoch =
                LeaderEpoch(static_cast<uint64_t>(absl::ToUnixMillis(SystemClock()->Now()))),
            .abi_stamp = std::string(JobLibrary::ProcessAbiStamp())},
        &loop_, &*blobs_, jars_.get(), &*builder_);
    loop_.Start();
    return absl::OkStatus();
  }

  absl::Status StartRest() {
    HttpServerOptions http;
    http.bind_address = options_.rest_bind_address;
    http.port = options_.rest_port;
    RestApiOptions rest;
    ASSIGN_OR_RETURN(http_server_,
                     HttpServer::Start(http, MakeRestRouter(dispatcher_.get(), rest)));
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
    using Reports = absl::StatusOr<std::vector<MetricReport>>;
    const auto answer = std::make_shared<std::promise<Reports>>();
    std::future<Reports> answered = answer->get_future();
    dispatcher_->RequestMetricReports(
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

  JobManagerOptions options_;
  std::string upload_dir_;
  bool remove_working_dir_ = false;
  bool stopped_ = false;
  IoPool io_pool_;
  EventLoop loop_;
  std::optional<BlobStore> blobs_;
  std::optional<JobBuilder> builder_;
  std::unique_ptr<JarStore> jars_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<ControlServer> control_server_;
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
