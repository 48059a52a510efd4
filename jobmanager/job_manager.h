#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "jobmanager/dispatcher_gateway.h"
#include "runtime/base/config.h"

namespace weir {

struct JobManagerOptions {
  std::string bind_address = "127.0.0.1";
  std::string rest_bind_address = "127.0.0.1";
  /// 0 takes any free port.
  uint16_t rest_port = 0;
  uint16_t rpc_port = 0;
  /// False: no REST API, only gateway().
  bool rest_enabled = true;
  /// Empty: a folder of the working directory.
  std::string checkpoint_dir;
  /// Where blobs, uploads and jobs are kept. Empty: process.jobmanager.working-dir, or what it says
  /// there.
  std::string working_dir;
  /// False: jobs end with this process, and nothing is written for them but checkpoints.
  bool keep_jobs = true;
  /// weir-job-builder; empty: beside this executable.
  std::string builder_path;
  /// Libraries shipped with weir; empty: ../lib/jobs seen from this executable.
  std::string builtin_library_dir;
  /// Where the JobManager's metrics are served to Prometheus, besides /metrics of the REST API:
  /// "9249", "9249-9299", "0" for any free port, or empty for nowhere else.
  std::string metrics_ports;
  /// The cluster's settings; the ports and folders above win over it.
  Configuration configuration;

  /// Takes ports, addresses and folders from `configuration`.
  [[nodiscard]] static JobManagerOptions FromConfiguration(Configuration configuration);
};

/// A whole JobManager in this process: a REST server, and as long as it leads a LeaderSession.
///
/// Alone (high-availability.type: none) it leads from Start to Stop. Else it takes part in the
/// election, and sends REST clients to the leader while that is another one.
/// Lifecycle: Start → Stop. Threads: its methods may be called from any, but for Stop, which must
/// not be called from a callback of the gateway. Two of them live in one process side by side.
class JobManager {
 public:
  /// Errors: kFailedPrecondition if a port cannot be bound, kUnavailable if a folder cannot be
  /// made.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<JobManager>> Start(JobManagerOptions options);
  ~JobManager();
  JobManager(const JobManager&) = delete;
  JobManager& operator=(const JobManager&) = delete;

  /// Stops serving, closes all connections and ends all threads; jobs are not told. Blocks. May be
  /// called twice.
  void Stop();

  [[nodiscard]] uint16_t rest_port() const;
  /// As configured, while it has not led yet.
  [[nodiscard]] uint16_t rpc_port() const;
  /// Of the metrics; 0 if they are not served on a port of their own.
  [[nodiscard]] uint16_t metrics_port() const;
  /// Valid until Stop. Null, or without effect, while it does not lead.
  [[nodiscard]] DispatcherGateway* gateway() const;

 private:
  class Impl;
  explicit JobManager(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
