#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/checkpoint/checkpoint_plan.h"
#include "jobmanager/checkpoint/checkpoint_statistics_tracker.h"
#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/checkpoint/completed_checkpoint_store.h"
#include "jobmanager/checkpoint/pending_checkpoint.h"
#include "jobmanager/checkpoint_statistics.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/savepoint.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"
#include "runtime/record/stream_element.h"

namespace weir {

namespace proto {
class CheckpointAck;
class CheckpointDecline;
class CoordinatorCheckpointAck;
class OperatorEvent;
}  // namespace proto

/// What a CheckpointCoordinator has said to TaskManagers: implemented by the JobMaster. Messages to
/// one TaskManager keep the order of the calls.
class CheckpointMessenger {
 public:
  virtual ~CheckpointMessenger() = default;
  virtual void TriggerCoordinators(CheckpointId id,
                                   const std::vector<ExecutionAttemptId>& coordinators) = 0;
  virtual void TriggerSources(CheckpointId id, absl::Time trigger_time, BarrierKind kind,
                              const std::vector<ExecutionAttemptId>& sources) = 0;
  /// To every task and coordinator of the job.
  virtual void NotifyCheckpointComplete(CheckpointId id) = 0;
  virtual void NotifyCheckpointAborted(CheckpointId id) = 0;
  /// To the newest attempt of the subtask that the event names.
  virtual void DeliverToTask(const proto::OperatorEvent& event) = 0;
  /// The attempt cannot go on: too many checkpoints have failed, or a savepoint whose tasks have
  /// been drained. Stops the coordinator.
  virtual void FailAttempt(const absl::Status& reason) = 0;
};

struct CheckpointSettings {
  /// absl::InfiniteDuration(): no checkpoints.
  absl::Duration interval = absl::Seconds(1);
  absl::Duration timeout = absl::Minutes(10);
  absl::Duration min_pause = absl::ZeroDuration();
  size_t num_retained = 1;
  /// That may fail one after the other; one more fails the attempt.
  int64_t tolerable_failures = 2147483647;

  [[nodiscard]] bool enabled() const { return interval < absl::InfiniteDuration(); }
};

/// Triggers a job's checkpoints, gathers what coordinators and tasks answer, makes the result
/// durable and only then tells everybody that it is complete.
///
/// One checkpoint is under way at a time: coordinators take their snapshots first, then barriers
/// enter the sources. What a coordinator sends after its snapshot is held back until the triggers
/// have been sent, so that it reaches its task behind the barrier. None is triggered before every
/// task is RUNNING. A FINISHED task counts as acknowledged with its last state. When the input of
/// all sources has ended, a last checkpoint is triggered at once, so that tasks can finish.
///
/// A periodic checkpoint whose states are those of the newest one on disk is complete without being
/// written: that one holds all it would. So an idle job writes nothing. Triggers come up to 1/40 of
/// the interval, at most 250 ms, early, so that those of many jobs fall together.
///
/// A savepoint is a checkpoint whose result is written elsewhere, with files of its own. It is not
/// retained, and tasks are not told of it, so that nothing is committed because of it. One that the
/// job is stopped with is: tasks are told, nothing is triggered any more, and should the job fail
/// before it has FINISHED, it is restored from it.
///
/// Lifecycle: one per job; Start and Stop frame each attempt of the job. Threads: main thread.
/// Ownership: borrows all it is given. It knows no tasks' states but what it is told.
class CheckpointCoordinator {
 public:
  using TriggerCallback = std::function<void(absl::StatusOr<CheckpointId>)>;
  using SavepointCallback = std::function<void(absl::StatusOr<std::string>)>;

  CheckpointCoordinator(JobId job_id, const JobGraph* graph, CheckpointSettings settings,
                        MainThreadExecutor* executor, CheckpointMessenger* messenger,
                        CheckpointStorage* storage);
  ~CheckpointCoordinator();
  CheckpointCoordinator(const CheckpointCoordinator&) = delete;
  CheckpointCoordinator& operator=(const CheckpointCoordinator&) = delete;

