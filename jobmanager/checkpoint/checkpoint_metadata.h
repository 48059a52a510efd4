#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/base/ids.h"
#include "runtime/graph/ids.h"

namespace weir {

/// The state of one operator in a completed checkpoint. Plain data.
struct CheckpointedOperator {
  OperatorId id;
  std::string uid;
  std::string name;
  uint32_t max_parallelism = 0;
  /// A serialised OperatorSubtaskState per subtask, by index; empty if the subtask has none.
  std::vector<std::string> subtasks;
  std::optional<std::string> coordinator_state;

  [[nodiscard]] uint32_t parallelism() const { return static_cast<uint32_t>(subtasks.size()); }
  friend bool operator==(const CheckpointedOperator&, const CheckpointedOperator&) = default;
};

/// All that is needed to restore a job from a checkpoint, but for the state files that it names.
struct CheckpointMetadata {
  CheckpointId id;
  JobId job_id;
  std::string job_name;
  absl::Time trigger_time;
  std::vector<CheckpointedOperator> operators;
  bool is_savepoint = false;
  /// "CANONICAL" or "NATIVE" of a savepoint.
  std::string savepoint_format;

  [[nodiscard]] const CheckpointedOperator* FindOperator(OperatorId id) const;
  friend bool operator==(const CheckpointMetadata&, const CheckpointMetadata&) = default;
};

/// Returns the content of a `_metadata` file: "WEIRCKPT", version (32 bits), length of the payload
/// (64 bits), payload (proto/checkpoint_metadata.proto), XXH3_64 of all before; little-endian.
[[nodiscard]] std::string SerializeCheckpointMetadata(const CheckpointMetadata& metadata);

/// Errors: kDataLoss if `bytes` are damaged, cut short or no metadata; kFailedPrecondition if a
/// newer weir wrote them.
[[nodiscard]] absl::StatusOr<CheckpointMetadata> ParseCheckpointMetadata(std::string_view bytes);

}  // namespace weir
