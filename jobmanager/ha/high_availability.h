#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "jobmanager/ha/ha_store.h"
#include "jobmanager/ha/leader_election.h"
#include "runtime/base/clock.h"
#include "runtime/base/config.h"

namespace weir {

/// What the settings say about high availability.
struct HighAvailability {
  /// Where the JobManagers of the cluster meet; null for high-availability.type: none.
  std::unique_ptr<HaStore> store;
  LeaderElectionOptions election;
  /// The folder of this cluster in high-availability.storageDir, for blobs, uploads and, unless
  /// there is another place for them, checkpoints.
  std::string folder;
};

/// Opens the store that `configuration` names. Errors: kInvalidArgument for settings that do not go
/// together; the store's.
[[nodiscard]] absl::StatusOr<HighAvailability> OpenHighAvailability(
    const Configuration& configuration, const Clock* clock);

}  // namespace weir
