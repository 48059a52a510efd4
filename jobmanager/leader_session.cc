#include "jobmanager/leader_session.h"

#include <optional>
#include <utility>

#include "jobmanager/control_server.h"
#include "jobmanager/dispatcher.h"
#include "jobmanager/event_loop.h"
#include "jobmanager/ha/fenced_executor.h"
#include "jobmanager/ha/job_store.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/weir_options.h"
#include "runtime/graph/job_library.h"

namespace weir {
namespace {

constexpr int kIoThreads = 4;

}  // namespace

class LeaderSession::Impl {
 public:
  Impl(LeaderSessionOptions options, const BlobStore* blobs, JarStore* jars,
       const JobBuilder* builder)
      : options_(std::move(options)),
        blobs_(blobs),
        io_pool_("jm-io", kIoThreads),
        loop_(SystemClock(), &io_pool_) {
    if (options_.store != nullptr) {
      job_store_.emplace(options_.store, options_.epoch, blobs, options_.configuration);
    }
    if (options_.lease != nullptr) fenced_.emplace(&loop_, options_.lease);
    dispatcher_.emplace(
        DispatcherOptions{.configuration = options_.configuration,
                          .checkpoint_dir = options_.checkpoint_dir,
                          .leader_epoch = options_.epoch,
                          .abi_stamp = std::string(JobLibrary::ProcessAbiStamp()),
                          .job_store = job_store_.has_value() ? &*job_store_ : nullptr,
                          .file_systems = options_.file_systems},
        executor(), blobs, jars, builder);
  }
  ~Impl() { Stop(); }

  absl::Status Start() {
    if (job_store_.has_value()) {
      ASSIGN_OR_RETURN(RecoveredJobs recovered,
                       ReadRecoveredJobs(&*job_store_, *options_.file_systems));
      // Before anybody is let in: what comes in is posted behind it.
      executor()->Post([this, recovered = std::move(recovered)]() mutable {
        dispatcher_->Recover(std::move(recovered));
      });
    }
    loop_.Start();
    ASSIGN_OR_RETURN(
        control_server_,
        ControlServer::Start({.bind_address = options_.bind_address,
                              .port = options_.rpc_port,
                              .keepalive = options_.configuration.Get(kHeartbeatTimeout)},
                             executor(), blobs_, &*dispatcher_));
    return absl::OkStatus();
  }

  void Stop() {
    if (std::exchange(stopped_, true)) return;
    // The doors first, while the loop still answers what is under way; then the loop, so that
    // nothing reaches the Dispatcher any more; then the pool, whose work may still post to it.
    dispatcher_->CloseConnections();
    if (control_server_ != nullptr) control_server_->Stop();
    loop_.Stop();
    io_pool_.Shutdown();
  }

  bool leads() const { return options_.lease == nullptr || options_.lease->Holds(); }
  uint16_t rpc_port() const { return control_server_->port(); }
  DispatcherGateway* gateway() { return &*dispatcher_; }

 private:
  MainThreadExecutor* executor() {
    return fenced_.has_value() ? static_cast<MainThreadExecutor*>(&*fenced_) : &loop_;
  }

  const LeaderSessionOptions options_;
  const BlobStore* const blobs_;
  bool stopped_ = false;
  IoPool io_pool_;
  EventLoop loop_;
  std::optional<FencedExecutor> fenced_;
  std::optional<JobStore> job_store_;
  std::optional<Dispatcher> dispatcher_;
  std::unique_ptr<ControlServer> control_server_;
};

absl::StatusOr<std::unique_ptr<LeaderSession>> LeaderSession::Start(LeaderSessionOptions options,
                                                                    const BlobStore* blobs,
                                                                    JarStore* jars,
                                                                    const JobBuilder* builder) {
  auto impl = std::make_unique<Impl>(std::move(options), blobs, jars, builder);
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<LeaderSession>(new LeaderSession(std::move(impl)));
}

LeaderSession::LeaderSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

LeaderSession::~LeaderSession() = default;

void LeaderSession::Stop() { impl_->Stop(); }

bool LeaderSession::leads() const { return impl_->leads(); }

uint16_t LeaderSession::rpc_port() const { return impl_->rpc_port(); }

DispatcherGateway* LeaderSession::gateway() const { return impl_->gateway(); }

}  // namespace weir
