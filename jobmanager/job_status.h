#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"

namespace weir {

/// The states of a job, spelled as Flink's REST API spells them (see JobStatusName).
///
/// ```
/// INITIALIZING -> CREATED -> RUNNING -> FINISHED
///                    |          |-> FAILING -> FAILED
///                    |          |-> CANCELLING -> CANCELED
///                    |          `-> RESTARTING -> CREATED, or RUNNING if some of its tasks ran on
///
/// INITIALIZING -> RECONCILING -> RUNNING if tasks that ran before go on, else CREATED
/// SUSPENDED: this JobManager lost the lead.
/// ```
enum class JobStatus : uint8_t {
  kInitializing,
  kCreated,
  kRunning,
  kFailing,
  kFailed,
  kCancelling,
  kCanceled,
  kFinished,
  kRestarting,
  kSuspended,
  kReconciling,
};
inline constexpr size_t kNumJobStatuses = 11;

/// The states of one execution attempt of a subtask.
enum class ExecutionState : uint8_t {
  kCreated,
  kScheduled,
  kDeploying,
  kInitializing,
  kRunning,
  kFinished,
  kCanceling,
  kCanceled,
  kFailed,
  kReconciling,
};
inline constexpr size_t kNumExecutionStates = 10;

/// Returns the state's name, such as "CANCELLING" (jobs) and "CANCELING" (tasks).
[[nodiscard]] std::string_view JobStatusName(JobStatus status);
[[nodiscard]] std::string_view ExecutionStateName(ExecutionState state);

/// Returns whether the job will never leave `status` (FINISHED, CANCELED or FAILED).
[[nodiscard]] bool IsGloballyTerminal(JobStatus status);
/// Returns whether the attempt will never leave `state` (FINISHED, CANCELED or FAILED).
[[nodiscard]] bool IsTerminal(ExecutionState state);

/// One value for each state of an enum; starts with the same everywhere.
template <class State, class Value, size_t num_states>
class PerState {
 public:
  constexpr PerState() : PerState(Value()) {}
  constexpr explicit PerState(Value initial) { values_.fill(initial); }

  [[nodiscard]] Value& operator[](State state) { return values_[static_cast<size_t>(state)]; }
  [[nodiscard]] const Value& operator[](State state) const {
    return values_[static_cast<size_t>(state)];
  }

 private:
  std::array<Value, num_states> values_;
};

/// When each state was entered; absl::InfinitePast() for states never entered.
struct JobStatusTimestamps : PerState<JobStatus, absl::Time, kNumJobStatuses> {
  JobStatusTimestamps() : PerState(absl::InfinitePast()) {}
};
struct ExecutionStateTimestamps : PerState<ExecutionState, absl::Time, kNumExecutionStates> {
  ExecutionStateTimestamps() : PerState(absl::InfinitePast()) {}
};

/// How many subtasks are in each state.
using ExecutionStateCounts = PerState<ExecutionState, uint32_t, kNumExecutionStates>;

/// Returns the one state that stands for all subtasks of a vertex: the worst that any is in,
/// FINISHED only when all are. `num_subtasks` is the vertex's parallelism.
[[nodiscard]] ExecutionState AggregateState(const ExecutionStateCounts& counts,
                                            uint32_t num_subtasks);

}  // namespace weir
