#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/work_folder.h"
#include "runtime/base/config.h"

namespace weir {

/// A JobManager and one TaskManager in this process, on free ports of the loopback address, in a
/// temporary folder that goes with it: what `weir run` uses without a cluster.
///
/// Lifecycle: Start → … → Stop, or the process's end. Threads: one.
class InProcessCluster {
 public:
  /// `configuration` knows WeirOptions(); checkpoints go to its folder of checkpoints, if it has
  /// one. Errors: those of JobManager::Start and TaskManager::Start; kDeadlineExceeded if the
  /// TaskManager is not registered in time.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<InProcessCluster>> Start(
      Configuration configuration, uint32_t slots);
  /// Stops.
  ~InProcessCluster();
  InProcessCluster(const InProcessCluster&) = delete;
  InProcessCluster& operator=(const InProcessCluster&) = delete;

  /// Cancels what still runs and removes the folder. Blocks. May be called twice. Errors:
  /// kDeadlineExceeded if tasks did not stop in time; then only EndProcess helps.
  absl::Status Stop();
  /// Removes the folder and ends the process without waiting for anybody.
  [[noreturn]] void EndProcess(int exit_code);

  /// "127.0.0.1:port".
  [[nodiscard]] std::string rest_address() const;

 private:
  struct Parts;
  explicit InProcessCluster(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace weir
