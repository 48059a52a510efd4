#include "runtime/task/queue_usage.h"

#include <algorithm>

namespace weir {

QueueUsage MeasureQueues(size_t num_queues,
                         const std::function<const ChannelQueue&(size_t)>& queue) {
  constexpr size_t kMaxMeasured = 64;
  const size_t num_measured = std::min(num_queues, kMaxMeasured);
  QueueUsage usage;
  for (size_t i = 0; i < num_measured; ++i) {
    const ChannelQueue& measured = queue(i * num_queues / num_measured);
    const ChannelQueue::Load load = measured.load();
    usage += {static_cast<double>(load.num_elements), static_cast<double>(load.num_bytes),
              static_cast<double>(measured.limit_bytes())};
  }
  if (num_measured == num_queues) return usage;
  const double scale = static_cast<double>(num_queues) / static_cast<double>(num_measured);
  return {usage.num_elements * scale, usage.num_bytes * scale, usage.capacity_bytes * scale};
}

}  // namespace weir
