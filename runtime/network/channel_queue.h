#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/record/stream_element.h"

namespace weir {

/// Names one channel in the whole cluster: the subpartition that an execution attempt produces on
/// one of its outgoing edges. Attempt ids are unique and random, so a key never means an older
/// attempt's data: that is all the fencing the data plane needs.
struct ChannelKey {
  ExecutionAttemptId producer;
  uint32_t edge = 0;
  uint32_t subpartition = 0;

  friend auto operator<=>(const ChannelKey&, const ChannelKey&) = default;
  template <class H>
  friend H AbslHashValue(H state, const ChannelKey& key) {
    return H::combine(std::move(state), key.producer, key.edge, key.subpartition);
  }
};

/// Returns "attempt/edge/subpartition", for messages.
[[nodiscard]] std::string ToString(const ChannelKey& key);

/// A bounded queue from one producer to one consumer: the hand-over point of every channel.
///
/// Place: between two tasks of one process it is the whole channel. Between processes there is one
/// at each end: the producer's is emptied by the data server, the consumer's is filled by the data
/// client. Threads: one producer thread and one consumer thread at a time; which thread that is may
/// change between calls if the change is ordered by other means (tasks migrate between workers).
/// Flow control: Push always takes its element; the producer asks Full() first and may overdraft by
/// what one record emits, and by control elements, which cost nothing. What the queue may hold is
/// its limit: the capacity, unless the consumer sets less. Beside the queue stands an
/// announcement slot: the newest unaligned barrier that was pushed or announced,
/// visible before it is popped. It never goes back. What lies ahead of such a barrier can be
/// recorded, by reference, while it stays queued.
class ChannelQueue {
 public:
  /// Called without locks, on the other side's thread, and possibly after the state has changed
  /// again. An empty one takes the listener away; a call already under way may still come.
  using Listener = std::function<void()>;

  /// `budget` may be null; else it is charged for what is queued and must outlive the queue.
  ChannelQueue(size_t capacity_bytes, MemoryBudget* budget);
  ~ChannelQueue();
  ChannelQueue(const ChannelQueue&) = delete;
  ChannelQueue& operator=(const ChannelQueue&) = delete;

  /// Producer side. Appends `element`. `cost_bytes` is what it takes of the capacity; by default
  /// its size.
  void Push(StreamElement element);
  void Push(StreamElement element, size_t cost_bytes);
  /// Whether the producer should wait. Turns false again before the space listener is called.
  [[nodiscard]] bool Full() const { return full_.load(std::memory_order_acquire); }
  /// Ends the channel: the consumer drains what is queued, then sees `reason`. The first call
  /// counts.
  void Break(absl::Status reason);
  struct Announcement {
    CheckpointId id;
    int64_t trigger_time_ms = 0;
  };
  /// Consumer or network: says that a barrier is on its way, ahead of the data queued before it.
  void Announce(const Announcement& announcement);
  /// Called when the queue stops being full, and when it breaks. Set it before asking Full().
  void SetSpaceListener(Listener listener);