  /// Takes on the parallelism of `graph`, which is borrowed. Not while an attempt runs.
  void SetGraph(const JobGraph* graph);
  /// Begins an attempt of the job whose tasks are being deployed.
  void Start(CheckpointPlan plan);
  /// Ends the attempt: aborts what is under way and triggers nothing more. May be called twice.
  void Stop(const absl::Status& reason);

  /// Some tasks of the attempt have failed and begin anew, the others go on: aborts what is under
  /// way, tells those, and triggers nothing until Resume and OnAllTasksRunning.
  void Suspend(const absl::Status& reason);
  /// `plan` names the fresh attempts in place of those that failed.
  void Resume(CheckpointPlan plan);

  /// Begins an attempt whose tasks an earlier JobManager deployed, and tells them of the newest
  /// checkpoint that it completed, and that all later ones are given up. Some have finished, of
  /// some the input has ended. `stopping`: the newest is the savepoint that the job was stopped
  /// with.
  void Adopt(CheckpointPlan plan, std::set<ExecutionAttemptId> finished,
             std::set<ExecutionAttemptId> input_ended, bool stopping);

  void OnAllTasksRunning();
  void OnTaskFinished(ExecutionAttemptId task);
  void OnInputEnded(ExecutionAttemptId task);
  void OnCoordinatorAck(const proto::CoordinatorCheckpointAck& ack);
  void OnTaskAck(const proto::CheckpointAck& ack);
  void OnTaskDecline(const proto::CheckpointDecline& decline);
  /// Takes an event from a coordinator for a task, and delivers it when its time has come.
  void OnCoordinatorEvent(const proto::OperatorEvent& event);

  /// Triggers a checkpoint as soon as none is under way; `done` is called when it has ended.
  /// Errors: kFailedPrecondition if the job has no checkpoints or does not run; else why it failed.
  void TriggerNow(TriggerCallback done);

  /// Takes a savepoint as soon as no checkpoint is under way; `done` gets its path, or why there is
  /// none. With kStop or kDrain nothing is triggered afterwards, unless it fails. Errors:
  /// kFailedPrecondition if the job has no checkpoints, does not run or is being stopped.
  void TriggerSavepoint(SavepointRequest request, SavepointCallback done);

  /// Finds the newest checkpoint that can be restored, and makes it the base of the next attempt;
  /// null if there is none. A checkpoint whose metadata is damaged is passed over for the one
  /// before it. Errors: kDataLoss if there are checkpoints but none can be read; kUnavailable.
  void RestoreLatest(
      std::function<void(absl::StatusOr<std::shared_ptr<const CheckpointMetadata>>)> done);
  /// Reads the newest checkpoint, on which those of adopted tasks build. Errors: kDataLoss if it
  /// cannot be read; kUnavailable.
  void LoadLatest(std::function<void(absl::Status)> done);
  /// The newest that has completed; 0 if there is none.
  [[nodiscard]] CheckpointId newest_completed() const {
    return completed_.checkpoints().empty() ? CheckpointId() : completed_.checkpoints().back().id;
  }
  /// Returns why checkpoints were passed over since the last call, oldest first.
  [[nodiscard]] std::vector<absl::Status> TakeUnreadable() {
    return std::exchange(unreadable_, {});
  }
  /// Makes the snapshot that the user gave at `users_path`, as storage has taken it over, the one
  /// to restore from.
  void AddRestored(const CheckpointStorage::Snapshot& snapshot, const std::string& users_path,
                   ClaimMode mode);
  /// Takes in what an earlier JobManager of the job left: its completed checkpoints, oldest first,
  /// and the greatest id that it may have given.
  void AddRecovered(std::vector<RetainedCheckpoint> checkpoints, CheckpointId last_id);
  /// Whether a savepoint to stop the job with is under way or complete.
  [[nodiscard]] bool stopping() const { return stopping_; }
  /// Counts checkpoints on from `id`.
  void NumberFrom(CheckpointId id) { last_id_ = std::max(last_id_, id.value()); }
  /// Whether a checkpoint at `path` is retained.
  [[nodiscard]] bool Retains(const std::string& path) const;
  /// Passes over the newest checkpoint from now on, because its state files are damaged. Returns
  /// whether there is an older one.
  bool ForgetLatest();

  /// Removes what the ended job needs no more: everything, or all but the retained checkpoints.
  void DiscardAll();
  void DiscardOrphans();

