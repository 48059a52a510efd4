#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>

#include "absl/time/clock.h"
#include "client/commands/commands.h"
#include "client/commands/exit_code.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(20);
constexpr absl::Duration kLongestPause = absl::Milliseconds(500);

/// Waits for the end of an operation; how long that takes is the cluster's to say.
absl::StatusOr<OperationStatus> Await(const ClusterClient& client, const std::string& operation) {
  absl::Duration pause = kFirstPause;
  while (true) {
    ASSIGN_OR_RETURN(const OperationStatus status, client.Operation(operation));
    if (!status.failure.empty()) return absl::InternalError(status.failure);
    if (status.completed) return status;
    absl::SleepFor(pause);
    pause = std::min(pause * 1.5, kLongestPause);
  }
}

absl::StatusOr<int> PrintSavepoint(const CommandContext& context, const ClusterClient& client,
                                   const std::string& job_id, const SavepointOptions& options) {
  ASSIGN_OR_RETURN(const std::string operation, client.TriggerSavepoint(job_id, options));
  ASSIGN_OR_RETURN(const OperationStatus status, Await(client, operation));
  std::string text = status.location;
  if (context.line->json) {
    text.clear();
    JsonWriter(&text)
        .BeginObject()
        .Key("jobid")
        .String(job_id)
        .Key("location")
        .String(status.location)
        .EndObject();
  }
  std::puts(text.c_str());
  return kExitDone;
}

}  // namespace

std::string PathForCluster(const std::string& path) {
  if (path.empty() || path.find(':') != path.npos) return path;  // A scheme.
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

absl::StatusOr<int> Savepoint(const CommandContext& context, const ClusterClient& client,
                              const SavepointCommand& command) {
  if (!command.dispose.empty()) {
    const std::string path = PathForCluster(command.dispose);
    ASSIGN_OR_RETURN(const std::string operation, client.TriggerDisposal(path));
    RETURN_IF_ERROR(Await(client, operation).status());
    if (!context.line->json) std::printf("%s is deleted\n", path.c_str());
    return kExitDone;
  }
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  return PrintSavepoint(context, client, job_id,
                        {.directory = PathForCluster(command.directory), .format = command.format});
}

absl::StatusOr<int> Stop(const CommandContext& context, const ClusterClient& client,
                         const StopCommand& command) {
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  return PrintSavepoint(context, client, job_id,
                        {.directory = PathForCluster(command.directory),
                         .format = command.format,
                         .stop = true,
                         .drain = command.drain});
}

absl::StatusOr<int> Checkpoint(const CommandContext& context, const ClusterClient& client,
                               const CheckpointCommand& command) {
  ASSIGN_OR_RETURN(const std::string job_id, client.ResolveJob(command.job));
  ASSIGN_OR_RETURN(const std::string operation, client.TriggerCheckpoint(job_id));
  ASSIGN_OR_RETURN(const OperationStatus status, Await(client, operation));
  std::string text = StrCat(status.checkpoint_id);
  if (context.line->json) {
    text.clear();
    JsonWriter(&text)
        .BeginObject()
        .Key("jobid")
        .String(job_id)
        .Key("checkpointId")
        .Int(status.checkpoint_id)
        .EndObject();
  }
  std::puts(text.c_str());
  return kExitDone;
}

}  // namespace weir
