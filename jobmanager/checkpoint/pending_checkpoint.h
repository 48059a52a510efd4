#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobmanager/checkpoint/checkpoint_metadata.h"
#include "jobmanager/checkpoint/checkpoint_plan.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// A checkpoint under way: who has yet to answer, and the states so far.
///
/// ```
/// kCoordinators --all coordinators--> kTasks --all tasks--> kWriting --durable--> completed
///       `--------------------------------`--------------------`--abort, decline, timeout-->
///       aborted
/// ```
/// Threads: main thread. Knows nothing of messages, timers and files.
class PendingCheckpoint {
 public:
  enum class Phase : uint8_t { kCoordinators, kTasks, kWriting };
  /// kIgnored: from nobody that is asked, or for the second time.
  enum class AckResult : uint8_t { kAccepted, kIgnored };

  /// Asks the `finished` tasks of `plan` for nothing.
  PendingCheckpoint(CheckpointId id, absl::Time trigger_time, const CheckpointPlan& plan,
                    const std::set<ExecutionAttemptId>& finished);

  [[nodiscard]] AckResult AcknowledgeCoordinator(ExecutionAttemptId coordinator, std::string state);
  /// `states` are serialised OperatorSubtaskStates by operator, `files` those that they name.
  [[nodiscard]] AckResult AcknowledgeTask(ExecutionAttemptId task,
                                          std::map<OperatorId, std::string> states,
                                          const std::vector<std::string>& files);
  /// The task ended without an answer: what it had in the last checkpoint counts.
  void OnTaskFinished(ExecutionAttemptId task);

  /// Moves on when all of the phase have answered; returns whether it did.
  bool AdvancePhase();

  /// Returns whether events of this coordinator must wait for the triggers.
  [[nodiscard]] bool HoldsEventsOf(ExecutionAttemptId coordinator) const;

  /// Returns the checkpoint. States of finished tasks, which sent none, come from `last` (may be
  /// null).
  [[nodiscard]] CheckpointMetadata BuildMetadata(JobId job_id, const JobGraph& graph,
                                                 const CheckpointMetadata* last) const;

  [[nodiscard]] CheckpointId id() const { return id_; }
  [[nodiscard]] absl::Time trigger_time() const { return trigger_time_; }
  [[nodiscard]] Phase phase() const { return phase_; }
  /// The state files of all answers.
  [[nodiscard]] const std::set<std::string>& files() const { return files_; }
  [[nodiscard]] size_t num_missing_tasks() const { return missing_tasks_.size(); }

 private:
  const CheckpointId id_;
  const absl::Time trigger_time_;
  const CheckpointPlan plan_;
  Phase phase_ = Phase::kCoordinators;
  std::set<ExecutionAttemptId> missing_coordinators_;
  std::set<ExecutionAttemptId> missing_tasks_;
  std::map<ExecutionAttemptId, std::string> coordinator_states_;
  std::map<ExecutionAttemptId, std::map<OperatorId, std::string>> task_states_;
  std::set<std::string> files_;
};

}  // namespace weir
