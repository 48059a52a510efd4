#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobmanager/ha/ha_store.h"
#include "runtime/base/clock.h"
#include "runtime/base/mutex.h"

namespace weir {

/// The right to lead for a time: the fencing token and until when it may be believed in.
///
/// Threads: any. What it says is a hint to do nothing in vain: what must not happen twice is
/// guarded by the store, which refuses the epoch of one who was deposed.
class LeaderLease {
 public:
  /// `clock` is borrowed.
  LeaderLease(LeaderEpoch epoch, int64_t valid_until_nanos, const Clock* clock)
      : epoch_(epoch), clock_(clock), valid_until_nanos_(valid_until_nanos) {}

  [[nodiscard]] LeaderEpoch epoch() const { return epoch_; }
  /// Returns whether the lease has not lapsed by this process's monotonic clock.
  [[nodiscard]] bool Holds() const {
    return clock_->MonotonicNanos() < valid_until_nanos_.load(std::memory_order_acquire);
  }
  void Extend(int64_t valid_until_nanos) {
    valid_until_nanos_.store(valid_until_nanos, std::memory_order_release);
  }
  /// Ends it for good.
  void End() { Extend(INT64_MIN); }

 private:
  const LeaderEpoch epoch_;
  const Clock* const clock_;
  std::atomic<int64_t> valid_until_nanos_;
};

/// Who wants to lead. Called on the election's thread; must return soon, for the lease is not
/// renewed meanwhile.
class LeaderContender {
 public:
  virtual ~LeaderContender() = default;
  virtual void OnGranted(std::shared_ptr<LeaderLease> lease) = 0;
  /// The lease has ended; it may be granted again later.
  virtual void OnRevoked(const absl::Status& reason) = 0;
};

struct LeaderElectionOptions {
  /// As the store's.
  absl::Duration lease_duration = absl::Seconds(5);
  /// Time between two renewals, and between two looks of a standby.
  absl::Duration retry_period = absl::Milliseconds(500);
};

/// Campaigns for the lead, keeps it, and knows who has it.
///
///   standby ──acquired──▶ leader ──deposed, lease lapsed──▶ standby
///
/// A leader whose lease has lapsed by its own clock (it was stopped, or cannot reach the store) is
/// revoked before it does anything else, even if nobody has taken its place.
/// Lifecycle: Start → Stop. Threads: one of its own, which alone uses the store for elections;
/// leader() from any. Tests call Step instead of Start.
class LeaderElection {
 public:
  /// All pointers are borrowed.
  LeaderElection(LeaderElectionOptions options, HaStore* store, LeaderInformation self,
                 LeaderContender* contender, const Clock* clock);
  /// Stops.
  ~LeaderElection();
  LeaderElection(const LeaderElection&) = delete;
  LeaderElection& operator=(const LeaderElection&) = delete;

  void Start();
  /// Ends the thread and revokes a lease that is held. Blocks. May be called twice.
  void Stop();
  /// Gives the lead up, so that another one takes it at once: for who has stopped to act. After
  /// Stop.
  void Release();

  /// Campaigns, renews or revokes once.
  void Step();

  /// Returns the leader as last seen; with this process's own addresses if it leads.
  [[nodiscard]] std::optional<LeaderInformation> leader() const;

 private:
  void Campaign();
  void Renew();
  void Revoke(const absl::Status& reason);
  void SetLeader(std::optional<LeaderInformation> leader);

  const LeaderElectionOptions options_;
  HaStore* const store_;
  const LeaderInformation self_;
  LeaderContender* const contender_;
  const Clock* const clock_;
  // The electing thread's own.
  std::shared_ptr<LeaderLease> lease_;
  std::optional<LeaderEpoch> last_epoch_;
  bool store_failed_ = false;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<LeaderInformation> leader_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

}  // namespace weir
