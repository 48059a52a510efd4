#pragma once

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/event_mapping.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {

/// Reads `event_fields` and `event_log_sources` of a pipeline file, both of which may be missing.
/// Errors: kInvalidArgument naming the key, with the place.
[[nodiscard]] absl::StatusOr<EventMapping> ReadEventMapping(const YAML::Node& pipeline);

}  // namespace weir::sigma
