#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace weir {

/// The settings `taskmanager.network.memory.buffer-debloat.*`.
struct BufferDebloatOptions {
  bool enabled = true;
  /// How long a gate should take to consume what its channels hold.
  absl::Duration target = absl::Seconds(1);
  /// Time between two looks at the throughput.
  absl::Duration period = absl::Milliseconds(200);
  /// A limit is changed when it would change by this part of it.
  int threshold_percentages = 25;
};

/// Finds how much the channels of a gate may hold, so that it is consumed within the target time:
/// as much as was consumed within the last target time that was not idle. Idle time is left out
/// because a task without input says nothing about what it could consume.
///
/// Threads: one at a time. Times are nanoseconds of a monotonic clock.
class BufferDebloater {
 public:
  /// No queue's limit gets below this; a batch of one record passes in any case.
  static constexpr size_t kMinLimitBytes = 512;
  /// What a gate may hold in all before anything has been measured.
  static constexpr size_t kInitialBytes = size_t{128} << 10;

  /// `num_queues` are all of the gate's; each may hold `capacity_bytes` at most.
  BufferDebloater(const BufferDebloatOptions& options, size_t num_queues, size_t capacity_bytes);

  /// Totals since the task began.
  struct Consumption {
    uint64_t num_bytes = 0;
    uint64_t num_batches = 0;
    int64_t active_nanos = 0;  // Busy or back-pressured.
  };
  /// Looks at what has been consumed up to now; `queues_in_use` have data or had some lately.
  /// Returns the new limit of each queue, if it changes by enough.
  [[nodiscard]] std::optional<size_t> Update(const Consumption& now, size_t queues_in_use);

  [[nodiscard]] size_t limit_bytes() const { return limit_bytes_; }
  /// How long it takes to consume what the queues in use may hold, at the throughput of the last
  /// Update; zero before something has been consumed.
  [[nodiscard]] absl::Duration time_to_consume() const { return time_to_consume_; }
  /// Of how many of the newest samples the throughput is the mean, at most.
  static constexpr size_t kMaxSamples = 20;

 private:
  static Consumption Difference(const Consumption& later, const Consumption& earlier);
  // What was consumed lately: of the newest samples that make up the target time.
  [[nodiscard]] Consumption Recent(const Consumption& now) const;

  const int64_t target_nanos_;
  const double threshold_;
  const size_t capacity_bytes_;
  size_t limit_bytes_;
  absl::Duration time_to_consume_;
  // Totals at the ends of the newest samples, oldest first. A sample ends with the first Update
  // after a batch.
  std::deque<Consumption> samples_;
};

}  // namespace weir
