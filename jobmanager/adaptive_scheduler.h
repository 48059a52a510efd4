#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobmanager/main_thread_executor.h"
#include "jobmanager/rescale_history.h"
#include "jobmanager/rescaling.h"
#include "runtime/base/config.h"
#include "runtime/base/ids.h"
#include "runtime/graph/job_graph.h"

namespace weir {

/// What an AdaptiveScheduler does with its job, and needs to know of it: implemented by the
/// JobMaster.
class ScheduledJob {
 public:
  virtual ~ScheduledJob() = default;
  /// Slots that the job holds, and those that nobody has.
  [[nodiscard]] virtual uint32_t NumAvailableSlots() const = 0;
  [[nodiscard]] virtual bool HasCheckpoints() const = 0;
  /// Takes a checkpoint; `done` is called once, possibly before this returns.
  virtual void TakeRescaleCheckpoint(std::function<void(absl::StatusOr<CheckpointId>)> done) = 0;
  /// Cancels all tasks, and calls WaitForResources when they have ended.
  virtual void StopForRescale() = 0;
  /// Takes slots and deploys with `parallelism`, replacing what was asked for before.
  virtual void RunWith(const VertexParallelism& parallelism) = 0;
  /// Ends the job for want of slots.
  virtual void GiveUp(const absl::Status& reason) = 0;
};

enum class SchedulerKind : uint8_t {
  /// The job runs with what is wanted or waits; it is rescaled only when asked to.
  kDefault,
  /// It runs with what fits, and follows the slots that come and go.
  kAdaptive,
  /// Adaptive, and what is wanted is as much as there can be.
  kReactive,
};

struct AdaptiveSchedulerOptions {
  SchedulerKind kind = SchedulerKind::kDefault;
  /// How long a job without enough slots waits before it fails; infinite: for ever.
  absl::Duration resource_wait_timeout = absl::Minutes(5);
  /// How long one that could begin with less than it wants waits for the rest.
  absl::Duration submission_stabilization = absl::Seconds(10);
  /// The same before it is rescaled to more that is still less.
  absl::Duration executing_stabilization = absl::Seconds(60);
  /// Least time between two rescales that nobody asked for.
  absl::Duration cooldown = absl::Seconds(30);
  /// How long a rescale waits for its checkpoint, and how many it tries.
  absl::Duration max_trigger_delay = absl::Minutes(1);
  int64_t max_checkpoint_failures = 2;
  size_t history_size = 16;

  [[nodiscard]] static AdaptiveSchedulerOptions FromSettings(const Configuration& settings);
};

/// Decides with which parallelism a job runs, and when it is rescaled.
///
/// ```
///            WaitForResources        slots             all RUNNING
///   IDLE --------------------> WAITING ----> STARTING ------------> EXECUTING
///    ^                            ^                                    | other parallelism
///    | failure, end: from all     | tasks ended        checkpoint      v
///                                 `--- STOPPING <---------------- CHECKPOINTING
/// ```
/// A rescale takes a checkpoint while the job runs, so that little is read again, and only then
/// stops the tasks. One that somebody asked for begins at once. One because slots came waits until
/// the cool-down after the last is over and, as long as less than all that is wanted fits, until
/// slots have ceased to come for a while. What fewer slots do to a job, its failure does: it then
/// begins with what fits.
///
/// Threads: main thread. Ownership: borrows all it is given.
class AdaptiveScheduler {
 public:
  /// `submitted` has the parallelism that the job was submitted with. Empty `requirements` stand
  /// for DefaultRequirements.
  AdaptiveScheduler(JobId job_id, std::shared_ptr<const JobGraph> submitted,
                    ResourceRequirements requirements, AdaptiveSchedulerOptions options,
                    MainThreadExecutor* executor, ScheduledJob* job);
  ~AdaptiveScheduler();
  AdaptiveScheduler(const AdaptiveScheduler&) = delete;
  AdaptiveScheduler& operator=(const AdaptiveScheduler&) = delete;

