#pragma once

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/cluster_information.h"
#include "jobmanager/rest/internal/asynchronous_operations.h"

namespace weir::internal {

/// Reads the body of POST /jars/:jarid/run over what `*request` holds already. An empty body sets
/// nothing. Errors: kInvalidArgument, naming the field.
[[nodiscard]] absl::Status ParseJarRunBody(std::string_view body, JarRunRequest* request);

/// Reads the trigger id that the body of POST /jobs/:jobid/checkpoints may carry. Errors:
/// kInvalidArgument.
[[nodiscard]] absl::StatusOr<std::optional<TriggerId>> ParseCheckpointTriggerBody(
    std::string_view body);

}  // namespace weir::internal