  /// Consumer side. An element and what it takes of the capacity.
  struct Popped {
    StreamElement element;
    size_t cost_bytes = 0;
  };
  /// Returns the oldest element, or nothing if the queue is empty.
  [[nodiscard]] std::optional<Popped> Pop();
  /// Returns the oldest element if it is not a batch: for a consumer that has no room for records.
  [[nodiscard]] std::optional<Popped> PopControl();
  /// Lets the queue hold `bytes` from now on, at least 1 and at most its capacity. What is queued
  /// beyond that stays. Calls the space listener if that makes room, and the consumed listener. Any
  /// thread.
  void SetLimit(size_t bytes);
  /// What the queue may hold. Any thread.
  [[nodiscard]] size_t limit_bytes() const { return limit_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool Empty() const;
  /// Why the channel broke, once everything queued before has been popped; OK while it has not.
  [[nodiscard]] absl::Status status() const;
  /// Called when the queue stops being empty, when a newer barrier is announced, and when it
  /// breaks, and when a recording is complete. If there is something already, at once.
  void SetDataListener(Listener listener);
  /// Called by Pop, on the consumer's thread, as soon as TakeConsumedBytes would return
  /// `threshold_bytes` (at least 1), or a quarter of a limit that is below the capacity if that is
  /// less; and by SetLimit and StartRecording. Set it before the first element is pushed.
  void SetConsumedListener(size_t threshold_bytes, Listener listener);
  /// Returns the cost of what was popped and not yet returned, but for what the limit is below the
  /// capacity: who takes the capacity as credit, and these bytes as credit that comes back, has no
  /// more than the limit under way and queued. Any thread.
  [[nodiscard]] size_t TakeConsumedBytes();
  /// The newest barrier pushed or announced, queued or not; 0 if there was none.
  [[nodiscard]] CheckpointId announced_checkpoint() const {
    return CheckpointId(announced_.load(std::memory_order_acquire));
  }
  /// The newest barrier of any kind that was pushed, queued or not; 0 if there was none. Any
  /// thread.
  [[nodiscard]] CheckpointId pushed_barrier() const {
    return CheckpointId(pushed_barrier_.load(std::memory_order_acquire));
  }
  /// The newest announcement, with when its checkpoint was triggered.
  [[nodiscard]] Announcement announcement() const {
    const CheckpointId id = announced_checkpoint();
    return {id, announced_trigger_ms_.load(std::memory_order_relaxed)};
  }

  /// Consumer side. What an unaligned checkpoint holds of a channel.
  struct Recording {
    /// Batches, watermarks and watermark statuses, oldest first.
    std::vector<StreamElement> elements;
    size_t num_bytes = 0;
    /// The process had no memory for all of it; `elements` is empty.
    bool overflowed = false;
    MemoryCharge charge;
  };
  /// Records what is queued ahead of barrier `id` (or a later one), and what is pushed until it
  /// comes, or the end of input; whether it is popped or not. Gives up an earlier recording.
  void StartRecording(CheckpointId id);
  /// Whether all has come that is to be recorded; also true if nothing is.
  [[nodiscard]] bool RecordingComplete() const;
  /// Ends recording and returns what there is.
  [[nodiscard]] Recording TakeRecording();
  /// The barrier that an incomplete recording waits for; 0 if there is none. Any thread.
  [[nodiscard]] CheckpointId awaited_barrier() const;

  [[nodiscard]] size_t queued_bytes() const;
  struct Load {
    size_t num_elements = 0;
    size_t num_bytes = 0;
  };
  /// What is queued at this moment. Any thread.
  [[nodiscard]] Load load() const;
  [[nodiscard]] size_t capacity_bytes() const { return capacity_bytes_; }

 private:
  using SharedListener = std::shared_ptr<const Listener>;

  struct ActiveRecording {
    CheckpointId until;
    bool complete = false;
    Recording content;
  };

  // Returns whether it is newer than every one announced before.
  bool RaiseAnnounced(const Announcement& announcement) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Returns whether `element` completes the recording.
  bool Record(const StreamElement& element, size_t cost_bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] size_t ReturnableBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] size_t ReturnThresholdBytes() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Popped> PopIf(bool batches_too);

  const size_t capacity_bytes_;
  MemoryBudget* const budget_;
  std::atomic<size_t> limit_bytes_;  // Written with the mutex held.
  std::atomic<bool> full_{false};
  std::atomic<uint64_t> pushed_barrier_{0};
  std::atomic<uint64_t> announced_{0};
  std::atomic<int64_t> announced_trigger_ms_{0};  // Stored before announced_.
  mutable Mutex mutex_;
  std::deque<Popped> elements_ ABSL_GUARDED_BY(mutex_);
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ActiveRecording> recording_ ABSL_GUARDED_BY(mutex_);  // Mostly null.
  size_t consumed_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t consumed_threshold_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  SharedListener data_listener_ ABSL_GUARDED_BY(mutex_);
  SharedListener space_listener_ ABSL_GUARDED_BY(mutex_);
  SharedListener consumed_listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