  /// The job has no tasks and is to begin; RunWith is called when it can.
  void WaitForResources();
  /// A part of the job begins anew while the rest runs, with the parallelism that there is.
  void OnRegionRestart();
  // How that goes on.
  void OnSlots();
  void OnDeployed(uint64_t restored_checkpoint);
  void OnAllRunning();
  /// The job goes on with tasks that an earlier JobManager deployed with that parallelism.
  void OnAdopted(const VertexParallelism& parallelism);
  /// Tasks failed, or are cancelled by others than the scheduler.
  void OnFailure();
  /// The job ends, as `reason` says.
  void OnEnd(const std::string& reason);
  /// TaskManagers came, or slots became free.
  void OnSlotsChanged();

  /// Makes `requirements` what the job wants, and rescales it when that can be. Errors:
  /// kInvalidArgument (see CheckRequirements); kFailedPrecondition if the job would lose its state,
  /// for it has no checkpoints, or if it has to have all slots and they are not there.
  [[nodiscard]] absl::Status SetRequirements(ResourceRequirements requirements);

  [[nodiscard]] bool is_stopping() const { return phase_ == Phase::kStopping; }
  [[nodiscard]] bool is_adaptive() const { return options_.kind != SchedulerKind::kDefault; }
  [[nodiscard]] uint64_t num_rescales() const { return history_.num_completed(); }
  /// All but the job's id and status.
  [[nodiscard]] ScalingDetails Details() const;
  [[nodiscard]] const ResourceRequirements& requirements() const { return requirements_; }

 private:
  enum class Phase : uint8_t { kIdle, kWaiting, kStarting, kExecuting, kCheckpointing, kStopping };

  [[nodiscard]] absl::Time Now() const { return executor_->clock()->Now(); }
  [[nodiscard]] std::optional<VertexParallelism> Fitting() const;
  void EvaluateWaiting();
  void EvaluateExecuting();
  void Proceed(const VertexParallelism& parallelism);
  void BeginRescale(const VertexParallelism& target);
  void TakeCheckpoint();
  void OnCheckpoint(const absl::StatusOr<CheckpointId>& checkpoint);
  void OnCheckpointLate();
  void Stop();
  void Abandon(const std::string& reason);
  /// Calls `then` in `delay`, instead of what was to be called before.
  void CallIn(absl::Duration delay, void (AdaptiveScheduler::*then)());
  void CancelTimers();
  void ExpireWaiting();
  [[nodiscard]] std::vector<RescaledVertex> RescaledVertices() const;
  /// Returns why the job does not run as wanted, or an empty text.
  [[nodiscard]] std::string Reason() const;
  [[nodiscard]] std::string SlotsText() const;
  void Log(std::string_view text) const;

  const JobId job_id_;
  const std::shared_ptr<const JobGraph> submitted_;
  const AdaptiveSchedulerOptions options_;
  MainThreadExecutor* const executor_;
  ScheduledJob* const job_;
  ResourceRequirements requirements_;

  Phase phase_ = Phase::kIdle;
  uint64_t attempt_ = 0;  // Grows with each phase, so that answers to an older one are known.
  /// Somebody asked for other requirements than the job was deployed with.
  bool asked_ = false;
  bool from_rescale_ = false;  // WAITING came after STOPPING.
  VertexParallelism current_;  // Of the newest deployment; empty before the first.
  VertexParallelism next_;     // What RunWith was called with last.
  absl::Time waiting_since_;
  // Since when less than all that is wanted fits, but enough to begin or to go up.
  absl::Time stabilizing_since_ = absl::InfinitePast();
  absl::Time last_rescale_ = absl::InfinitePast();
  int64_t num_checkpoint_failures_ = 0;
  TimerId timer_;
  TimerId expiry_;
  RescaleHistory history_;
};

}  // namespace weir
