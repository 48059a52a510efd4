#pragma once

#include <cstddef>
#include <deque>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/mutex.h"

namespace weir::internal {

using TriggerId = HexId<struct TriggerIdTag>;

/// Remembers operations that a client triggered and will ask about: the newest 1,000. Thread-safe.
class AsynchronousOperations {
 public:
  /// Absent while the operation is in progress.
  using Result = std::optional<absl::StatusOr<CheckpointId>>;

  /// Notes that `trigger_id` has begun. Returns false if it is known already: a client's second
  /// try.
  [[nodiscard]] bool Begin(JobId job_id, TriggerId trigger_id);
  void Complete(TriggerId trigger_id, absl::StatusOr<CheckpointId> result);
  /// Errors: kNotFound if the job has no such operation, or no longer.
  [[nodiscard]] absl::StatusOr<Result> Find(JobId job_id, TriggerId trigger_id) const;

 private:
  struct Operation {
    JobId job_id;
    Result result;
  };

  mutable Mutex mutex_;
  absl::flat_hash_map<TriggerId, Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::deque<TriggerId> order_ ABSL_GUARDED_BY(mutex_);  // Oldest first.
};

}  // namespace weir::internal
