#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/cluster_information.h"
#include "jobmanager/rescaling.h"
#include "jobmanager/rest/internal/asynchronous_operations.h"
#include "jobmanager/savepoint.h"

namespace weir::internal {

/// Reads the body of POST /jars/:jarid/run over what `*request` holds already. An empty body sets
/// nothing. Errors: kInvalidArgument, naming the field.
[[nodiscard]] absl::Status ParseJarRunBody(std::string_view body, JarRunRequest* request);

/// Reads the trigger id that the body of POST /jobs/:jobid/checkpoints may carry. Errors:
/// kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::optional<TriggerId>> ParseCheckpointTriggerBody(
    std::string_view body);

/// Asks for a savepoint.
struct SavepointTrigger {
  /// The target directory is empty if the body names none.
  SavepointRequest request;
  std::optional<TriggerId> trigger_id;
};
/// Reads the body of POST /jobs/:jobid/savepoints. Errors: kInvalidArgument, naming the field.
[[nodiscard]] absl::StatusOr<SavepointTrigger> ParseSavepointBody(std::string_view body);
/// The same of POST /jobs/:jobid/stop.
[[nodiscard]] absl::StatusOr<SavepointTrigger> ParseStopBody(std::string_view body);
/// Returns the path that the body of POST /savepoint-disposal names. Errors: kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::string> ParseDisposalBody(std::string_view body);

/// Reads the body of PUT /jobs/:jobid/resource-requirements. Errors: kInvalidArgument, naming the
/// vertex.
[[nodiscard]] absl::StatusOr<ResourceRequirements> ParseResourceRequirements(std::string_view body);

}  // namespace weir::internal