  [[nodiscard]] CheckpointStatistics Statistics() const { return statistics_.Snapshot(); }
  /// The same without copies.
  [[nodiscard]] const CheckpointStatisticsTracker& tracker() const { return statistics_; }
  [[nodiscard]] const CheckpointSettings& settings() const { return settings_; }
  /// Answers that came too late, twice, or from attempts that are not asked.
  [[nodiscard]] uint64_t num_ignored_answers() const { return num_ignored_answers_; }

 private:
  /// Guards continuations: they run only if the coordinator is still there.
  struct Alive {};
  struct Savepoint {
    SavepointRequest request;
    SavepointCallback done;
  };

  [[nodiscard]] std::vector<ExecutionAttemptId> UnfinishedSources() const;
  [[nodiscard]] const CheckpointPlan::Task* FindTask(ExecutionAttemptId attempt) const;
  [[nodiscard]] std::vector<TaskCheckpointStatistics> StatisticsOfTasks() const;
  /// Nobody gets the checkpoint or savepoint that they wait for.
  void RefuseWaiting(const absl::Status& reason);
  void CheckInputEnded();
  void ScheduleTrigger();
  void CancelTrigger();
  /// Begins a checkpoint, if one may begin.
  void Trigger();
  /// Moves the pending checkpoint on as far as its answers allow.
  void Advance();
  void SendTriggers();
  [[nodiscard]] BarrierKind KindOfPending() const;
  void WriteMetadata();
  void OnWritten(CheckpointId id, std::shared_ptr<const CheckpointMetadata> metadata,
                 absl::StatusOr<std::string> path);
  void Complete(std::shared_ptr<const CheckpointMetadata> metadata, std::string path);
  void CompleteSavepoint(std::shared_ptr<const CheckpointMetadata> metadata, std::string path);
  /// Whether the newest retained checkpoint is the same but for number and time.
  [[nodiscard]] bool IsNewestOnDisk(const CheckpointMetadata& metadata) const;
  void CompleteUnchanged();
  void EndCompleted(std::string path, CompletedCheckpointStore::Removal removal);
  void Abort(const absl::Status& reason, bool notify);
  void AfterEnd(absl::StatusOr<CheckpointId> result, std::vector<TriggerCallback> waiting);
  void ReleaseHeldEvents();
  void Remove(CompletedCheckpointStore::Removal removal);
  void ReadNewest(
      std::function<void(absl::StatusOr<std::shared_ptr<const CheckpointMetadata>>)> done);
  [[nodiscard]] std::set<std::string> FilesOf(const CheckpointMetadata& metadata) const;

  const JobId job_id_;
  const JobGraph* graph_;
  const CheckpointSettings settings_;
  MainThreadExecutor* const executor_;
  CheckpointMessenger* const messenger_;
  CheckpointStorage* const storage_;
  const std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();

  // Of the attempt.
  bool started_ = false;
  bool all_running_ = false;
  CheckpointPlan plan_;
  std::set<ExecutionAttemptId> finished_;
  std::set<ExecutionAttemptId> input_ended_;
  bool all_input_ended_ = false;
  bool trigger_at_once_ = false;  // For the final checkpoint and for TriggerNow.
  absl::Time last_trigger_;
  absl::Time last_end_ = absl::InfinitePast();
  std::optional<TimerId> trigger_timer_;
  std::vector<proto::OperatorEvent> held_events_;
  std::vector<TriggerCallback> waiting_;  // For the next checkpoint.
  std::deque<Savepoint> savepoints_;      // Wait for their turn.
  bool stopping_ = false;                 // With a savepoint, under way or complete.
  int64_t num_failures_in_a_row_ = 0;

  std::unique_ptr<PendingCheckpoint> pending_;
  TimerId timeout_timer_;
  std::vector<TriggerCallback> pending_waiting_;
  std::optional<Savepoint> pending_savepoint_;  // If pending_ is one.

  uint64_t last_id_ = 0;
  std::shared_ptr<const CheckpointMetadata> last_completed_;
  CompletedCheckpointStore completed_;
  std::vector<absl::Status> unreadable_;
  CheckpointStatisticsTracker statistics_;
  uint64_t num_ignored_answers_ = 0;
};

}  // namespace weir
