#include "jobmanager/rest/internal/asynchronous_operations.h"

#include <utility>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir::internal {
namespace {

constexpr size_t kMaxOperations = 1000;

}  // namespace

bool AsynchronousOperations::Begin(OperationScope scope, TriggerId trigger_id) {
  const MutexLock lock(&mutex_);
  const Operation operation{.scope = scope, .result = std::nullopt};
  if (!operations_.try_emplace(trigger_id, operation).second) return false;
  order_.push_back(trigger_id);
  if (order_.size() > kMaxOperations) {
    operations_.erase(order_.front());
    order_.pop_front();
  }
  return true;
}

void AsynchronousOperations::Complete(TriggerId trigger_id, absl::StatusOr<Outcome> result) {
  const MutexLock lock(&mutex_);
  const auto found = operations_.find(trigger_id);
  if (found != operations_.end()) found->second.result = std::move(result);
}

absl::StatusOr<AsynchronousOperations::Result> AsynchronousOperations::Find(
    OperationScope scope, TriggerId trigger_id) const {
  const MutexLock lock(&mutex_);
  const auto found = operations_.find(trigger_id);
  if (found == operations_.end() || found->second.scope != scope) {
    return absl::NotFoundError(
        StrCat("There is no operation with this trigger id; it may be too old, or lost with a "
               "JobManager: ",
               scope.job_id.IsNull() ? "" : StrCat("job=", ToString(scope.job_id), " "),
               "trigger=", ToString(trigger_id)));
  }
  return found->second.result;
}

}  // namespace weir::internal
