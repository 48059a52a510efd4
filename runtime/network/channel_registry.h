#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/network/channel_queue.h"

namespace weir {

/// Where the two ends of every channel produced on this TaskManager meet, whoever comes first.
///
/// Place: one per TaskManager. A producer and a consumer of the same process both call GetOrCreate;
/// the data server, which acts for consumers elsewhere, waits with WhenPresent, so that a request
/// cannot make a queue that nobody would ever fill. Lifecycle: outlives tasks and the data server.
/// Threads: any; callbacks are called without locks. Invariant: a released attempt stays released,
/// as long as it is among the newest kMaxReleasedAttempts of them.
class ChannelRegistry {
 public:
  /// How many released attempts are remembered, to turn late consumers away.
  static constexpr size_t kMaxReleasedAttempts = 4096;

  using PresentCallback = std::function<void(absl::StatusOr<std::shared_ptr<ChannelQueue>>)>;
  /// Names a wait; 0 names none.
  using WaitId = uint64_t;

  /// Queues hold `capacity_bytes` each and charge `budget`, which may be null and outlives them.
  ChannelRegistry(size_t capacity_bytes, MemoryBudget* budget);
  ~ChannelRegistry();
  ChannelRegistry(const ChannelRegistry&) = delete;
  ChannelRegistry& operator=(const ChannelRegistry&) = delete;

  /// Returns the channel's queue, new if this is the first end to ask. For a released attempt it is
  /// a queue that is broken already and not kept.
  [[nodiscard]] std::shared_ptr<ChannelQueue> GetOrCreate(const ChannelKey& key);
  /// Returns the channel's queue, or null if there is none.
  [[nodiscard]] std::shared_ptr<ChannelQueue> Find(const ChannelKey& key) const;

  /// Calls `callback` once, as soon as the channel exists: before this returns (then the result is
  /// 0) or later on the thread that makes it. If the attempt is released first, it gets the reason.
  WaitId WhenPresent(const ChannelKey& key, PresentCallback callback);
  /// Forgets a wait. A call already under way on another thread may still come.
  void CancelWait(WaitId id);

  /// Takes the consumer's end of a channel for a remote consumer. Errors: kNotFound if the channel
  /// is gone, kFailedPrecondition if it was taken before: what the first consumer popped is lost to
  /// a second.
  [[nodiscard]] absl::Status ClaimConsumer(const ChannelKey& key);

  /// Forgets all channels of a producer and breaks them with `reason`. With an OK reason they are
  /// only forgotten: a consumer drains its queue in peace.
  void Release(const ExecutionAttemptId& producer, absl::Status reason);

  /// Returns how many channels are kept.
  [[nodiscard]] size_t num_channels() const;

 private:
  struct Channel {
    std::shared_ptr<ChannelQueue> queue;
    bool claimed = false;
  };
  struct Waiter {
    WaitId id = 0;
    PresentCallback callback;
  };
  using Subpartition = std::pair<uint32_t, uint32_t>;  // Edge, subpartition.
  // Attempts come and go as a whole, so all that belongs to one lies together.
  struct Attempt {
    absl::flat_hash_map<Subpartition, Channel> channels;
    absl::flat_hash_map<Subpartition, std::vector<Waiter>> waiters;
  };

  const size_t capacity_bytes_;
  MemoryBudget* const budget_;
  mutable Mutex mutex_;
  absl::flat_hash_map<ExecutionAttemptId, Attempt> attempts_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<WaitId, ChannelKey> waits_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ExecutionAttemptId, absl::Status> released_ ABSL_GUARDED_BY(mutex_);
  std::deque<ExecutionAttemptId> released_order_ ABSL_GUARDED_BY(mutex_);  // Oldest first.
  WaitId next_wait_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace weir
