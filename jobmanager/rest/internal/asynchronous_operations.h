#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/mutex.h"

namespace weir::internal {

using TriggerId = HexId<struct TriggerIdTag>;

enum class OperationKind : uint8_t { kCheckpoint, kSavepoint, kDisposal };

/// Whose operations a trigger id is looked up among.
struct OperationScope {
  OperationKind kind = OperationKind::kCheckpoint;
  JobId job_id = {};  // Null for a disposal.
  friend auto operator<=>(const OperationScope&, const OperationScope&) = default;
};

/// Remembers operations that a client triggered and will ask about: the newest 1,000. Thread-safe.
class AsynchronousOperations {
 public:
  /// What an operation has brought: nothing, a checkpoint, or the path of a savepoint.
  using Outcome = std::variant<std::monostate, CheckpointId, std::string>;
  /// Absent while the operation is in progress.
  using Result = std::optional<absl::StatusOr<Outcome>>;

  /// Notes that `trigger_id` has begun. Returns false if it is known already: a client's second
  /// try.
  [[nodiscard]] bool Begin(OperationScope scope, TriggerId trigger_id);
  void Complete(TriggerId trigger_id, absl::StatusOr<Outcome> result);
  /// Errors: kNotFound if there is no such operation of `scope`, or no longer.
  [[nodiscard]] absl::StatusOr<Result> Find(OperationScope scope, TriggerId trigger_id) const;

 private:
  struct Operation {
    OperationScope scope;
    Result result;
  };

  mutable Mutex mutex_;
  absl::flat_hash_map<TriggerId, Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::deque<TriggerId> order_ ABSL_GUARDED_BY(mutex_);  // Oldest first.
};

}  // namespace weir::internal
