#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace weir {

/// How long a state's values live after they were last used. For EnableTimeToLive of a descriptor.
///
/// A value, an element of a list and an entry of a map each have a time of their own. What has
/// expired goes at the next access, in snapshots, when RocksDB compacts its files, and from memory
/// a little with each access. A state with time to live has another schema than one without: it
/// cannot be restored as the other. Plain data.
struct StateTtlConfig {
  /// What begins a value's life anew.
  enum class UpdateType : uint8_t {
    kOnCreateAndWrite,
    kOnReadAndWrite,
  };
  /// Whether what has expired and was not cleaned up yet can be seen; it is gone after it was.
  enum class StateVisibility : uint8_t {
    kNeverReturnExpired,
    kReturnExpiredIfNotCleanedUp,
  };
  /// What time lives are measured in. Event time is the later one of the operator's watermark and
  /// the current record's timestamp: so a replay of old data at any speed expires what live
  /// processing did. It needs timestamps.
  enum class TtlTimeCharacteristic : uint8_t {
    kProcessingTime,
    kEventTime,
  };

  /// Positive; counted in whole milliseconds.
  absl::Duration ttl;
  UpdateType update_type = UpdateType::kOnCreateAndWrite;
  StateVisibility state_visibility = StateVisibility::kNeverReturnExpired;
  TtlTimeCharacteristic time_characteristic = TtlTimeCharacteristic::kProcessingTime;
};

/// A state descriptor with time to live: what its EnableTimeToLive returns. Plain data.
template <class Descriptor>
struct TtlStateDescriptor {
  Descriptor descriptor;
  StateTtlConfig ttl;
};

}  // namespace weir
