#include "taskmanager/task_activity.h"

#include <utility>

#include "absl/hash/hash.h"

namespace weir {
namespace {

// One number that changes when a watermark or a split does.
uint64_t EventTimeOf(const TaskMetricsSnapshot& metrics) {
  size_t state = absl::HashOf(metrics.watermark.millis(), metrics.split_watermarks.size());
  for (const SplitWatermark& split : metrics.split_watermarks) {
    state = absl::HashOf(state, split.split, split.watermark.millis(), split.idle, split.paused);
  }
  return state;
}

}  // namespace

bool TaskActivity::Update(const TaskMetricsSnapshot& metrics) {
  // Totals only grow, so their sum moves if one of them does.
  const uint64_t traffic = metrics.records_in + metrics.records_out + metrics.bytes_in +
                           metrics.bytes_out + metrics.batches_out;
  const uint64_t event_time = EventTimeOf(metrics);
  const absl::Duration active = metrics.busy + metrics.backpressured;
  const absl::Duration more_active = active - active_;
  const absl::Duration more_idle = metrics.idle - idle_;
  const bool acted = !std::exchange(looked_, true) || traffic != traffic_ ||
                     event_time != event_time_ || more_active * 99 > more_idle;
  traffic_ = traffic;
  event_time_ = event_time;
  active_ = active;
  idle_ = metrics.idle;
  return acted;
}

}  // namespace weir
