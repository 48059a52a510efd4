#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/blob_store.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/task_manager_gateway.h"

namespace weir {

namespace proto {
class CrashReport;
class Register;
class TaskManagerMessage;
}  // namespace proto

/// Hears what TaskManagers say. Called on the main thread; for one connection in order: OnRegister
/// once, OnMessage, OnClosed once.
class ControlMessageHandler {
 public:
  virtual ~ControlMessageHandler() = default;
  virtual void OnRegister(std::shared_ptr<TaskManagerGateway> task_manager,
                          const proto::Register& registration) = 0;
  virtual void OnMessage(TaskManagerGateway* task_manager,
                         const proto::TaskManagerMessage& message) = 0;
  /// The connection has ended, from which side ever.
  virtual void OnClosed(TaskManagerGateway* task_manager) = 0;
  /// A TaskManager's process dies, or has died, of a signal. At any time.
  virtual void OnCrash(const proto::CrashReport& report) = 0;
};

struct ControlServerOptions {
  std::string bind_address = "127.0.0.1";
  /// 0 takes any free port.
  uint16_t port = 0;
  /// A peer that is gone without a word is noticed after this time, twice over.
  absl::Duration keepalive = absl::Seconds(5);
};

/// Serves JobManagerService (proto/control_plane.proto): one stream per TaskManager, and blobs.
///
/// Threads: gRPC's own, which only hand over to the main thread; blobs are read on the I/O pool.
/// A connection's next message is read once the one before has been handled, so peers cannot fill
/// the main thread's queue.
class ControlServer {
 public:
  /// Binds and begins to serve. All are borrowed; the executor must have ended before the handler
  /// goes. Errors: kFailedPrecondition if the address cannot be bound.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ControlServer>> Start(
      const ControlServerOptions& options, MainThreadExecutor* executor, const BlobStore* blobs,
      ControlMessageHandler* handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Closes all connections. Blocks until gRPC is done with them. May be called twice.
  void Stop();

  [[nodiscard]] uint16_t port() const;

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
