#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/checkpoint_statistics.h"
#include "runtime/base/config.h"

namespace weir {

/// Returns the settings of one job: the cluster's, overridden by those that its graph asks for,
/// overridden by the request's. Errors: kInvalidArgument for an unknown key or a bad value, naming
/// where it stands.
[[nodiscard]] absl::StatusOr<Configuration> MakeJobSettings(
    const Configuration& cluster, const std::map<std::string, std::string>& of_graph,
    const std::map<std::string, std::string>& of_request);

/// Refuses a job that wants its checkpoints in another folder than the cluster's, where they would
/// lie all the same. Errors: kInvalidArgument.
[[nodiscard]] absl::Status CheckCheckpointDir(const Configuration& job,
                                              const Configuration& cluster);

/// Returns what `settings` say about checkpoints; an interval of 0 turns them off.
[[nodiscard]] CheckpointSettings CheckpointSettingsOf(const Configuration& settings);

/// Returns the same for people.
[[nodiscard]] CheckpointConfig CheckpointConfigOf(const Configuration& settings,
                                                  const std::string& checkpoint_dir);

}  // namespace weir
