#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "jobmanager/blob_store.h"
#include "jobmanager/dispatcher_gateway.h"
#include "jobmanager/ha/ha_store.h"
#include "jobmanager/ha/leader_election.h"
#include "jobmanager/jar_store.h"
#include "jobmanager/job_builder.h"
#include "runtime/base/config.h"
#include "runtime/checkpoint/file_systems.h"

namespace weir {

struct LeaderSessionOptions {
  Configuration configuration;
  /// Of the control plane; port 0 takes any free one.
  std::string bind_address;
  uint16_t rpc_port = 0;
  std::string checkpoint_dir;
  LeaderEpoch epoch;
  /// Null: nobody else can lead.
  std::shared_ptr<const LeaderLease> lease;
  /// Where jobs are kept; null: nowhere.
  HaStore* store = nullptr;
  std::shared_ptr<const FileSystems> file_systems = FileSystems::Local();
};

/// All of a JobManager that only a leader has: event loop, Dispatcher with the jobs, control
/// server.
///
/// Lifecycle: Start, which recovers the jobs → Stop. A JobManager that is made leader again starts
/// another one. Threads: Start and Stop by one; gateway() and what it answers from any, also after
/// Stop, when requests are dropped.
class LeaderSession {
 public:
  /// The pointers are borrowed. Blocks while jobs are read. Errors: kFailedPrecondition if the port
  /// cannot be bound; the store's.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LeaderSession>> Start(
      LeaderSessionOptions options, const BlobStore* blobs, JarStore* jars,
      const JobBuilder* builder);
  ~LeaderSession();
  LeaderSession(const LeaderSession&) = delete;
  LeaderSession& operator=(const LeaderSession&) = delete;

  /// Closes all connections and ends all threads; jobs are not told. Blocks. May be called twice.
  void Stop();

  /// Returns whether its lease has not lapsed.
  [[nodiscard]] bool leads() const;
  [[nodiscard]] uint16_t rpc_port() const;
  [[nodiscard]] DispatcherGateway* gateway() const;

 private:
  class Impl;
  explicit LeaderSession(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
