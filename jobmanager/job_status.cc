#include "jobmanager/job_status.h"

namespace weir {
namespace {

constexpr std::array<std::string_view, kNumJobStatuses> kJobStatusNames = {
    "INITIALIZING", "CREATED",  "RUNNING",    "FAILING",   "FAILED",     "CANCELLING",
    "CANCELED",     "FINISHED", "RESTARTING", "SUSPENDED", "RECONCILING"};

constexpr std::array<std::string_view, kNumExecutionStates> kExecutionStateNames = {
    "CREATED",  "SCHEDULED", "DEPLOYING", "INITIALIZING", "RUNNING",
    "FINISHED", "CANCELING", "CANCELED",  "FAILED",       "RECONCILING"};

}  // namespace

std::string_view JobStatusName(JobStatus status) {
  return kJobStatusNames[static_cast<size_t>(status)];
}

std::string_view ExecutionStateName(ExecutionState state) {
  return kExecutionStateNames[static_cast<size_t>(state)];
}

bool IsGloballyTerminal(JobStatus status) {
  return status == JobStatus::kFinished || status == JobStatus::kCanceled ||
         status == JobStatus::kFailed;
}

bool IsTerminal(ExecutionState state) {
  return state == ExecutionState::kFinished || state == ExecutionState::kCanceled ||
         state == ExecutionState::kFailed;
}

ExecutionState AggregateState(const ExecutionStateCounts& counts, uint32_t num_subtasks) {
  for (const ExecutionState state :
       {ExecutionState::kFailed, ExecutionState::kCanceling, ExecutionState::kCanceled,
        ExecutionState::kInitializing, ExecutionState::kRunning}) {
    if (counts[state] > 0) return state;
  }
  const uint32_t num_finished = counts[ExecutionState::kFinished];
  if (num_finished == 0) return ExecutionState::kCreated;
  return num_finished == num_subtasks ? ExecutionState::kFinished : ExecutionState::kRunning;
}

}  // namespace weir
