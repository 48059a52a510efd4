#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobmanager/job_details.h"
#include "jobmanager/job_status.h"
#include "jobmanager/task_manager_gateway.h"
#include "runtime/base/ids.h"
#include "runtime/metrics/metric_report.h"

namespace weir {

namespace proto {
class TaskMetrics;
}

/// Returns whether an attempt may go from one state to the other:
///
/// ```
/// CREATED -> SCHEDULED -> DEPLOYING -> INITIALIZING -> RUNNING -> FINISHED
///    |           |            `--------------+------------`-> CANCELING -> CANCELED
///    `-----------`--> CANCELED          every state that is not terminal -> FAILED
/// ```
/// Steps forward may be skipped from DEPLOYING on: reports can overtake what they report. A task
/// that is asked to cancel may have finished or failed before it heard.
[[nodiscard]] bool IsLegalTransition(ExecutionState from, ExecutionState to);

/// Returns whether a job may go from one state to the other; see the diagram at JobStatus.
[[nodiscard]] bool IsLegalTransition(JobStatus from, JobStatus to);

/// Returns the state that a message names, a proto::TaskState; nothing if it is one of before the
/// deployment, which are the JobManager's own, or none.
[[nodiscard]] std::optional<ExecutionState> ExecutionStateFromWire(int state);

/// What of a job was deployed together: the leader's epoch, and its number of the deployment. A
/// later one is greater.
struct DeploymentId {
  uint64_t leader_epoch = 0;
  uint64_t number = 0;
  friend auto operator<=>(const DeploymentId&, const DeploymentId&) = default;
};

/// One attempt at running one subtask, as the JobMaster sees it. Threads: main thread.
class Execution {
 public:
  Execution(ExecutionAttemptId id, uint32_t attempt_number, absl::Time now);

  /// Errors: kFailedPrecondition if the move is illegal; the state stays.
  [[nodiscard]] absl::Status Transition(ExecutionState to, absl::Time now);

  void Assign(std::shared_ptr<TaskManagerGateway> location) { location_ = std::move(location); }
  /// Takes in a heartbeat's totals; ratios come from their growth since the last one.
  void UpdateMetrics(const proto::TaskMetrics& metrics);
  /// Takes in the newest of all its metrics.
  void UpdateReport(MetricReport report) { report_ = std::move(report); }

  [[nodiscard]] ExecutionAttemptId id() const { return id_; }
  [[nodiscard]] uint32_t attempt_number() const { return attempt_number_; }
  [[nodiscard]] ExecutionState state() const { return state_; }
  [[nodiscard]] const ExecutionStateTimestamps& timestamps() const { return timestamps_; }
  /// Null until a slot is assigned.
  [[nodiscard]] TaskManagerGateway* location() const { return location_.get(); }
  /// "host:data-port", or empty.
  [[nodiscard]] std::string endpoint() const;
  /// All its metrics; no layout before they came.
  [[nodiscard]] const MetricReport& report() const { return report_; }
  /// Everything people see of it, but for the subtask's index.
  [[nodiscard]] SubtaskDetails Details() const;

 private:
  const ExecutionAttemptId id_;
  const uint32_t attempt_number_;
  ExecutionState state_ = ExecutionState::kCreated;
  ExecutionStateTimestamps timestamps_;
  std::shared_ptr<TaskManagerGateway> location_;
  IoMetrics metrics_;
  MetricReport report_;
  BusyRatios ratios_;
  std::optional<int64_t> watermark_ms_;
  std::vector<SplitDetails> splits_;
};

}  // namespace weir
