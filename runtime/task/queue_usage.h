#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "runtime/network/channel_queue.h"

namespace weir {

/// How full the channels of one side of a task are.
struct QueueUsage {
  double num_elements = 0;
  double num_bytes = 0;
  double capacity_bytes = 0;  // What they may hold now.

  /// The part of the capacity that is in use, 0 to 1; more where a producer overdrew or a limit
  /// was lowered.
  [[nodiscard]] double Fraction() const {
    return capacity_bytes == 0 ? 0 : num_bytes / capacity_bytes;
  }
  QueueUsage& operator+=(const QueueUsage& other) {
    num_elements += other.num_elements;
    num_bytes += other.num_bytes;
    capacity_bytes += other.capacity_bytes;
    return *this;
  }
};

/// Adds up `num_queues` queues; of more than 64 it looks at 64, evenly spread, and scales up, so
/// that asking costs the same for any number. Any thread.
[[nodiscard]] QueueUsage MeasureQueues(size_t num_queues,
                                       const std::function<const ChannelQueue&(size_t)>& queue);

}  // namespace weir
