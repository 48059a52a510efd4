#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/base/clock.h"
#include "runtime/base/io_pool.h"
#include "runtime/base/lease.h"
#include "runtime/base/memory_budget.h"
#include "taskmanager/control_client.h"
#include "taskmanager/crash_handler.h"
#include "taskmanager/metrics_encoder.h"
#include "taskmanager/task_executor.h"

namespace weir {

/// What a TaskManager says of itself when it registers.
struct TaskManagerDescription {
  std::string id;
  std::string host;
  uint16_t data_port = 0;
  uint32_t num_slots = 1;
  uint32_t num_cores = 1;
  int64_t memory_bytes = 0;
  /// Whether it runs jobs in processes of their own when it is told to.
  bool isolates_jobs = false;
  /// Of such a process: the TaskManager that started it, and the job.
  std::string owner_id = {};
  JobId job = {};
};

struct JobManagerConnectionOptions {
  ControlClientOptions client;
  TaskManagerDescription description;
  /// How long the JobManager may take to answer a registration.
  absl::Duration registration_timeout = absl::Seconds(10);
  /// How long tasks may take to stop before the TaskManager gives itself up.
  absl::Duration cancellation_timeout = absl::Seconds(180);
  /// How long tasks go on running without a JobManager once its process is known to be dead.
  absl::Duration jobmanager_loss_timeout = absl::Minutes(1);
  /// Whether it ends once its tasks are cancelled, rather than registers anew.
  bool only_once = false;
};

/// Keeps the TaskManager registered with its JobManager, and its tasks under the lease that this
/// gives.
///
///   connecting ──Registered──▶ registered ──lease lapsed, dismissed──▶ lost ──all tasks ended──▶
///   connecting …        registered ──stream ended──▶ orphaned ──Registered by a newer leader──▶
///   registered       orphaned ──a JobManager may live, time-out──▶ lost
///   any ──Refused, tasks do not stop──▶ terminated        any ──Stop──▶ terminated
///
/// The lease lasts while messages come in time; it is shorter than the time after which the
/// JobManager takes this process for dead, and is checked before any message is acted on: a process
/// that was stopped for long cancels its tasks before it does anything else. Messages of an older
/// leader than the newest seen are dropped and counted.
///
/// When the stream ends, though, the JobManager's process has most likely died, and nobody begins
/// the tasks anew before the next leader has waited for them. So they go on, without checkpoints
/// and commits, as long as it is known that no JobManager lives that this one cannot reach: the
/// hosts of all their addresses answer, again and again, that nobody listens. One that is silent
/// for as long as the lease may lead; then the tasks are cancelled. See docs/decisions/0006.
///
/// Threads: any; its state lives on `strand`, on which it also drives the executor. Lifecycle:
/// Start, Stop.
class JobManagerConnection final : public ControlListener, public ReportSink, public Lease {
 public:
  /// `terminated` is called at most once, from any thread, when the connection is given up for
  /// good. The pointers are borrowed.
  JobManagerConnection(JobManagerConnectionOptions options, IoStrand* strand, TimerThread* timers,
                       const MemoryBudget* budget, std::function<void(absl::Status)> terminated);
  ~JobManagerConnection() override;
  JobManagerConnection(const JobManagerConnection&) = delete;
  JobManagerConnection& operator=(const JobManagerConnection&) = delete;

  /// `executor` acts on the messages; borrowed.
  void Start(TaskExecutor* executor);
  /// Cancels all tasks, tells the JobManager and ends the stream. Blocks until the tasks have
  /// ended, but not above the cancellation time-out: then kDeadlineExceeded. May be called twice.
  absl::Status Stop();

  /// Tells the JobManager the newest metrics, if there is one. On the strand.
  void SendMetrics(const CollectedMetrics& metrics);

  /// Tells the JobManager of a crash, of this process or an earlier one. Blocks; returns whether it
  /// knows now.
  bool ReportCrash(const CrashReport& report, absl::Duration timeout);

  [[nodiscard]] ControlClient& client() { return client_; }
  /// Messages of older leaders that were dropped.
  [[nodiscard]] uint64_t num_stale_messages() const {
    return num_stale_messages_.load(std::memory_order_relaxed);
  }

  void OnMessage(std::unique_ptr<proto::JobManagerMessage> message) override;
  void OnStreamEnded(const StreamEnd& end) override;
  void Report(const proto::TaskManagerMessage& message) override;
  /// Whether there is a JobManager whose own all tasks are: for commits.
  [[nodiscard]] bool Holds() const override;

 private:
  enum class Phase : uint8_t { kConnecting, kRegistered, kOrphaned, kLost, kTerminated };

  // All on the strand.
  void Connect();
  void AwaitAnswer();
  void Orphan(const StreamEnd& end);
  void ConnectOrphaned(uint64_t orphanage);
  void NoteAnswer(const StreamEnd& end);
  void CheckOrphaned(uint64_t orphanage);
  /// Gives the tasks up, and returns true, if somebody may lead who cannot be reached.
  bool LoseIfUnsure();
  void Handle(const std::shared_ptr<const proto::JobManagerMessage>& message);
  void HandleRegistered(const proto::JobManagerMessage& message);
  bool IsStale(uint64_t leader_epoch);
  void Lose(const absl::Status& reason);
  void ReconnectIfIdle();
  void Terminate(const absl::Status& reason);
  void SendHeartbeat(uint64_t connection);
  void CheckLease(uint64_t connection);
  void LogLoss(const absl::Status& reason);
  void After(absl::Duration delay, std::function<void()> work);

  [[nodiscard]] absl::Duration SinceLastHeard() const;

  const JobManagerConnectionOptions options_;
  IoStrand* const strand_;
  TimerThread* const timers_;
  const MemoryBudget* const budget_;
  const std::function<void(absl::Status)> terminated_;
  TaskExecutor* executor_ = nullptr;

  std::atomic<int64_t> last_heard_nanos_{0};  // Monotonic. When the newest message came in.
  std::atomic<int64_t> lease_nanos_{0};       // 0 while there is none. Written on the strand.
  std::atomic<uint64_t> num_stale_messages_{0};

  // The strand's own.
  Phase phase_ = Phase::kConnecting;
  uint64_t connection_ = 0;    // Counts connections, so that an earlier one's timers are known.
  uint64_t leader_epoch_ = 0;  // The newest seen.
  absl::Duration heartbeat_interval_;
  MetricsEncoder metrics_encoder_;
  bool tasks_ended_ = true;
  bool stream_ended_ = true;
  uint64_t orphanage_ = 0;  // Counts times without a JobManager, as `connection_`.
  absl::Duration lease_;    // As it was given last.
  // While orphaned, by address: until when nobody can lead there. Monotonic.
  std::map<std::string, int64_t> dead_until_nanos_;
  int64_t last_loss_log_nanos_ = 0;

  ControlClient client_;  // Last: its listener is this.
};

}  // namespace weir
