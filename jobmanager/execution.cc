#include "jobmanager/execution.h"

#include <algorithm>
#include <limits>

#include "proto/control_plane.pb.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

// How far along an attempt is; CANCELING and the terminal states stand aside.
int Rank(ExecutionState state) {
  switch (state) {
    case ExecutionState::kCreated:
      return 0;
    case ExecutionState::kScheduled:
      return 1;
    case ExecutionState::kDeploying:
      return 2;
    case ExecutionState::kInitializing:
      return 3;
    case ExecutionState::kRunning:
      return 4;
    default:
      return 5;
  }
}

}  // namespace

bool IsLegalTransition(ExecutionState from, ExecutionState to) {
  if (IsTerminal(from) || from == to || from == ExecutionState::kReconciling) return false;
  const bool deployed = Rank(from) >= Rank(ExecutionState::kDeploying);
  switch (to) {
    case ExecutionState::kFailed:
    case ExecutionState::kCanceled:
      return true;
    case ExecutionState::kScheduled:
      return from == ExecutionState::kCreated;
    case ExecutionState::kDeploying:
      return from == ExecutionState::kScheduled;
    case ExecutionState::kInitializing:
    case ExecutionState::kRunning:
      return deployed && from != ExecutionState::kCanceling && Rank(from) < Rank(to);
    case ExecutionState::kFinished:
      return deployed;
    case ExecutionState::kCanceling:
      return deployed;
    default:
      return false;
  }
}

bool IsLegalTransition(JobStatus from, JobStatus to) {
  if (IsGloballyTerminal(from) || from == to) return false;
  switch (to) {
    case JobStatus::kCreated:
      return from == JobStatus::kInitializing || from == JobStatus::kReconciling ||
             from == JobStatus::kRestarting;
    case JobStatus::kRunning:
      return from == JobStatus::kCreated || from == JobStatus::kReconciling ||
             from == JobStatus::kRestarting;
    case JobStatus::kFinished:
      return from == JobStatus::kRunning;
    case JobStatus::kRestarting:
      return from == JobStatus::kCreated || from == JobStatus::kRunning;
    case JobStatus::kFailing:
      return from != JobStatus::kCancelling;
    case JobStatus::kFailed:
      return from == JobStatus::kFailing;
    case JobStatus::kCancelling:
      return true;
    case JobStatus::kCanceled:
      return from == JobStatus::kCancelling;
    case JobStatus::kReconciling:
      return from == JobStatus::kInitializing;
    default:
      return false;
  }
}

std::optional<ExecutionState> ExecutionStateFromWire(int state) {
  switch (state) {
    case proto::DEPLOYING:
      return ExecutionState::kDeploying;
    case proto::INITIALIZING:
      return ExecutionState::kInitializing;
    case proto::RUNNING:
      return ExecutionState::kRunning;
    case proto::FINISHED:
      return ExecutionState::kFinished;
    case proto::CANCELING:
      return ExecutionState::kCanceling;
    case proto::CANCELED:
      return ExecutionState::kCanceled;
    case proto::FAILED:
      return ExecutionState::kFailed;
    default:
      return std::nullopt;  // States before deployment are the JobManager's own.
  }
}

Execution::Execution(ExecutionAttemptId id, uint32_t attempt_number, absl::Time now)
    : id_(id), attempt_number_(attempt_number) {
  timestamps_[ExecutionState::kCreated] = now;
}

absl::Status Execution::Transition(ExecutionState to, absl::Time now) {
  if (!IsLegalTransition(state_, to)) {
    return absl::FailedPreconditionError(StrCat("illegal move of a task: attempt=", ToString(id_),
                                                " from=", ExecutionStateName(state_),
                                                " to=", ExecutionStateName(to)));
  }
  state_ = to;
  timestamps_[to] = now;
  return absl::OkStatus();
}

void Execution::UpdateMetrics(const proto::TaskMetrics& metrics) {
  const absl::Duration busy = absl::Milliseconds(metrics.busy_ms());
  const absl::Duration backpressured = absl::Milliseconds(metrics.backpressured_ms());
  const absl::Duration idle = absl::Milliseconds(metrics.idle_ms());
  const absl::Duration delta_busy = busy - metrics_.busy_time;
  const absl::Duration delta_backpressured = backpressured - metrics_.backpressured_time;
  const absl::Duration delta_idle = idle - metrics_.idle_time;
  const absl::Duration total = delta_busy + delta_backpressured + delta_idle;
  if (total > absl::ZeroDuration()) {
    const auto share = [total](absl::Duration part) {
      return std::clamp(absl::FDivDuration(part, total), 0.0, 1.0);
    };
    ratios_ = {share(delta_backpressured), share(delta_idle), share(delta_busy)};
  }
  metrics_.read_records = static_cast<int64_t>(metrics.records_in());
  metrics_.write_records = static_cast<int64_t>(metrics.records_out());
  metrics_.read_bytes = static_cast<int64_t>(metrics.bytes_in());
  metrics_.write_bytes = static_cast<int64_t>(metrics.bytes_out());
  metrics_.busy_time = busy;
  metrics_.backpressured_time = backpressured;
  metrics_.idle_time = idle;
  watermark_ms_.reset();
  if (metrics.watermark_ms() != std::numeric_limits<int64_t>::min()) {
    watermark_ms_ = metrics.watermark_ms();
  }
  splits_.clear();
  for (const proto::SplitWatermark& split : metrics.split_watermarks()) {
    SplitDetails& details = splits_.emplace_back();
    details.id = split.split();
    if (split.watermark_ms() != std::numeric_limits<int64_t>::min()) {
      details.watermark_ms = split.watermark_ms();
    }
    details.since = absl::FromUnixMillis(split.since_ms());
    details.idle = split.idle();
    details.paused = split.paused();
  }
}

std::string Execution::endpoint() const {
  return location_ == nullptr ? "" : StrCat(location_->host(), ":", location_->data_port());
}

SubtaskDetails Execution::Details() const {
  SubtaskDetails details;
  details.attempt_number = attempt_number_;
  details.state = state_;
  details.timestamps = timestamps_;
  details.endpoint = endpoint();
  if (location_ != nullptr) details.taskmanager_id = location_->owner_id();
  details.metrics = metrics_;
  details.ratios = ratios_;
  details.current_input_watermark_ms = watermark_ms_;
  details.splits = splits_;
  return details;
}

}  // namespace weir
