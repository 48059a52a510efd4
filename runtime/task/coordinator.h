#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/graph/ids.h"
#include "runtime/metrics/metric_group.h"

namespace weir {

/// What a coordinator reaches. Threads: any.
class CoordinatorContext {
 public:
  virtual ~CoordinatorContext() = default;
  [[nodiscard]] virtual uint32_t parallelism() const = 0;
  [[nodiscard]] virtual IoPool* io_pool() const = 0;
  [[nodiscard]] virtual const Clock* clock() const = 0;
  /// The coordinator's own metrics, shown by REST and the exporters. Lives as long as the context.
  [[nodiscard]] virtual MetricGroup* metrics() = 0;
  /// Delivers `event` to HandleCoordinatorEvent of the operator's subtask `subtask`, in order. An
  /// event sent after a snapshot reaches the subtask behind that checkpoint's barrier.
  virtual void SendEvent(uint32_t subtask, std::string event) = 0;
  /// Delivers `event` to HandleCoordinatorEvent of the coordinators of all other operators of the
  /// job, in order. Not part of any checkpoint: it may be lost when the job restarts.
  virtual void SendToCoordinators(std::string event) = 0;
  /// Runs `mail` on the coordinator, in order with its other calls.
  virtual void Post(absl::AnyInvocable<absl::Status()> mail) = 0;
  /// The same, not before `delay` has passed.
  virtual void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) = 0;
  /// Fails the job's current attempt.
  virtual void Fail(absl::Status reason) = 0;
};

/// The one instance per job attempt that decides for all subtasks of an operator, e.g. which reader
/// reads which split. Runs on the TaskManager of subtask 0, one call at a time, and must not block:
/// slow work goes to the I/O pool and comes back by Post.
///
/// Lifecycle: Start (with restored state, or none) → events and snapshots → Close.
class OperatorCoordinator {
 public:
  virtual ~OperatorCoordinator() = default;
  /// `restored` is what Snapshot returned, or null at a first start.
  [[nodiscard]] virtual absl::Status Start(CoordinatorContext& context,
                                           const std::string* restored) = 0;
  [[nodiscard]] virtual absl::Status HandleEvent(uint32_t subtask, std::string_view event) = 0;
  /// An event that the coordinator of `sender`, another operator, sent to all. A coordinator that
  /// does not know its kind leaves it alone.
  [[nodiscard]] virtual absl::Status HandleCoordinatorEvent(OperatorId /*sender*/,
                                                            std::string_view /*event*/) {
    return absl::OkStatus();
  }
  /// Taken before the barriers enter the sources.
  [[nodiscard]] virtual absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) = 0;
  [[nodiscard]] virtual absl::Status NotifyCheckpointComplete(CheckpointId checkpoint) = 0;
  virtual void Close() {}
};

}  // namespace weir
