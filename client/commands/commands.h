#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cluster_client.h"
#include "client/command_line.h"
#include "client/signal_waiter.h"
#include "runtime/base/config.h"

namespace weir {

/// The commands of `weir`. They print their result on stdout, remarks on stderr, and return the
/// process's exit code; an error is for the caller to print, and means 1.

/// Everything a command may need. `line` and `configuration` are borrowed.
struct CommandContext {
  const CommandLine* line;
  const Configuration* configuration;
};

[[nodiscard]] absl::StatusOr<int> List(const CommandContext& context, const ClusterClient& client);
[[nodiscard]] absl::StatusOr<int> Info(const CommandContext& context, const ClusterClient& client);
[[nodiscard]] absl::StatusOr<int> Cancel(const CommandContext& context, const ClusterClient& client,
                                         const CancelCommand& command);
[[nodiscard]] absl::StatusOr<int> Scale(const CommandContext& context, const ClusterClient& client,
                                        const ScaleCommand& command);
[[nodiscard]] absl::StatusOr<int> Checkpoints(const CommandContext& context,
                                              const ClusterClient& client,
                                              const CheckpointsCommand& command);
/// Takes or deletes a savepoint; waits for it and prints its path.
[[nodiscard]] absl::StatusOr<int> Savepoint(const CommandContext& context,
                                            const ClusterClient& client,
                                            const SavepointCommand& command);
/// Stops a job with a savepoint; waits until it is FINISHED and prints the savepoint's path.
[[nodiscard]] absl::StatusOr<int> Stop(const CommandContext& context, const ClusterClient& client,
                                       const StopCommand& command);
/// Triggers a checkpoint; waits for it and prints its number.
[[nodiscard]] absl::StatusOr<int> Checkpoint(const CommandContext& context,
                                             const ClusterClient& client,
                                             const CheckpointCommand& command);
[[nodiscard]] absl::StatusOr<int> Upload(const CommandContext& context, const ClusterClient& client,
                                         const UploadCommand& command);

/// Returns a path that the user gave as the cluster needs it: absolute, unless it has a scheme.
[[nodiscard]] std::string PathForCluster(const std::string& path);

/// What the first Ctrl-C does to a job that is waited for.
enum class OnInterrupt { kDetach, kCancel };

/// Submits the job and, unless detached, waits for its end.
[[nodiscard]] absl::StatusOr<int> Run(const CommandContext& context, const ClusterClient& client,
                                      const RunCommand& command, OnInterrupt on_interrupt,
                                      SignalWaiter* signals);

/// Starts a cluster of child processes and stays until a signal.
[[nodiscard]] absl::StatusOr<int> Local(const CommandContext& context, const LocalCommand& command,
                                        SignalWaiter* signals);

}  // namespace weir
