#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/clock.h"
#include "runtime/base/ids.h"
#include "runtime/base/io_pool.h"
#include "runtime/graph/ids.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/task/coordinator.h"
#include "runtime/task/operator.h"
#include "taskmanager/timer_thread.h"

namespace weir {

/// Which coordinator to run. Keeps the job's graph, and so its code, alive.
struct CoordinatorDescription {
  JobId job;
  OperatorId operator_id;
  std::string operator_name;
  ExecutionAttemptId attempt;
  uint32_t parallelism = 1;
  /// What Snapshot returned; nothing at a first start.
  std::optional<std::string> restored;
  std::shared_ptr<const StreamGraph> graph;
  StreamNodeIndex node = 0;
};

/// Hears of a coordinator's life. Called from any thread; must return soon and not call back.
class CoordinatorListener {
 public:
  virtual ~CoordinatorListener() = default;
  virtual void OnCoordinatorEvent(const CoordinatorDescription& coordinator, uint32_t subtask,
                                  std::string event) = 0;
  /// For the coordinators of all other operators of the job.
  virtual void OnEventToCoordinators(const CoordinatorDescription& coordinator,
                                     std::string event) = 0;
  /// The answer to TriggerCheckpoint, behind all events sent before the snapshot and ahead of those
  /// after it.
  virtual void OnCoordinatorSnapshot(const CoordinatorDescription& coordinator,
                                     CheckpointId checkpoint,
                                     absl::StatusOr<std::string> state) = 0;
  /// At most once; nothing follows.
  virtual void OnCoordinatorFailed(const CoordinatorDescription& coordinator,
                                   const absl::Status& reason) = 0;
};

/// What coordinators share on a TaskManager. Everything outlives them.
struct CoordinatorEnvironment {
  /// Runs the coordinators' calls, each coordinator's one by one.
  IoPool* coordinator_pool = nullptr;
  /// For the coordinators' slow work.
  IoPool* io_pool = nullptr;
  const Clock* clock = nullptr;
  TimerThread* timers = nullptr;
  CoordinatorListener* listener = nullptr;
};

/// Runs one operator coordinator: calls and mail in the order they came, one at a time.
///
/// Threads: any; nothing blocks. User code runs on the coordinator pool, and what it throws fails
/// the coordinator. Lifecycle: Start → … → Close, after which calls and mail are dropped. The
/// coordinator itself is destroyed by Close; its host stays for as long as somebody may still hold
/// the context.
class CoordinatorHost final : public CoordinatorContext,
                              public std::enable_shared_from_this<CoordinatorHost> {
 public:
  CoordinatorHost(CoordinatorDescription description, CoordinatorEnvironment environment);

  /// Makes the coordinator and starts it.
  void Start();
  void HandleEvent(uint32_t subtask, std::string event);
  void HandleCoordinatorEvent(OperatorId sender, std::string event);
  void TriggerCheckpoint(CheckpointId checkpoint);
  void NotifyCheckpointComplete(CheckpointId checkpoint);
  void Close();
  /// Whether it has failed or been closed.
  [[nodiscard]] bool has_ended() const { return ended_.load(std::memory_order_acquire); }
  /// Whether the coordinator is gone, and starts no work any more.
  [[nodiscard]] bool is_closed() const { return closed_.load(std::memory_order_acquire); }

  [[nodiscard]] const CoordinatorDescription& description() const { return description_; }

  [[nodiscard]] uint32_t parallelism() const override { return description_.parallelism; }
  [[nodiscard]] IoPool* io_pool() const override { return environment_.io_pool; }
  [[nodiscard]] const Clock* clock() const override { return environment_.clock; }
  [[nodiscard]] MetricGroup* metrics() override { return &metrics_; }
  void SendEvent(uint32_t subtask, std::string event) override;
  void SendToCoordinators(std::string event) override;
  void Post(absl::AnyInvocable<absl::Status()> mail) override;
  void PostAfter(absl::Duration delay, absl::AnyInvocable<absl::Status()> mail) override;
  void Fail(absl::Status reason) override;

 private:
  enum class Phase : uint8_t { kCreated, kRunning, kFailed, kClosed };

  // Runs on the strand.
  void Run(absl::AnyInvocable<absl::Status()> call);
  absl::Status Guard(absl::AnyInvocable<absl::Status()>& call);
  void FailNow(const absl::Status& reason);
  void DestroyCoordinator();

  std::shared_ptr<const StreamGraph> graph_;  // The strand's own; let go by Close.
  const CoordinatorDescription description_;  // Without the graph.
  const CoordinatorEnvironment environment_;
  OperatorContext::Place place_;  // For the report of a crash.
  IoStrand strand_;
  MetricGroup metrics_;
  std::atomic<bool> ended_{false};  // Failed or closed: nothing more is sent.
  std::atomic<bool> closed_{false};
  // The strand's own.
  Phase phase_ = Phase::kCreated;
  std::unique_ptr<OperatorCoordinator> coordinator_;
};

}  // namespace weir
