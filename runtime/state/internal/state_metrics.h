#pragma once

#include "runtime/metrics/metric_group.h"

namespace weir::internal {

class StateTable;

/// Shows what one state holds, and what it asks of memory and disk. Threads: the task's.
class StateMetrics {
 public:
  /// `group` is that of the state; borrowed.
  explicit StateMetrics(MetricGroup* group);

  /// Shows what `table` has come to.
  void Update(const StateTable& table);

 private:
  Gauge* const num_entries_;
  Gauge* const memory_bytes_;
  Gauge* const disk_bytes_;
  Counter* const num_hits_;
  Counter* const num_evictions_;
  Counter* const num_gets_;
  Counter* const num_found_;
  Counter* const num_puts_;
  Counter* const blocked_nanos_;
};

}  // namespace weir::internal
